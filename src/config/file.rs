//! The settings file: TOML with flat keys named as the flags.
//!
//! **Invariant:** a key that no flag has is refused with the nearest one; the file is never half taken.

use std::path::PathBuf;

use toml::{Table, Value};

use super::layers::SettingsError;

/// One setting of the file: the flag's long name without dashes, and its values as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileSetting {
    pub(super) name: String,
    pub(super) values: Vec<String>,
}

/// A settings file as it was read.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    text: String,
}

impl File {
    pub(super) fn read(path: PathBuf) -> Result<Self, SettingsError> {
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Self { path, text }),
            Err(error) => {
                let at = path.display();
                Err(SettingsError::new(format!("cannot read the settings file {at}: {error}")))
            }
        }
    }

    /// One that lies nowhere.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn of(text: &str) -> Self {
        Self { path: PathBuf::from("plimsoll.toml"), text: text.to_owned() }
    }

    /// Its settings; keys are checked against `known`, the long names of the flags that a file may set.
    pub(super) fn settings(&self, known: &[&str]) -> Result<Vec<FileSetting>, SettingsError> {
        let at = self.path.display();
        parse(&self.text, known).map_err(|why| SettingsError::new(format!("in {at}: {why}")))
    }
}

fn parse(text: &str, known: &[&str]) -> Result<Vec<FileSetting>, String> {
    let table: Table = text.parse().map_err(|error| explain(text, &error))?;
    table.into_iter().map(|(key, value)| setting(&key, value, known)).collect()
}

/// The line and what is wrong with it, without its text: that may hold a password.
fn explain(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {}: {}", before.matches('\n').count() + 1, error.message())
}

fn setting(key: &str, value: Value, known: &[&str]) -> Result<FileSetting, String> {
    let name = key.replace('_', "-");
    if !known.contains(&name.as_str()) {
        let hint = nearest(&name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(format!("`{key}` is not a setting{hint} (`plimsoll serve --help` lists them all)"));
    }
    let values = match value {
        Value::Array(items) => items.into_iter().map(|item| scalar(key, item)).collect::<Result<_, _>>()?,
        single => vec![scalar(key, single)?],
    };
    Ok(FileSetting { name, values })
}

fn scalar(key: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        Value::Array(_) | Value::Table(_) | Value::Datetime(_) => Err(format!(
            "`{key}` must be a text, a number or a list of them; settings are flat, without [sections]"
        )),
    }
}

/// The known name that shares the longest run of leading letters, if it is a fair guess.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let shared = |other: &str| name.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    known.iter().copied().max_by_key(|other| shared(other)).filter(|other| shared(other) >= 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["port", "pool-per-core", "listen"];

    #[test]
    fn keys_are_read_with_dashes_or_underscores_and_any_scalar() {
        let settings =
            parse("port = 81\npool_per_core = 4.5\nlisten = ['127.0.0.1:1', '127.0.0.1:2']", KNOWN).unwrap();
        assert_eq!(
            settings,
            [
                FileSetting {
                    name: "listen".into(),
                    values: vec!["127.0.0.1:1".into(), "127.0.0.1:2".into()]
                },
                FileSetting { name: "pool-per-core".into(), values: vec!["4.5".into()] },
                FileSetting { name: "port".into(), values: vec!["81".into()] },
            ]
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one() {
        let why = parse("pool-per-cpu = 4", KNOWN).unwrap_err();
        assert!(why.contains("did you mean `pool-per-core`?"), "{why}");
    }

    #[test]
    fn a_section_and_broken_toml_are_refused() {
        assert!(parse("[listen]\nport = 1", KNOWN).unwrap_err().contains("flat"));
        let why = parse("port = 1\nlisten = s3cret", KNOWN).unwrap_err();
        assert!(why.starts_with("line 2: ") && !why.contains("s3cret"), "{why}");
    }
}
