//! Prints settings: what is in force and where it came from, and the reference table that the README shows.
//!
//! **Invariant:** a password is never printed.

use std::fmt::Write as _;

use clap::parser::ValueSource;
use clap::{Arg, Command};

use super::layers::Parsed;

/// Settings whose value may hold a password.
const NAMES_A_DATABASE: [&str; 2] = ["database-url", "database-read-url"];

/// A setting whose default is worked out at start rather than written down.
#[derive(Debug)]
pub struct WorkedOut {
    /// The flag's long name.
    pub name: &'static str,
    /// What is in force.
    pub value: String,
    /// The variable that it was worked out from, if it was from one.
    pub variable: Option<&'static str>,
}

/// The table of `serve --show-config`: name, value, source, one line each.
pub fn show(parsed: &Parsed, worked_out: &[WorkedOut]) -> String {
    let mut rows = vec![("setting".to_owned(), "value".to_owned(), "from".to_owned())];
    if let Some(serve) = parsed.command.find_subcommand("serve") {
        rows.extend(settings(serve).map(|argument| row(parsed, argument, worked_out)));
    }
    let value = std::env::var("NO_COLOR").ok().filter(|value| !value.is_empty());
    let from = if value.is_some() { "environment NO_COLOR" } else { "default" };
    rows.push(("NO_COLOR".into(), value.unwrap_or_else(|| "-".into()), from.into()));
    let width = |pick: fn(&(String, String, String)) -> &String| {
        rows.iter().map(|row| pick(row).chars().count()).max().unwrap_or(0)
    };
    let (names, values) = (width(|row| &row.0), width(|row| &row.1));
    rows.iter().fold(String::new(), |mut text, (name, value, from)| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:names$}  {value:values$}  {from}");
        text
    })
}

/// The reference table: flag, variable, default and meaning, in Markdown.
pub fn markdown(command: &Command) -> String {
    let mut text = String::from("| flag | environment | default | meaning |\n|---|---|---|---|\n");
    let serve = command.find_subcommand("serve");
    for argument in serve.into_iter().flat_map(settings) {
        let variable =
            argument.get_env().map_or_else(|| "–".into(), |name| format!("`{}`", name.to_string_lossy()));
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let (meaning, default) = split_default(&help, argument);
        let values = possible_values(argument);
        let flag = flag(argument);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{flag}` | {variable} | {default} | {meaning}{values} |");
    }
    text
}

/// Every argument of `serve` that sets something, in the order of its help.
pub(super) fn settings(serve: &Command) -> impl Iterator<Item = &Arg> {
    serve.get_arguments().filter(|argument| {
        let is_setting = |long| !["help", "version", "show-config"].contains(&long);
        argument.get_long().is_some_and(is_setting) && !argument.is_hide_set()
    })
}

fn row(parsed: &Parsed, argument: &Arg, worked_out: &[WorkedOut]) -> (String, String, String) {
    let long = argument.get_long().unwrap_or_default();
    let id = argument.get_id().as_str();
    let matches = parsed.matches.subcommand_matches("serve");
    let source = matches.and_then(|matches| matches.value_source(id));
    let value = matches
        .and_then(|matches| matches.get_raw(id))
        .map(|values| values.map(|v| v.to_string_lossy().into_owned()).collect::<Vec<_>>().join(", "))
        .map(|value| if NAMES_A_DATABASE.contains(&long) { mask(&value) } else { value });
    let unset = worked_out.iter().find(|found| found.name == long).filter(|_| value.is_none());
    let from = match source {
        Some(ValueSource::CommandLine) => format!("flag --{long}"),
        Some(ValueSource::EnvVariable) => {
            format!("environment {}", argument.get_env().unwrap_or_default().to_string_lossy())
        }
        _ if parsed.from_file.contains(long) => {
            format!(
                "file {}",
                parsed.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
            )
        }
        _ => match unset.and_then(|found| found.variable) {
            Some(variable) => format!("environment {variable}"),
            None => "default".into(),
        },
    };
    let shown = value.or_else(|| unset.map(|found| found.value.clone()));
    (long.to_owned(), shown.unwrap_or_else(|| "-".into()), from)
}

fn flag(argument: &Arg) -> String {
    let long = argument.get_long().unwrap_or_default();
    match argument.get_value_names() {
        // A switch, which may be given a value too.
        Some([name, ..]) if argument.get_num_args().is_some_and(|number| number.min_values() == 0) => {
            format!("--{long}[={name}]")
        }
        Some([name, ..]) => format!("--{long} {name}"),
        _ => format!("--{long}"),
    }
}

/// A default that is worked out at start is said in the help text, the others are the argument's own.
fn split_default(help: &str, argument: &Arg) -> (String, String) {
    if let Some((meaning, default)) = help.split_once(" [default: ") {
        return (meaning.to_owned(), default.trim_end_matches(']').to_owned());
    }
    let default = argument.get_default_values().iter().map(|v| format!("`{}`", v.to_string_lossy()));
    let default = default.collect::<Vec<_>>().join(", ");
    (help.to_owned(), if default.is_empty() { "–".into() } else { default })
}

fn possible_values(argument: &Arg) -> String {
    let values = argument.get_possible_values();
    let shown = values.iter().filter(|value| !value.is_hide_set());
    let names = shown.map(|value| format!("`{}`", value.get_name())).collect::<Vec<_>>();
    if names.is_empty() { String::new() } else { format!(": {}", names.join(" or ")) }
}

/// Hides the password of a URL or of key=value pairs; where it cannot tell what is secret, it hides more.
pub fn mask(url: &str) -> String {
    // `://` may stand in the password of a pair too; before it a scheme has letters, digits and marks (RFC 3986, section 3.1).
    let is_scheme =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
        return mask_pairs(url);
    };
    // To the driver the credentials end at the first `@`, and hold whatever stands before it, `/` and `?` too.
    let (credentials, _) = rest.split_once('@').unwrap_or_default();
    let query = rest[credentials.len()..].find('?').map_or(rest.len(), |at| credentials.len() + at);
    let (address, query) = rest.split_at(query);
    let address = match address.rsplit_once('@') {
        // Another one behind a `?`: the password may end there.
        Some((user, _)) if query.contains('@') && user.contains(':') => {
            return format!("{scheme}://{}:***", user.split(':').next().unwrap_or_default());
        }
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***@{host}"),
            None if names_password(user) => format!("***@{host}"),
            None => address.to_owned(),
        },
        None => address.to_owned(),
    };
    // Parameters may be percent-encoded, their names too.
    let query = if query.contains('%') || names_password(query) { "?***" } else { query };
    format!("{scheme}://{address}{query}")
}

/// Hides all that follows the password's key: a quoted value may hold anything.
fn mask_pairs(pairs: &str) -> String {
    match pairs.to_ascii_lowercase().find("password") {
        Some(at) => format!("{}password=***", &pairs[..at]),
        None => pairs.to_owned(),
    }
}

fn names_password(text: &str) -> bool {
    text.to_ascii_lowercase().contains("password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_in_every_way_to_write_them() {
        assert_eq!(mask("postgres://me:s3cret@db:5432/x"), "postgres://me:***@db:5432/x");
        assert_eq!(mask("postgres://me@db/x?password=s3cret&sslmode=disable"), "postgres://me@db/x?***");
        assert_eq!(mask("host=db user=me password=s3cret dbname=x"), "host=db user=me password=***");
        assert_eq!(mask("host=db password='s3 cret' dbname=x"), "host=db password=***");
        assert_eq!(mask("host=db password = s3cret"), "host=db password=***");
        assert_eq!(mask("host=db password='s3://cret'"), "host=db password=***");
        assert_eq!(mask("postgres://me@db/x?pass%77ord=s3cret"), "postgres://me@db/x?***");
        assert_eq!(mask("postgres://me@db/x?sslmode=disable"), "postgres://me@db/x?sslmode=disable");
        assert_eq!(mask("postgres://db/x"), "postgres://db/x");
        assert_eq!(mask("postgres://me:a@b@db/x"), "postgres://me:***@db/x");
        assert_eq!(mask("postgres://me:s3/cr?t@db/x"), "postgres://me:***@db/x");
        assert_eq!(mask("postgres://me:s3@cr?e=t@db/x"), "postgres://me:***");
        assert_eq!(mask("postgres://me@db/x?password=s3@cret"), "postgres://me@db/x?***");
        assert_eq!(mask("postgres://db/x?password=s3@cret"), "postgres://***@cret");
        assert_eq!(mask("postgres://me:s3/cr?t@db?sslmode=disable"), "postgres://me:***@db?sslmode=disable");
    }
}
