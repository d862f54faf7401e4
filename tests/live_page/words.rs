//! What the page makes of statuses that a test service does not come by.
//!
//! **Invariant:** each is the real status with a field or two changed.

use serde_json::{Value, json};

use super::{Stand, WIDE};

/// Has the page show the service's status with changes, each a path and a value.
fn show(stand: &mut Stand, changes: &[(&str, Value)]) {
    let mut status = stand.browser.evaluate("real('status.json').then((answer) => answer.json())");
    for (path, value) in changes {
        let field = status.pointer_mut(path);
        *field.unwrap_or_else(|| panic!("no {path} in the status")) = value.clone();
    }
    let at = status["at_unix_ms"].clone();
    stand.browser.evaluate(&format!(
        "window.status_shown = {status}; document.dispatchEvent(new Event('visibilitychange'))"
    ));
    if status["version"] == 1 {
        stand.browser.wait_for(&format!("document.documentElement.dataset.at === '{at}'"));
    }
}

fn stand() -> Stand {
    let mut stand = Stand::start(WIDE);
    stand.load(20);
    let stub = "window.real = window.fetch.bind(window); window.fetch = async (...words) => \
        window.status_shown ? new Response(JSON.stringify(window.status_shown)) : real(...words); 0";
    stand.browser.evaluate(stub);
    stand
}

fn text_of(stand: &mut Stand, selector: &str) -> String {
    let text = stand.browser.evaluate(&format!("document.querySelector({}).innerText", json!(selector)));
    text.as_str().unwrap_or_else(|| panic!("{selector}: {text}")).replace('\u{202f}', " ")
}

#[test]
fn numbers_have_three_digits_and_a_unit() {
    let mut stand = stand();
    let requests = [
        (0.0, "0 /s"),
        (0.5, "0.500 /s"),
        (999.4, "999 /s"),
        (999.6, "1.00 k/s"),
        (12_345.6, "12.3 k/s"),
        (2.5e6, "2.50 M/s"),
    ];
    for (value, written) in requests {
        show(&mut stand, &[("/recent/requests", json!(value))]);
        assert_eq!(text_of(&mut stand, "[data-figure='recent.requests']"), written);
    }
    for (value, written) in [(0.4, "0.400 µs"), (38.24, "38.2 µs"), (999.96, "1.00 ms"), (1.5e6, "1.50 s")]
    {
        show(&mut stand, &[("/recent/request/p99_us", json!(value))]);
        assert_eq!(text_of(&mut stand, "[data-figure='recent.request.p99_us']"), written);
    }
    for (value, written) in
        [(0.4, "0 s"), (59.9, "59 s"), (61.0, "1 min 1 s"), (3_600.0, "1 h 0 min"), (200_000.0, "2 d 7 h")]
    {
        show(&mut stand, &[("/uptime_s", json!(value))]);
        assert_eq!(text_of(&mut stand, "[data-figure='uptime_s']"), written);
    }
}

#[test]
fn the_rule_is_judged_by_the_measured_multiplier() {
    let mut stand = stand();
    for (multiplier, words) in
        [(2.9, "below 3:"), (3.0, "within 3 to 6"), (6.0, "within 3 to 6"), (6.1, "above 6:")]
    {
        let implied = json!({
            "in_flight": 4.0, "waiting": 3.0, "wait_to_work": multiplier - 1.0, "multiplier": multiplier,
            "connections": 13, "most_rate": 50_000.0
        });
        show(&mut stand, &[("/implied", implied), ("/recent/cpu_us", json!(40.0))]);
        let said = text_of(&mut stand, "#implied");
        assert!(said.contains(words) && said.contains("13 connections"), "{multiplier}: {said}");
    }
    show(&mut stand, &[("/implied", Value::Null)]);
    assert!(text_of(&mut stand, "#implied").contains("nothing follows"));
    let named = stand.browser.evaluate("document.getElementById('scale').getAttribute('aria-label')");
    assert!(named.as_str().is_some_and(|name| name.contains("nothing is implied yet")), "{named}");
}

#[test]
fn hosts_are_shown_where_reads_have_their_own_and_their_names_are_text() {
    let mut stand = stand();
    let is_hidden = "document.querySelector('#hosts-card').hidden";
    assert_eq!(stand.browser.evaluate(is_hidden), json!(true), "reads go where writes do");
    let host = |side: &str, at: &str, lag: Value, why: Value| {
        json!({
            "side": side, "at": at, "role": "standby", "lag_ms": lag, "in_use": why.is_null(), "left_out": why, "open": 3,
            "served": 1_234, "served_rate": 12.5
        })
    };
    let mut primary = host("writes", "db1:5432", Value::Null, json!("connection refused"));
    for field in ["role", "served", "served_rate"] {
        primary[field] = Value::Null;
    }
    let odd = "<img src=x onerror=alert(1)>:5432";
    let hosts = json!([
        primary,
        host("reads", "db2:5432", json!(250), Value::Null),
        host("reads", odd, json!(12_000), json!("<b>late</b>"))
    ]);
    show(&mut stand, &[("/hosts", hosts)]);
    assert_eq!(stand.browser.evaluate(is_hidden), json!(false));
    let cells = "JSON.stringify([...document.querySelectorAll('#hosts tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText)))";
    let cells = stand.browser.evaluate(cells).as_str().expect("a text").replace('\u{202f}', " ");
    let cells: Value = serde_json::from_str(&cells).expect("a list");
    assert_eq!(
        cells,
        json!([
            ["db1:5432", "writes", "–", "away", "–", "3", "–", "–"],
            ["db2:5432", "reads", "standby", "in use", "250 ms", "3", "1,234", "12.5 /s"],
            [odd, "reads", "standby", "left out", "12.0 s", "3", "1,234", "12.5 /s"]
        ])
    );
    let why = format!("db1:5432 is away: connection refused\n{odd} is left out: <b>late</b>");
    assert_eq!(text_of(&mut stand, "#left-out"), why);
    assert_eq!(
        stand.browser.evaluate("document.querySelectorAll('#hosts-card :is(img, b)').length"),
        json!(0)
    );
    show(&mut stand, &[]);
    assert_eq!(stand.browser.evaluate(is_hidden), json!(true));
}

#[test]
fn what_is_told_is_shown_as_text_and_never_as_a_page() {
    let mut stand = stand();
    let reason = "the database is not reached: <img src=x onerror=alert(1)>";
    let changes = [
        ("/ready", json!(false)),
        ("/not_ready", json!([reason])),
        ("/service/version", json!("<b>1</b>")),
        ("/accept_skew/meaning", json!("<script>0</script>")),
        ("/history", json!([])),
        (
            "/recent/request",
            json!({ "count": 0, "mean_us": null, "p50_us": null, "p90_us": null, "p99_us": null }),
        ),
    ];
    show(&mut stand, &changes);
    assert_eq!(text_of(&mut stand, "#reasons"), reason);
    assert!(text_of(&mut stand, "#ready").contains("not ready"));
    assert_eq!(text_of(&mut stand, "#skew"), "<script>0</script>");
    assert_eq!(text_of(&mut stand, "[data-figure='recent.request.p99_us']"), "–");
    assert_eq!(
        stand.browser.evaluate("document.querySelectorAll('img, b, body script:not([type])').length"),
        json!(0)
    );
    let all = text_of(&mut stand, "body");
    assert!(!["NaN", "undefined", "null", "Infinity"].iter().any(|odd| all.contains(odd)), "{all}");
    show(&mut stand, &[("/version", json!(2))]);
    stand.browser.wait_for("document.getElementById('link').innerText.includes('load this page again')");
}
