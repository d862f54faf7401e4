//! The query of a request, and the filter in it.
//!
//! **Invariant:** a word that is not known is refused, so that a slip of the pen is not taken for an answer.

use std::net::IpAddr;

use crate::telemetry::by::Label as _;
use crate::telemetry::labels::ConnectionState;
use crate::telemetry::listing::{Filter, MOST_ROWS};

/// Names with their values.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Reads `state=idle&peer=127.0.0.1&idle_for_s=10&rows=50`, each of which may be missing.
pub(super) fn filter(text: &str) -> Result<Filter, String> {
    let mut filter = Filter::default();
    for (name, value) in pairs(text) {
        // The colons of an IPv6 address may come encoded (RFC 3986, section 2.1).
        let value = value.replace("%3A", ":").replace("%3a", ":");
        match name {
            "state" => filter.state = Some(state(&value)?),
            "peer" => {
                let peer = value.parse::<IpAddr>();
                filter.peer =
                    Some(peer.map_err(|_| format!("peer is an address without a port, not `{value}`"))?);
            }
            "idle_for_s" => {
                let seconds = value.parse();
                filter.idle_for_s = Some(
                    seconds.map_err(|_| format!("idle_for_s is a whole number of seconds, not `{value}`"))?,
                );
            }
            "rows" => {
                let rows = value.parse().ok().filter(|rows| *rows <= MOST_ROWS);
                filter.rows =
                    rows.ok_or_else(|| format!("rows is a number up to {MOST_ROWS}, not `{value}`"))?;
            }
            _ => return Err(format!("there is no `{name}`: state, peer, idle_for_s and rows are known")),
        }
    }
    Ok(filter)
}

fn state(word: &str) -> Result<ConnectionState, String> {
    let found = ConnectionState::ALL.iter().find(|state| state.word() == word);
    found.copied().ok_or_else(|| {
        let words: Vec<&str> = ConnectionState::ALL.iter().map(|state| state.word()).collect();
        format!("there is no state `{word}`: {} are known", words.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_and_a_slip_of_the_pen_is_refused() {
        let expected = Filter {
            state: Some(ConnectionState::Parked),
            peer: Some("::1".parse().unwrap()),
            idle_for_s: Some(10),
            rows: 50,
        };
        assert_eq!(filter("state=parked&peer=%3A%3A1&idle_for_s=10&rows=50"), Ok(expected));
        assert_eq!(filter(""), Ok(Filter::default()));
        assert_eq!(filter("rows=10000").map(|filter| filter.rows), Ok(10_000));
        for (text, word) in [
            ("state=sleeping", "parked"),
            ("peer=127.0.0.1:80", "without a port"),
            ("idle_for_s=1.5", "whole"),
            ("rows=10001", "10000"),
            ("row=5", "rows"),
        ] {
            let why = filter(text).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }
}
