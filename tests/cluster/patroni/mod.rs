//! Patroni before the service's database (`deploy/patroni`): its leader is killed, and another one is cut off, under load.
//!
//! **Invariant:** what counts is what clients were told: each update that was answered with 200 is in the database in the end.

mod members;
mod traffic;

use std::time::{Duration, Instant};

use members::{LONG, Members};
use traffic::Traffic;

use crate::harness::{PATIENCE, ServerSetup, Session, TestServer, get, wait_until};

/// How long writes may be away when a leader is lost: its lease of 20 s (`ttl`), and what an election, a promotion and the way there
/// take, of which each is a second or two.
const WRITES_BACK_WITHIN: Duration = Duration::from_secs(30);
/// How long reads may be: a member that falls silent is left out within two seconds, and then all is read from the others.
const READS_BACK_WITHIN: Duration = Duration::from_secs(3);

/// Keeps every update that is committed, in the same transaction.
const KEEP_UPDATES: &str = "
    CREATE TABLE kept (id integer NOT NULL, number integer NOT NULL);
    CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        'BEGIN INSERT INTO kept VALUES (NEW.id, NEW.randomnumber); RETURN NEW; END';
    CREATE TRIGGER keeping AFTER UPDATE ON world FOR EACH ROW EXECUTE FUNCTION keep()";

fn make_rows(members: &Members) {
    let leader = members.wait_until_whole();
    let admin = members.administer(leader, "postgres").expect("the leader");
    admin.run("CREATE ROLE plimsoll LOGIN PASSWORD 'secret'");
    admin.run("CREATE DATABASE rows OWNER plimsoll");
    let made = ServerSetup::of(&["init-db"])
        .env("DATABASE_URL", members.url("target_session_attrs=read-write"))
        .run();
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    members.administer(leader, "rows").expect("the leader").run(KEEP_UPDATES);
}

fn serve(members: &Members) -> TestServer {
    ServerSetup::with_url(&members.url("target_session_attrs=read-write"))
        .env("DATABASE_READ_URL", members.url("target_session_attrs=any&load_balance_hosts=random"))
        .start()
}

/// What clients were told to be written, and when.
struct Load {
    writes: Traffic,
    reads: Traffic,
}

/// Loses the leader in this way; says how long writes and reads were away at the longest.
fn lose_leader(members: &mut Members, load: &Load, how: &str) -> (u32, Duration, Duration) {
    let leader = members.wait_until_whole();
    let served = load.writes.served();
    wait_until("writes before the loss", PATIENCE, || (load.writes.served() > served + 50).then_some(()));
    let lost = Instant::now();
    members.order(how, leader);
    let other = wait_until("another leader", LONG, || members.leader().filter(|other| *other != leader));
    wait_until("writes on it", LONG, || load.writes.first_served(lost.max(load.writes.last_failed()?)));
    let away = (load.writes.longest_gap(lost), load.reads.longest_gap(lost));
    println!(
        "figure | Patroni, {how} db{leader} | writes away {:.1?}, reads {:.1?}; db{other} leads",
        away.0, away.1
    );
    (leader, away.0, away.1)
}

/// Each update that was answered stands among those that are kept, as often as it was.
fn expect_none_lost(told: &[(i32, i32)], admin: &Session) {
    let mut kept = std::collections::HashMap::new();
    for row in admin.rows("SELECT id, number FROM kept", &[]) {
        *kept.entry((row.get::<_, i32>(0), row.get::<_, i32>(1))).or_insert(0_u32) += 1;
    }
    let mut lost = Vec::new();
    for update in told {
        match kept.get_mut(update) {
            Some(left) if *left > 0 => *left -= 1,
            _ => lost.push(*update),
        }
    }
    println!("figure | Patroni, updates answered with 200 | {} told, {} lost", told.len(), lost.len());
    assert!(told.len() > 200, "too few updates to tell anything: {}", told.len());
    assert!(
        lost.is_empty(),
        "{} of {} updates that were answered are not there: {lost:?}",
        lost.len(),
        told.len()
    );
}

#[test]
#[ignore = "two minutes, as root: make cluster-test"]
fn a_leader_that_is_killed_or_cut_off_is_replaced_and_no_update_that_was_answered_is_lost() {
    let mut members = Members::start();
    make_rows(&members);
    let mut server = serve(&members);
    wait_until("the service", PATIENCE, || (get(&server, "/updates").status == 200).then_some(()));
    let load = Load {
        writes: Traffic::start(server.address(), "/updates?queries=2", 4),
        reads: Traffic::start(server.address(), "/db", 4),
    };

    let (killed, writes, reads) = lose_leader(&mut members, &load, "kill");
    assert!(writes < WRITES_BACK_WITHIN, "killed: writes were away {writes:?}\n{}", server.stderr());
    assert!(reads < READS_BACK_WITHIN, "killed: reads were away {reads:?}\n{}", server.stderr());
    members.order("patroni", killed);

    let (cut, writes, reads) = lose_leader(&mut members, &load, "cut");
    assert!(writes < WRITES_BACK_WITHIN, "cut off: writes were away {writes:?}\n{}", server.stderr());
    assert!(reads < READS_BACK_WITHIN, "cut off: reads were away {reads:?}\n{}", server.stderr());
    // It gave its place up by itself, before the others could know: there never were two that take writes.
    assert!(members.said_by(cut).contains("demot"), "{}", members.said_by(cut));
    members.order("mend", cut);
    let leader = members.wait_until_whole();

    let told = load.writes.end();
    load.reads.end();
    server.stop();
    expect_none_lost(&told, &members.administer(leader, "rows").expect("the leader"));
}
