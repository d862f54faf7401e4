//! What clients read through the balancer while others write: two nodes, a primary, and two replicas that follow it.
//!
//! Replicas lag, so that a read may give an older number than one that was written before it: which of them is PostgreSQL's to say
//! (manual, "Log-Shipping Standby Servers", asynchronous replication). A wrong row is one that never was: a number that is neither the row's
//! first nor one that a client was told it wrote there.
//!
//! **Invariant:** reads are judged when all writes are known, so that one that is read before its writer hears of it counts as written.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::thread;

use super::balancer::Balancer;
use super::figure;
use super::node::Node;
use crate::harness::{Client, Cluster, PATIENCE, Response, Session, Standby, wait_until, worlds};

type Row = (i32, i32);

/// What a client was told.
#[derive(Default)]
struct Told {
    written: Vec<Row>,
    read: Vec<Row>,
}

/// Writes and reads in turn, so many times, each time over the connection that it has.
fn write_and_read(address: SocketAddr, times: usize) -> Told {
    let (mut client, mut told) = (Client::connect(address), Told::default());
    let mut ask = |target: &str| -> Response {
        let response = client.get(target);
        assert_eq!(response.status, 200, "{target}: {response:?}");
        response
    };
    for _ in 0..times {
        told.written.extend(worlds(&ask("/updates?queries=20")));
        let one = ask("/db").json();
        let number = |key: &str| i32::try_from(one[key].as_i64().expect("a number")).expect("a small one");
        told.read.push((number("id"), number("randomNumber")));
        told.read.extend(worlds(&ask("/queries?queries=20")));
    }
    told
}

/// All rows of `world`.
fn table(session: &Session) -> HashMap<i32, i32> {
    let rows = session.rows("SELECT id, randomnumber FROM world", &[]);
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn url(ports: &[u16], more: &str) -> String {
    let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("postgres://plimsoll:secret@{}/rows?sslmode=disable&{more}", hosts.join(","))
}

/// Has so many clients write and read so many times each, and judges every row that any of them read.
fn expect_no_wrong_row(clients: usize, times: usize) {
    let primary = Cluster::start(60);
    primary.make_rows();
    let replicas = [Standby::of(&primary), Standby::of(&primary)];
    let ports = replicas.each_ref().map(Standby::port);
    let writes = url(&[primary.port(), ports[0], ports[1]], "target_session_attrs=read-write");
    let reads = url(&ports, "load_balance_hosts=random");
    let nodes: [Node; 2] = std::array::from_fn(|_| Node::reading(&writes, Some(reads.clone())));
    let balancer = Balancer::before(&nodes);
    let first = table(&primary.administer("rows"));
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let address = balancer.address();
            thread::spawn(move || write_and_read(address, times))
        })
        .collect();
    let told: Vec<Told> =
        threads.into_iter().map(|thread| thread.join().expect("a client to end well")).collect();
    let written: HashSet<Row> = told.iter().flat_map(|told| told.written.iter().copied()).collect();
    let is_right = |(id, number): &Row| first.get(id) == Some(number) || written.contains(&(*id, *number));
    let all: Vec<Row> = told.iter().flat_map(|told| told.read.iter().copied()).collect();
    let wrong: Vec<&Row> = all.iter().filter(|row| !is_right(row)).collect();
    // Rows that nobody wrote would be right whatever is read of them.
    let telling = all.iter().filter(|row| written.contains(row)).count();
    let tables = settle(&primary, &replicas);
    assert_eq!(wrong, Vec::<&Row>::new(), "of {} rows read", all.len());
    assert!(telling > 0, "of {} rows read none had been written, so that nothing was told", all.len());
    assert!(tables[0].iter().all(|(id, number)| is_right(&(*id, *number))), "the primary's own table");
    assert!(tables.iter().all(|table| *table == tables[0]), "a replica differs when it has caught up");
    assert!(nodes.iter().all(|node| node.answered() > 0), "one node had all the load");
    figure(
        "rows read through HAProxy, two nodes and two replicas",
        format_args!(
            "{} read, {telling} of them written before, {} written, none wrong",
            all.len(),
            written.len()
        ),
    );
}

/// Waits until the replicas have caught up; gives the tables, the primary's first. Each of them has been asked.
fn settle(primary: &Cluster, replicas: &[Standby]) -> Vec<HashMap<i32, i32>> {
    let admin = primary.administer("rows");
    // What is inserted, not what is written by now: these servers commit before they write.
    let end = admin.text("SELECT pg_current_wal_insert_lsn()");
    let mut tables = vec![table(&admin)];
    for replica in replicas {
        let session = replica.administer("rows");
        wait_until("a replica to catch up", PATIENCE, || {
            (session.text(&format!("SELECT pg_last_wal_replay_lsn() >= '{end}'")) == "t").then_some(())
        });
        let reads = "SELECT count(*) FROM pg_stat_activity \
                     WHERE application_name = 'plimsoll' AND query ILIKE '%FROM world%'";
        assert!(session.number(reads) > 0, "nobody read from this replica");
        tables.push(table(&session));
    }
    tables
}

#[test]
fn two_nodes_with_two_replicas_give_no_row_that_never_was() {
    expect_no_wrong_row(4, 40);
}

#[test]
#[ignore = "a minute: make cluster-test"]
fn two_nodes_with_two_replicas_give_no_row_that_never_was_in_thousands_of_requests() {
    expect_no_wrong_row(8, 1_000);
}
