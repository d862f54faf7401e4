//! Listeners that systemd has opened and passes to the service (socket activation, `sd_listen_fds(3)`).
//!
//! **Invariant:** what is passed is taken as a whole or refused as a whole; a socket that nobody would serve is never left open unsaid.

use std::net::TcpListener;

use listenfd::ListenFd;

use crate::config::ServeArgs;
use crate::config::workers::Accept;

/// More sockets than a service has addresses.
const MOST: usize = 1024;

/// The listeners that were passed, none as a rule.
#[derive(Debug, Default)]
pub(in super::super) struct Inherited(Vec<TcpListener>);

/// Sockets that the service cannot serve.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum NotOurs {
    /// A number that no unit comes to.
    #[error("LISTEN_FDS is {0:?}: a number of sockets, {MOST} at most")]
    Number(String),
    /// Not TCP.
    #[error(
        "socket {name:?} that was passed to this process is none for HTTP: {source}. ListenStream= of its unit takes an address and a \
         port, as in 127.0.0.1:8080"
    )]
    Kind {
        /// As its unit calls it (`FileDescriptorName=`).
        name: String,
        /// What is wrong with it.
        source: std::io::Error,
    },
}

impl Inherited {
    /// Takes them. To be called before the first thread is started: their variables go from the environment, so that no child takes them for
    /// its own.
    pub(in super::super) fn take() -> Result<Self, NotOurs> {
        let Some(number) = std::env::var_os("LISTEN_FDS") else { return Ok(Self::default()) };
        let number = number.to_string_lossy();
        if number.parse::<usize>().map_or(true, |number| number > MOST) {
            return Err(NotOurs::Number(number.into_owned()));
        }
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        // None, where they are meant for another process: `LISTEN_PID` says for whom.
        let mut passed = ListenFd::from_env();
        let mut listeners = Vec::with_capacity(passed.len());
        for index in 0..passed.len() {
            let name = names.next().unwrap_or_default();
            let taken = passed.take_tcp_listener(index);
            listeners.extend(taken.map_err(|source| NotOurs::Kind { name: name.to_owned(), source })?);
        }
        Ok(Self(listeners))
    }

    /// The settings with these listeners: each worker would have one of its own by `--accept reuseport`, and here they share what there is.
    pub(in super::super) fn settle(&self, args: &ServeArgs) -> ServeArgs {
        let mut args = args.clone();
        args.child.lent_listeners = !self.0.is_empty();
        if args.child.lent_listeners && args.workers.accept == Accept::Reuseport {
            args.workers.accept = Accept::Shared;
        }
        args
    }

    /// The listeners, where there are any.
    pub(in super::super) fn listeners(self) -> Option<Vec<TcpListener>> {
        (!self.0.is_empty()).then_some(self.0)
    }
}
