//! Clients beside a fault: each asks one thing after another, and checks and accounts for every answer.
//!
//! **Invariant:** each request that is sent is answered, with what its route allows and nothing else; what a client sees amiss fails the
//! test that started it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::harness::{Client, Response, TestServer, request, worlds};

/// Between two requests of a client: few enough of them that two cores have time for the fault as well.
const REST: Duration = Duration::from_millis(10);
/// Rows that the writing client asks to change at once.
const WRITTEN: usize = 3;
/// Requests that the pipelining client sends in one write; their answers differ, so that their order shows.
const PIPELINED: [&str; 6] =
    ["/queries?queries=2", "/json", "/queries?queries=5", "/db", "/plaintext", "/fortunes"];

/// What the clients share.
#[derive(Default)]
struct Shared {
    enough: AtomicBool,
    refused: AtomicUsize,
    /// For each client that asks the database: when it was first answered with rows since this was last cleared.
    first_rows: Mutex<Vec<Option<Instant>>>,
}

/// Running clients.
pub(super) struct Crowd {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Account>>,
}

/// What became of the requests of one client, or of all.
#[derive(Default)]
pub(super) struct Account {
    /// Answers with rows, and how long each took.
    pub(super) rows: Vec<Duration>,
    /// Refusals with 503, and how long each took.
    pub(super) refused: Vec<Duration>,
    /// Answers of the routes that need no database.
    pub(super) plain: Vec<Duration>,
    /// The numbers that were written last, by row, as the answers said.
    written: HashMap<i32, i32>,
    /// Rows that may have been written too: of requests that were refused.
    in_doubt: usize,
}

impl Account {
    /// The longest of all.
    pub(super) fn worst(&self) -> Duration {
        let all = self.rows.iter().chain(&self.refused).chain(&self.plain);
        all.max().copied().unwrap_or_default()
    }

    pub(super) fn requests(&self) -> usize {
        self.rows.len() + self.refused.len() + self.plain.len()
    }

    fn add(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.refused.extend(other.refused);
        self.plain.extend(other.plain);
        self.written.extend(other.written);
        self.in_doubt += other.in_doubt;
    }

    /// Panics unless the table holds what was answered as written, and else what it held before, but for what is in doubt.
    pub(super) fn check_table(&self, before: &HashMap<i32, i32>, after: &HashMap<i32, i32>) {
        assert_eq!(before.len(), after.len(), "rows of the table");
        let expected = |id: &i32| self.written.get(id).or(before.get(id));
        let other = after.iter().filter(|(id, number)| expected(id) != Some(number)).count();
        assert!(
            other <= self.in_doubt,
            "{other} rows are not what was answered, and {} are in doubt",
            self.in_doubt
        );
    }
}

impl Crowd {
    /// Starts readers of each route, one that pipelines, one that writes, and two that ask for what needs no database. Several on each
    /// worker, for the kernel spreads them as it likes.
    pub(super) fn start(server: &TestServer) -> Self {
        let shared = Arc::new(Shared::default());
        let readers =
            [&["/db"][..], &["/queries?queries=5"], &["/fortunes"], &["/db", "/queries?queries=20"]];
        let mut clients: Vec<JoinHandle<Account>> = readers
            .into_iter()
            .map(|targets| Self::spawn(&shared, server, move |asker| asker.ask_in_turn(targets)))
            .collect();
        clients.push(Self::spawn(&shared, server, Asker::pipeline));
        clients.push(Self::spawn(&shared, server, Asker::write));
        clients.push(Self::spawn(&shared, server, |asker| asker.ask_in_turn(&["/json", "/plaintext"])));
        clients.push(Self::spawn(&shared, server, |asker| asker.ask_in_turn(&["/plaintext", "/json"])));
        Self { shared, clients }
    }

    fn spawn(
        shared: &Arc<Shared>,
        server: &TestServer,
        ask: impl Fn(&mut Asker) + Send + 'static,
    ) -> JoinHandle<Account> {
        let mut first_rows = shared.first_rows.lock().unwrap_or_else(PoisonError::into_inner);
        first_rows.push(None);
        let number = first_rows.len() - 1;
        drop(first_rows);
        let mut asker = Asker {
            client: server.connect(),
            shared: Arc::clone(shared),
            number,
            account: Account::default(),
        };
        thread::spawn(move || {
            while !asker.shared.enough.load(Ordering::Relaxed) {
                ask(&mut asker);
                thread::park_timeout(REST);
            }
            asker.account
        })
    }

    /// Clients that ask the database, which are all but the last two.
    fn readers(&self) -> usize {
        self.clients.len() - 2
    }

    /// How many requests were refused so far.
    pub(super) fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// From now on it counts when each is answered with rows for the first time.
    pub(super) fn mark(&self) {
        self.shared.first_rows.lock().unwrap_or_else(PoisonError::into_inner).fill(None);
    }

    /// When the last of them was answered with rows for the first time, once all were.
    pub(super) fn all_served(&self) -> Option<Instant> {
        self.expect_well();
        let first_rows = self.shared.first_rows.lock().unwrap_or_else(PoisonError::into_inner);
        let first_rows: Option<Vec<Instant>> = first_rows[..self.readers()].iter().copied().collect();
        first_rows.and_then(|all| all.into_iter().max())
    }

    /// Panics where a client has: nobody waits for what cannot come.
    fn expect_well(&self) {
        assert!(!self.clients.iter().any(JoinHandle::is_finished), "a client has ended, as it says above");
    }

    /// Ends them; what became of all requests.
    pub(super) fn end(mut self) -> Account {
        self.expect_well();
        self.shared.enough.store(true, Ordering::Relaxed);
        let mut all = Account::default();
        for client in self.clients.drain(..) {
            all.add(client.join().expect("a client whose answers were right"));
        }
        all
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.enough.store(true, Ordering::Relaxed);
    }
}

/// One client.
struct Asker {
    client: Client,
    shared: Arc<Shared>,
    number: usize,
    account: Account,
}

impl Asker {
    fn ask_in_turn(&mut self, targets: &[&'static str]) {
        for target in targets {
            self.client.send(request("GET", target));
            self.receive(target, Instant::now());
        }
    }

    fn pipeline(&mut self) {
        let requests: Vec<u8> = PIPELINED.iter().flat_map(|target| request("GET", target)).collect();
        self.client.send(requests);
        let mut since = Instant::now();
        for target in PIPELINED {
            self.receive(target, since);
            // The next one's turn, and its deadline, begin with this answer.
            since = Instant::now();
        }
    }

    fn write(&mut self) {
        let target = format!("/updates?queries={WRITTEN}");
        self.client.send(request("GET", &target));
        let response = self.receive("/updates", Instant::now());
        if response.status == 200 {
            let rows = worlds(&response);
            assert_eq!(rows.len(), WRITTEN, "{response:?}");
            assert!(rows.is_sorted_by(|one, next| one.0 < next.0), "ids in order, each once: {response:?}");
            self.account.written.extend(rows);
        } else {
            self.account.in_doubt += WRITTEN;
        }
    }

    /// Takes the next answer, which must be one that the target may have.
    fn receive(&mut self, target: &str, sent: Instant) -> Response {
        let response = self.client.try_receive().unwrap_or_else(|why| panic!("{target}: unanswered: {why}"));
        let took = sent.elapsed();
        if ["/json", "/plaintext"].contains(&target) {
            let expected = if target == "/json" { r#"{"message":"Hello, World!"}"# } else { "Hello, World!" };
            assert_eq!((response.status, response.text()), (200, expected), "{target}");
            self.account.plain.push(took);
        } else if response.status == 503 {
            let retry = response.header("retry-after").unwrap_or_default();
            assert!(retry.parse::<u32>().is_ok(), "{target}: Retry-After: {retry:?}");
            self.account.refused.push(took);
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
        } else {
            assert_eq!(response.status, 200, "{target}: {response:?}");
            check_rows(target, &response);
            self.account.rows.push(took);
            let mut first_rows = self.shared.first_rows.lock().unwrap_or_else(PoisonError::into_inner);
            first_rows[self.number].get_or_insert_with(Instant::now);
        }
        assert!(!response.announces_close(), "{target}: {response:?}");
        response
    }
}

/// Panics unless these are rows that the target asks for.
fn check_rows(target: &str, response: &Response) {
    if target == "/fortunes" {
        assert_eq!(response.text().matches("<tr><td>").count(), 13, "{response:?}");
        assert!(response.text().ends_with("</html>"), "{response:?}");
    } else if target == "/db" {
        let row = response.json();
        let fields = row.as_object().unwrap_or_else(|| panic!("no object: {response:?}"));
        assert_eq!(fields.len(), 2, "{response:?}");
        for key in ["id", "randomNumber"] {
            let number = fields[key].as_i64().unwrap_or_default();
            assert!((1..=10_000).contains(&number), "{response:?}");
        }
    } else if let Some(count) = target.strip_prefix("/queries?queries=") {
        assert_eq!(worlds(response).len().to_string(), count, "{response:?}");
    }
}
