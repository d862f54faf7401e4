//! Debian's HAProxy with `deploy/cluster/haproxy.cfg`, in which nothing but addresses is another.
//!
//! **Invariant:** it is dead when its handle is gone, and its port is nobody else's.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::node::Node;
use crate::harness::{PATIENCE, Program, unused_port, wait_until};

/// Where the programs of an administrator lie, which not everybody's PATH holds.
const ADMINISTRATORS: &str = "/usr/sbin/haproxy";

pub(super) struct Balancer {
    port: u16,
    folder: tempfile::TempDir,
    program: Program,
}

impl Balancer {
    /// Before these nodes, once it knows each of them that is ready.
    pub(super) fn before(nodes: &[Node]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = unused_port();
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, configuration(nodes, port, &socket(folder.path()))).expect("its configuration");
        let path = std::env::var("PATH").unwrap_or_default();
        let installed = std::env::split_paths(&path).map(|folder| folder.join("haproxy"));
        let binary = installed
            .chain([PathBuf::from(ADMINISTRATORS)])
            .find(|path| path.exists())
            .expect("no haproxy is here (Debian: apt-get install haproxy)");
        let program = Program::start(Command::new(binary).arg("-db").arg("-f").arg(&file));
        let balancer = Self { port, folder, program };
        wait_until("HAProxy to answer", PATIENCE, || balancer.try_ask("show info").ok());
        // A server counts as up until its first checks say otherwise.
        wait_until("HAProxy's first checks", PATIENCE, || {
            balancer.servers().iter().all(|(_, check)| !check.is_empty() && check != "INI").then_some(())
        });
        balancer
    }

    pub(super) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// How many nodes it sends requests to.
    pub(super) fn up(&self) -> usize {
        self.servers().iter().filter(|(status, _)| status.starts_with("UP")).count()
    }

    /// Waits until it is so many.
    pub(super) fn wait_until_up(&self, count: usize) {
        wait_until(
            &format!("{count} nodes up at HAProxy, which says {}", self.program.stderr()),
            PATIENCE,
            || (self.up() == count).then_some(()),
        );
    }

    /// Status and last check of each server that is asked for /readyz (HAProxy's management guide, "CSV format": fields 0, 1, 17 and 36).
    fn servers(&self) -> Vec<(String, String)> {
        let table = self
            .try_ask("show stat")
            .unwrap_or_else(|error| panic!("HAProxy is gone: {error}; it said:\n{}", self.program.stderr()));
        let fields = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
        fields
            .filter(|fields| fields[0] == "ready" && fields[1] != "BACKEND")
            .map(|fields| (fields[17].to_owned(), fields[36].trim_start_matches("* ").to_owned()))
            .collect()
    }

    /// Asks by its runtime API.
    fn try_ask(&self, command: &str) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(socket(self.folder.path()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{command}\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("haproxy.sock")
}

/// The file of `deploy/cluster` with addresses of these nodes; each replacement has to find its place.
fn configuration(nodes: &[Node], port: u16, socket: &Path) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/cluster/haproxy.cfg");
    let mut text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut replace = |from: &str, to: &str| {
        assert!(text.contains(from), "no `{from}` in {}", file.display());
        text = text.replace(from, to);
    };
    replace("bind :8080", &format!("bind 127.0.0.1:{port}"));
    replace("bind :8404", &format!("bind 127.0.0.1:{}", unused_port()));
    replace("/tmp/haproxy.sock", &socket.display().to_string());
    for number in 1..=3 {
        let server = format!("    server node{number} node{number}:8080 port 9090\n");
        let ours = nodes.get(number - 1).map(|node| {
            format!("    server node{number} 127.0.0.1:{} port {}\n", node.port(), node.admin_port())
        });
        replace(&server, &ours.unwrap_or_default());
    }
    text
}
