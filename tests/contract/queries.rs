//! "Queries on the database connection": what the service says to PostgreSQL, read on the way.
//!
//! **Invariant:** the judge is the wire, not the statements' counts: a Sync shared by two queries shows only there.

use super::MODES;
use crate::harness::{
    Conversation, Forwarder, Message, ServerSetup, TestDatabase, TestServer, answers_at_once, get, worlds,
};

fn start_through(forwarder: &Forwarder, database: &TestDatabase, mode: &[&str]) -> TestServer {
    ServerSetup::with_url(&database.url_through(forwarder.port())).args(mode).start()
}

fn total(conversations: &[Conversation], kind: char) -> usize {
    conversations.iter().map(|conversation| conversation.count(kind)).sum()
}

/// Panics where two Executes stand between two Syncs, or a statement holds several.
fn check_syncs(conversation: &Conversation, mode: &[&str]) {
    let mut executes = 0;
    for message in &conversation.messages {
        match message.kind {
            'E' => executes += 1,
            'S' => {
                assert!(executes <= 1, "{mode:?}: {executes} queries share a Sync");
                executes = 0;
            }
            _ => {}
        }
        if let Some(statement) = message.statement() {
            let lower = statement.trim().trim_end_matches(';').to_lowercase();
            assert!(!lower.contains(';'), "{mode:?}: several statements in one: {statement}");
            if lower.contains("from world") {
                assert!(
                    !lower.contains(" in ") && !lower.contains("any"),
                    "{mode:?}: many rows at once: {statement}"
                );
            }
        }
    }
    assert_eq!(executes, 0, "{mode:?}: a query without a Sync");
}

#[test]
fn every_query_has_its_own_sync() {
    let database = TestDatabase::create();
    for mode in MODES {
        let forwarder = Forwarder::start();
        let server = start_through(&forwarder, &database, mode);
        let routes =
            ["/db", "/queries?queries=20", "/updates?queries=20", "/fortunes", "/queries?queries=500"];
        let targets: Vec<String> = routes.iter().cycle().take(50).map(|route| (*route).to_owned()).collect();
        for response in answers_at_once(&server, &targets) {
            assert_eq!(response.status, 200, "{mode:?}: {response:?}");
        }
        let conversations = forwarder.conversations();
        assert_eq!(total(&conversations, 'B'), total(&conversations, 'E'), "{mode:?}: Binds and Executes");
        assert!(total(&conversations, 'S') >= total(&conversations, 'E'), "{mode:?}: Syncs and Executes");
        for conversation in &conversations {
            check_syncs(conversation, mode);
        }
    }
}

#[test]
fn n_rows_are_n_executes_of_one_row_each() {
    let database = TestDatabase::create();
    for mode in MODES {
        let forwarder = Forwarder::start();
        let server = start_through(&forwarder, &database, mode);
        let mut client = server.connect();
        // Connections are opened and statements prepared on first use.
        for _ in 0..20 {
            client.get("/queries?queries=20");
        }
        let before = total(&forwarder.conversations(), 'E');
        let (calls, rows) = database.world_selects();
        for count in [1, 20, 500] {
            assert_eq!(worlds(&client.get(&format!("/queries?queries={count}"))).len(), count);
        }
        assert_eq!(total(&forwarder.conversations(), 'E') - before, 521, "{mode:?}");
        let (calls_after, rows_after) = database.world_selects();
        assert_eq!((calls_after - calls, rows_after - rows), (521, 521), "{mode:?}");
    }
}

#[test]
fn equal_queries_at_once_are_not_made_one() {
    let database = TestDatabase::create();
    let forwarder = Forwarder::start();
    let server = start_through(&forwarder, &database, &[]);
    get(&server, "/fortunes");
    let fortunes = || {
        let statements = database.statements();
        statements
            .iter()
            .filter(|one| one.text.to_lowercase().contains("from fortune"))
            .map(|one| one.calls)
            .sum()
    };
    let before: i64 = fortunes();
    answers_at_once(&server, &vec!["/fortunes".to_owned(); 64]);
    crate::harness::wait_until("64 reads", std::time::Duration::from_secs(5), || {
        (fortunes() >= before + 64).then_some(())
    });
    assert_eq!(fortunes(), before + 64);
}

#[test]
fn statements_are_prepared_once_for_each_database_connection() {
    let database = TestDatabase::create();
    for dispatch in ["pipelined", "exclusive"] {
        let forwarder = Forwarder::start();
        let server = start_through(&forwarder, &database, &["--dispatch", dispatch]);
        for _ in 0..5 {
            answers_at_once(&server, &vec!["/updates?queries=20".to_owned(); 20]);
            answers_at_once(&server, &vec!["/fortunes".to_owned(); 20]);
        }
        for conversation in forwarder.conversations() {
            let mut statements: Vec<String> = conversation
                .messages
                .iter()
                .filter(|message| message.kind == 'P')
                .filter_map(Message::statement)
                .collect();
            let all = statements.len();
            statements.sort();
            statements.dedup();
            assert_eq!(statements.len(), all, "{dispatch}: prepared twice on one connection: {statements:?}");
        }
    }
}

#[test]
fn unnamed_statements_leave_nothing_behind_on_a_database_connection() {
    let database = TestDatabase::create();
    for dispatch in ["pipelined", "exclusive"] {
        let forwarder = Forwarder::start();
        let server =
            start_through(&forwarder, &database, &["--dispatch", dispatch, "--statements", "unnamed"]);
        answers_at_once(&server, &vec!["/updates?queries=20".to_owned(); 20]);
        answers_at_once(&server, &vec!["/fortunes".to_owned(); 20]);
        for conversation in forwarder.conversations() {
            for message in conversation.messages.iter().filter(|message| message.kind == 'P') {
                assert_eq!(message.content.first(), Some(&0), "a name: {message:?}");
            }
        }
    }
}

#[test]
fn the_update_runs_under_a_generic_plan() {
    let database = TestDatabase::create();
    let forwarder = Forwarder::start();
    let server = start_through(&forwarder, &database, &[]);
    assert_eq!(get(&server, "/updates?queries=20").status, 200);
    let said = forwarder.conversations().iter().any(|conversation| {
        let update = |message: &Message| {
            message.statement().is_some_and(|statement| statement.to_lowercase().contains("unnest"))
        };
        let plan = |text: &[u8]| String::from_utf8_lossy(text).contains("force_generic_plan");
        let set =
            plan(&conversation.startup) || conversation.messages.iter().any(|message| plan(&message.content));
        conversation.messages.iter().any(update) && set
    });
    assert!(said, "no connection that updates by unnest asks for a generic plan");
}

#[test]
fn a_request_uses_no_more_database_connections_than_the_plan() {
    let database = TestDatabase::create();
    for (dispatch, flags) in
        [("pipelined", ["--pool-per-core", "4"]), ("exclusive", ["--database-max-conn", "5"])]
    {
        let forwarder = Forwarder::start();
        let server = start_through(&forwarder, &database, &["--dispatch", dispatch, flags[0], flags[1]]);
        let planned: usize = server.wait_for_line("pool", |line| {
            line.trim().strip_prefix("pool")?.trim().split(' ').next()?.parse().ok()
        });
        answers_at_once(&server, &vec!["/queries?queries=20".to_owned(); 256]);
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND pid <> pg_backend_pid()";
        let opened = database.admin().number(open);
        assert!(opened <= i64::try_from(planned).unwrap(), "{dispatch}: {opened} connections of {planned}");
        assert!(opened > 0);
    }
}
