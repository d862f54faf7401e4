//! Settings drawn for each layer: the highest that says anything wins, and whatever is said, the program says something clear.
//!
//! **Invariant:** the program itself is asked, with `--show-config`, which starts nothing.

use proptest::option;
use proptest::sample::select;
use proptest::string::string_regex;

use crate::harness::{Finished, ServerSetup, draw};

/// Settings, their variables, values that they take, and their defaults.
const SETTINGS: [(&str, &str, [&str; 3], &str); 6] = [
    ("port", "PORT", ["1", "8081", "65535"], "8080"),
    ("idle-timeout", "PLIMSOLL_IDLE_TIMEOUT", ["1ms", "90s", "1.5s"], "75s"),
    ("pool-per-core", "PLIMSOLL_POOL_PER_CORE", ["0.5", "auto", "1000"], "4"),
    ("dispatch", "PLIMSOLL_DISPATCH", ["exclusive", "pipelined", "exclusive"], "pipelined"),
    ("park-after", "PLIMSOLL_PARK_AFTER", ["0s", "1s", "24h"], "1s"),
    ("when-full", "PLIMSOLL_WHEN_FULL", ["wait", "evict", "refuse"], "refuse"),
];

/// For each setting what flag, variable and file say, if anything.
type Said = Vec<[Option<usize>; 3]>;

fn run(said: &[(&str, &str, [Option<String>; 3])]) -> Finished {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("plimsoll.toml");
    let mut setup = ServerSetup::of(&["serve", "--show-config", "--config"]).arg(&path);
    let mut file = Vec::new();
    for (name, variable, [flag, environment, in_file]) in said {
        if let Some(value) = flag {
            setup = setup.arg(format!("--{name}={value}"));
        }
        if let Some(value) = environment {
            setup = setup.env(variable, value);
        }
        if let Some(value) = in_file {
            // But for DEL, a string of JSON is one of TOML.
            file.push(format!("{name} = {}", serde_json::Value::from(value.as_str())));
        }
    }
    std::fs::write(&path, file.join("\n")).expect("a settings file");
    setup.run()
}

fn check_precedence(said: &Said) {
    let value = |values: [&str; 3], at: Option<usize>| at.map(|at| values[at].to_owned());
    let all: Vec<_> = SETTINGS
        .iter()
        .zip(said)
        .map(|((name, variable, values, _), layers)| (*name, *variable, layers.map(|at| value(*values, at))))
        .collect();
    let finished = run(&all);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    for ((name, _, _, default), (_, _, layers)) in SETTINGS.iter().zip(&all) {
        let (value, source) = match layers {
            [Some(value), _, _] => (value.as_str(), "flag"),
            [None, Some(value), _] => (value.as_str(), "environment"),
            [None, None, Some(value)] => (value.as_str(), "file"),
            [None, None, None] => (*default, "default"),
        };
        let line = finished.stdout.lines().find(|line| line.split_whitespace().next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in\n{}", finished.stdout));
        let shown = line.split_whitespace().nth(1).unwrap_or_default();
        // A duration may be shown in another unit than it was written in.
        let same = shown == value || (value == "24h" && shown == "86400s");
        assert!(same && line.contains(source), "{name} should be {value} by {source}: {line}");
    }
}

#[test]
fn the_highest_layer_that_says_anything_wins() {
    let layers = proptest::array::uniform3(option::of(0..3_usize));
    let said = proptest::collection::vec(layers, SETTINGS.len());
    draw::hold(24, "tests/regressions/layers.txt", said, |said| check_precedence(&said));
}

#[test]
fn any_text_in_any_layer_gives_a_value_or_words_about_what_is_wrong() {
    let text = string_regex("[^\0\x7f]{0,12}").expect("a shape");
    let one = (0..SETTINGS.len(), select(vec![0_usize, 1, 2]), text);
    draw::hold(24, "tests/regressions/texts.txt", one, |(setting, layer, text)| {
        let (name, variable, ..) = SETTINGS[setting];
        let mut layers = [None, None, None];
        layers[layer] = Some(text);
        let finished = run(&[(name, variable, layers)]);
        assert!([Some(0), Some(2), Some(78)].contains(&finished.code), "{finished:?}");
        assert!(!finished.stderr.contains("panicked"), "{finished:?}");
        assert_eq!(finished.stderr.trim().is_empty(), finished.code == Some(0), "{finished:?}");
    });
}
