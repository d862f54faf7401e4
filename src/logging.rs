//! Log lines: to standard error, filtered by `RUST_LOG`, coloured on a terminal only.
//!
//! **Invariant:** a request that went well logs nothing.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Installs the log writer for this process; a broken `RUST_LOG` is said and `info` is used.
pub(crate) fn install() {
    let (filter, complaint) = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => match EnvFilter::try_new(&text) {
            Ok(filter) => (filter, None),
            Err(error) => (default_filter(), Some(format!("RUST_LOG={text} is not a log filter ({error})"))),
        },
        _ => (default_filter(), None),
    };
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let installed = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .try_init();
    if let (Ok(()), Some(complaint)) = (installed, complaint) {
        tracing::warn!("{complaint}; logging at info");
    }
}

/// What is logged when nobody says otherwise. The pool's own warnings repeat what the lanes say better.
fn default_filter() -> EnvFilter {
    EnvFilter::new("info,deadpool=error")
}
