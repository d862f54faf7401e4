//! A replica that is too far behind is left out and taken back, and what looks like lag and is none changes nothing.
//!
//! **Invariant:** as of the folder.

use std::time::{Duration, Instant};

use super::{
    Readers, figure, mark, mark_both, pair, primary, read_mark, said, serve, wait_for_mark,
    wait_until_followed,
};
use crate::harness::{Forwarder, PATIENCE, Standby, expect_within, wait_until};

const MAX_LAG: Duration = Duration::from_secs(1);
/// The promise: how much later than that a replica is left out.
const SLACK: Duration = Duration::from_secs(1);

#[test]
fn a_replica_that_lags_is_left_out_within_a_second_of_the_limit_and_taken_back() {
    let (primary, standby) = pair();
    let (admin, other) = (primary.administer("rows"), standby.administer("rows"));
    mark_both(&admin, &standby, 1);
    let server = serve(primary.port(), &[standby.port()], "").args(&["--max-replica-lag", "1s"]).start();
    let mut client = server.connect();
    let readers = Readers::start(server.address(), &["/db", "/queries?queries=5"], 2);
    let mut number = 1;
    expect_within("leaving out", MAX_LAG + SLACK, || {
        wait_for_mark("rows of before", &mut client, number);
        other.run("SELECT pg_wal_replay_pause()");
        number += 1;
        mark(&admin, number);
        let written = Instant::now();
        wait_for_mark("rows of the primary", &mut client, number);
        let left_out = written.elapsed();
        other.run("SELECT pg_wal_replay_resume()");
        let resumed = Instant::now();
        let taken_back = said(&server, "is read from") + 1;
        wait_until("the replica to be read from", PATIENCE, || {
            (said(&server, "is read from") >= taken_back).then_some(())
        });
        figure(
            "replay paused, --max-replica-lag 1s",
            format!(
                "left out {left_out:?} after the write, back {:?} after it was resumed",
                resumed.elapsed()
            ),
        );
        left_out
    });
    assert!(said(&server, "s behind the primary, and --max-replica-lag is 1s") >= 1, "{}", server.stderr());
    readers.end_all_served(&server);
}

#[test]
#[ignore = "half a minute: make cluster-test"]
fn an_idle_primary_is_no_lag_and_a_replica_that_receives_nothing_lags() {
    let primary = primary();
    let mut way = Forwarder::start_cut(primary.port());
    way.restore();
    let standby = Standby::through(&primary, way.port());
    wait_until_followed(&primary, 1);
    let admin = primary.administer("rows");
    mark_both(&admin, &standby, 1);
    let server = serve(primary.port(), &[standby.port()], "").args(&["--max-replica-lag", "2s"]).start();
    let mut client = server.connect();
    wait_for_mark("rows of before", &mut client, 1);
    let idle = Instant::now();
    wait_until("six idle seconds", PATIENCE, || {
        assert_eq!(read_mark(&mut client), Some(1));
        (idle.elapsed() > Duration::from_secs(6)).then_some(())
    });
    assert_eq!(said(&server, "is left out"), 0, "{}", server.stderr());
    // The receiver is cut off: what it received and what it replayed are the same, and both are old.
    way.cut();
    mark(&admin, 2);
    let cut = Instant::now();
    wait_for_mark("rows of the primary", &mut client, 2);
    let left_out = cut.elapsed();
    assert!(left_out < Duration::from_secs(2) + SLACK, "left out after {left_out:?}");
    way.restore();
    let restored = Instant::now();
    wait_until("the replica to be read from", PATIENCE, || {
        (said(&server, "is read from") == 2).then_some(())
    });
    figure(
        "a walreceiver that is cut off, --max-replica-lag 2s",
        format!(
            "left out {left_out:?} after the write, back {:?} after the way was restored",
            restored.elapsed()
        ),
    );
}
