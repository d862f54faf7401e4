//! Writes the settings to a file for sysctl.d(5), which every start of the machine reads.
//!
//! **Invariant:** a file that somebody else wrote is never overwritten.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::text::number;
use crate::kernel::judge::{Question, Verdict};
use crate::kernel::sysctl::write_values;

const HEADER: &str = "# Written by `plimsoll doctor --write`";

/// Writes every setting that the connections need something of, those in force already too, and gives their number.
pub(super) fn write(path: &Path, question: &Question, verdict: &Verdict) -> io::Result<usize> {
    match std::fs::read_to_string(path) {
        Ok(text) if !text.starts_with(HEADER) => {
            let why = "it is there already, and plimsoll doctor did not write it: name another file";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::write(path, render(question, verdict))?;
    Ok(verdict.settings().count())
}

fn render(question: &Question, verdict: &Verdict) -> String {
    let mut text = format!(
        "{HEADER} for {} connections.\n# Load it now with: sysctl --system\n",
        number(question.connections)
    );
    for (finding, sysctl, values) in verdict.settings() {
        let is = finding.is.as_deref().map(write_values).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n# {} ({})\n# It was {is} when this was written.\n{} = {}\n",
            finding.why,
            finding.source,
            sysctl.key(),
            write_values(values)
        );
    }
    text
}
