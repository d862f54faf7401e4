//! `plimsoll serve` as a child process on a port of the kernel's choice.
//!
//! **Invariant:** a server's environment holds what the test gave it and nothing of the person's who runs the tests.

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::child::{Finished, Program};
use super::client::Client;
use super::database::TestDatabase;
use super::patience::{PATIENCE, wait_until};
use super::processes;

/// The admin side's socket in a service's home.
const ADMIN_SOCKET: &str = "admin.sock";

/// What to start, before it is started.
pub(crate) struct ServerSetup {
    command: Command,
    // Nobody's home: no settings and no cluster of a person's can be found or harmed.
    home: tempfile::TempDir,
}

impl ServerSetup {
    /// Any command of the program, with a bare environment.
    pub(crate) fn of(arguments: &[&str]) -> Self {
        Self::by(env!("CARGO_BIN_EXE_plimsoll"), arguments)
    }

    /// The same by way of another program that starts ours.
    pub(crate) fn by(program: &str, arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(program);
        command.env_clear().env("HOME", home.path()).args(arguments);
        // Hundreds of services run beside one another: each has its admin side at home, and none at the default address.
        command.env("PLIMSOLL_ADMIN", "off").env("PLIMSOLL_ADMIN_SOCKET", home.path().join(ADMIN_SOCKET));
        for kept in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"] {
            if let Some(value) = env::var_os(kept) {
                command.env(kept, value);
            }
        }
        Self { command, home }
    }

    /// Any command of the program, to be started with [`super::Pty::start`]; setsid(1) makes it the terminal's session leader.
    pub(crate) fn on_a_terminal(arguments: &[&str]) -> Self {
        Self::by("setsid", &["--ctty", env!("CARGO_BIN_EXE_plimsoll")]).args(arguments).env("TERM", "xterm")
    }

    /// `serve` with two workers on a free port and no database named.
    pub(crate) fn serve() -> Self {
        Self::of(&["serve", "--port", "0", "--workers", "2"])
    }

    /// The same with a database.
    pub(crate) fn with_database(database: &TestDatabase) -> Self {
        Self::with_url(&database.url())
    }

    /// The same with a database that need not be there.
    pub(crate) fn with_url(url: &str) -> Self {
        Self::serve().env("DATABASE_URL", url)
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// In a process group of its own, as a shell starts what runs in the foreground.
    pub(crate) fn in_its_own_group(mut self) -> Self {
        self.command.process_group(0);
        self
    }

    /// The command itself, for a test that starts it in its own way.
    pub(crate) fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Starts it without waiting for anything; its home goes with the setup, which nothing but a person's needs.
    pub(crate) fn launch(mut self) -> Program {
        self.command.env("PLIMSOLL_ADMIN_SOCKET", "off");
        Program::start(&mut self.command)
    }

    /// Starts it and waits for its banner to say where it listens.
    pub(crate) fn start(self) -> TestServer {
        self.start_reading(Stdio::null())
    }

    /// The same with a standard input.
    pub(crate) fn start_reading(mut self, input: Stdio) -> TestServer {
        let program = Program::start_reading(&mut self.command, input);
        let address = program.wait_for_line("address to listen on", |line| {
            line.trim().strip_prefix("listening")?.trim().strip_prefix("http://")?.parse().ok()
        });
        TestServer { program, address, home: self.home }
    }

    /// Runs it to its end, which must come by itself.
    pub(crate) fn run(mut self) -> Finished {
        Program::start(&mut self.command).wait(PATIENCE)
    }
}

/// A serving server; killed when dropped.
pub(crate) struct TestServer {
    program: Program,
    address: SocketAddr,
    home: tempfile::TempDir,
}

impl TestServer {
    /// The usual one: default settings, two workers.
    pub(crate) fn on(database: &TestDatabase) -> Self {
        ServerSetup::with_database(database).start()
    }

    /// One whose database cannot be reached: nothing listens on that port.
    pub(crate) fn without_database() -> Self {
        ServerSetup::with_url(&format!("postgres://nobody@127.0.0.1:{}/none", super::unused_port())).start()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.address.port()).into()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Where its admin side takes reads and changes.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.home.path().join(ADMIN_SOCKET)
    }

    /// Where it takes reads, if it was started so.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.wait_for_line("address of the admin side", |line| {
            line.trim().strip_prefix("admin")?.trim().strip_prefix("http://")?.parse().ok()
        })
    }

    /// How many of its connections are parked now.
    pub(crate) fn parked(&self) -> usize {
        super::parked::count(self.pid())
    }

    /// The same for each worker that has any, in no order.
    pub(crate) fn parked_by_worker(&self) -> Vec<usize> {
        super::parked::by_worker(self.pid())
    }

    /// Waits until so many are.
    pub(crate) fn wait_until_parked(&self, count: usize) {
        wait_until(&format!("{count} connections to be parked"), PATIENCE, || {
            (self.parked() == count).then_some(())
        });
    }

    /// Its child processes, once there are so many.
    pub(crate) fn children(&self, count: usize) -> Vec<u32> {
        wait_until(&format!("{count} processes"), PATIENCE, || {
            Some(processes::children_of(self.pid())).filter(|children| children.len() == count)
        })
    }

    /// Waits until so many lines of its log hold these words.
    pub(crate) fn wait_for_lines(&self, words: &str, count: usize) {
        let mut found = 0;
        self.wait_for_line(&format!("{count} lines with {words:?}"), |line| {
            found += usize::from(line.contains(words));
            (found == count).then_some(())
        });
    }

    pub(crate) fn stderr(&self) -> String {
        self.program.stderr()
    }

    pub(crate) fn wait_for_line<T>(&self, what: &str, look: impl FnMut(&str) -> Option<T>) -> T {
        self.program.wait_for_line(what, look)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// The same for its whole process group.
    pub(crate) fn signal_group(&self, signal: Signal) {
        self.program.signal_group(signal);
    }

    pub(crate) fn wait(&mut self, limit: Duration) -> Finished {
        self.program.wait(limit)
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn stop(&mut self) -> Finished {
        self.signal(Signal::TERM);
        self.wait(PATIENCE)
    }
}
