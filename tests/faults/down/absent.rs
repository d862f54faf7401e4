//! PostgreSQL is not there at the start, for a while.
//!
//! **Invariant:** the service listens all the while, and asks for PostgreSQL often enough to be back in time and no oftener.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::crowd::Crowd;
use super::{BACK_WITHIN, SLACK, WAYS, count, lines, middle_and_worst, recovery, serve, serve_by_two};
use super::{wait_for_ready, wait_for_refusals};
use crate::faults::figure;
use crate::harness::{MortalCluster, PATIENCE, ServerSetup, expect_within, request, wait_until};

/// The longest wait between two attempts of one worker, and the shortest once it has grown to that.
const MOST: Duration = Duration::from_millis(300);
const LEAST: Duration = Duration::from_millis(150);

/// Starts a service without PostgreSQL, which comes when the absence has lasted for so long; how soon the routes answered then.
fn come_late(cluster: &MortalCluster, setup: ServerSetup, absence: Duration) -> (Duration, String) {
    cluster.end(Signal::INT);
    let server = setup.start();
    let began = Instant::now();
    let crowd = Crowd::start(&server);
    wait_for_refusals(&crowd, 20);
    wait_for_ready(&server, 503, "the database is not reached");
    wait_until("the absence to last", absence + PATIENCE, || (began.elapsed() >= absence).then_some(()));
    assert!(crowd.all_served().is_none(), "rows without a database");
    assert_eq!(lines(&server), Vec::<String>::new(), "the banner has said it");
    cluster.launch();
    crowd.mark();
    let back = recovery(&crowd, cluster.wait_until_accepting());
    wait_for_ready(&server, 200, "ready");
    server.wait_for_lines("the database is reached; first contact: PostgreSQL ", 1);
    let account = crowd.end();
    assert!(account.worst() <= Duration::from_secs(3) + SLACK, "a request took {:?}", account.worst());
    assert_eq!(lines(&server).len(), 1, "one line for its coming:\n{}", server.stderr());
    assert_eq!(count(&server, "not reached"), 0);
    (back, format!("{} refused ({})", account.refused.len(), middle_and_worst(&account.refused)))
}

fn come_late_in_time(
    cluster: &MortalCluster,
    setup: impl Fn() -> ServerSetup,
    absence: Duration,
    name: &str,
) {
    let mut measured = String::new();
    expect_within("the routes' answers after its coming", BACK_WITHIN, || {
        let (back, refused) = come_late(cluster, setup(), absence);
        measured = format!("served {} ms after its coming; {refused} before", back.as_millis());
        back
    });
    figure(&format!("not there at the start for {absence:?}, {name}"), measured);
}

#[test]
fn postgresql_that_comes_after_the_service_is_served_from_within_a_second_and_said_once() {
    let cluster = MortalCluster::take();
    come_late_in_time(&cluster, || serve_by_two(&cluster), Duration::from_secs(1), "two processes");
}

#[test]
#[ignore = "a minute: make faults"]
fn postgresql_that_comes_a_minute_after_the_service_is_served_from_within_a_second() {
    let cluster = MortalCluster::take();
    let minute = Duration::from_mins(1);
    come_late_in_time(&cluster, || serve_by_two(&cluster), minute, "two processes");
    for way in WAYS {
        come_late_in_time(&cluster, || serve(&cluster, way), Duration::from_secs(5), &way.join(" "));
    }
}

#[test]
fn a_postgresql_that_is_away_is_asked_for_at_growing_intervals_that_differ() {
    // It takes connections and ends them, so that attempts can be counted.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let (knock, knocks) = mpsc::channel();
    // Ends with the process: nobody but this test knows the port.
    thread::spawn(move || {
        while listener.accept().is_ok() {
            if knock.send(Instant::now()).is_err() {
                break;
            }
        }
    });
    let server = ServerSetup::of(&["serve", "--port", "0", "--workers", "1"])
        .env("DATABASE_URL", format!("postgres://nobody@127.0.0.1:{port}/none?sslmode=disable"))
        .start();
    let mut client = server.connect();
    client.send(request("GET", "/db"));
    assert_eq!(client.receive().status, 503);
    let began = Instant::now();
    let mut at = Vec::new();
    while began.elapsed() < Duration::from_millis(1500) {
        at.extend(knocks.recv_timeout(PATIENCE).ok());
    }
    // The worker's attempts, and those of the first contact, which are 250 ms apart.
    let most = began.elapsed().as_millis() / LEAST.as_millis() + began.elapsed().as_millis() / 250 + 8;
    assert!((at.len() as u128) <= most, "{} attempts, and {most} at the most", at.len());
    let gaps: Vec<Duration> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let longest = gaps.iter().max().copied().unwrap_or_default();
    assert!(longest <= MOST + SLACK, "nobody asked for {longest:?}");
    let roundly: std::collections::BTreeSet<u128> = gaps.iter().map(Duration::as_millis).collect();
    assert!(roundly.len() > gaps.len() / 3, "the waits differ: {gaps:?}");
    figure(
        "attempts at a PostgreSQL that is away, one worker",
        format!(
            "{} in {:.1} s, {} ms apart at the most",
            at.len(),
            began.elapsed().as_secs_f64(),
            longest.as_millis()
        ),
    );
}
