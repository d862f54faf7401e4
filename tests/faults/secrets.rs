//! A password, given in every way there is, in a service that fails in every way there is: it is nowhere to be seen.
//!
//! **Invariant:** all that others can see of a service is looked through: its output at the loudest level, its pages, and the words
//! its processes were started with. A process's environment is its user's own (proc(5)), and no place that others see.

use super::figure;
use crate::harness::{Client, Finished, SecuredCluster, ServerSetup, TestServer, processes};

/// What must not be seen; nothing else holds this word.
const SECRET: &str = "xyzzy-plugh";

/// How a password is given.
#[derive(Debug, Clone, Copy)]
enum Given {
    Url,
    Pairs,
    Variable,
    File,
}

/// How a service fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failing {
    WrongPassword,
    Unreached,
    BadPort,
    UnknownParameter,
    BadMode,
}

const GIVEN: [Given; 4] = [Given::Url, Given::Pairs, Given::Variable, Given::File];
/// Those that end the start.
const REFUSED: [Failing; 3] = [Failing::BadPort, Failing::UnknownParameter, Failing::BadMode];

/// An address with this password in it, or none, that fails so.
fn address(given: Given, failing: Failing) -> String {
    let port = match failing {
        Failing::WrongPassword => SecuredCluster::shared().cluster.port().to_string(),
        Failing::BadPort => "port".into(),
        _ => "1".into(),
    };
    let parameters = match failing {
        Failing::UnknownParameter => [("sslmode", "require"), ("colour", "green")],
        Failing::BadMode => [("sslmode", "sometimes"), ("connect_timeout", "1")],
        _ => [("sslmode", "require"), ("connect_timeout", "1")],
    };
    let parameters = parameters.map(|(key, value)| format!("{key}={value}"));
    match given {
        Given::Url | Given::File => {
            format!("postgres://plimsoll:{SECRET}@127.0.0.1:{port}/rows?{}", parameters.join("&"))
        }
        Given::Variable => format!("postgres://plimsoll@127.0.0.1:{port}/rows?{}", parameters.join("&")),
        Given::Pairs => {
            format!(
                "host=127.0.0.1 port={port} user=plimsoll password='{SECRET}' dbname=rows {}",
                parameters.join(" ")
            )
        }
    }
}

/// A command that is given the password so. The folder holds the settings file.
fn give(mut setup: ServerSetup, given: Given, failing: Failing, folder: &tempfile::TempDir) -> ServerSetup {
    let address = address(given, failing);
    setup = setup.env("RUST_LOG", "trace");
    match given {
        Given::File => {
            let file = folder.path().join("plimsoll.toml");
            std::fs::write(&file, format!("database-url = \"{address}\"\n")).unwrap();
            setup.env("PLIMSOLL_CONFIG", file)
        }
        Given::Variable => setup.env("DATABASE_URL", address).env("PGPASSWORD", SECRET),
        Given::Url | Given::Pairs => setup.env("DATABASE_URL", address),
    }
}

fn expect_hidden(what: &str, text: &str) {
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(SECRET)).collect();
    assert!(lines.is_empty(), "{what} shows the password: {lines:?}");
}

fn expect_none_in(finished: &Finished, what: &str) {
    expect_hidden(what, &finished.stdout);
    expect_hidden(what, &finished.stderr);
}

/// Looks through all that a running service shows.
fn look_through(server: &TestServer, processes: usize, what: &str) {
    let mut client = server.connect();
    for target in ["/db", "/updates", "/json"] {
        expect_hidden(what, client.get(target).text());
    }
    for target in ["/status.json", "/metrics", "/", "/readyz", "/connections.json"] {
        let response = Client::connect(server.admin_address()).get(target);
        expect_hidden(&format!("{what}: {target}"), response.text());
    }
    let children = if processes > 1 { server.children(processes) } else { Vec::new() };
    for pid in children.into_iter().chain([server.pid()]) {
        expect_hidden(&format!("{what}: /proc/{pid}/cmdline"), &processes::words_of(pid).join(" "));
    }
    expect_hidden(&format!("{what}: the log"), &server.stderr());
}

#[test]
fn a_password_is_seen_nowhere_in_a_service_that_runs_and_fails() {
    for processes in [1, 2] {
        for given in GIVEN {
            // Either is seen by every way to give it, in one process or in two.
            let failing = if processes == 1 { Failing::WrongPassword } else { Failing::Unreached };
            let (folder, count) = (tempfile::tempdir().unwrap(), processes.to_string());
            let setup = ServerSetup::of(&["serve", "--port", "0", "--workers", "1", "--processes", &count])
                .args(&["--admin", "127.0.0.1:0"]);
            let mut server = give(setup, given, failing, &folder).start();
            look_through(&server, processes, &format!("{given:?}, {failing:?}, {processes} processes"));
            let finished = server.stop();
            expect_none_in(&finished, &format!("the end of {given:?}"));
            if failing == Failing::WrongPassword {
                assert!(finished.stderr.contains("name its user and password"), "{}", finished.stderr);
            }
        }
    }
    figure(
        "a password in four ways to give it",
        "seen nowhere, at the loudest level, in one and in two processes",
    );
}

#[test]
fn a_password_is_not_shown_by_a_start_that_is_refused_or_by_the_settings_in_force() {
    for given in GIVEN {
        let folder = tempfile::tempdir().unwrap();
        for failing in REFUSED {
            let finished = give(ServerSetup::of(&["serve"]), given, failing, &folder).run();
            assert_eq!(finished.code, Some(78), "{given:?}, {failing:?}: {finished:?}");
            expect_none_in(&finished, &format!("{given:?}, {failing:?}"));
        }
        let shown =
            give(ServerSetup::of(&["serve", "--show-config"]), given, Failing::Unreached, &folder).run();
        assert_eq!(shown.code, Some(0), "{shown:?}");
        expect_none_in(&shown, &format!("--show-config, {given:?}"));
    }
    // Quotes forgotten, a scheme forgotten, an @ that is not escaped.
    for address in [
        format!("host=db password=a {SECRET}=b user=me"),
        format!("host=db password=a {SECRET}"),
        format!("me:{SECRET}@db/rows"),
        format!("postgres://me:p@{SECRET}@db/rows"),
        format!("postgres://me@db/rows?password=a&{SECRET}=b"),
        format!("postgres://me:p@a?{SECRET}=b@db/rows"),
        format!("postgres://me:12?{SECRET}=b"),
    ] {
        let finished = ServerSetup::of(&["serve"]).env("DATABASE_URL", &address).run();
        assert_eq!(finished.code, Some(78), "{finished:?}");
        expect_none_in(&finished, "an address that is written wrongly");
    }
}

#[test]
fn a_password_is_not_shown_by_the_other_commands_that_take_an_address() {
    for given in [Given::Url, Given::Pairs, Given::Variable] {
        let folder = tempfile::tempdir().unwrap();
        for failing in
            [Failing::WrongPassword, Failing::Unreached, Failing::BadPort, Failing::UnknownParameter]
        {
            for command in [&["init-db"][..], &["doctor"], &["sweep", "--quick"]] {
                let setup = ServerSetup::of(command);
                let out = folder.path().join("sweep");
                let setup = if command[0] == "sweep" { setup.arg("--out").arg(&out) } else { setup };
                let finished = give(setup, given, failing, &folder).run();
                expect_none_in(&finished, &format!("{command:?}, {given:?}, {failing:?}"));
                assert_ne!(finished.code, Some(2), "{command:?}: {finished:?}");
            }
        }
    }
}
