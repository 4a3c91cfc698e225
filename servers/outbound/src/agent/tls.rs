//! TLS to other hosts.

use std::sync::Arc;

use config::Outbound;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Configurations by the trust in a host's certificate.
#[derive(Debug, Clone)]
pub(super) struct ClientConfigs {
    /// Any certificate.
    pub(super) opportunistic: Arc<ClientConfig>,
    /// Certificates of the smarthost; `None` without a smarthost.
    pub(super) verified: Option<Arc<ClientConfig>>,
}

impl ClientConfigs {
    /// # Errors
    /// A sentence: the root certificates are unreadable.
    pub(super) fn load(config: &Outbound) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .expect("the provider has cipher suites for the default versions")
        };
        let opportunistic = builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(Arc::clone(&provider))))
            .with_no_client_auth();
        let verified = match &config.smarthost {
            None => None,
            Some(smarthost) => {
                let roots = roots(smarthost.ca.as_deref())?;
                Some(Arc::new(builder().with_root_certificates(roots).with_no_client_auth()))
            }
        };
        Ok(Self { opportunistic: Arc::new(opportunistic), verified })
    }
}

fn roots(file: Option<&std::path::Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(path) => {
            let invalid = |error: &dyn std::fmt::Display| {
                format!("cannot read the root certificates in {}: {error}", path.display())
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| invalid(&error))? {
                let certificate = certificate.map_err(|error| invalid(&error))?;
                roots.add(certificate).map_err(|error| invalid(&error))?;
            }
            if roots.is_empty() {
                return Err(invalid(&"the file has no certificate"));
            }
        }
        None => {
            // One unreadable certificate of the system does not matter.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("the system has no root certificates; install ca-certificates, or set `ca` of the smarthost".into());
            }
        }
    }
    Ok(roots)
}

/// Accepts any certificate: an encrypted connection to an unknown host is better than a plain one (RFC 7435).
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
