//! Log lines: to standard error, filtered by `RUST_LOG`, coloured on a terminal only.
//!
//! **Invariant:** a request that went well logs nothing.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// What `RUST_LOG` asks for; the error is one line for people.
pub(crate) fn filter() -> Result<EnvFilter, String> {
    match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text).map_err(|error| {
            format!("RUST_LOG={text} is not a log filter ({error}). Write a level, as in info, or a list, as in info,plimsoll=debug")
        }),
        _ => Ok(default_filter()),
    }
}

/// Installs the log writer for this process.
pub(crate) fn install(filter: EnvFilter) {
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    // Installed once, at the start of the only command that logs.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        // A line that cannot be written is lost; by default that is complained of by a macro that panics.
        .log_internal_errors(false)
        .try_init();
}

/// What is logged when nobody says otherwise. The pool's own warnings repeat what the lanes say better.
fn default_filter() -> EnvFilter {
    EnvFilter::new("info,deadpool=error")
}
