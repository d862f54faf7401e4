//! The commands beside `serve`: help, version, health, init-db.
//!
//! **Invariant:** each is judged by its exit code first, then by what it printed.

mod init_db;

use crate::harness::ServerSetup;

#[test]
fn help_is_0_and_names_the_commands_and_the_exit_codes() {
    for words in [&["--help"][..], &["help"]] {
        let finished = ServerSetup::of(words).run();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        for word in [
            "serve",
            "status",
            "connections",
            "top",
            "pool",
            "init-db",
            "health",
            "doctor",
            "load",
            "69",
            "71",
            "78",
        ] {
            assert!(finished.stdout.contains(word), "no {word} in\n{}", finished.stdout);
        }
        assert_eq!(finished.stderr, "");
    }
}

#[test]
fn help_of_each_command_is_0() {
    for command in ["serve", "status", "connections", "top", "pool", "init-db", "health", "doctor", "load"] {
        let finished = ServerSetup::of(&[command, "--help"]).run();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(finished.stdout.contains("Usage"), "{}", finished.stdout);
    }
}

#[test]
fn version_is_0_and_one_line() {
    let finished = ServerSetup::of(&["--version"]).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.stdout, format!("plimsoll {}", env!("CARGO_PKG_VERSION")));
}
