//! Opens a session at one of the servers that are in use.
//!
//! **Invariant:** a server that is left out gets no new session, and who waits for one there goes on to the next server.

use std::io;

use tokio_postgres::Error;

use super::super::failing::failed;
use super::super::hosts::{self, Manner, Opened};
use super::{Fleet, ReadHost, Seat};

impl Fleet {
    /// Waits until this one is left out.
    async fn until_left_out(&self, host: &ReadHost) {
        let mut changes = self.changes();
        while host.is_in_use() {
            // Whoever tells of changes is this fleet.
            let _ = changes.changed().await;
        }
    }

    /// Opens one at the first server that gives it.
    pub(in crate::database) async fn open_session(
        &self,
        manner: &Manner<'_>,
    ) -> Result<(Opened, Seat), Error> {
        let mut last = None;
        for host in self.in_order(manner.silent) {
            // Counted from here on, so that workers that choose at once do not all choose the same.
            let seat = host.take_seat();
            tokio::select! {
                opened = hosts::open(&host.config, manner) => match opened {
                    Ok(opened) => return Ok((opened, seat)),
                    Err(error) => last = Some(error),
                },
                () = self.until_left_out(&host) => {
                    let why = format!("{}: it is left out", host.name);
                    last = Some(failed(io::Error::other(why), &self.config).await);
                }
            }
        }
        match last {
            Some(error) => Err(error),
            None => {
                Err(failed(io::Error::other("no host of --database-read-url is in use"), &self.config).await)
            }
        }
    }
}
