//! What is shown is what the service said, and reaches those who see no chart.
//!
//! **Invariant:** a figure is compared with the answer that it was made of: the page names the moment, the browser kept the body.

use serde_json::{Value, json};

use super::{Stand, WIDE, figure};
use crate::harness::Browser;

/// Which moment the page shows, and all its figures: path, exact value, text.
const SHOWN: &str = "({ at: Number(document.documentElement.dataset.at), figures: [...document.querySelectorAll('[data-figure]')]\
    .map((node) => [node.dataset.figure, node.value, node.textContent]) })";

/// The answer that the page shows, as the browser received it.
fn answer_of(browser: &mut Browser, at: &Value) -> Value {
    let answers = browser.events("Network.responseReceived");
    let asked =
        |event: &&Value| event["response"]["url"].as_str().is_some_and(|url| url.ends_with("/status.json"));
    for event in answers.iter().rev().filter(asked) {
        let body = browser.call("Network.getResponseBody", &json!({ "requestId": event["requestId"] }));
        let status: Value = serde_json::from_str(body["body"].as_str().expect("a body")).expect("a status");
        if status["at_unix_ms"] == *at {
            return status;
        }
    }
    panic!("the page shows a moment that nobody told it of: {at}")
}

#[test]
fn every_figure_is_that_of_the_answer_it_was_made_of() {
    let mut stand = Stand::start(WIDE);
    stand.load(300);
    let shown = stand.browser.evaluate(SHOWN);
    let status = answer_of(&mut stand.browser, &shown["at"]);
    let mut compared = 0;
    for figure in shown["figures"].as_array().expect("figures") {
        let (path, value, text) = (&figure[0], figure[1].as_str().expect("a value"), &figure[2]);
        let path = path.as_str().expect("a path");
        if path.starts_with("derived.") {
            continue;
        }
        let told = status.pointer(&format!("/{}", path.replace('.', "/")));
        match told.and_then(Value::as_f64) {
            Some(told) => {
                let shown: f64 = value.parse().unwrap_or_else(|_| panic!("{path} is shown as {value:?}"));
                assert!((shown - told).abs() <= told.abs() * 1e-12, "{path}: {shown} for {told}");
            }
            None => assert_eq!((value, text), ("", &json!("–")), "{path} was not told"),
        }
        compared += 1;
    }
    assert!(compared >= 20, "{compared} figures");
    let browser = &mut stand.browser;
    assert_eq!(browser.evaluate(&figure("derived.requests")), json!(300), "all requests, and no others");
    let pool = &status["now"]["pool"];
    let in_use = pool["size"].as_f64().expect("a size") - pool["available"].as_f64().expect("a number");
    assert_eq!(browser.evaluate(&figure("derived.in_use")).as_f64(), Some(in_use));
    let rows = browser.evaluate("[document.querySelectorAll('#workers .worker').length, document.querySelectorAll('#bars li').length]");
    assert_eq!(rows, json!([2, 2]), "a line and a bar for each worker");
    let totals = browser.evaluate("document.querySelector('#workers tfoot').innerText");
    assert!(totals.as_str().is_some_and(|text| text.contains("300")), "{totals}");
}

#[test]
fn charts_speak_and_are_walked_by_keys() {
    let mut stand = Stand::start(WIDE);
    stand.load(20);
    let browser = &mut stand.browser;
    browser.wait_for("document.querySelector('[data-chart=throughput] .plot .line') !== null");
    let axis =
        "[...document.querySelectorAll('[data-chart=errors] .plot text')].map((text) => text.textContent)";
    let axis = browser.evaluate(axis);
    let ticks: Vec<&Value> =
        axis.as_array().expect("texts").iter().filter(|text| *text != "5xx answers a second").collect();
    assert_eq!(ticks[0], "0", "no errors are drawn on an axis from 0 on: {axis}");
    assert!(ticks.iter().any(|text| *text == "1"), "to 1: {axis}");
    let tree = browser.call("Accessibility.getFullAXTree", &json!({}));
    let named = |role: &str| -> Vec<String> {
        let nodes = tree["nodes"].as_array().expect("nodes").iter();
        let nodes = nodes.filter(|node| node["ignored"] == false && node["role"]["value"] == role);
        nodes.map(|node| node["name"]["value"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let charts = named("image");
    assert_eq!(charts.len(), 7, "six charts and the scale: {charts:?}");
    assert_eq!(
        charts.iter().filter(|name| name.contains("over the last five minutes")).count(),
        6,
        "{charts:?}"
    );
    assert!(charts.iter().any(|name| name.contains("the rule says 3 to 6")), "{charts:?}");
    for (role, count) in
        [("slider", 6), ("banner", 1), ("main", 1), ("contentinfo", 1), ("status", 1), ("table", 1)]
    {
        assert_eq!(named(role).len(), count, "{role}");
    }
    assert!(named("slider").iter().all(|name| !name.is_empty()));
    let headings = browser
        .evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].filter((node) => node.checkVisibility()).map((node) => node.tagName).join(' ')");
    assert_eq!(headings, json!("H1 H2 H2 H2 H2 H2 H2 H2 H2"));
    assert_eq!(browser.evaluate("document.documentElement.lang"), json!("en"));

    let focused = "document.activeElement.closest('[data-chart=throughput]') !== null && document.activeElement.type === 'range'";
    let mut presses = 0;
    while browser.evaluate(focused) != true {
        presses += 1;
        assert!(presses <= 10, "the first chart is reached by the tabulator");
        browser.press("Tab", 9);
    }
    let outline = "getComputedStyle(document.querySelector('[data-chart=throughput] .plot')).outlineStyle";
    assert_eq!(browser.evaluate(outline), json!("solid"), "the focus is seen");
    browser.press("ArrowLeft", 37);
    browser.wait_for(
        "document.querySelector('[data-chart=throughput] .readout').textContent.includes('s ago: answered')",
    );
    let spoken = browser.evaluate("document.activeElement.getAttribute('aria-valuetext')");
    assert!(spoken.as_str().is_some_and(|text| text.contains("s ago: answered")), "{spoken}");
    browser.press("Escape", 27);
    browser.wait_for("document.querySelector('[data-chart=throughput] .cross') === null");
}

#[test]
fn the_page_asks_its_own_place_only_and_is_held_to_that() {
    let mut stand = Stand::start(WIDE);
    stand.load(20);
    let (browser, origin) = (&mut stand.browser, &stand.origin);
    for request in browser.events("Network.requestWillBeSent") {
        let url = request["request"]["url"].as_str().expect("a URL");
        let ours = [format!("{origin}/"), format!("{origin}/status.json")].iter().any(|known| known == url);
        assert!(ours || url.starts_with("data:"), "{url}");
    }
    for event in ["Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"] {
        let told: Vec<String> = browser.events(event).iter().take(3).map(Value::to_string).collect();
        assert_eq!(told, Vec::<String>::new(), "{event}");
    }
    let refused = "new Promise((told) => { document.addEventListener('securitypolicyviolation', (event) => \
        told(event.effectiveDirective), { once: true }); ATTEMPT })";
    let attempts = [
        ("fetch('http://127.0.0.1:9/').catch(() => {})", "connect-src"),
        (
            "document.body.append(Object.assign(document.createElement('script'), { textContent: '0' }))",
            "script-src-elem",
        ),
        (
            "document.body.append(Object.assign(document.createElement('style'), { textContent: 'p {}' }))",
            "style-src-elem",
        ),
        ("document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.1:9/' }))", "img-src"),
    ];
    for (attempt, directive) in attempts {
        assert_eq!(browser.evaluate(&refused.replace("ATTEMPT", attempt)), json!(directive), "{attempt}");
    }
}
