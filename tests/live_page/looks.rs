//! How the page looks: on a phone, in light and dark.
//!
//! **Invariant:** what is checked is what the browser laid out and painted, not what the style says.

use serde_json::{Value, json};

use super::{PHONE, Stand, WIDE};
use crate::harness::Window;

const CONTRAST: &str = include_str!("contrast.js");

#[test]
fn it_fits_a_phone_without_scrolling_sideways() {
    let mut stand = Stand::start(PHONE);
    stand.load(50);
    let browser = &mut stand.browser;
    browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
    browser.wait_for("document.querySelector('details td') !== null");
    assert_eq!(browser.evaluate("[innerWidth, document.documentElement.scrollWidth]"), json!([360, 360]));
    let drawn = "[...document.querySelectorAll('.plot svg')].every((svg) => svg.getBBox().width > 250 && svg.getBBox().x >= -1)";
    assert_eq!(browser.evaluate(drawn), json!(true), "charts fill the width, and nothing of them is cut off");
    browser.look(Window { width: 1280, ..PHONE });
    browser.wait_for("document.querySelector('.plot svg').viewBox.baseVal.width > 400");
}

#[test]
fn words_stand_out_in_light_and_dark() {
    let mut stand = Stand::start(WIDE);
    stand.load(50);
    let mut papers = Vec::new();
    for dark in [false, true] {
        stand.browser.look(Window { dark, ..WIDE });
        papers.push(stand.browser.evaluate("getComputedStyle(document.body).backgroundColor"));
        let seen = stand.browser.evaluate(CONTRAST);
        assert!(seen["looked"].as_u64() > Some(100), "{seen}");
        assert_eq!(seen["faint"], Value::Array(Vec::new()), "dark: {dark}");
    }
    assert_ne!(papers[0], papers[1], "there are two schemes");
}

#[test]
fn nothing_moves_once_it_is_there() {
    let mut stand = Stand::start(WIDE);
    let watch = "window.shift = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.shift += entry.value; })\
        .observe({ type: 'layout-shift', buffered: true })";
    stand.browser.evaluate(watch);
    stand.load(200);
    let shift = stand.browser.evaluate("window.shift").as_f64().expect("a sum");
    // What browsers' makers call good is 0.1 over a page's whole life (Core Web Vitals, cumulative layout shift).
    assert!(shift < 0.1, "{shift}");
}
