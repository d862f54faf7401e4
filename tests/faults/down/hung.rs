//! PostgreSQL hangs: all its processes are stopped, and the kernel goes on acknowledging for them.
//!
//! **Invariant:** the hang lasts for several deadlines, so that connections made during it hang too.

use std::time::{Duration, Instant};

use super::crowd::{Account, Crowd};
use super::{BACK_WITHIN, SLACK, WAYS, middle_and_worst, recovery, serve, wait_for_ready};
use crate::faults::figure;
use crate::harness::{MortalCluster, PATIENCE, TestServer, wait_until};

const DEADLINE: Duration = Duration::from_millis(500);
/// Rounds at the most: other programs may have the cores for a while.
const ROUNDS: usize = 3;

/// One hang: how long each request took at worst, and the recovery.
struct Round {
    account: Account,
    back: Duration,
}

fn hang(cluster: &MortalCluster, server: &TestServer, lasting: Duration) -> Round {
    let crowd = Crowd::start(server);
    wait_until("the load to run", PATIENCE, || crowd.all_served());
    let hung = cluster.hang();
    let began = Instant::now();
    wait_until("requests to be refused for a while", lasting + PATIENCE, || {
        (crowd.refused() > 0 && began.elapsed() >= lasting).then_some(())
    });
    wait_for_ready(server, 503, "the database");
    crowd.mark();
    let goes_on = Instant::now();
    drop(hung);
    let back = recovery(&crowd, goes_on);
    Round { account: crowd.end(), back }
}

/// Hangs it until a round was as promised, and gives that round.
fn expect_as_promised(cluster: &MortalCluster, way: &[&str], lasting: Duration) -> Round {
    let deadline = format!("{}ms", DEADLINE.as_millis());
    let server = serve(cluster, way).args(&["--request-deadline", &deadline]).start();
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        let before = cluster.world_numbers();
        let round = hang(cluster, &server, lasting);
        wait_for_what_hung(cluster);
        round.account.check_table(&before, &cluster.world_numbers());
        if round.account.worst() <= DEADLINE + SLACK && round.back <= BACK_WITHIN {
            return round;
        }
        seen.push((round.account.worst(), round.back));
    }
    panic!("{way:?}: the longest request and the recovery were {seen:?}");
}

/// What was asked before the hang and given up may still be done; it must be before the table is read.
fn wait_for_what_hung(cluster: &MortalCluster) {
    let admin = cluster.administer("rows");
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'plimsoll' AND state <> 'idle'";
    wait_until("PostgreSQL to be done", PATIENCE, || (admin.number(busy) == 0).then_some(()));
}

fn say(way: &[&str], round: &Round) {
    let Round { account, back } = round;
    let measured = format!(
        "deadline {DEADLINE:?}: refused after {}; back {} ms after SIGCONT; {} requests, none wrong",
        middle_and_worst(&account.refused),
        back.as_millis(),
        account.requests()
    );
    figure(&format!("PostgreSQL stopped by SIGSTOP, {}", way.join(" ")), measured);
}

#[test]
fn postgresql_that_hangs_costs_a_request_its_deadline_and_is_served_from_within_a_second() {
    let cluster = MortalCluster::take();
    say(WAYS[0], &expect_as_promised(&cluster, WAYS[0], DEADLINE * 3));
}

#[test]
#[ignore = "a minute: make faults"]
fn postgresql_that_hangs_for_ten_seconds_is_served_from_within_a_second_by_each_way() {
    let cluster = MortalCluster::take();
    for way in WAYS {
        say(way, &expect_as_promised(&cluster, way, Duration::from_secs(10)));
    }
}

#[test]
fn what_a_hang_left_pending_is_on_no_connection_that_is_used_again() {
    let cluster = MortalCluster::take();
    for way in WAYS {
        let server = serve(&cluster, way).args(&["--request-deadline", "300ms"]).start();
        let mut client = server.connect();
        assert_eq!(client.get("/db").status, 200);
        let admin = cluster.administer("rows");
        let sessions = || -> Vec<i32> {
            let query = "SELECT pid FROM pg_stat_activity WHERE usename = 'plimsoll'";
            admin.rows(query, &[]).iter().map(|row| row.get(0)).collect()
        };
        let before = sessions();
        let hung = cluster.hang();
        assert_eq!(client.get("/queries?queries=20").status, 503, "{way:?}");
        drop(hung);
        wait_until("rows", PATIENCE, || (client.get("/db").status == 200).then_some(()));
        let used = wait_until("the session that hung to end", PATIENCE, || {
            let now = sessions();
            (!now.is_empty() && !now.iter().any(|pid| before.contains(pid))).then_some(now)
        });
        assert_eq!(client.get("/queries?queries=20").status, 200, "{way:?} on {used:?}");
    }
}
