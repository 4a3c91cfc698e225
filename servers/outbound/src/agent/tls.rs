//! TLS to other hosts.

use std::sync::Arc;

use config::{Outbound, OutboundMode};
use hickory_resolver::proto::rr::rdata::TLSA;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tracing::warn;

use crate::dane::DaneVerifier;

/// Names the setting in errors.
const CA: &str = "`ca` in [outbound]";

/// Configurations by the trust in a host's certificate.
#[derive(Debug, Clone)]
pub(super) struct ClientConfigs {
    /// Any certificate.
    pub(super) opportunistic: Arc<ClientConfig>,
    /// Certificates of public authorities, or of those of `ca`; `None` without root certificates.
    pub(super) verified: Option<Arc<ClientConfig>>,
    /// As `verified`, with the roots of the smarthost.
    pub(super) smarthost: Option<Arc<ClientConfig>>,
    provider: Arc<CryptoProvider>,
}

impl ClientConfigs {
    /// # Errors
    /// A sentence: the root certificates are unreadable.
    pub(super) fn load(config: &Outbound) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let verifying = |roots| {
            let config = builder(&provider).with_root_certificates(roots).with_no_client_auth();
            Arc::new(config)
        };
        let smarthost = match &config.smarthost {
            None => None,
            Some(smarthost) => {
                let file = smarthost.ca.as_deref().or(config.ca.as_deref());
                Some(verifying(root_certificates::load(file, CA)?))
            }
        };
        let verified = match root_certificates::load(config.ca.as_deref(), CA) {
            _ if config.mode == OutboundMode::Smarthost => None,
            Ok(roots) => Some(verifying(roots)),
            Err(sentence) if config.ca.is_some() => return Err(sentence),
            Err(sentence) => {
                warn!("mail servers are not verified with MTA-STS: {sentence}");
                None
            }
        };
        let any = Arc::new(AnyCertificate(Arc::clone(&provider)));
        Ok(Self { opportunistic: with_verifier(&provider, any), verified, smarthost, provider })
    }

    /// Certificates that usable TLSA records name.
    pub(super) fn dane(&self, records: Vec<TLSA>, names: &[&str]) -> Arc<ClientConfig> {
        let verifier = DaneVerifier::new(records, names, Arc::clone(&self.provider));
        with_verifier(&self.provider, Arc::new(verifier))
    }
}

fn builder(provider: &Arc<CryptoProvider>) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for the default versions")
}

fn with_verifier(provider: &Arc<CryptoProvider>, verifier: Arc<dyn ServerCertVerifier>) -> Arc<ClientConfig> {
    let builder = builder(provider).dangerous().with_custom_certificate_verifier(verifier);
    Arc::new(builder.with_no_client_auth())
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
