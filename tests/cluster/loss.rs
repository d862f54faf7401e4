//! A replica that is lost under load costs no request, whether it dies or falls silent.
//!
//! **Invariant:** as of the folder.

use std::time::{Duration, Instant};

use super::{Readers, WAYS, figure, primary, said, serve, sessions, wait_until_followed};
use crate::harness::{Cluster, Forwarder, PATIENCE, Standby, wait_until};

const ROUTES: &[&str] = &["/db", "/queries?queries=5", "/fortunes", "/queries?queries=20"];
const RANDOM: &str = "&load_balance_hosts=random&target_session_attrs=standby";

fn trio() -> (Cluster, [Standby; 2]) {
    let primary = primary();
    let standbys = [Standby::of(&primary), Standby::of(&primary)];
    wait_until_followed(&primary, 2);
    (primary, standbys)
}

/// Loses one of two replicas under load and has it come back; gives the reads that were answered, and how long it took to have sessions again.
fn lose_one(primary: &Cluster, standbys: &[Standby; 2], way: &[&str]) -> (usize, Duration) {
    let ports = [standbys[0].port(), standbys[1].port()];
    let age = ["--connection-max-age", "2s"];
    let server = serve(primary.port(), &ports, RANDOM).args(way).args(&age).start();
    let readers = Readers::start(server.address(), ROUTES, 8);
    let [first, second] = [0, 1].map(|at: usize| standbys[at].administer("rows"));
    wait_until("sessions on both", PATIENCE, || {
        (sessions(&first) > 0 && sessions(&second) > 0).then_some(())
    });
    drop(first);
    standbys[0].kill();
    wait_until("the loss to be said", PATIENCE, || (said(&server, "is left out") > 0).then_some(()));
    standbys[0].start_again();
    let began = Instant::now();
    let admin = standbys[0].administer("rows");
    wait_until("sessions on the one that came back", PATIENCE, || (sessions(&admin) > 0).then_some(()));
    let back = began.elapsed();
    (readers.end_all_served(&server), back)
}

#[test]
fn a_replica_that_is_killed_under_load_costs_no_request_and_gets_its_share_when_it_is_back() {
    let (primary, standbys) = trio();
    let (reads, back) = lose_one(&primary, &standbys, &[]);
    // Each session lives for 2.2 s at the most, and they are replaced one after the other.
    assert!(back < Duration::from_secs(4), "sessions again after {back:?}");
    figure(
        "one of two replicas killed",
        format!("{reads} reads, none failed; sessions again after {back:?}"),
    );
}

#[test]
#[ignore = "a minute: make cluster-test"]
fn a_replica_that_is_killed_under_load_costs_no_request_in_every_way_of_asking() {
    let (primary, standbys) = trio();
    for way in WAYS {
        for round in 0..3 {
            let (reads, back) = lose_one(&primary, &standbys, way);
            figure(
                &format!("one of two replicas killed, {}, round {round}", way.join(" ")),
                format!("{reads} reads, none failed; sessions again after {back:?}"),
            );
        }
    }
    let (reads, back) = lose_one(&primary, &standbys, &["--reads", "replica-only"]);
    figure(
        "the same with --reads replica-only",
        format!("{reads} reads, none failed; sessions again after {back:?}"),
    );
    let (reads, back) = lose_one(&primary, &standbys, &["--processes", "2"]);
    figure("the same in two processes", format!("{reads} reads, none failed; sessions again after {back:?}"));
}

#[test]
#[ignore = "half a minute: make cluster-test"]
fn a_replica_that_falls_silent_under_load_costs_no_request() {
    let (primary, standbys) = trio();
    for way in WAYS {
        let mut silent = Forwarder::start_cut(standbys[0].port());
        silent.restore();
        let ports = [silent.port(), standbys[1].port()];
        let server = serve(primary.port(), &ports, RANDOM).args(way).start();
        let readers = Readers::start(server.address(), ROUTES, 8);
        let admin = standbys[0].administer("rows");
        wait_until("sessions there", PATIENCE, || (sessions(&admin) > 0).then_some(()));
        silent.hang();
        let hung = Instant::now();
        wait_until("the loss to be said", PATIENCE, || (said(&server, "is left out") > 0).then_some(()));
        let noticed = hung.elapsed();
        silent.restore();
        wait_until("the return to be said", PATIENCE, || (said(&server, "is read from") > 2).then_some(()));
        let reads = readers.end_all_served(&server);
        figure(
            &format!("one of two replicas silent, {}", way.join(" ")),
            format!("{reads} reads, none failed; noticed after {noticed:?}"),
        );
    }
}
