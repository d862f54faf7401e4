//! Log lines: to standard error, filtered by `--log`, coloured on a terminal only; those of a child process name its index.
//!
//! **Invariant:** a request that went well logs nothing.

use std::fmt;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// What is logged when nobody says otherwise. The pool's own warnings repeat what the lanes say better.
pub(crate) const DEFAULT_FILTER: &str = "info,deadpool=error";

/// Changes what is logged, while the program runs.
pub(crate) struct Log {
    change: Box<dyn Fn(EnvFilter) -> Result<(), String>>,
}

/// Refuses what is not a log filter; the error is one line for people.
pub(crate) fn parse_filter(text: &str) -> Result<String, String> {
    filter(text).map(|_| text.to_owned())
}

fn filter(text: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(text)
        .map_err(|error| format!("{error}; it is a level, as in info, or a list, as in info,plimsoll=debug"))
}

impl Log {
    /// Installs the log writer for this process, which is the one with that index under a supervisor, or a process of its own.
    pub(crate) fn install(text: &str, process: Option<u32>) -> Result<Self, String> {
        let colours =
            std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter(text)?)
            .with_writer(std::io::stderr)
            .with_ansi(colours)
            .with_target(false)
            .with_timer(Stamp { process })
            // A line that cannot be written is lost; by default that is complained of by a macro that panics.
            .log_internal_errors(false)
            .with_filter_reloading();
        let handle = builder.reload_handle();
        // Installed once, at the start of the only command that logs.
        let _ = builder.try_init();
        let change = move |filter| handle.reload(filter).map_err(|error| error.to_string());
        Ok(Self { change: Box::new(change) })
    }

    /// Takes another filter from here on.
    pub(crate) fn change(&self, text: &str) -> Result<(), String> {
        (self.change)(filter(text)?)
    }
}

/// What each line begins with.
struct Stamp {
    process: Option<u32>,
}

impl FormatTime for Stamp {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        SystemTime.format_time(writer)?;
        match self.process {
            Some(index) => write!(writer, " process {index}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_and_a_list_are_filters_and_a_loud_one_is_not() {
        assert_eq!(parse_filter(DEFAULT_FILTER), Ok(DEFAULT_FILTER.to_owned()));
        assert_eq!(parse_filter("debug"), Ok("debug".to_owned()));
        assert!(parse_filter("plimsoll=loud").unwrap_err().contains("info,plimsoll=debug"));
    }

    #[test]
    fn lines_of_a_child_name_its_index() {
        let stamp = |process| {
            let mut text = String::new();
            Stamp { process }.format_time(&mut Writer::new(&mut text)).unwrap();
            text
        };
        assert!(stamp(Some(3)).ends_with("Z process 3"), "{}", stamp(Some(3)));
        assert!(stamp(None).ends_with('Z'), "{}", stamp(None));
    }
}
