//! The page while nobody answers, and while nobody looks.
//!
//! **Invariant:** the service is really gone, and really comes back.

use serde_json::json;

use super::{Stand, WIDE, figure, open_page, origin_of, setup};
use crate::harness::{Browser, TestDatabase, unused_port};

#[test]
fn it_says_that_the_service_is_away_and_goes_on_when_it_is_back() {
    let database = TestDatabase::create();
    let port = unused_port();
    let mut server = setup(&database, port).start();
    let origin = origin_of(&server);
    let mut browser = Browser::start(WIDE);
    open_page(&mut browser, &origin);
    server.stop();
    browser.wait_for("document.getElementById('link').dataset.state === 'away'");
    let said = browser.evaluate("document.getElementById('link').innerText");
    assert!(said.as_str().is_some_and(|text| text.starts_with("away for ")), "{said}");
    let told = browser.evaluate("document.querySelector('[role=status]').textContent");
    assert!(told.as_str().is_some_and(|text| text.contains("The service is away")), "{told}");
    assert_eq!(browser.evaluate("document.title"), json!("away – Plimsoll"));
    assert!(browser.evaluate(&figure("uptime_s")).as_f64() > Some(0.0), "the last figures stay");

    let again = setup(&database, port).start();
    assert_eq!(origin_of(&again), origin);
    browser.wait_for("document.getElementById('link').dataset.state === 'live'");
    browser.wait_for(&format!("document.getElementById('service').innerText.includes('{}')", again.pid()));
    let told = browser.evaluate("document.querySelector('[role=status]').textContent");
    assert_eq!(told, json!("The service answers again."));
}

#[test]
fn it_asks_nothing_while_hidden_and_at_once_when_seen() {
    let mut stand = Stand::start(WIDE);
    let browser = &mut stand.browser;
    let turn = |hidden: bool| {
        format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }}); \
             document.dispatchEvent(new Event('visibilitychange'))"
        )
    };
    browser.evaluate("window.asked = 0; const real = fetch; window.fetch = (...words) => { window.asked += 1; return real(...words); }");
    // The page's clock runs ahead of ours, so that ten seconds pass without anybody waiting for them.
    let ahead = json!({ "policy": "pauseIfNetworkFetchesPending", "budget": 10_000 });
    browser.evaluate(&turn(true));
    browser.call("Emulation.setVirtualTimePolicy", &ahead);
    browser.wait_for_event("Emulation.virtualTimeBudgetExpired");
    assert_eq!(browser.evaluate("window.asked"), json!(0), "nobody looks");
    browser.evaluate(&turn(false));
    browser.call("Emulation.setVirtualTimePolicy", &ahead);
    browser.wait_for_event("Emulation.virtualTimeBudgetExpired");
    let asked = browser.evaluate("window.asked").as_u64().expect("a count");
    assert!((5..=11).contains(&asked), "each second somebody looks: {asked}");
}
