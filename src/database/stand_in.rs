//! In place of PostgreSQL where a test needs one that does as it is told: it lets sessions in, and takes every query for an empty one.
//!
//! **Invariant:** it says only what PostgreSQL would say.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{PoolSettings, PoolSize};
use crate::config::database::{Driver, Statements};

/// `AuthenticationOk` and `ReadyForQuery` ("Message Formats" in PostgreSQL's manual).
const LET_IN: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
/// `EmptyQueryResponse` and `ReadyForQuery`.
const EMPTY_ANSWER: &[u8] = b"I\0\0\0\x04Z\0\0\0\x05I";
/// `ErrorResponse` for what comes when there are as many as there may be.
const TOO_MANY: &[u8] = b"E\0\0\0\x24SFATAL\0VFATAL\0C53300\0Mtoo many\0\0";

/// The server.
pub(super) struct StandIn {
    /// Where it listens.
    pub(super) port: u16,
    /// Connections that were ever made to it.
    pub(super) attempts: Cell<u32>,
    /// It takes so many.
    pub(super) most: Cell<u32>,
    /// Whether it answers queries.
    answers: bool,
}

impl StandIn {
    /// Starts one that takes so many sessions.
    pub(super) async fn start(most: u32, answers: bool) -> Rc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let started = Rc::new(Self { port, attempts: Cell::new(0), most: Cell::new(most), answers });
        let own = Rc::clone(&started);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                own.attempts.update(|attempts| attempts + 1);
                tokio::task::spawn_local(Rc::clone(&own).serve(stream));
            }
        });
        started
    }

    async fn serve(self: Rc<Self>, mut stream: TcpStream) {
        // Who begins to connect and goes away again has said nothing.
        let Ok(length) = stream.read_u32().await else { return };
        stream.read_exact(&mut vec![0; length as usize - 4]).await.expect("a whole message");
        let Some(left) = self.most.get().checked_sub(1) else {
            stream.write_all(TOO_MANY).await.expect("somebody who reads");
            return;
        };
        self.most.set(left);
        stream.write_all(LET_IN).await.expect("somebody who reads");
        while let Ok(kind) = stream.read_u8().await {
            assert_eq!(kind, b'Q');
            let length = stream.read_u32().await.expect("a whole message") as usize;
            stream.read_exact(&mut vec![0; length - 4]).await.expect("a whole message");
            if self.answers {
                stream.write_all(EMPTY_ANSWER).await.expect("somebody who reads");
            }
        }
    }

    /// A pool of so many connections to it.
    pub(super) fn pool(&self, size: u32, wait: Duration) -> PoolSettings {
        PoolSettings {
            config: format!("host=127.0.0.1 port={} user=me sslmode=disable", self.port)
                .parse()
                .expect("an address"),
            size: watch::channel(PoolSize { least: size, most: size }).1,
            wait,
            max_waiting: 8,
            driver: Driver::TokioPostgres,
            statements: Statements::Unnamed,
            max_age: None,
            reads: None,
        }
    }
}

/// Runs a test on an event loop such as a worker's.
pub(super) fn run(test: impl Future<Output = ()>) {
    let options = tokio::runtime::LocalOptions::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(options)
        .expect("an event loop");
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(20), test).await.expect("an end in time");
    });
}
