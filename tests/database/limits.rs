//! A PostgreSQL with too few connections for the plan.
//!
//! **Invariant:** the first contact decides between a refusal and serving; later shortages never end the service.

use std::time::{Duration, Instant};

use crate::harness::{
    Client, Cluster, Forwarder, PATIENCE, ServerSetup, Session, TestDatabase, TestServer, answers_at_once,
    get, request, wait_until,
};

/// A cluster with this many connections, of which three are kept for superusers and one is the session returned.
fn small_cluster(max_connections: u32) -> (Cluster, Session) {
    let cluster = Cluster::start(max_connections);
    let admin = cluster.administer("postgres");
    admin.run("CREATE ROLE plimsoll LOGIN PASSWORD 'secret'");
    admin.run("CREATE DATABASE rows OWNER plimsoll");
    (cluster, admin)
}

#[test]
fn too_few_connections_at_first_contact_end_with_78_and_both_numbers() {
    let (cluster, _admin) = small_cluster(10);
    let setup = || ServerSetup::with_url(&cluster.url("rows")).args(&["--pool-per-core", "100"]);
    let finished = setup().run();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    assert_eq!(finished.code, Some(78), "{finished:?}");
    assert!(finished.stderr.contains(&format!(" {} ", 100 * cores)), "{}", finished.stderr);
    assert!(finished.stderr.contains(" 6 "), "{}", finished.stderr);
    assert!(finished.stderr.contains("max_connections"), "the way out: {}", finished.stderr);
    // What the message proposes works.
    let mut server = setup().args(&["--database-max-conn", "6"]).start();
    assert_eq!(get(&server, "/json").status, 200);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn several_processes_want_room_for_the_one_that_a_reload_replaces() {
    let (cluster, _admin) = small_cluster(14);
    let setup = |most: &str| {
        ServerSetup::of(&["serve", "--port", "0", "--processes", "2", "--workers", "1"])
            .args(&["--pool-per-core", "100", "--database-max-conn", most])
            .env("DATABASE_URL", cluster.url("rows"))
    };
    let finished = setup("8").run();
    assert_eq!(finished.code, Some(78), "{finished:?}");
    assert!(finished.stderr.contains("wants 8") && finished.stderr.contains("4 more"), "{}", finished.stderr);
    assert!(finished.stderr.contains("DATABASE_MAX_CONN=6"), "6 and 3 of 10: {}", finished.stderr);
    let mut server = setup("6").start();
    assert_eq!(get(&server, "/json").status, 200);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn a_limit_of_the_role_counts_like_one_of_the_server() {
    let (cluster, admin) = small_cluster(50);
    admin.run("ALTER ROLE plimsoll CONNECTION LIMIT 3");
    let finished = ServerSetup::with_url(&cluster.url("rows")).args(&["--pool-per-core", "10"]).run();
    assert_eq!(finished.code, Some(78), "{finished:?}");
}

#[test]
fn exclusive_requests_wait_for_the_connections_that_there_are() {
    let database = TestDatabase::create();
    let flags =
        ["serve", "--port", "0", "--workers", "1", "--dispatch", "exclusive", "--pool-per-core", "20"];
    let server = ServerSetup::of(&flags)
        .args(&["--request-deadline", "30s"])
        .env("DATABASE_URL", database.url())
        .start();
    assert_eq!(get(&server, "/db").status, 200);
    let admin = Cluster::shared().administer("postgres");
    admin.run(&format!("ALTER DATABASE {} CONNECTION LIMIT 3", database.name()));
    let targets = vec!["/queries?queries=20".to_owned(); 200];
    // Connections are opened one after the other, for as long as somebody waits for one.
    wait_until("what is missing to be said", PATIENCE, || {
        let answers = answers_at_once(&server, &targets);
        let good = answers.iter().filter(|response| response.status == 200).count();
        assert_eq!(good, targets.len(), "{}", server.stderr());
        server.stderr().contains("fewer database connections").then_some(())
    });
    let lines = server.stderr().lines().filter(|line| line.contains("fewer database connections")).count();
    assert!((1..4).contains(&lines), "said {lines} times:\n{}", server.stderr());
}

#[test]
fn nobody_who_waits_for_the_one_connection_there_is_is_overtaken_by_those_who_come_later() {
    const CLIENTS: usize = 16;
    let database = TestDatabase::create();
    let flags = ["serve", "--port", "0", "--workers", "1", "--dispatch", "exclusive", "--pool-per-core", "4"];
    let server = ServerSetup::of(&flags)
        .args(&["--database-max-conn", "4", "--request-deadline", "1s"])
        .env("DATABASE_URL", database.url())
        .start();
    assert_eq!(get(&server, "/db").status, 200);
    let admin = Cluster::shared().administer("postgres");
    admin.run(&format!("ALTER DATABASE {} CONNECTION LIMIT 2", database.name()));
    // This session's, and the service's one: three places have none.
    let until = Instant::now() + Duration::from_secs(3);
    let address = server.address();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                let mut statuses = Vec::new();
                while Instant::now() < until {
                    statuses.push(client.get("/queries?queries=20").status);
                }
                statuses
            })
        })
        .collect();
    for client in clients {
        let statuses = client.join().expect("a client to end well");
        let refused = statuses.iter().filter(|status| **status != 200).count();
        assert_eq!(refused, 0, "of {} requests:\n{}", statuses.len(), server.stderr());
    }
    server.wait_for_lines("fewer database connections", 1);
}

#[test]
fn connections_that_run_out_later_leave_the_service_on_what_it_has() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    assert_eq!(get(&server, "/db").status, 200);
    let name = database.name();
    let admin = Cluster::shared().administer("postgres");
    let limit = database.admin().number(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    assert!(limit > 0);
    admin.run(&format!("ALTER DATABASE {name} CONNECTION LIMIT {}", limit.max(1)));
    let answers = answers_at_once(&server, &vec!["/queries?queries=20".to_owned(); 200]);
    let good = answers.iter().filter(|response| response.status == 200).count();
    assert!(answers.iter().all(|response| [200, 503].contains(&response.status)));
    assert!(good > 0, "nothing was served on {limit} connections:\n{}", server.stderr());
}

#[test]
fn a_pool_wait_over_its_limit_is_503_with_retry_after_and_the_connection_stays_usable() {
    let database = TestDatabase::create();
    let server = ServerSetup::with_database(&database)
        .args(&["--dispatch", "exclusive", "--database-max-conn", "2", "--request-deadline", "700ms"])
        .start();
    assert_eq!(get(&server, "/db").status, 200);
    database.admin().run("BEGIN; LOCK TABLE world IN ACCESS EXCLUSIVE MODE");
    // These hold both database connections, one a worker, until their deadline; what comes behind them waits for one.
    let mut holders: Vec<_> = (0..12).map(|_| server.connect()).collect();
    for holder in &mut holders {
        holder.send(request("GET", "/db"));
    }
    let mut waiting: Vec<_> = (0..12).map(|_| server.connect()).collect();
    for client in &mut waiting {
        client.send(request("GET", "/db"));
    }
    for client in holders.iter_mut().chain(&mut waiting) {
        let response = client.receive();
        assert_eq!(response.status, 503, "{response:?}");
        assert!(response.header("retry-after").is_some(), "{response:?}");
    }
    assert_eq!(get(&server, "/json").status, 200);
    for client in &mut waiting {
        assert_eq!(client.get("/plaintext").status, 200);
    }
    database.admin().run("ROLLBACK");
    wait_until("the routes to answer again", PATIENCE, || {
        waiting.iter_mut().all(|client| client.get("/db").status == 200).then_some(())
    });
}

#[test]
fn the_last_connection_that_is_lost_is_replaced_at_once_however_long_another_was_refused() {
    let database = TestDatabase::create();
    let forwarder = Forwarder::start();
    let server = ServerSetup::with_url(&database.url_through(forwarder.port()))
        .args(&["--pool-per-core", "4"])
        .start();
    let mut client = server.connect();
    assert_eq!(client.get("/db").status, 200);
    let attempts = || forwarder.conversations().len();
    let before = attempts();
    // The service's one connection and this session: a request of many queries asks for one more, in vain.
    let limit = |to: i32| {
        database.admin().run(&format!("ALTER DATABASE {} CONNECTION LIMIT {to}", database.name()));
    };
    limit(2);
    assert_eq!(client.get("/queries?queries=20").status, 200);
    // 20, 40, 80 ms and so on, so that the next rest is of seconds.
    wait_until("many attempts in vain", PATIENCE, || (attempts() >= before + 9).then_some(()));
    limit(-1);
    database.admin().run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    let lost = Instant::now();
    wait_until("the service to recover", PATIENCE, || (client.get("/db").status == 200).then_some(()));
    assert!(lost.elapsed() < Duration::from_secs(2), "back after {:?}", lost.elapsed());
}
