//! What a sweep leaves: `sweep.json`, `sweep.csv`, `report.html`, and the text on the terminal.
//!
//! **Invariant:** all of them are made of the same findings, and a file is there whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::summary::Findings;

mod csv;
mod html;
mod text;

pub(crate) use text::write_text;

/// The version of `sweep.json`.
const VERSION: u32 = 1;

/// What was swept, when and on what.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct About {
    /// The program's version.
    pub(crate) program: String,
    /// When the report was made, in UTC.
    pub(crate) made: String,
    /// The database, for people.
    pub(crate) database: String,
    /// The command that measures the same.
    pub(crate) command: String,
    /// All that was set, by the flags' names.
    pub(crate) settings: Vec<(String, String)>,
    /// Whether every visit was made.
    pub(crate) is_whole: bool,
}

#[derive(Serialize)]
struct Page<'a> {
    version: u32,
    about: &'a About,
    findings: &'a Findings,
}

/// Writes the three files; gives the report's path.
pub(crate) fn write(directory: &Path, about: &About, findings: &Findings) -> io::Result<PathBuf> {
    let json = serde_json::to_string_pretty(&Page { version: VERSION, about, findings })
        .map_err(io::Error::other)?;
    let report = directory.join("report.html");
    replace(&directory.join("sweep.json"), &(json + "\n"))?;
    replace(&directory.join("sweep.csv"), &csv::write(findings))?;
    replace(&report, &html::write(about, findings))?;
    Ok(report)
}

/// Writes beside and renames, so that nobody reads half of it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}

/// Microseconds, in the unit that suits them.
fn time(us: f64) -> String {
    match us {
        us if us < 9.95 => format!("{us:.2} µs"),
        us if us < 999.5 => format!("{us:.1} µs"),
        us if us < 999_500.0 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::sweep::summary::{summarise, tests::example};

    pub(super) fn about() -> About {
        About {
            program: "0.0.0".into(),
            made: "2026-11-21T12:00:00Z".into(),
            database: "PostgreSQL 15.18 <private>".into(),
            command: "plimsoll sweep --pool 1,2".into(),
            settings: vec![("rounds".into(), "2".into())],
            is_whole: true,
        }
    }

    #[test]
    fn three_files_are_written_and_the_json_holds_every_point() {
        let folder = tempfile::tempdir().unwrap();
        let (course, records) = example();
        let findings = summarise(&course, &records);
        let report = write(folder.path(), &about(), &findings).unwrap();
        assert!(report.ends_with("report.html"));
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["report.html", "sweep.csv", "sweep.json"]);
        let page: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(folder.path().join("sweep.json")).unwrap()).unwrap();
        assert_eq!(page["version"], 1);
        assert_eq!(page["findings"]["series"][1]["points"].as_array().unwrap().len(), 5);
        assert_eq!(page["findings"]["knees"][0]["summary"]["point"]["size"], 2);
        assert!(page["findings"]["series"][0]["points"][0]["figures"]["rate"]["half_width"].is_number());
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        assert_eq!([1.234, 56.78, 1_234.0, 2e6].map(time), ["1.23 µs", "56.8 µs", "1.23 ms", "2.00 s"]);
    }
}
