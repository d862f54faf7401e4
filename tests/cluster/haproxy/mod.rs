//! HAProxy before several nodes, with the configuration of `deploy/cluster`: what a node's stop and its death cost those in front.
//!
//! [`balancer`] runs Debian's HAProxy, [`node`] the service behind it, [`traffic`] the clients before it; [`rows`] is about what they
//! read.
//!
//! **Invariant:** a request that is stopped orderly behind it is answered by 200; each test says so of all that were asked.

mod balancer;
mod node;
mod rows;
mod traffic;

use std::time::{Duration, Instant};

use super::figure;
use crate::harness::{PATIENCE, TestDatabase, wait_until};
use balancer::Balancer;
use node::Node;
use traffic::Traffic;

/// The promise: how long a node that was killed may go on being counted among those that are up. Checks are 500 ms apart, the second one after
/// 200 ms, and a machine that is busy with other tests is late.
const MARKED_DOWN_WITHIN: Duration = Duration::from_secs(3);

fn nodes<const N: usize>(database: &TestDatabase) -> [Node; N] {
    std::array::from_fn(|_| Node::new(&database.url()))
}

/// Stops each node in its turn and starts it again; goes on when the balancer has it back and has sent requests to it.
fn restart_all(nodes: &mut [Node], balancer: &Balancer, traffic: &Traffic) {
    for index in 0..nodes.len() {
        traffic.wait_for(100);
        nodes[index].stop();
        traffic.wait_for(100);
        nodes[index].start();
        balancer.wait_until_up(nodes.len());
        wait_until("requests at the node that is back", PATIENCE, || {
            (nodes[index].answered() > 0).then_some(())
        });
    }
}

#[test]
fn a_node_that_drains_gets_no_new_requests_and_loses_none() {
    let database = TestDatabase::create();
    let mut nodes: [Node; 2] = nodes(&database);
    let balancer = Balancer::before(&nodes);
    let traffic = Traffic::start(balancer.address(), &["/db", "/updates?queries=3", "/fortunes"]);
    traffic.wait_for(200);
    // Each of the two has its part, so that there is something to be lost.
    assert!(nodes.iter().all(|node| node.answered() > 20), "one node has all the load");
    nodes[0].stop();
    traffic.wait_for(200);
    assert_eq!(balancer.up(), 1);
    nodes[0].start();
    balancer.wait_until_up(2);
    traffic.wait_for(200);
    assert!(nodes[0].answered() > 0, "nothing comes to the node that is back");
    let seen = traffic.end();
    figure("a node that drains behind HAProxy", format_args!("{seen}"));
    assert_eq!(seen.failed(), Vec::<String>::new(), "{seen}");
}

#[test]
fn a_node_that_is_killed_costs_no_reader_an_answer_and_is_left_alone_until_it_is_back() {
    let database = TestDatabase::create();
    let mut nodes: [Node; 2] = nodes(&database);
    let balancer = Balancer::before(&nodes);
    let reads = Traffic::start(balancer.address(), &["/db", "/fortunes", "/queries?queries=5", "/json"]);
    let writes = Traffic::start(balancer.address(), &["/updates?queries=3"]);
    reads.wait_for(200);
    let killed = Instant::now();
    nodes[0].kill();
    wait_until("the dead node to be marked down", PATIENCE, || (balancer.up() == 1).then_some(()));
    let marked = killed.elapsed();
    reads.wait_for(200);
    writes.wait_for(50);
    nodes[0].start();
    balancer.wait_until_up(2);
    let (reads, writes) = (reads.end(), writes.end());
    figure(
        "a node killed with -9 behind HAProxy",
        format_args!("marked down after {marked:?}; reads: {reads}; writes: {writes}"),
    );
    assert!(marked < MARKED_DOWN_WITHIN, "marked down after {marked:?}");
    assert_eq!(reads.failed(), Vec::<String>::new(), "{reads}");
    // What was under way at the node that died may have been done: it is not asked twice, and is no more than each client had.
    assert!(writes.failed().len() <= traffic::CLIENTS, "{writes}");
}

#[test]
fn where_no_node_is_ready_those_that_run_answer_for_themselves() {
    let mut nodes = [Node::new("postgres://nobody@127.0.0.1:1/none")];
    let balancer = Balancer::before(&nodes);
    let status = |target: &str| crate::harness::Client::connect(balancer.address()).get(target);
    wait_until("the node to be found unready", PATIENCE, || (balancer.up() == 0).then_some(()));
    let response = status("/db");
    assert_eq!((response.status, response.header("server").is_some()), (503, true), "{response:?}");
    assert!(response.header("retry-after").is_some(), "HAProxy's own 503 has none: {response:?}");
    assert_eq!(status("/json").status, 200);
    nodes[0].kill();
    wait_until("HAProxy's own answer", PATIENCE, || (status("/json").status == 503).then_some(()));
}

#[test]
#[ignore = "half a minute: make cluster-test"]
fn a_rolling_restart_of_all_nodes_under_load_loses_no_request() {
    let database = TestDatabase::create();
    let mut nodes: [Node; 3] = nodes(&database);
    let balancer = Balancer::before(&nodes);
    let traffic = Traffic::start(
        balancer.address(),
        &["/db", "/updates?queries=3", "/fortunes", "/queries?queries=20", "/json", "/plaintext"],
    );
    let rounds = 3;
    for _ in 0..rounds {
        restart_all(&mut nodes, &balancer, &traffic);
    }
    let seen = traffic.end();
    figure(&format!("{rounds} rolling restarts of 3 nodes behind HAProxy"), format_args!("{seen}"));
    assert!(seen.answered() > 1_000, "too little load to lose anything: {seen}");
    assert_eq!(seen.failed(), Vec::<String>::new(), "{seen}");
}
