//! Puts the layers of settings together: flag before environment before file before default.
//!
//! The file is read first and handed to clap as defaults, and clap does the rest, so that it knows of each value where it
//! came from. A variable that is set but empty counts as not set: compose files pass such ones.
//!
//! **Invariant:** words that are not understood end with exit code 2; a value that a setting refuses ends with 78,
//! wherever it came from.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, ArgMatches, Command};

use super::file::File;
use crate::exit::Exit;

/// A setting that cannot be used, and the way out.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SettingsError {
    message: String,
}

impl SettingsError {
    /// An error whose message says what is wrong and what to do.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// The parsed command line, and what is needed to tell where a value came from.
#[derive(Debug)]
pub struct Parsed {
    /// What clap made of the words, the environment, the file and the defaults.
    pub matches: ArgMatches,
    /// The command as it was parsed, for its flags' names.
    pub(super) command: Command,
    /// The settings file, if one was named.
    pub(super) file: Option<PathBuf>,
    /// Long names of the flags that the file set.
    pub(super) from_file: BTreeSet<String>,
}

/// Why the words do not make a command to run.
#[derive(Debug)]
pub enum Refusal {
    /// clap's own answer: help, version, or a usage error.
    Clap {
        /// The answer as clap renders it.
        error: Box<clap::Error>,
        /// Where the refused value came from, where it was not the command line.
        origin: Option<String>,
    },
    /// The settings file cannot be used.
    Settings(SettingsError),
}

impl Refusal {
    /// What is wrong, in one line, for a log.
    pub fn in_one_line(&self) -> String {
        match self {
            Self::Settings(error) => error.to_string(),
            Self::Clap { error, origin } => {
                let text = error.to_string();
                let first = text.split("\n\n").next().unwrap_or_default();
                let first = first.strip_prefix("error: ").unwrap_or(first);
                let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
                match origin {
                    Some(origin) => format!("{first} (from {origin})"),
                    None => first,
                }
            }
        }
    }

    /// Prints it where it belongs and gives the exit code.
    pub fn report(self) -> Exit {
        // A closed standard output or error leaves nobody to tell, and changes no exit code.
        match self {
            Self::Settings(error) => {
                let _ = writeln!(std::io::stderr(), "error: {error}");
                Exit::Settings
            }
            Self::Clap { error, origin } => {
                let _ = error.print();
                if let Some(origin) = origin {
                    let _ = writeln!(std::io::stderr(), "\nThe value came from {origin}.");
                }
                // A value that is missing, as in a bare `--port`, is told as an invalid one.
                let missing = matches!(error.get(ContextKind::InvalidValue), Some(ContextValue::String(v)) if v.is_empty());
                match error.kind() {
                    ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
                    ErrorKind::ValueValidation | ErrorKind::InvalidValue if !missing => Exit::Settings,
                    _ => Exit::Usage,
                }
            }
        }
    }
}

/// Parses `arguments` (the program's name first) with the environment and the settings file below them.
pub fn parse(command: Command, arguments: &[OsString]) -> Result<Parsed, Refusal> {
    let command = ignore_blank_variables(command);
    let file = settings_file(&command, arguments).map(File::read).transpose();
    put_together(command, arguments, file.map_err(Refusal::Settings)?.as_ref())
}

/// The same without looking for a file: its text is given.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn parse_over(text: &str, command: Command, arguments: &[OsString]) -> Result<Parsed, Refusal> {
    put_together(ignore_blank_variables(command), arguments, Some(&File::of(text)))
}

fn put_together(command: Command, arguments: &[OsString], file: Option<&File>) -> Result<Parsed, Refusal> {
    let mut from_file = BTreeSet::new();
    let mut layered = command;
    if let Some(file) = file {
        let known = file_keys(&layered);
        let settings = file.settings(&known.iter().map(String::as_str).collect::<Vec<_>>());
        for setting in settings.map_err(Refusal::Settings)? {
            if setting.values.len() != 1 && !takes_list(&layered, &setting.name) {
                let at = file.path.display();
                let why = format!("in {at}: `{}` takes one value, not a list", setting.name);
                return Err(Refusal::Settings(SettingsError::new(why)));
            }
            from_file.insert(setting.name.clone());
            layered = set_default(layered, &setting.name, &setting.values);
        }
    }
    let file = file.map(|file| file.path.clone());
    match layered.clone().try_get_matches_from(arguments) {
        Ok(matches) => Ok(Parsed { matches, command: layered, file, from_file }),
        Err(error) => {
            let origin = origin_of_refused(&error, &layered, arguments, file.as_ref(), &from_file);
            Err(Refusal::Clap { error: Box::new(error), origin })
        }
    }
}

/// Takes the variable away from every argument whose variable is set to nothing.
fn ignore_blank_variables(command: Command) -> Command {
    command.mut_args(without_blank_variable).mut_subcommands(|sub| sub.mut_args(without_blank_variable))
}

fn without_blank_variable(argument: clap::Arg) -> clap::Arg {
    let blank =
        argument.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()));
    if blank { argument.env(Resettable::Reset) } else { argument }
}

/// The `--config` of `serve`, found by a first pass that forgives everything else.
fn settings_file(command: &Command, arguments: &[OsString]) -> Option<PathBuf> {
    let matches = command.clone().ignore_errors(true).try_get_matches_from(arguments).ok()?;
    matches.subcommand_matches("serve")?.try_get_one::<PathBuf>("config").ok()?.cloned()
}

/// What a settings file may set: all that `serve` takes but the file itself, and switches that only print.
fn file_keys(command: &Command) -> Vec<String> {
    let serve = command.find_subcommand("serve");
    serve
        .into_iter()
        .flat_map(super::report::settings)
        .filter_map(clap::Arg::get_long)
        .filter(|long| *long != "config")
        .map(str::to_owned)
        .collect()
}

/// Whether a flag may be repeated.
fn takes_list(command: &Command, long: &str) -> bool {
    let mut arguments = command.find_subcommand("serve").into_iter().flat_map(Command::get_arguments);
    let argument = arguments.find(|argument| argument.get_long() == Some(long));
    argument.is_some_and(|argument| matches!(argument.get_action(), ArgAction::Append))
}

fn set_default(command: Command, long: &str, values: &[String]) -> Command {
    command.mut_subcommand("serve", |serve| {
        serve.mut_args(|argument| {
            if argument.get_long() == Some(long) {
                argument.default_values(values.to_vec())
            } else {
                argument
            }
        })
    })
}

/// Says where a refused value came from when the command line does not show it.
fn origin_of_refused(
    error: &clap::Error,
    command: &Command,
    arguments: &[OsString],
    file: Option<&PathBuf>,
    from_file: &BTreeSet<String>,
) -> Option<String> {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return None };
    let long = shown.strip_prefix("--")?.split([' ', '=']).next()?;
    let typed = format!("--{long}");
    if arguments.iter().any(|word| word.to_string_lossy().split('=').next() == Some(typed.as_str())) {
        return None;
    }
    let variable = command
        .get_subcommands()
        .flat_map(Command::get_arguments)
        .filter(|argument| argument.get_long() == Some(long))
        .filter_map(clap::Arg::get_env)
        .find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if let Some(variable) = variable {
        return Some(format!("the environment variable {}", variable.to_string_lossy()));
    }
    if from_file.contains(long) {
        file.map(|path| format!("the settings file {}", path.display()))
    } else {
        None
    }
}
