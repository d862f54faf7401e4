//! The databases' hosts on the page: a real replica that falls behind and comes back.
//!
//! **Invariant:** as of the folder.

use serde_json::json;

use super::{WIDE, open_page, origin_of};
use crate::cluster::{mark, mark_both, pair, serve};
use crate::harness::Browser;

const TEXT: &str = "document.querySelector('#hosts-card').innerText";

#[test]
#[ignore = "ten seconds: make cluster-test"]
fn a_replica_is_shown_and_told_to_be_left_out_while_it_is_too_far_behind() {
    let (primary, standby) = pair();
    let (admin, other) = (primary.administer("rows"), standby.administer("rows"));
    mark_both(&admin, &standby, 1);
    let server = serve(primary.port(), &[standby.port()], "")
        .args(&["--max-replica-lag", "1s", "--admin", "127.0.0.1:0"])
        .start();
    let mut browser = Browser::start(WIDE);
    open_page(&mut browser, &origin_of(&server));
    let state =
        "[...document.querySelectorAll('#hosts tbody tr')].map((row) => row.cells[3].innerText).join()";
    browser.wait_for(&format!("{state} === 'in use,in use'"));
    let names =
        browser.evaluate("[...document.querySelectorAll('#hosts tbody th')].map((name) => name.innerText)");
    let expected = [primary.port(), standby.port()].map(|port| format!("127.0.0.1:{port}"));
    assert_eq!(names, json!(expected));
    assert_eq!(browser.evaluate("document.querySelector('#left-out').hidden"), json!(true));
    other.run("SELECT pg_wal_replay_pause()");
    mark(&admin, 2);
    browser.wait_for(&format!("{state} === 'in use,left out'"));
    let text = browser.evaluate(TEXT);
    let text = text.as_str().expect("a text");
    assert!(text.contains("0 of 1 host in use for reads"), "{text}");
    assert!(text.contains("and --max-replica-lag is 1s"), "{text}");
    other.run("SELECT pg_wal_replay_resume()");
    browser.wait_for(&format!("{state} === 'in use,in use' && {TEXT}.includes('1 of 1 host')"));
}
