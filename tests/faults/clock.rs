//! The wall clock stepped, by libfaketime: whatever asks the C library for the time of day is told another.
//!
//! **Invariant:** the clock that deadlines are counted by is the system's own here (`DONT_FAKE_MONOTONIC`), as when somebody sets the time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::figure;
use crate::harness::{Client, Forwarder, ServerSetup, TestDatabase, request, wait_until};

/// Where Debian has it, and others.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

/// How soon `Date` is right after a step.
const RIGHT: Duration = Duration::from_secs(2);

/// A deadline that steps are tried against, and how much later it may act on a busy machine.
const DEADLINE: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(1);

/// A clock that is as far from the right one as its file says.
struct Clock {
    folder: tempfile::TempDir,
    library: &'static str,
}

impl Clock {
    /// One that is right as yet; none where the library is missing.
    fn find() -> Option<Self> {
        let library = LIBRARIES.into_iter().find(|path| Path::new(path).exists());
        if library.is_none() {
            println!("skipped: there is no libfaketime here (Debian: apt-get install faketime)");
        }
        let clock = Self { folder: tempfile::tempdir().expect("a temporary folder"), library: library? };
        clock.step_to(0);
        Some(clock)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// Puts it so many seconds off.
    fn step_to(&self, seconds: i64) {
        let new = self.folder.path().join("new");
        fs::write(&new, format!("{seconds:+}\n")).expect("an offset");
        fs::rename(new, self.file()).expect("the file to be replaced as a whole");
    }

    fn rule(&self, setup: ServerSetup) -> ServerSetup {
        setup
            .env("LD_PRELOAD", self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
    }
}

/// How far a response's `Date` is from a clock that is so many seconds off.
fn error_of_date(client: &mut Client, offset: i64) -> Duration {
    let response = client.get("/json");
    let date = httpdate::parse_http_date(response.header("date").expect("a Date")).expect("an IMF-fixdate");
    let off = Duration::from_secs(offset.unsigned_abs());
    let expected = if offset < 0 { SystemTime::now() - off } else { SystemTime::now() + off };
    expected.duration_since(date).unwrap_or_else(|early| early.duration())
}

#[test]
fn after_a_step_of_the_clock_date_is_right_and_no_deadline_has_moved() {
    let Some(clock) = Clock::find() else { return };
    let (database, forwarder) = (TestDatabase::create(), Forwarder::start());
    let words = ["--request-deadline", "1s", "--header-timeout", "1s", "--idle-timeout", "3s", "--lab"];
    let setup = ServerSetup::with_url(&database.url_through(forwarder.port())).args(&words);
    let server = clock.rule(setup).start();
    let mut waiting = server.connect();
    assert_eq!(waiting.get("/db").status, 200);
    // None of this knows of the steps that come meanwhile: a query that hangs, half a head, a wait, an idle connection.
    forwarder.hang();
    let start = Instant::now();
    let mut idle = server.connect();
    let mut half = server.connect();
    let mut lab = server.connect();
    waiting.send(request("GET", "/db"));
    half.send("GET /json HTTP/1.1\r\n");
    lab.send(request("GET", "/lab/wait?ms=1000"));
    let mut client = server.connect();
    let mut worst = Duration::ZERO;
    for offset in [86_400, -400 * 86_400, 0] {
        clock.step_to(offset);
        let stepped = Instant::now();
        wait_until("the Date to be right", RIGHT, || {
            // A Date shows whole seconds.
            (error_of_date(&mut client, offset) < Duration::from_millis(1_100)).then_some(())
        });
        worst = worst.max(stepped.elapsed());
        if offset == 86_400 {
            // A step shows within the second, so that the deadlines are still to come.
            for (client, status) in [(&mut waiting, 503), (&mut half, 408), (&mut lab, 200)] {
                assert_eq!(client.receive().status, status);
                let due = DEADLINE.saturating_sub(Duration::from_millis(20))..DEADLINE + LATE;
                assert!(due.contains(&start.elapsed()), "{status} after {:?}", start.elapsed());
            }
        }
    }
    idle.expect_close();
    let idled = start.elapsed();
    assert!(
        (Duration::from_millis(2_950)..Duration::from_secs(6)).contains(&idled),
        "idle for {idled:?} of 3 s"
    );
    figure(
        "clock stepped by a day, by -400 days, and back",
        format_args!("Date right after {worst:?} at the most"),
    );
}
