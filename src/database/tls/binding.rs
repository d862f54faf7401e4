//! The binding of the login to the certificate: the server's certificate goes into the SCRAM exchange (RFC 5929,
//! `tls-server-end-point`), so that nobody in the middle with another certificate can pass the login on.
//!
//! The driver does the exchange, and learns of the certificate by its trait for TLS; it is handed a stream that is secured already.
//!
//! **Invariant:** a hash that RFC 5929 does not define is no binding, rather than a wrong one.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// `md5WithRSAEncryption` to `sha512WithRSAEncryption` but for their last number (RFC 8017, appendix C).
const RSA: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// `ecdsa-with-SHA1`, and those with SHA-2 but for their last number (RFC 5758, section 3.2).
const ECDSA_SHA1: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];
const ECDSA_SHA2: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];

/// The certificate's hash as RFC 5929, section 4.1 has it: by the hash of its signature, or SHA-256 where that is MD5 or SHA-1.
pub(in crate::database) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (fields, _) = element(certificate, SEQUENCE)?;
    let (_, behind) = element(fields, SEQUENCE)?;
    let (algorithm, _) = element(behind, SEQUENCE)?;
    let (name, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    let (family, last) = name.split_at_checked(name.len().checked_sub(1)?)?;
    match (family, last) {
        (family, [4 | 5 | 11]) if family == RSA => Some(Sha256::digest(certificate).to_vec()),
        (family, [12]) if family == RSA => Some(Sha384::digest(certificate).to_vec()),
        (family, [13]) if family == RSA => Some(Sha512::digest(certificate).to_vec()),
        (family, [2]) if family == ECDSA_SHA2 => Some(Sha256::digest(certificate).to_vec()),
        (family, [3]) if family == ECDSA_SHA2 => Some(Sha384::digest(certificate).to_vec()),
        (family, [4]) if family == ECDSA_SHA2 => Some(Sha512::digest(certificate).to_vec()),
        _ if name == ECDSA_SHA1 => Some(Sha256::digest(certificate).to_vec()),
        _ => None,
    }
}

/// The contents of the DER element (X.690) that stands first, if it is of this kind, and what stands behind it.
fn element(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    if tag == kind { rest.split_at_checked(length) } else { None }
}

/// Hands the driver the stream as one that it has secured itself, with the binding of its certificate.
pub(in crate::database) struct Handed(pub(in crate::database) Option<Vec<u8>>);

/// A stream that was secured below the driver.
pub(in crate::database) struct Secured<S> {
    stream: S,
    binding: Option<Vec<u8>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsConnect<S> for Handed {
    type Stream = Secured<S>;
    type Error = Infallible;
    type Future = Ready<Result<Secured<S>, Infallible>>;

    fn connect(self, stream: S) -> Self::Future {
        ready(Ok(Secured { stream, binding: self.0 }))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Secured<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.binding.clone().map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Secured<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate's outermost shape: fields, an algorithm of this name, a signature.
    fn certificate(name: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, content: &[u8]| {
            let length = u8::try_from(content.len()).unwrap();
            [&[tag, 0x81, length], content].concat()
        };
        let algorithm = wrap(SEQUENCE, &wrap(OBJECT_IDENTIFIER, name));
        wrap(SEQUENCE, &[wrap(SEQUENCE, b"fields"), algorithm, wrap(3, b"signature")].concat())
    }

    #[test]
    fn the_hash_is_the_signature_s_own_or_a_better_one() {
        let lengths = [4, 5, 11, 12, 13]
            .map(|last| end_point(&certificate(&[RSA.as_slice(), &[last]].concat())).map(|hash| hash.len()));
        assert_eq!(lengths, [Some(32), Some(32), Some(32), Some(48), Some(64)]);
        let lengths = [2, 3, 4]
            .map(|last| end_point(&certificate(&[ECDSA_SHA2.as_slice(), &[last]].concat())).unwrap().len());
        assert_eq!(lengths, [32, 48, 64]);
        assert_eq!(end_point(&certificate(&ECDSA_SHA1)).unwrap().len(), 32);
    }

    #[test]
    fn a_certificate_without_a_defined_hash_or_shape_binds_nothing() {
        let ed25519 = certificate(&[0x2b, 0x65, 0x70]);
        assert_eq!(end_point(&ed25519), None);
        let whole = certificate(&[RSA.as_slice(), &[11]].concat());
        for cut in 0..whole.len() {
            assert_eq!(end_point(&whole[..cut]), None, "{cut}");
        }
    }
}
