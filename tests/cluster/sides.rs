//! Reads go to a replica, writes to the primary, and where no replica is left to where the settings say.
//!
//! **Invariant:** as of the folder.

use super::{WAYS, figure, mark, mark_both, pair, read_mark, said, serve, sessions, url, wait_for_mark};
use crate::harness::{PATIENCE, ServerSetup, unused_port, wait_until, worlds};
use std::time::{Duration, Instant};

#[test]
fn reads_go_to_a_replica_and_updates_to_the_primary_in_every_way_of_asking() {
    let (primary, standby) = pair();
    let (admin, other) = (primary.administer("rows"), standby.administer("rows"));
    mark_both(&admin, &standby, 1);
    let servers = WAYS.map(|way| {
        let setup = serve(primary.port(), &[standby.port()], "").args(way);
        let server = setup.args(&["--max-replica-lag", "1h"]).start();
        // One that is behind by an unknown time is not taken in: it has caught up once before it falls behind.
        server.wait_for_lines("is read from", 1);
        wait_for_mark("the replay", &mut server.connect(), 1);
        server
    });
    other.run("SELECT pg_wal_replay_pause()");
    mark(&admin, 2);
    for (way, server) in WAYS.into_iter().zip(servers) {
        let mut client = server.connect();
        assert_eq!(read_mark(&mut client), Some(1), "{way:?}: {}", server.stderr());
        assert!(client.get("/db").text().contains("\"randomNumber\":1}"), "{way:?}");
        assert_eq!(client.get("/fortunes").status, 200, "{way:?}");
        assert_eq!(worlds(&client.get("/cached-queries?count=9"))[0].1, 1, "{way:?}");
        // What was written stands on the primary, and was read there too.
        for (id, number) in worlds(&client.get("/updates?queries=20")) {
            let stands = admin.number(&format!("SELECT randomnumber::int8 FROM world WHERE id = {id}"));
            assert_eq!(stands, i64::from(number), "{way:?}: row {id}");
        }
        assert_eq!(read_mark(&mut client), Some(1), "{way:?}");
        assert!(sessions(&other) > 0, "{way:?}");
    }
}

#[test]
fn without_a_replica_reads_go_to_the_primary_or_are_refused_at_once_as_the_settings_say() {
    let (primary, standby) = pair();
    let readers = || serve(primary.port(), &[standby.port()], "&target_session_attrs=standby");
    let (lenient, strict) = (readers().start(), readers().args(&["--reads", "replica-only"]).start());
    let (mut first, mut second) = (lenient.connect(), strict.connect());
    assert_eq!((first.get("/db").status, second.get("/db").status), (200, 200), "{}", strict.stderr());
    standby.kill();
    assert_eq!(first.get("/db").status, 200, "{}", lenient.stderr());
    let killed = Instant::now();
    let refused =
        wait_until("a refusal", PATIENCE, || Some(second.get("/db")).filter(|answer| answer.status == 503));
    let noticed = killed.elapsed();
    assert!(refused.header("retry-after").is_some() && refused.text().contains("no replica"), "{refused:?}");
    let asked = Instant::now();
    assert_eq!(second.get("/fortunes").status, 503);
    assert!(asked.elapsed() < Duration::from_millis(500), "refused after {:?}", asked.elapsed());
    assert_eq!((first.get("/updates").status, second.get("/updates").status), (200, 200));
    assert!(
        said(&strict, "is left out") == 1 && said(&strict, "--reads replica-only") == 1,
        "{}",
        strict.stderr()
    );
    assert_eq!(said(&lenient, "reads go to the primary"), 1, "{}", lenient.stderr());
    standby.start_again();
    let back = Instant::now();
    wait_until("reads of the replica", PATIENCE, || (second.get("/db").status == 200).then_some(()));
    let back = back.elapsed();
    assert!(back < Duration::from_secs(2), "back after {back:?}");
    figure(
        "the only replica killed",
        format!("refused {noticed:?} later, back {back:?} after it let sessions in"),
    );
}

#[test]
fn a_replica_that_has_no_room_for_the_plan_stops_the_start() {
    let (primary, standby) = pair();
    let finished = serve(primary.port(), &[standby.port()], "").args(&["--pool-per-core", "40"]).run();
    assert_eq!(finished.code, Some(78), "{finished:?}");
    let finished = ServerSetup::with_url(&url(&[primary.port()], ""))
        .env("DATABASE_READ_URL", url(&[unused_port()], ""))
        .start();
    assert_eq!(finished.connect().get("/db").status, 200, "a replica that is not there holds nothing up");
}
