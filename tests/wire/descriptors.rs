//! More clients than descriptors.
//!
//! **Invariant:** running out of descriptors costs the clients that came too many, and ends nothing.

use std::time::Duration;

use crate::harness::{Client, ServerSetup, TestDatabase, wait_until};

/// A hard limit that leaves room for the workers, the database connections, and some clients.
const LIMIT: &str = "80";

#[test]
fn a_full_descriptor_table_is_outlived() {
    let database = TestDatabase::create();
    let script = format!("ulimit -n {LIMIT}; exec \"$0\" \"$@\"");
    let program = env!("CARGO_BIN_EXE_plimsoll");
    let mut server =
        ServerSetup::by("/bin/sh", &["-c", &script, program, "serve", "--port", "0", "--workers", "2"])
            .env("DATABASE_URL", database.url())
            .start();
    let mut first = server.connect();
    assert_eq!(first.get("/db").status, 200);
    let crowd: Vec<Client> = (0..150).map(|_| server.connect()).collect();
    for _ in 0..20 {
        assert_eq!(first.get("/json").status, 200, "those who are in are served");
    }
    drop(crowd);
    wait_until("new clients to be served again", Duration::from_secs(10), || {
        let mut client = Client::try_connect(server.address()).ok()?;
        client.try_send("GET /db HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
        client.try_receive().is_ok_and(|response| response.status == 200).then_some(())
    });
    let lines = server.stderr().lines().count();
    assert!(lines < 40, "a starved service fills the log:\n{}", server.stderr());
    assert_eq!(server.stop().code, Some(0));
}
