//! TLS to PostgreSQL: asked for as the protocol has it (PostgreSQL manual, "SSL Session Encryption"), spoken by rustls.
//!
//! The driver would speak it above our stream; here it lies below, so that a lane can put its queries past the driver under TLS too.
//!
//! **Invariant:** which server's word is taken is decided once, from the settings ([`mode`]); nothing here falls back to less than they ask.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

mod binding;
mod mode;
mod verify;
mod words;

pub(super) use binding::{Handed, Secured, end_point};
pub(super) use mode::{Mode, Roots, Wanted};

/// `SSLRequest`: its length and its code, 1234 and 5679 (PostgreSQL manual, "Message Formats").
const REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// How TLS is spoken with the servers of one address.
#[derive(Clone)]
pub(super) struct Tls {
    wanted: Wanted,
    client: Arc<ClientConfig>,
}

/// What a server made of the wish for TLS.
pub(super) enum Answer {
    /// It speaks TLS, and is who it should be as far as was asked.
    Secured(Box<TlsStream<TcpStream>>),
    /// It does not, and none is needed.
    Refused(TcpStream),
}

impl Tls {
    /// Reads the certificate authorities; nothing where no TLS is to be spoken.
    ///
    /// # Errors
    /// One line for people: what cannot be read, or is missing.
    pub(super) fn prepare(wanted: Wanted) -> Result<Option<Self>, String> {
        if wanted.mode == Mode::Disable {
            return Ok(None);
        }
        let client = verify::client(&wanted)?;
        Ok(Some(Self { wanted, client: Arc::new(client) }))
    }

    /// What was asked for.
    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Whether a connection without TLS will do.
    pub(super) fn is_optional(&self) -> bool {
        self.wanted.mode == Mode::Prefer
    }

    /// Asks the server for TLS and shakes hands; `name` is what it is called in the settings.
    pub(super) async fn secure(
        &self,
        mut stream: TcpStream,
        address: SocketAddr,
        name: Option<&str>,
    ) -> io::Result<Answer> {
        stream.write_all(&REQUEST).await?;
        let mut answer = [0];
        // One byte and no more: what somebody on the way puts behind it must not pass for what came encrypted.
        stream.read_exact(&mut answer).await?;
        match answer[0] {
            b'S' => {}
            b'N' if self.is_optional() => return Ok(Answer::Refused(stream)),
            b'N' => return Err(io::Error::other(words::no_tls(self.wanted.mode))),
            _ => return Err(io::Error::other("it answered the wish for TLS with an error")),
        }
        let subject = self.subject(address, name)?;
        let shaken = TlsConnector::from(Arc::clone(&self.client)).connect(subject, stream).await;
        let stream = shaken.map_err(|error| words::explain(&error, name, &self.wanted))?;
        Ok(Answer::Secured(Box::new(stream)))
    }

    /// The name that the certificate is held against, and that the server is told (SNI) where it is no address.
    fn subject(&self, address: SocketAddr, name: Option<&str>) -> io::Result<ServerName<'static>> {
        match name.map(|name| ServerName::try_from(name.to_owned())) {
            Some(Ok(name)) => Ok(name),
            None | Some(Err(_)) if self.wanted.mode != Mode::VerifyFull => Ok(address.ip().into()),
            None => Err(io::Error::other(
                "sslmode=verify-full needs the server's name: give it by host, beside hostaddr",
            )),
            Some(Err(_)) => Err(io::Error::other("the host is no name that a certificate could be for")),
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.wanted.fmt(formatter)
    }
}
