//! The bounds of every setting that is a number or a time: the ends are taken, and what lies beyond either is refused.
//!
//! docs/reliability.md shows them as a table.
//!
//! **Invariant:** a setting that takes a number or a time stands here, or the first test fails.

use std::collections::BTreeSet;

use clap::FromArgMatches as _;
use clap::error::ErrorKind;

use plimsoll::config::{LimitsArgs, LoadArgs};

/// One setting.
struct Bound {
    /// The command, and what must stand beside the flag; the flag's value may stand alone for one without a name.
    words: &'static str,
    flag: &'static str,
    /// The least and the most that are taken.
    ends: [&'static str; 2],
    /// What is refused below and above.
    beyond: [&'static str; 2],
}

const fn bound(
    words: &'static str,
    flag: &'static str,
    ends: [&'static str; 2],
    beyond: [&'static str; 2],
) -> Bound {
    Bound { words, flag, ends, beyond }
}

const DAY: [&str; 2] = ["1ns", "24h"];
const DAY_OR_NONE: [&str; 2] = ["0s", "24h"];
const BEYOND_A_DAY: [&str; 2] = ["0s", "24h 1ns"];
const BEYOND_NONE: [&str; 2] = ["-1ns", "24h 1ns"];
const COUNT: [&str; 2] = ["1", "4294967295"];
const BEYOND_COUNT: [&str; 2] = ["0", "4294967296"];
const PORTS: [&str; 2] = ["0", "65535"];
const BEYOND_PORTS: [&str; 2] = ["-1", "65536"];
const PER_CORE: [&str; 2] = ["0.001", "1000"];
const BEYOND_PER_CORE: [&str; 2] = ["0", "1000.001"];
const THOUSAND: [&str; 2] = ["1", "1024"];
const BEYOND_THOUSAND: [&str; 2] = ["0", "1025"];
const HOLD: &str = "load http://a --hold=10";

const BOUNDS: [Bound; 65] = [
    bound("serve", "port", PORTS, BEYOND_PORTS),
    bound("serve", "processes", THOUSAND, BEYOND_THOUSAND),
    bound("serve", "workers", THOUSAND, BEYOND_THOUSAND),
    bound("serve", "private-pg-tcp", ["1", "65535"], ["0", "65536"]),
    bound("serve", "pool-per-core", PER_CORE, BEYOND_PER_CORE),
    bound("serve", "pool-bounds", ["0.001-0.001", "1000-1000"], ["0-6", "3-1000.001"]),
    bound("serve", "max-waiting", COUNT, BEYOND_COUNT),
    bound("serve", "database-max-conn", COUNT, BEYOND_COUNT),
    bound("serve", "max-replica-lag", ["1s", "24h"], ["999ms", "24h 1ns"]),
    bound("serve", "connection-max-age", ["1s", "24h"], ["999ms", "24h 1ns"]),
    bound("serve", "database-wait", DAY, BEYOND_A_DAY),
    bound("serve", "request-deadline", DAY, BEYOND_A_DAY),
    bound("serve", "idle-timeout", DAY, BEYOND_A_DAY),
    bound("serve", "header-timeout", DAY, BEYOND_A_DAY),
    bound("serve", "park-after", DAY_OR_NONE, BEYOND_NONE),
    bound("serve", "max-connections", ["1", "18446744073709551615"], ["0", "18446744073709551616"]),
    bound("serve", "drain-grace", DAY_OR_NONE, BEYOND_NONE),
    bound("serve", "drain-deadline", DAY_OR_NONE, BEYOND_NONE),
    bound("health", "port", PORTS, BEYOND_PORTS),
    bound("status", "port", PORTS, BEYOND_PORTS),
    bound("status", "watch", ["0.2", "24h"], ["0.199", "86401"]),
    bound("connections", "port", PORTS, BEYOND_PORTS),
    bound("connections", "idle-for", DAY, BEYOND_A_DAY),
    bound("connections", "rows", ["0", "10000"], ["-1", "10001"]),
    bound("top", "port", PORTS, BEYOND_PORTS),
    bound("top", "every", ["0.2", "24h"], ["0.199", "86401"]),
    bound("pool resize", "", PER_CORE, BEYOND_PER_CORE),
    bound("pool resize", "total", COUNT, BEYOND_COUNT),
    bound("pool resize --total=4", "port", PORTS, BEYOND_PORTS),
    bound("pool pause", "port", PORTS, BEYOND_PORTS),
    bound("pool resume", "port", PORTS, BEYOND_PORTS),
    bound("doctor", "connections", ["1", "100000000"], ["0", "100000001"]),
    bound("doctor", "processes", THOUSAND, BEYOND_THOUSAND),
    bound("doctor", "nodes", ["1", "100000"], ["0", "100001"]),
    bound("doctor", "sources", COUNT, BEYOND_COUNT),
    bound("doctor", "ports", ["1", "65535"], ["0", "65536"]),
    bound("doctor --capacity=1", "rate", ["0.001", "1000000000"], ["0.0009", "1000000001"]),
    bound("doctor --rate=1", "capacity", ["0.001", "1000000000"], ["0.0009", "1000000001"]),
    bound("doctor", "pool-per-core", PER_CORE, BEYOND_PER_CORE),
    bound("doctor", "database-max-conn", COUNT, BEYOND_COUNT),
    bound("load http://a", "threads", THOUSAND, BEYOND_THOUSAND),
    bound("load http://a", "connections", COUNT, BEYOND_COUNT),
    bound("load http://a", "duration", DAY, BEYOND_A_DAY),
    bound("load http://a", "requests", ["1", "18446744073709551615"], ["0", "18446744073709551616"]),
    bound("load http://a", "rate", ["1", "100000000"], ["0", "100000001"]),
    bound("load http://a", "warm-up", DAY_OR_NONE, BEYOND_NONE),
    bound("load http://a", "pipeline", THOUSAND, BEYOND_THOUSAND),
    bound("load http://a", "timeout", DAY, BEYOND_A_DAY),
    bound("load http://a", "path", ["/=1", "/=1000"], ["/=0", "/=1001"]),
    bound("load http://a", "hold", COUNT, BEYOND_COUNT),
    bound(HOLD, "active", ["0%", "100%"], ["-1%", "100.001%"]),
    bound(HOLD, "open-rate", ["1", "100000000"], ["0", "100000001"]),
    bound(HOLD, "hold-for", DAY, BEYOND_A_DAY),
    bound(HOLD, "processes", COUNT, BEYOND_COUNT),
    bound(HOLD, "sweep-depth", COUNT, BEYOND_COUNT),
    bound("sweep", "pool", ["1", "8192"], ["0", "8193"]),
    bound("sweep", "processes", THOUSAND, BEYOND_THOUSAND),
    bound("sweep", "pipeline", THOUSAND, BEYOND_THOUSAND),
    bound("sweep", "connections", ["1", "100000"], ["0", "100001"]),
    bound("sweep", "rounds", ["1", "1000"], ["0", "1001"]),
    bound("sweep", "seconds", ["0.05", "3600"], ["0.049", "3600.001"]),
    bound("sweep", "warm-up", DAY_OR_NONE, BEYOND_NONE),
    bound("sweep", "threads", THOUSAND, BEYOND_THOUSAND),
    bound("sweep", "db-rtt", ["1ns", "1s"], ["0s", "1s 1ns"]),
    bound("sweep", "db-work", ["1ns", "1s"], ["0s", "1s 1ns"]),
];

/// What a number or a time is called in a help text.
const NUMBERS: [&str; 11] =
    ["N", "N-N", "N,N…", "TIME", "SECONDS", "PORT", "SHARE", "PER_CORE", "PATH[=WEIGHT]", "R", "C"];

impl Bound {
    fn command(&self) -> String {
        self.words.split(' ').take_while(|word| !word.contains(['-', ':'])).collect::<Vec<_>>().join(" ")
    }

    fn read(&self, value: &str) -> Result<clap::ArgMatches, clap::Error> {
        let flag = match self.flag {
            "" => vec!["--".to_owned(), value.to_owned()],
            flag => vec![format!("--{flag}={value}")],
        };
        let words = std::iter::once("plimsoll").chain(self.words.split(' ')).map(str::to_owned);
        plimsoll::cli::command().try_get_matches_from(words.chain(flag))
    }
}

#[test]
fn every_setting_that_is_a_number_or_a_time_has_its_bounds_here() {
    fn look(command: &clap::Command, path: &str, found: &mut BTreeSet<(String, String)>) {
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let names = argument.get_value_names().unwrap_or_default();
            if names.iter().any(|name| NUMBERS.contains(&name.as_str())) {
                found.insert((path.to_owned(), argument.get_long().unwrap_or_default().to_owned()));
            }
        }
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            look(sub, format!("{path} {}", sub.get_name()).trim_start(), found);
        }
    }
    let mut found = BTreeSet::new();
    look(&plimsoll::cli::command(), "", &mut found);
    let here: BTreeSet<_> = BOUNDS.iter().map(|bound| (bound.command(), bound.flag.to_owned())).collect();
    let missing: Vec<_> = found.difference(&here).collect();
    assert!(missing.is_empty(), "without bounds: {missing:?}");
    let gone: Vec<_> = here.difference(&found).collect();
    assert!(gone.is_empty(), "no such settings: {gone:?}");
}

#[test]
fn the_ends_of_a_setting_are_taken_and_what_lies_beyond_is_refused_as_a_value() {
    for bound in &BOUNDS {
        let Bound { words, flag, .. } = bound;
        for value in bound.ends {
            let read = bound.read(value);
            assert!(read.is_ok(), "{words} --{flag}={value}: {}", read.unwrap_err());
        }
        for value in bound.beyond {
            let refused = bound.read(value).expect_err(value);
            assert!(
                matches!(refused.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue),
                "{words} --{flag}={value}: {refused}"
            );
        }
    }
}

/// What the words of `load` and `serve` make, where they are taken one by one.
fn load(words: &[&str]) -> LoadArgs {
    let words = [&["plimsoll", "load", "http://a"], words].concat();
    let matches = plimsoll::cli::command().try_get_matches_from(words).unwrap();
    LoadArgs::from_arg_matches(matches.subcommand_matches("load").unwrap()).unwrap()
}

fn limits(words: &[&str]) -> LimitsArgs {
    let words = [&["plimsoll", "serve"], words].concat();
    let matches = plimsoll::cli::command().try_get_matches_from(words).unwrap();
    LimitsArgs::from_arg_matches(matches.subcommand_matches("serve").unwrap()).unwrap()
}

#[test]
fn settings_that_are_too_much_together_are_refused_and_just_enough_is_not() {
    assert!(load(&["-c65536", "--pipeline=1024"]).check().is_ok(), "2^26 requests outstanding");
    assert!(load(&["-c65537", "--pipeline=1024"]).check().is_err());
    assert!(limits(&["--drain-grace=1s", "--drain-deadline=1s"]).check().is_ok());
    assert!(limits(&["--drain-grace=1.001s", "--drain-deadline=1s"]).check().is_err());
}

const BEGIN: &str = "<!-- bounds -->\n";
const END: &str = "<!-- /bounds -->";

#[test]
fn the_reliability_page_shows_the_bounds_that_there_are() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reliability.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let rows = BOUNDS.iter().map(|bound| {
        let [least, most] = bound.ends;
        let flag = if bound.flag.is_empty() { "PER_CORE".to_owned() } else { format!("--{}", bound.flag) };
        format!("| `plimsoll {} {flag}` | {least} | {most} |\n", bound.command())
    });
    let table = format!("| setting | at least | at most |\n|---|---|---|\n{}", rows.collect::<String>());
    if std::env::var_os("PLIMSOLL_WRITE_TABLES").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, table, "out of date: PLIMSOLL_WRITE_TABLES=1 cargo test the_reliability_page_shows");
}
