//! The `PG*` variables, and secrets.
//!
//! **Invariant:** a password is never printed, whatever way it came in.

use super::{bare, setting, show};
use crate::harness::{Cluster, ServerSetup, TestDatabase};

fn by_variables(database: &TestDatabase) -> ServerSetup {
    ServerSetup::serve()
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", Cluster::shared().port().to_string())
        .env("PGUSER", "plimsoll")
        .env("PGPASSWORD", "hunter2")
        .env("PGDATABASE", database.name())
        .env("PGSSLMODE", "disable")
}

#[test]
fn the_pg_variables_name_the_database() {
    let database = TestDatabase::create();
    let server = by_variables(&database).start();
    assert_eq!(server.connect().get("/db").status, 200);
    let (calls, _) = database.world_selects();
    assert_eq!(calls, 1);
    assert!(!server.stderr().contains("hunter2"), "{}", server.stderr());
}

#[test]
fn a_database_url_wins_over_the_pg_variables() {
    let (named, other) = (TestDatabase::create(), TestDatabase::create());
    let server = by_variables(&other).env("DATABASE_URL", named.url()).start();
    assert_eq!(server.connect().get("/db").status, 200);
    assert_eq!(named.world_selects().0, 1);
    assert_eq!(other.world_selects().0, 0);
}

#[test]
fn the_pg_variables_fill_what_the_url_leaves_open() {
    let database = TestDatabase::create();
    let server = by_variables(&database).env("DATABASE_URL", "postgres://").start();
    assert_eq!(server.connect().get("/db").status, 200);
}

#[test]
fn a_url_with_several_hosts_goes_on_to_the_next_one() {
    let database = TestDatabase::create();
    let (dead, alive) = (crate::harness::unused_port(), Cluster::shared().port());
    let url =
        format!("postgres://plimsoll@127.0.0.1:{dead},127.0.0.1:{alive}/{}?sslmode=disable", database.name());
    let server = ServerSetup::with_url(&url).start();
    assert_eq!(server.connect().get("/db").status, 200);
}

#[test]
fn a_server_that_is_not_of_the_wanted_kind_is_passed_over() {
    let database = TestDatabase::create();
    let port = Cluster::shared().port();
    let wanting = |kind: &str| {
        let name = database.name();
        let url = format!(
            "postgres://plimsoll@127.0.0.1:{port}/{name}?sslmode=disable&target_session_attrs={kind}"
        );
        ServerSetup::with_url(&url).start()
    };
    assert_eq!(wanting("read-write").connect().get("/db").status, 200);
    assert_eq!(wanting("read-only").connect().get("/db").status, 503);
    database
        .admin()
        .run(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name()));
    assert_eq!(wanting("read-write").connect().get("/db").status, 503);
    assert_eq!(wanting("read-only").connect().get("/db").status, 200);
}

#[test]
fn pghost_may_be_the_directory_of_a_unix_socket() {
    if !rustix::process::geteuid().is_root()
        && std::fs::read_dir(Cluster::shared().socket_directory()).is_err()
    {
        return;
    }
    let database = TestDatabase::create();
    let server = by_variables(&database).env("PGHOST", Cluster::shared().socket_directory()).start();
    assert_eq!(server.connect().get("/db").status, 200);
    let over_socket = database.admin().number(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND client_addr IS NULL",
    );
    assert!(over_socket > 0);
}

#[test]
fn pgservice_names_a_section_of_a_service_file() {
    let database = TestDatabase::create();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("services");
    let text = format!(
        "[other]\nhost=192.0.2.1\n\n[ours]\nhost=127.0.0.1\nport={}\nuser=plimsoll\ndbname={}\n",
        Cluster::shared().port(),
        database.name()
    );
    std::fs::write(&path, text).unwrap();
    let server = ServerSetup::serve().env("PGSERVICE", "ours").env("PGSERVICEFILE", &path).start();
    assert_eq!(server.connect().get("/db").status, 200);
    let finished = ServerSetup::serve().env("PGSERVICE", "theirs").env("PGSERVICEFILE", &path).run();
    assert_eq!(finished.code, Some(78), "{finished:?}");
    assert!(finished.stderr.contains("theirs"), "{}", finished.stderr);
}

#[test]
fn show_config_masks_the_password_of_every_form() {
    for url in [
        "postgres://me:hunter2@db:5432/rows",
        "postgres://me:hunter2@db/rows?sslmode=disable",
        "postgres://me:hun/hunter2@db/rows",
        "postgres://me@db/rows?password=hunter2",
        "host=db user=me password=hunter2 dbname=rows",
        "host=db user=me password='hunter2' dbname=rows",
        "host=db user=me password = hunter2 dbname=rows",
        "host=db user=me password = 'hunter2' dbname=rows",
    ] {
        for shown in [show(bare().env("DATABASE_URL", url)), show(bare().args(&["--database-url", url]))] {
            assert!(
                !shown.stdout.contains("hunter2") && !shown.stderr.contains("hunter2"),
                "{url}:\n{}",
                shown.stdout
            );
            assert!(setting(&shown, "database-url").0.contains("db"), "the rest stays readable");
        }
    }
    let shown = show(bare().env("PGHOST", "db").env("PGPASSWORD", "hunter2"));
    assert!(!shown.stdout.contains("hunter2"), "{}", shown.stdout);
    let (value, from) = setting(&shown, "database-url");
    assert!(value.contains("db:5432") && from == "environment PGHOST", "{value} from {from}");
}

#[test]
fn help_does_not_show_the_password_in_the_environment() {
    let finished =
        ServerSetup::of(&["serve", "--help"]).env("DATABASE_URL", "postgres://me:hunter2@db/rows").run();
    assert_eq!(finished.code, Some(0));
    assert!(!finished.stdout.contains("hunter2"), "{}", finished.stdout);
}

#[test]
fn the_banner_does_not_show_the_password() {
    let server = ServerSetup::with_url("postgres://me:hunter2@127.0.0.1:1/rows").start();
    server.wait_for_line("database", |line| line.trim().starts_with("database").then_some(()));
    server.connect().get("/db");
    assert!(!server.stderr().contains("hunter2"), "{}", server.stderr());
    assert!(server.stderr().contains("rows"), "{}", server.stderr());
}

#[test]
fn no_colours_are_written_where_nobody_sees_them() {
    for setup in [
        ServerSetup::with_url("postgres://me@127.0.0.1:1/rows"),
        ServerSetup::with_url("postgres://me@127.0.0.1:1/rows").env("NO_COLOR", "1"),
    ] {
        let server = setup.env("RUST_LOG", "debug").start();
        server.connect().get("/db");
        assert!(!server.stderr().contains('\u{1b}'), "{:?}", server.stderr());
    }
}
