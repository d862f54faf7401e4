//! Three members as `deploy/patroni` configures them, each on a machine of its own as far as the network goes.
//!
//! **Invariant:** all of it is made and taken away by `members.sh`, which does the latter when the pipe that only this process holds is
//! closed, however that comes about.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use std::{fs, process};

use crate::harness::{Session, unprivileged_user, wait_until};

/// How long members may take to find each other, and to copy a primary, on a busy machine.
pub(super) const LONG: Duration = Duration::from_mins(2);

/// What has to be on the machine, and the package of Debian that brings it.
const NEEDED: [(&str, &str); 4] = [
    ("/usr/bin/etcd", "etcd-server"),
    ("/usr/bin/patroni", "patroni"),
    ("/usr/lib/python3/dist-packages/etcd/__init__.py", "python3-etcd"),
    ("/usr/sbin/ip", "iproute2"),
];

/// The members' numbers.
pub(super) const ALL: [u32; 3] = [1, 2, 3];

/// The cluster.
pub(super) struct Members {
    network: String,
    folder: PathBuf,
    script: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Members {
    /// Makes the machines and starts what runs on them; waits until a leader has a synchronous standby and another one.
    pub(super) fn start() -> Self {
        for (file, package) in NEEDED {
            assert!(
                Path::new(file).exists(),
                "{file} is not there: apt-get install --no-install-recommends {package}"
            );
        }
        let (user, group) = unprivileged_user().expect("root, who may make network namespaces");
        let folder =
            tempfile::Builder::new().prefix("plimsoll-test-").tempdir().expect("a temporary folder").keep();
        std::os::unix::fs::chown(&folder, Some(user), Some(group)).expect("a folder of PostgreSQL's user");
        let network = format!("10.213.{}", process::id() % 256);
        let mut script =
            Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/patroni/members.sh"))
                .arg(format!("pl{}", process::id()))
                .args([&network, &folder.display().to_string(), &programs().display().to_string()])
                .args([user.to_string(), group.to_string()])
                .process_group(0)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("members.sh to start");
        let orders = script.stdin.take();
        let answers = BufReader::new(script.stdout.take().expect("its answers"));
        let mut members = Self { network, folder, script, orders, answers };
        members.expect_answer("ready");
        for member in ALL {
            members.order("start", member);
        }
        members.wait_until_whole();
        members
    }

    /// Has something done to a member; see members.sh.
    pub(super) fn order(&mut self, command: &str, member: u32) {
        let order = format!("{command} {member}");
        let orders = self.orders.as_mut().expect("a script that listens");
        writeln!(orders, "{order}").expect("the script to hear");
        self.expect_answer(&order);
    }

    fn expect_answer(&mut self, wanted: &str) {
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("an answer of members.sh");
        assert_eq!(answer.trim_end(), wanted, "members.sh says why on standard error");
    }

    /// An address of the service's database on all members.
    pub(super) fn url(&self, wanting: &str) -> String {
        let hosts = ALL.map(|member| format!("{}.1{member}:5432", self.network)).join(",");
        format!("postgres://plimsoll:secret@{hosts}/rows?sslmode=disable&{wanting}")
    }

    /// A session as superuser on one member, if it is there.
    pub(super) fn administer(&self, member: u32, database: &str) -> Option<Session> {
        let url = format!(
            "postgres://postgres:super@{}.1{member}:5432/{database}?sslmode=disable&connect_timeout=1",
            self.network
        );
        Session::try_open(&url).ok()
    }

    /// The member that takes writes now.
    pub(super) fn leader(&self) -> Option<u32> {
        let leads = |member: &u32| {
            let admin = self.administer(*member, "postgres");
            admin.is_some_and(|admin| {
                admin.try_run("DO $$ BEGIN ASSERT NOT pg_is_in_recovery(); END $$").is_ok()
            })
        };
        ALL.into_iter().find(leads)
    }

    /// Waits until a leader has two standbys that follow it, one of them a synchronous one, and Patroni has taken note of that: from
    /// then on there is one that may take over.
    pub(super) fn wait_until_whole(&self) -> u32 {
        wait_until("a leader with two standbys", LONG, || {
            let leader = self.leader()?;
            let admin = self.administer(leader, "postgres")?;
            let count =
                |what: &str| admin.number(&format!("SELECT count(*) FROM pg_stat_replication WHERE {what}"));
            let is_whole = count("state = 'streaming'") == 2 && count("sync_state = 'sync'") == 1;
            (is_whole && self.ask_patroni(leader)?.contains("sync_standby")).then_some(leader)
        })
    }

    /// What a member's Patroni tells of all members.
    fn ask_patroni(&self, member: u32) -> Option<String> {
        let mut stream = TcpStream::connect(format!("{}.1{member}:8008", self.network)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.write_all(b"GET /cluster HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// What a member's Patroni has said.
    pub(super) fn said_by(&self, member: u32) -> String {
        fs::read_to_string(self.folder.join(format!("db{member}/patroni.log"))).unwrap_or_default()
    }
}

/// Debian's PostgreSQL, the newest that is here: Patroni runs more of its programs than the service does.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    let newest = folders.filter(|folder| folder.join("pg_rewind").exists()).max();
    newest.expect("PostgreSQL with pg_rewind: apt-get install --no-install-recommends postgresql")
}

impl Drop for Members {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.script.wait();
    }
}
