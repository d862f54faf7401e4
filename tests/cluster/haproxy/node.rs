//! One node of several: the service at ports that stay its own when it is started again.
//!
//! **Invariant:** its drain is that of `deploy/cluster`.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Client, PATIENCE, ServerSetup, TestServer, unused_port, wait_until};

/// The drain of a node, as the compose file has it.
const DRAIN: [(&str, &str); 2] = [("PLIMSOLL_DRAIN_GRACE", "2s"), ("PLIMSOLL_DRAIN_DEADLINE", "5s")];

/// The promise of the compose file: what a stop takes at the most.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

pub(super) struct Node {
    url: String,
    read_url: Option<String>,
    port: u16,
    admin_port: u16,
    server: Option<TestServer>,
}

impl Node {
    /// Started, with this database.
    pub(super) fn new(url: &str) -> Self {
        Self::reading(url, None)
    }

    /// The same that reads from other servers.
    pub(super) fn reading(url: &str, read_url: Option<String>) -> Self {
        let (port, admin_port) = (unused_port(), unused_port());
        let mut node = Self { url: url.to_owned(), read_url, port, admin_port, server: None };
        node.start();
        node
    }

    pub(super) fn start(&mut self) {
        let mut setup = ServerSetup::of(&["serve", "--workers", "1", "--port", &self.port.to_string()])
            .env("DATABASE_URL", &self.url)
            .env("PLIMSOLL_ADMIN", format!("127.0.0.1:{}", self.admin_port));
        if let Some(url) = &self.read_url {
            setup = setup.env("DATABASE_READ_URL", url);
        }
        for (name, value) in DRAIN {
            setup = setup.env(name, value);
        }
        self.server = Some(setup.start());
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// SIGTERM, and its orderly end.
    pub(super) fn stop(&mut self) {
        let mut server = self.server.take().expect("a node that runs");
        server.signal(Signal::TERM);
        let finished = server.wait(STOPPED_WITHIN);
        assert_eq!(finished.code, Some(0), "{finished:?}");
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        let mut server = self.server.take().expect("a node that runs");
        server.signal(Signal::KILL);
        server.wait(PATIENCE);
    }

    /// How many requests it has answered since it was started.
    pub(super) fn answered(&self) -> u64 {
        let status = wait_until("the node's status", PATIENCE, || {
            let mut client =
                Client::try_connect((std::net::Ipv4Addr::LOCALHOST, self.admin_port).into()).ok()?;
            // A name with a dot would be refused there.
            client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
            client.try_receive().ok()
        });
        let counts = status.text();
        let ours = counts.lines().filter(|line| line.starts_with("plimsoll_http_requests_total{"));
        ours.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }
}
