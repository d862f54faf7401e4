//! A server of a few lines that answers as a test says: whole, late, in pieces, wrongly, or not at all.
//!
//! **Invariant:** it answers what came whole, in order, and its threads end with their connections.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What becomes of one request.
#[derive(Clone)]
pub(super) enum Reaction {
    /// These bytes, all at once.
    Bytes(&'static str),
    /// These bytes, one at a time, each in a segment of its own.
    Dribble(&'static str),
    /// These bytes, and an end of the connection in good order.
    BytesAndClose(&'static str),
    /// A reset of the connection.
    Reset,
    /// Nothing; the connection stays open.
    Silence,
    /// A whole answer after so long, during which nobody else is answered either.
    Stall(Duration),
}

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A listening stand-in.
pub(super) struct StandIn {
    pub(super) address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl StandIn {
    /// Answers request number n, counted from 0 over all connections, with what `react` says.
    pub(super) fn start(react: impl Fn(usize) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let requests = Arc::new(AtomicUsize::new(0));
        let (counted, react) = (Arc::clone(&requests), Arc::new(react));
        let turn = Arc::new(std::sync::Mutex::new(()));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (counted, react, turn) = (Arc::clone(&counted), Arc::clone(&react), Arc::clone(&turn));
                thread::spawn(move || converse(&stream, &counted, &*react, &turn));
            }
        });
        Self { address, requests }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Whole requests that came.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn converse(
    stream: &TcpStream,
    counted: &AtomicUsize,
    react: &dyn Fn(usize) -> Reaction,
    turn: &std::sync::Mutex<()>,
) {
    stream.set_nodelay(true).expect("a socket");
    let mut lines = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if !matches!(lines.read_line(&mut line), Ok(1..)) {
                return;
            }
        }
        let reaction = react(counted.fetch_add(1, Ordering::SeqCst));
        // Whoever stalls stalls all.
        let guard = turn.lock().expect("no stand-in panics");
        let written = match reaction {
            Reaction::Bytes(bytes) => writer.write_all(bytes.as_bytes()),
            Reaction::Dribble(bytes) => {
                bytes.as_bytes().iter().try_for_each(|byte| writer.write_all(&[*byte]))
            }
            Reaction::BytesAndClose(bytes) => {
                let _ = writer.write_all(bytes.as_bytes());
                let _ = stream.shutdown(Shutdown::Write);
                return;
            }
            Reaction::Reset => {
                let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
                return;
            }
            Reaction::Silence => Ok(()),
            Reaction::Stall(time) => {
                // Not a wait for a condition: the stall itself is what is tested.
                thread::park_timeout(time);
                writer.write_all(OK.as_bytes())
            }
        };
        drop(guard);
        if written.is_err() {
            return;
        }
    }
}
