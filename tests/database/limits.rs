//! A PostgreSQL with too few connections for the plan.
//!
//! **Invariant:** the first contact decides between a refusal and serving; later shortages never end the service.

use crate::harness::{Cluster, ServerSetup, Session, TestDatabase, TestServer, answers_at_once, get};

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
fn a_limit_of_the_role_counts_like_one_of_the_server() {
    let (cluster, admin) = small_cluster(50);
    admin.run("ALTER ROLE plimsoll CONNECTION LIMIT 3");
    let finished = ServerSetup::with_url(&cluster.url("rows")).args(&["--pool-per-core", "10"]).run();
    assert_eq!(finished.code, Some(78), "{finished:?}");
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
