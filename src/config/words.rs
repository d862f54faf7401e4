//! Settings as words again: to be given to a child process, and to compare two readings of them.
//!
//! **Invariant:** every setting with a value is there, wherever the value came from, so that whoever is given the words depends
//! neither on a file nor on a variable.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

use super::layers::Parsed;
use super::report;

/// One reading of the settings of `serve`: each that has a value, by its long name. May hold a password: it is not for printing.
#[derive(Clone, PartialEq, Eq)]
pub struct Words(BTreeMap<String, Setting>);

#[derive(Clone, PartialEq, Eq)]
struct Setting {
    is_switch: bool,
    values: Vec<OsString>,
}

impl Words {
    /// What was read, from all layers.
    pub fn of(parsed: &Parsed) -> Self {
        let matches = parsed.matches.subcommand_matches("serve");
        let read = |argument: &Arg| {
            let values = matches?.get_raw(argument.get_id().as_str())?.map(ToOwned::to_owned).collect();
            let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
            Some((argument.get_long()?.to_owned(), Setting { is_switch, values }))
        };
        Self(arguments(parsed).filter_map(read).collect())
    }

    /// Names of the settings that differ from another reading.
    pub fn changed_from(&self, other: &Self) -> Vec<String> {
        let names = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        names.filter(|name| self.0.get(*name) != other.0.get(*name)).cloned().collect()
    }

    /// Takes one setting as another reading has it.
    pub fn take(&mut self, name: &str, other: &Self) {
        match other.0.get(name) {
            Some(setting) => self.0.insert(name.to_owned(), setting.clone()),
            None => self.0.remove(name),
        };
    }

    /// Gives a setting one value.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.insert(name.to_owned(), Setting { is_switch: false, values: vec![value.into()] });
    }

    /// The flags that say the same, without those that are left out.
    pub fn flags(&self, leave_out: &[&str]) -> Vec<OsString> {
        let mut flags = Vec::new();
        for (name, setting) in self.0.iter().filter(|(name, _)| !leave_out.contains(&name.as_str())) {
            for value in &setting.values {
                let mut flag = OsString::from(format!("--{name}"));
                match (setting.is_switch, value == "true") {
                    (true, false) => continue,
                    (true, true) => {}
                    (false, _) => {
                        flag.push("=");
                        flag.push(value);
                    }
                }
                flags.push(flag);
            }
        }
        flags
    }
}

/// The environment variables that settings are read from.
pub fn variables(parsed: &Parsed) -> Vec<OsString> {
    arguments(parsed).filter_map(Arg::get_env).map(ToOwned::to_owned).collect()
}

fn arguments(parsed: &Parsed) -> impl Iterator<Item = &Arg> {
    parsed.command.find_subcommand("serve").into_iter().flat_map(|serve: &Command| report::settings(serve))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Words {
        let words = ["plimsoll", "serve"].iter().chain(words).map(OsString::from).collect::<Vec<_>>();
        let parsed = super::super::parse(crate::cli::command(), &words);
        Words::of(&parsed.unwrap_or_else(|refusal| panic!("{refusal:?}")))
    }

    #[test]
    fn flags_say_what_was_read_and_read_the_same_again() {
        let first = read(&["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2", "--pool-per-core", "4.5"]);
        let flags = first.flags(&[]);
        let texts: Vec<&str> = flags.iter().filter_map(|flag| flag.to_str()).collect();
        for flag in
            ["--listen=127.0.0.1:1", "--listen=127.0.0.1:2", "--pool-per-core=4.5", "--drain-grace=1s"]
        {
            assert!(texts.contains(&flag), "no {flag} in {texts:?}");
        }
        assert_eq!(read(&texts).changed_from(&first), Vec::<String>::new());
    }

    #[test]
    fn a_switch_is_said_where_it_is_on() {
        let says = |words: &[&str]| read(words).flags(&[]).iter().any(|flag| flag == "--lab");
        assert!(says(&["--lab"]) && !says(&[]));
        assert_eq!(read(&["--lab"]).changed_from(&read(&[])), ["lab"]);
    }

    #[test]
    fn what_is_left_out_is_not_among_the_flags() {
        let flags = read(&["--database-url", "postgres://me:s3cret@db/x"]).flags(&["database-url"]);
        assert!(!flags.iter().any(|flag| flag.to_string_lossy().contains("s3cret")), "{flags:?}");
    }

    #[test]
    fn differences_are_named_in_both_directions() {
        let plain = read(&[]);
        let mut other = read(&["--idle-timeout", "5s", "--database-max-conn", "7"]);
        assert_eq!(other.changed_from(&plain), ["database-max-conn", "idle-timeout"]);
        assert_eq!(plain.changed_from(&other), ["idle-timeout", "database-max-conn"]);
        other.take("database-max-conn", &plain);
        assert_eq!(other.changed_from(&plain), ["idle-timeout"]);
    }
}
