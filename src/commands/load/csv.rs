//! `--csv`: a row for each second, written as it ends.
//!
//! **Invariant:** a file that can no longer be written ends the rows, not the run.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::load::Row;
use crate::load::stats::Latency;

/// The columns; latencies in microseconds, empty where nothing was answered. `corrected` is empty in a closed loop.
const HEADER: &str = "second,requests,errors,non_2xx,connections_open,bytes_received,\
                      raw_p50_us,raw_p99_us,raw_max_us,corrected_p50_us,corrected_p99_us,corrected_max_us";

/// The rows of one file.
pub(super) struct Rows {
    path: PathBuf,
    file: BufWriter<File>,
    failed: Option<io::Error>,
}

impl Rows {
    pub(super) fn create(path: &Path) -> Result<Self, String> {
        let made = File::create(path).and_then(|file| {
            let mut file = BufWriter::new(file);
            writeln!(file, "{HEADER}")?;
            Ok(file)
        });
        let file = made.map_err(|error| tell(path, &error))?;
        Ok(Self { path: path.to_owned(), file, failed: None })
    }

    pub(super) fn write(&mut self, row: &Row) {
        if self.failed.is_some() {
            return;
        }
        let stats = &row.stats;
        let non_2xx = stats.non_success();
        let result = writeln!(
            self.file,
            "{},{},{},{non_2xx},{},{},{},{}",
            row.second,
            stats.answered(),
            stats.failed(),
            row.open,
            stats.received,
            latency(&stats.raw),
            latency(&stats.corrected),
        );
        // Each row reaches the disk as it ends, so that an interrupted run leaves what it measured.
        if let Err(error) = result.and_then(|()| self.file.flush()) {
            self.failed = Some(error);
        }
    }

    pub(super) fn finish(self) -> Result<(), String> {
        self.failed.map_or(Ok(()), |error| Err(tell(&self.path, &error)))
    }
}

fn latency(latency: &Latency) -> String {
    let shown = |us: Option<u64>| us.map_or_else(String::new, |us| us.to_string());
    let quantile = |fraction| shown(latency.quantile_us(fraction));
    format!("{},{},{}", quantile(0.5), quantile(0.99), shown(latency.max_us()))
}

fn tell(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be written: {error}. Name another file with --csv", path.display())
}
