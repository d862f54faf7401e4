//! The socket under a wire, of whichever kind it is.
//!
//! **Invariant:** which kind it is, is settled before the first byte of a session, and never changes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use crate::database::tls::end_point;

/// A socket to PostgreSQL.
pub(in crate::database) enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
    /// Over TCP and TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// Whether it speaks TLS.
    pub(in crate::database) fn is_secured(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// A second handle to it.
    pub(in crate::database) fn handle(&self) -> io::Result<socket2::Socket> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream).try_clone(),
            Self::Unix(stream) => SockRef::from(stream).try_clone(),
            Self::Tls(stream) => SockRef::from(stream.get_ref().0).try_clone(),
        }
    }

    /// What binds a login to the certificate of the server at the other end.
    pub(in crate::database) fn binding(&self) -> Option<Vec<u8>> {
        let Self::Tls(stream) = self else { return None };
        let (_, session) = stream.get_ref();
        end_point(session.peer_certificates()?.first()?)
    }
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, out),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, out),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, out),
        }
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    /// TLS keeps what the socket would not take; the others keep nothing.
    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
