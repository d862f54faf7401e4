//! What went wrong with TLS, in words that name the mend.
//!
//! **Invariant:** each text says what the server showed or did, and what to change where.

use std::io;

use rustls::{CertificateError, Error};

use super::{Mode, Roots, Wanted};

/// The server has no TLS, which the mode asks for.
pub(super) fn no_tls(mode: Mode) -> String {
    format!("it does not speak TLS, which sslmode={} asks for: set ssl = on there", mode.word())
}

/// A handshake that failed, with what mends it.
pub(super) fn explain(error: &io::Error, name: Option<&str>, wanted: &Wanted) -> io::Error {
    let said = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let why = match said {
        Some(Error::InvalidCertificate(why)) => certificate(why, name.unwrap_or("this address"), wanted),
        Some(other) => format!("TLS failed: {other}"),
        None => format!("TLS failed: {error}"),
    };
    io::Error::new(error.kind(), why)
}

fn certificate(why: &CertificateError, name: &str, wanted: &Wanted) -> String {
    let roots = match &wanted.roots {
        Some(Roots::File(path)) => path.display().to_string(),
        Some(Roots::System) => "the system's authorities".into(),
        None => "none".into(),
    };
    match why {
        // The signature is bad where an authority of the same name has another key, as after it was made anew.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "its certificate was not issued by an authority of {roots}: give the right one by sslrootcert"
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "its certificate is not for {name}: name the host as the certificate does, or have one issued for this name"
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: have it renewed there".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: look at both clocks".into()
        }
        CertificateError::Other(why) => format!(
            "its certificate cannot be used ({why:?}): have a certificate of version 3 issued that is no authority's own"
        ),
        why => format!("its certificate is not believed: {why:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_names_its_mend() {
        let wanted = Wanted { mode: Mode::VerifyFull, roots: Some(Roots::File("/ca.pem".into())) };
        for (why, mend) in [
            (CertificateError::UnknownIssuer, "/ca.pem"),
            (CertificateError::BadSignature, "/ca.pem"),
            (CertificateError::NotValidForName, "db1"),
            (CertificateError::Expired, "renewed"),
            (CertificateError::NotValidYet, "clocks"),
        ] {
            let error = io::Error::new(io::ErrorKind::InvalidData, Error::InvalidCertificate(why));
            let said = explain(&error, Some("db1"), &wanted).to_string();
            assert!(said.contains(mend), "{said}");
        }
    }
}
