//! With synchronous replication on, no update that was acknowledged is lost with its primary: what every client was told is held against
//! the tables of the standby that was promoted.
//!
//! Two clients may write one row, and which of two requests that overlap came last nobody outside knows. So a row has to hold what an
//! acknowledged request wrote after whose answer no other acknowledged one began; or what a request wrote that was refused or cut off, of
//! which nobody knows, and then it holds nothing that a later one is known to have replaced.
//!
//! **Invariant:** no answer is left out of the account.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Readers, figure, pair, said, url};
use crate::harness::{
    Client, Cluster, PATIENCE, ServerSetup, Session, Standby, kill_all_of, wait_until, worlds,
};

/// Rows that each request changes.
const ROWS: usize = 5;
const CLIENTS: usize = 6;

/// One row as one acknowledged request wrote it.
#[derive(Debug, Clone, Copy)]
struct Written {
    sent: Instant,
    answered: Instant,
    number: i32,
}

/// What clients were told.
#[derive(Default)]
struct Account {
    written: HashMap<i32, Vec<Written>>,
    acknowledged: usize,
    /// Requests that may have been carried out, and were not acknowledged.
    in_doubt: usize,
}

struct Writers {
    is_over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Account>>,
}

impl Writers {
    fn start(address: SocketAddr) -> Self {
        let (is_over, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let writer = || {
            let (is_over, all) = (Arc::clone(&is_over), Arc::clone(&acknowledged));
            thread::spawn(move || {
                let (mut client, mut account) = (Client::connect(address), Account::default());
                while !is_over.load(Ordering::Relaxed) {
                    let sent = Instant::now();
                    let response = client.get(&format!("/updates?queries={ROWS}"));
                    let answered = Instant::now();
                    if response.status == 200 {
                        account.acknowledged += 1;
                        all.fetch_add(1, Ordering::Relaxed);
                        for (id, number) in worlds(&response) {
                            account.written.entry(id).or_default().push(Written { sent, answered, number });
                        }
                    } else {
                        assert_eq!(response.status, 503, "{response:?}");
                        account.in_doubt += 1;
                        thread::park_timeout(Duration::from_millis(5));
                    }
                }
                account
            })
        };
        let threads = (0..CLIENTS).map(|_| writer()).collect();
        Self { is_over, acknowledged, threads }
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    fn end(self) -> Account {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Account::default();
        for account in self.threads.into_iter().map(|thread| thread.join().expect("a writer")) {
            all.acknowledged += account.acknowledged;
            all.in_doubt += account.in_doubt;
            for (id, written) in account.written {
                all.written.entry(id).or_default().extend(written);
            }
        }
        all
    }
}

fn table(admin: &Session) -> HashMap<i32, i32> {
    admin.rows("SELECT id, randomnumber FROM world", &[]).iter().map(|row| (row.get(0), row.get(1))).collect()
}

impl Account {
    /// How many rows hold what nobody was told; an error where one holds what an acknowledged write replaced.
    fn check(&self, before: &HashMap<i32, i32>, after: &HashMap<i32, i32>) -> Result<usize, String> {
        let mut untold = 0;
        for (id, number) in after {
            let written = self.written.get(id).map(Vec::as_slice).unwrap_or_default();
            let is_last = |one: &&Written| !written.iter().any(|other| other.sent > one.answered);
            let is_as_told = written.iter().filter(is_last).any(|one| one.number == *number);
            if is_as_told || (written.is_empty() && before[id] == *number) {
                continue;
            }
            if before[id] == *number || written.iter().any(|one| one.number == *number) {
                return Err(format!(
                    "row {id} holds {number}, and an acknowledged update is lost: {written:?}"
                ));
            }
            untold += 1;
        }
        let in_doubt = self.in_doubt * ROWS;
        if untold > in_doubt {
            return Err(format!("{untold} rows hold what nobody wrote, and {in_doubt} are in doubt"));
        }
        Ok(untold)
    }
}

/// Kills the primary under writes and promotes the standby; gives what clients were told and saw.
fn fail_over(primary: &Cluster, standby: &Standby, way: &[&str]) -> String {
    let admin = primary.administer("rows");
    // The role's setting goes before the server's own, which the tests' clusters have off.
    admin.run("ALTER ROLE plimsoll SET synchronous_commit = on");
    admin.run("ALTER SYSTEM SET synchronous_standby_names = '*'");
    admin.run("SELECT pg_reload_conf()");
    wait_until("the standby to be a synchronous one", PATIENCE, || {
        (admin.number("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1)
            .then_some(())
    });
    let ports = [primary.port(), standby.port()];
    let server = ServerSetup::with_url(&url(&ports, "&target_session_attrs=read-write"))
        .env("DATABASE_READ_URL", url(&ports, "&load_balance_hosts=random"))
        .args(way)
        .start();
    // A replica is read from once it was compared with the primary: from there on reads outlive it.
    wait_until("both to be read from", PATIENCE, || (said(&server, "is read from") == 2).then_some(()));
    let before = table(&admin);
    drop(admin);
    let writers = Writers::start(server.address());
    let readers = Readers::start(server.address(), &["/db", "/queries?queries=5", "/fortunes"], 4);
    wait_until("updates", PATIENCE, || (writers.acknowledged() > 200).then_some(()));
    kill_all_of(primary);
    let killed = Instant::now();
    standby.promote();
    let at_the_kill = writers.acknowledged();
    wait_until("updates on the new primary", PATIENCE, || {
        (writers.acknowledged() > at_the_kill + CLIENTS).then_some(())
    });
    let gap = killed.elapsed();
    wait_until("more of them", PATIENCE, || (writers.acknowledged() > at_the_kill + 200).then_some(()));
    let account = writers.end();
    let reads = readers.end_all_served(&server);
    let after = table(&standby.administer("rows"));
    let untold = account.check(&before, &after).unwrap_or_else(|why| panic!("{why}"));
    let (acknowledged, in_doubt) = (account.acknowledged, account.in_doubt);
    format!(
        "{acknowledged} updates acknowledged and none lost, {in_doubt} refused, of which {untold} rows were written; writes away for \
         {gap:?}; {reads} reads meanwhile, none failed"
    )
}

#[test]
fn no_acknowledged_update_is_lost_with_a_primary_that_is_killed_and_reads_go_on() {
    let (primary, standby) = pair();
    figure("primary killed under synchronous replication", fail_over(&primary, &standby, &[]));
}

#[test]
#[ignore = "a minute: make cluster-test"]
fn no_acknowledged_update_is_lost_in_any_round_and_any_way_of_asking() {
    for way in super::WAYS {
        for round in 1..=4 {
            let (primary, standby) = pair();
            let measured = fail_over(&primary, &standby, way);
            figure(&format!("primary killed, {}, round {round}", way.join(" ")), measured);
        }
    }
}

#[test]
fn the_account_finds_an_update_that_was_lost() {
    let now = Instant::now();
    let at = |millis| now + Duration::from_millis(millis);
    let written = |sent, answered, number| Written { sent: at(sent), answered: at(answered), number };
    let account = |rows: Vec<Written>, in_doubt| Account {
        written: HashMap::from([(1, rows)]),
        acknowledged: 2,
        in_doubt,
    };
    let holds = |account: &Account, number| {
        account.check(&HashMap::from([(1, 7)]), &HashMap::from([(1, number)])).ok()
    };
    let one_after_the_other = account(vec![written(0, 10, 3), written(20, 30, 4)], 0);
    assert_eq!([4, 3, 7, 9].map(|number| holds(&one_after_the_other, number)), [Some(0), None, None, None]);
    let overlapping = account(vec![written(0, 25, 3), written(20, 30, 4)], 0);
    assert_eq!([4, 3, 7].map(|number| holds(&overlapping, number)), [Some(0), Some(0), None]);
    let in_doubt = account(vec![written(0, 10, 3)], 1);
    assert_eq!([3, 9, 7].map(|number| holds(&in_doubt, number)), [Some(0), Some(1), None]);
}
