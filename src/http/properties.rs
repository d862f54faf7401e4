//! What holds of any request target and any `Host`.
//!
//! **Invariant:** each model here is written apart from the code that it judges.

use hyper::Uri;

use super::{count, framing, router};
use crate::telemetry::by::Label as _;
use crate::telemetry::labels::Route;

/// Reads a target up to the first line feed, and a `Host` behind it.
///
/// # Panics
/// Where a count, a path or a host reads differently from its model.
pub(crate) fn check_target(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (target, host) = bytes.split_at(end);
    check_host(host.get(1..).unwrap_or_default());
    let Ok(uri) = Uri::try_from(target) else { return };
    for key in ["queries", "count"] {
        let read = count::read(uri.query(), key);
        assert_eq!(read, modelled_count(uri.query().unwrap_or_default(), key), "{key} in {uri:?}");
    }
    // Nothing is decoded or tidied up: a path is the bytes that came.
    if target.starts_with(b"/") {
        let path = target.split(|byte| b"?#".contains(byte)).next().unwrap_or_default();
        assert_eq!(uri.path().as_bytes(), path, "the path of {uri:?}");
    }
    let named = |route: &&Route| uri.path().strip_prefix('/') == Some(route.word());
    let others = [Route::Lab, Route::Other, Route::Unframed];
    let route = Route::ALL.iter().find(named).filter(|route| !others.contains(route));
    assert_eq!(router::route_of(uri.path()), *route.unwrap_or(&Route::Other), "the route of {uri:?}");
}

fn modelled_count(query: &str, key: &str) -> u16 {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.find(|(name, _)| *name == key).map(|(_, value)| value).unwrap_or_default();
    let digits = value.trim_start_matches('0');
    if value.is_empty() || value.contains(|letter: char| !letter.is_ascii_digit()) {
        1
    } else if digits.len() > 3 {
        500
    } else {
        digits.parse::<u16>().unwrap_or(0).clamp(1, 500)
    }
}

/// What is taken for a host is one for hyper's library too, and holds nothing that ends a host, a header or a line.
fn check_host(host: &[u8]) {
    if !framing::is_valid_host(host) {
        return;
    }
    let harmless = |byte: &u8| byte.is_ascii_graphic() && !b"@/?#\\\"<>^`{|}".contains(byte);
    assert!(host.iter().all(harmless), "taken for a host: {:?}", host.escape_ascii().to_string());
    let Ok(text) = std::str::from_utf8(host) else { return };
    assert!(!text.is_empty() && !text.starts_with(':'), "a host without a name");
    // The library knows no percent-encoded host, which the standard does (RFC 3986, section 3.2.2).
    if !text.contains('%') {
        let uri = Uri::builder().scheme("http").authority(text).path_and_query("/").build();
        assert!(uri.is_ok(), "{text:?} is no authority: {uri:?}");
    }
}
