//! Log lines: to standard error, filtered by `RUST_LOG`, coloured on a terminal only.
//!
//! **Invariant:** a request that went well logs nothing, and a line that cannot be written harms nobody.

use std::io::{IsTerminal, Write as _};

use tracing_subscriber::EnvFilter;

/// Says a line on standard error. Where nobody reads that any more the service goes on: `serve 2>&1 | head` must not end it.
pub(crate) fn say(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Installs the log writer for this process; refuses a `RUST_LOG` that is no filter.
pub(crate) fn install() -> Result<(), String> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text).map_err(|error| {
            format!("RUST_LOG={text} is not a log filter ({error}); it looks like info,plimsoll=debug")
        })?,
        _ => default_filter(),
    };
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    // Refused only where it is there already.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        // Where nobody reads standard error any more, saying so there would be one more failure, and a panic.
        .log_internal_errors(false)
        .try_init();
    Ok(())
}

/// What is logged when nobody says otherwise. The pool's own warnings repeat what the lanes say better.
fn default_filter() -> EnvFilter {
    EnvFilter::new("info,deadpool=error")
}
