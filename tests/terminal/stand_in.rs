//! An admin side of a few lines, for what no real one does: another format, and going away and coming back.
//!
//! **Invariant:** its page is made by the service's own code.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use plimsoll::telemetry::counters::WorkerCounters;
use plimsoll::telemetry::hosts::Ended;
use plimsoll::telemetry::labels::Route;
use plimsoll::telemetry::snapshot::{Pool, Process, State, Totals, Worker};
use plimsoll::telemetry::status::work_out::{point, work_out};
use plimsoll::telemetry::status::{Sample, Service};

/// What it answers.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// This page.
    Page(String),
    /// Nothing: the connection is closed.
    Nothing,
    /// Nothing, and the connection stays open.
    Silence,
}

/// A listening stand-in.
pub(super) struct StandIn {
    pub(super) address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
}

impl StandIn {
    pub(super) fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let answer = Arc::new(Mutex::new(answer));
        let ours = Arc::clone(&answer);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answer = ours.lock().unwrap_or_else(PoisonError::into_inner).clone();
                thread::spawn(move || converse(&stream, &answer));
            }
        });
        Self { address, answer }
    }

    /// Answers so from here on.
    pub(super) fn turn(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }
}

fn converse(mut stream: &TcpStream, answer: &Answer) {
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if !matches!(lines.read_line(&mut line), Ok(1..)) {
            return;
        }
    }
    match answer {
        Answer::Page(page) => {
            let length = page.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all((head + page).as_bytes());
        }
        // Until the other side has had enough.
        Answer::Silence => drop(lines.read_line(&mut line)),
        Answer::Nothing => {}
    }
}

/// The page of so many processes of one worker, each of which answered so many requests in the last ten seconds.
pub(super) fn page(processes: u32, requests: u64) -> String {
    let service = Service {
        version: "0.1.0".into(),
        pid: 4711,
        started_unix: 1_000,
        processes,
        workers: 1,
        accept: "reuseport".into(),
        listening: vec!["127.0.0.1:8080".into()],
        cores: 2,
        dispatch: "pipelined".into(),
        connections_total: 4 * processes,
        automatic: false,
    };
    let [earlier, now] =
        [(0, 0), (10, requests)].map(|(second, requests)| sample(second, processes, requests));
    let status = work_out(&service, &earlier, &now, vec![point(&earlier, &earlier), point(&earlier, &now)]);
    serde_json::to_string(&status).expect("a page")
}

fn sample(second: u64, processes: u32, requests: u64) -> Sample {
    let process = |index: u32| Process {
        index,
        pid: 50_000 + index,
        max_connections: 1_000,
        database_reached: true,
        resident_bytes: Some(12 << 20),
        workers: vec![worker(requests)],
        ..Process::default()
    };
    Sample {
        at_ns: second * 1_000_000_000,
        at_unix_ms: (1_000 + second) * 1_000,
        processes: (0..processes).map(process).collect(),
        ended: Totals::default(),
        ended_reads: Ended::default(),
    }
}

fn worker(requests: u64) -> Worker {
    let counters = WorkerCounters::default();
    for _ in 0..requests {
        counters.begun.note();
        counters.note_answer(Route::Db, 200);
        counters.database_time.note(Duration::from_micros(32));
        counters.request_time.note(Duration::from_micros(46));
    }
    counters.accepted.add(requests / 4);
    let totals = Totals { cpu_ns: requests * 10_000, ..Totals::read(&counters) };
    let pool = Pool { max_size: 4, size: 3, available: 1, waiting: 0, lanes: vec![1, 1, 0] };
    Worker { thread_id: Some(7), totals, state: State { open: 30, parked: 12, pool, reads: None } }
}
