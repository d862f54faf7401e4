//! The running service that commands ask: its pages, read, and its changes.
//!
//! **Invariant:** a page in a format that this program does not know is refused, never half understood.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::SettingsError;
use crate::config::admin::{Place, ReaderArgs};
use crate::telemetry::ask::{self, Answer};
use crate::telemetry::listing::Listing;
use crate::telemetry::status::{Status, VERSION};

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// Nobody answers.
    #[error(transparent)]
    Unanswered(#[from] ask::Error),
    /// The service says no.
    #[error("the service refuses it with {status}: {why}")]
    Refused {
        /// The status code.
        status: u16,
        /// What it says.
        why: String,
    },
    /// The page is newer, or older, than this program.
    #[error(
        "the service gives version {theirs} of its status, and this program reads version {VERSION}: use the program that serves, as in \
         /proc/PID/exe"
    )]
    OtherVersion {
        /// Its version.
        theirs: u32,
    },
    /// What came is not a page.
    #[error("the service's answer cannot be read: {0}. Is it of another version than this program, {version}?", version = env!("CARGO_PKG_VERSION"))]
    Unreadable(#[from] serde_json::Error),
}

/// A running service.
#[derive(Debug, Clone)]
pub(super) struct Service {
    places: Vec<Place>,
}

impl Service {
    /// The one that is named, for reading.
    pub(super) fn to_read(args: &ReaderArgs) -> Result<Self, SettingsError> {
        Ok(Self { places: args.places()? })
    }

    /// The one that is named, for changes: by its Unix socket only.
    pub(super) fn to_change(args: &ReaderArgs) -> Result<Self, SettingsError> {
        Ok(Self { places: vec![args.socket()?] })
    }

    /// A page as it is.
    pub(super) fn page(&self, path: &str) -> Result<String, Trouble> {
        self.ask("GET", path)
    }

    /// How it does.
    pub(super) fn status(&self) -> Result<Status, Trouble> {
        read_status(&self.page("/status.json")?)
    }

    /// Changes something; gives what it says of it.
    pub(super) fn change(&self, path: &str) -> Result<String, Trouble> {
        self.ask("POST", path)
    }

    fn ask(&self, method: &str, path: &str) -> Result<String, Trouble> {
        match ask::ask_first(&self.places, method, path)? {
            answer @ Answer { status: 200..=299, .. } => Ok(answer.text()),
            answer => {
                Err(Trouble::Refused { status: answer.status, why: answer.text().trim_end().to_owned() })
            }
        }
    }
}

/// Reads the page of [`Service::status`].
pub(super) fn read_status(text: &str) -> Result<Status, Trouble> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version: theirs } = read(text)?;
    if theirs != VERSION {
        return Err(Trouble::OtherVersion { theirs });
    }
    read(text)
}

/// Reads a listing of connections.
pub(super) fn read_listing(text: &str) -> Result<Listing, Trouble> {
    read(text)
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, Trouble> {
    Ok(serde_json::from_str(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_of_the_format_is_refused_with_both_numbers() {
        let why = read_status(r#"{"version": 7, "surprise": []}"#).unwrap_err().to_string();
        assert!(why.contains("version 7") && why.contains("version 1"), "{why}");
        assert!(read_status("<html>").unwrap_err().to_string().contains("cannot be read"));
        assert!(read_status(r#"{"version": 1}"#).unwrap_err().to_string().contains("missing field"));
    }
}
