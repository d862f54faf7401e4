//! Opens a session at one of the servers that are in use.
//!
//! **Invariant:** a server that is left out gets no new session.

use std::io;

use tokio_postgres::Error;

use super::super::failing::failed;
use super::super::hosts::{self, Manner, Opened};
use super::{Fleet, Seat};

impl Fleet {
    /// Opens one at the first server that gives it.
    pub(in crate::database) async fn open_session(
        &self,
        manner: &Manner<'_>,
    ) -> Result<(Opened, Seat), Error> {
        let mut last = None;
        for host in self.in_order() {
            // Counted from here on, so that workers that choose at once do not all choose the same.
            let seat = host.take_seat();
            match hosts::open(&host.config, manner).await {
                Ok(opened) => return Ok((opened, seat)),
                Err(error) => last = Some(error),
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
