//! TLS to PostgreSQL: a server with a certificate authority of its own, and servers that are not who they should be.
//!
//! **Invariant:** what is refused is answered 503 and named in the log with its mend; no test turns verification off to pass.

use std::time::{Duration, Instant};

use super::figure;
use crate::harness::{
    Authority, Cluster, PATIENCE, SecuredCluster, ServerSetup, TestServer, allow, answers_at_once, get,
    request, wait_until, worlds,
};

/// The ways in which queries are sent.
const WAYS: [&[&str]; 3] = [&[], &["--dispatch", "exclusive"], &["--driver", "direct"]];

/// Sessions of the service with its database, and those of them that are encrypted.
fn sessions(cluster: &Cluster) -> (i64, i64) {
    let admin = cluster.administer("rows");
    let row = &admin.rows(
        "SELECT count(*), count(*) FILTER (WHERE ssl) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) \
         WHERE datname = 'rows' AND application_name = 'plimsoll'",
        &[],
    )[0];
    (row.get(0), row.get(1))
}

fn expect_refused(setup: ServerSetup, mend: &str) {
    let server = setup.start();
    let mut client = server.connect();
    for _ in 0..3 {
        let response = client.get("/db");
        assert_eq!(response.status, 503, "{mend}: {response:?}");
        assert!(response.header("retry-after").is_some(), "{response:?}");
    }
    assert_eq!(client.get("/json").status, 200);
    let said = server.stderr();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(mend)).collect();
    assert!((1..=2).contains(&lines.len()), "the banner and the log name {mend:?} once each:\n{said}");
}

#[test]
fn every_way_of_asking_serves_over_tls_with_the_login_bound_to_the_certificate() {
    let secured = SecuredCluster::shared();
    let roots = secured.authority.file().display().to_string();
    let tls = format!("sslmode=verify-full&sslrootcert={roots}&channel_binding=require");
    for way in WAYS {
        let name = format!("plimsoll {}", way.last().unwrap_or(&"pipelined"));
        let url = secured.url("localhost", &format!("{tls}&application_name={name}"));
        let server = ServerSetup::with_url(&url).args(way).start();
        for target in ["/db", "/updates?queries=20", "/fortunes", "/cached-queries?count=100"] {
            let response = get(&server, target);
            assert_eq!(response.status, 200, "{way:?} {target}: {response:?}\n{}", server.stderr());
        }
        // More than a socket takes at once, both ways.
        for response in answers_at_once(&server, &vec!["/queries?queries=500".to_owned(); 40]) {
            assert_eq!(worlds(&response).len(), 500, "{way:?}");
        }
        let admin = secured.cluster.administer("rows");
        let encrypted = admin.rows(
            "SELECT bool_and(ssl), count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE application_name = $1",
            &[&name],
        );
        let (all, count): (Option<bool>, i64) = (encrypted[0].get(0), encrypted[0].get(1));
        assert!(all == Some(true) && count > 0, "{way:?}: {count} sessions, encrypted: {all:?}");
    }
    figure("TLS to PostgreSQL", "verify-full, bound to the certificate, in every way of asking");
}

#[test]
fn a_query_that_is_given_up_is_cancelled_over_tls_too() {
    let secured = SecuredCluster::shared();
    let roots = secured.authority.file().display().to_string();
    let url = secured
        .url("localhost", &format!("sslmode=verify-full&sslrootcert={roots}&application_name=cancelled"));
    // By id, so that the other tests' queries do not wait.
    let admin = secured.cluster.administer("rows");
    admin.run("CREATE SCHEMA cancelled; GRANT USAGE ON SCHEMA cancelled TO plimsoll");
    admin.run("CREATE TABLE cancelled.world AS SELECT * FROM public.world; GRANT SELECT ON cancelled.world TO plimsoll");
    let server = ServerSetup::with_url(&format!("{url}&options=-csearch_path%3Dcancelled,public"))
        .args(&["--request-deadline", "1s"])
        .start();
    assert_eq!(get(&server, "/db").status, 200, "{}", server.stderr());
    admin.run("BEGIN; LOCK TABLE cancelled.world IN ACCESS EXCLUSIVE MODE");
    let watcher = secured.cluster.administer("rows");
    let waiting = || {
        watcher.number(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cancelled' AND state = 'active'",
        )
    };
    let mut client = server.connect();
    client.send(request("GET", "/db"));
    wait_until("the query to wait for the lock", PATIENCE, || (waiting() > 0).then_some(()));
    assert_eq!(client.receive().status, 503);
    // The lock is held still: nothing but the cancel ends what waits for it.
    wait_until("the cancel", PATIENCE, || (waiting() == 0).then_some(()));
    admin.run("ROLLBACK");
}

#[test]
fn a_server_that_is_not_who_it_should_be_is_refused_with_the_mend() {
    let secured = SecuredCluster::shared();
    // One of another name, and one of the same name with another key.
    let (theirs, anew) = (Authority::named("theirs"), Authority::named("ours"));
    let [ours, theirs, anew] =
        [&secured.authority, &theirs, &anew].map(|authority| authority.file().display().to_string());
    for (host, mode, roots, mend) in [
        ("localhost", "verify-full", &theirs, "give the right one by sslrootcert"),
        ("localhost", "verify-ca", &anew, "give the right one by sslrootcert"),
        ("localhost", "require", &theirs, "give the right one by sslrootcert"),
        ("127.0.0.1", "verify-full", &ours, "its certificate is not for 127.0.0.1"),
    ] {
        let url = secured.url(host, &format!("sslmode={mode}&sslrootcert={roots}"));
        expect_refused(ServerSetup::with_url(&url), mend);
    }
    // The same two differences, where they are not asked about.
    for (host, parameters) in [
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ours}")),
        ("127.0.0.1", "sslmode=require&channel_binding=require".to_owned()),
    ] {
        let server = ServerSetup::with_url(&secured.url(host, &parameters)).start();
        assert_eq!(get(&server, "/db").status, 200, "{parameters}: {}", server.stderr());
    }
    // By variables, and in several processes.
    let server = ServerSetup::of(&["serve", "--port", "0", "--processes", "2", "--workers", "1"])
        .env("DATABASE_URL", secured.url("localhost", ""))
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", &ours)
        .start();
    assert_eq!(get(&server, "/db").status, 200, "{}", server.stderr());
    // By what the system trusts, which it is told to be our authority alone.
    let system = secured.url("localhost", "sslrootcert=system");
    let server = ServerSetup::with_url(&system).env("SSL_CERT_FILE", &ours).start();
    assert_eq!(get(&server, "/db").status, 200, "{}", server.stderr());
    expect_refused(ServerSetup::with_url(&system).env("SSL_CERT_FILE", &theirs), "the system's authorities");
    let finished = ServerSetup::of(&["init-db", "--database-url"])
        .arg(secured.url("localhost", &format!("sslmode=verify-full&sslrootcert={theirs}")))
        .run();
    assert_eq!(finished.code, Some(69), "{finished:?}");
    assert!(finished.stderr.contains("sslrootcert"), "{}", finished.stderr);
}

#[test]
fn a_server_without_tls_or_with_an_expired_certificate_is_refused_until_it_is_mended() {
    let (cluster, authority) = (Cluster::start(50), Authority::named("ours"));
    cluster.make_rows();
    let url =
        |parameters: &str| format!("postgres://plimsoll@localhost:{}/rows?{parameters}", cluster.port());
    let roots = authority.file().display().to_string();
    let verified = url(&format!("sslmode=verify-full&sslrootcert={roots}"));
    expect_refused(ServerSetup::with_url(&url("sslmode=require")), "set ssl = on there");
    expect_refused(ServerSetup::with_url(&verified), "set ssl = on there");
    let serve_preferring = || {
        let server = ServerSetup::with_url(&url("sslmode=prefer")).start();
        assert_eq!(get(&server, "/db").status, 200, "{}", server.stderr());
        server
    };
    let server = serve_preferring();
    let (all, encrypted) = sessions(&cluster);
    assert!(all > 0 && encrypted == 0, "prefer goes without where there is none: {encrypted} of {all}");
    drop(server);
    authority.equip(&cluster, "localhost", 2001);
    expect_refused(ServerSetup::with_url(&verified), "its certificate has expired");
    // Without a request to notice it by, it is tried again all the while.
    let server: TestServer = ServerSetup::with_url(&verified).start();
    assert_eq!(get(&server, "/db").status, 503);
    authority.equip(&cluster, "localhost", 4000);
    let mended = Instant::now();
    wait_until("the service to be back", PATIENCE, || (get(&server, "/db").status == 200).then_some(()));
    assert!(mended.elapsed() < Duration::from_secs(2), "back after {:?}", mended.elapsed());
    figure("a certificate that had expired", format!("served {:?} after it was renewed", mended.elapsed()));
    drop(server);
    wait_until("the sessions to end", PATIENCE, || (sessions(&cluster).0 == 0).then_some(()));
    let server = serve_preferring();
    let (all, encrypted) = sessions(&cluster);
    assert!(all > 0 && encrypted == all, "prefer encrypts where it can: {encrypted} of {all}");
    drop(server);
    allow(&cluster, "hostnossl all plimsoll all trust");
    drop(serve_preferring());
}
