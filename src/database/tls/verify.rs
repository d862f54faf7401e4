//! Whose certificate is believed: anybody's, one that an authority signed, or one that is for the host's name besides.
//!
//! **Invariant:** in every mode the server proves that it has the key of the certificate it shows, without which the binding of the
//! login to the certificate ([`super::binding`]) would bind nothing.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::{Mode, Roots, Wanted};

/// Makes what shakes hands as is wanted.
pub(super) fn client(wanted: &Wanted) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let roots = match (wanted.mode, &wanted.roots) {
        (Mode::VerifyCa | Mode::VerifyFull, Some(roots)) => Some(Arc::new(load(roots)?)),
        _ => None,
    };
    Ok(match roots {
        Some(roots) if wanted.mode == Mode::VerifyFull => {
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        roots => {
            let verifier = Arc::new(AnyName { roots, provider });
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
    })
}

fn load(roots: &Roots) -> Result<RootCertStore, String> {
    let certificates = match roots {
        Roots::File(path) => read(path)?,
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                return Err(
                    "sslrootcert=system, but the system trusts no certificate authority that is found: \
                            install its certificates (ca-certificates), or give a file"
                        .into(),
                );
            }
            found.certs
        }
    };
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates);
    match roots {
        Roots::File(path) if added == 0 => Err(format!(
            "sslrootcert: there is no certificate in {}; it is to hold them as PEM",
            path.display()
        )),
        _ => Ok(store),
    }
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    certificates.map_err(|error| format!("sslrootcert: {} cannot be read: {error}", path.display()))
}

/// Believes a certificate whatever name it is for: one of these authorities', or, without them, anybody's.
#[derive(Debug)]
struct AnyName {
    roots: Option<Arc<RootCertStore>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
