//! DANE for SMTP (RFC 7672): verifies the certificate of a mail server with the TLSA records of its name.
//!
//! Usages 0 and 1, which rely on public certificate authorities, are unusable for SMTP (section 3.1.3). Usage 3 names the server's
//! own certificate or key; its names and its time are not verified (section 3.1.1). Usage 2 names an authority of its chain.

use std::sync::Arc;

use hickory_resolver::proto::rr::rdata::TLSA;
use hickory_resolver::proto::rr::rdata::tlsa::{CertUsage, Matching, Selector};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256, Sha512};

/// Records of a mail server that are used. Each costs a digest of every certificate of the chain.
const RECORDS_MAX: usize = 32;
/// Certificates of a chain that are compared with the records.
const CHAIN_MAX: usize = 16;

/// The records that this module understands (RFC 7672 section 2.2); none makes all of them unusable.
pub(crate) fn usable(records: Vec<TLSA>) -> Vec<TLSA> {
    let is_usable = |record: &TLSA| {
        matches!(record.cert_usage, CertUsage::DaneTa | CertUsage::DaneEe)
            && matches!(record.selector, Selector::Full | Selector::Spki)
            && matches!(record.matching, Matching::Raw | Matching::Sha256 | Matching::Sha512)
    };
    records.into_iter().filter(is_usable).take(RECORDS_MAX).collect()
}

/// Accepts the certificates that TLSA records name.
#[derive(Debug)]
pub(crate) struct DaneVerifier {
    records: Vec<TLSA>,
    /// The names that a certificate of usage 2 may have (RFC 7672 section 3.2.2).
    names: Vec<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
}

/// No record matches.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is not the one in the TLSA records")]
struct NoTlsaRecordMatches;

impl DaneVerifier {
    /// `records` are [`usable`]. `names` are those of the mail server and of the recipients' domain.
    pub(crate) fn new(records: Vec<TLSA>, names: &[&str], provider: Arc<CryptoProvider>) -> Self {
        let names = names.iter().filter_map(|name| ServerName::try_from((*name).to_owned()).ok());
        Self { records, names: names.collect(), provider }
    }

    /// The authorities that records of usage 2 name. The chain must contain them, unless a record is a whole certificate.
    fn authorities(&self, chain: &[CertificateDer<'_>]) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let records = || self.records.iter().filter(|record| record.cert_usage == CertUsage::DaneTa);
        for record in records() {
            if record.selector == Selector::Full && record.matching == Matching::Raw {
                let _ = roots.add(CertificateDer::from(record.cert_data.clone()));
            }
        }
        for certificate in chain.iter().take(CHAIN_MAX) {
            if records().any(|record| matches(record, certificate)) {
                let _ = roots.add(certificate.clone().into_owned());
            }
        }
        roots
    }
}

/// Whether a record names a certificate (RFC 6698 section 2.1).
fn matches(record: &TLSA, certificate: &CertificateDer<'_>) -> bool {
    let selected = match record.selector {
        Selector::Full => certificate.as_ref().to_vec(),
        Selector::Spki => match ParsedCertificate::try_from(certificate) {
            Ok(parsed) => parsed.subject_public_key_info().as_ref().to_vec(),
            Err(_) => return false,
        },
        _ => return false,
    };
    match record.matching {
        Matching::Raw => selected == record.cert_data,
        Matching::Sha256 => Sha256::digest(&selected)[..] == record.cert_data,
        Matching::Sha512 => Sha512::digest(&selected)[..] == record.cert_data,
        _ => false,
    }
}

impl ServerCertVerifier for DaneVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_own = |record: &TLSA| record.cert_usage == CertUsage::DaneEe && matches(record, end_entity);
        if self.records.iter().any(is_own) {
            return Ok(ServerCertVerified::assertion());
        }
        let roots = self.authorities(intermediates);
        if roots.is_empty() {
            let error = OtherError(Arc::new(NoTlsaRecordMatches));
            return Err(Error::InvalidCertificate(CertificateError::Other(error)));
        }
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &roots, intermediates, now, algorithms)?;
        let mut verified = Err(Error::InvalidCertificate(CertificateError::NotValidForName));
        for name in &self.names {
            verified = verified.or_else(|_| verify_server_name(&certificate, name));
        }
        verified.map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::crypto::ring;

    use super::*;

    const HOST: &str = "mx.example.net";

    struct Chain {
        authority: CertificateDer<'static>,
        leaf: CertificateDer<'static>,
    }

    fn chain(names: &[&str]) -> Chain {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        Chain { authority: issuer.der().clone(), leaf: leaf.der().clone() }
    }

    fn record(usage: u8, selector: u8, matching: u8, certificate: &CertificateDer<'_>) -> TLSA {
        let data = match selector {
            0 => certificate.as_ref().to_vec(),
            _ => {
                ParsedCertificate::try_from(certificate).unwrap().subject_public_key_info().as_ref().to_vec()
            }
        };
        let data = match matching {
            1 => Sha256::digest(data).to_vec(),
            2 => Sha512::digest(data).to_vec(),
            _ => data,
        };
        TLSA::new(usage.into(), selector.into(), matching.into(), data)
    }

    fn is_accepted(records: Vec<TLSA>, chain: &Chain, intermediates: &[CertificateDer<'_>]) -> bool {
        let provider = Arc::new(ring::default_provider());
        let verifier = DaneVerifier::new(usable(records), &[HOST, "example.net"], provider);
        let name = ServerName::try_from(HOST).unwrap();
        verifier.verify_server_cert(&chain.leaf, intermediates, &name, &[], UnixTime::now()).is_ok()
    }

    #[test]
    fn own_certificate_or_key_is_accepted_whatever_its_name() {
        let (own, other) = (chain(&["elsewhere.example"]), chain(&[HOST]));
        for selector in [0, 1] {
            for matching in [0, 1, 2] {
                assert!(is_accepted(vec![record(3, selector, matching, &own.leaf)], &own, &[]));
                assert!(!is_accepted(vec![record(3, selector, matching, &other.leaf)], &own, &[]));
                // One of several records suffices, for a change of the key.
                let both = [&other, &own].map(|chain| record(3, selector, matching, &chain.leaf));
                assert!(is_accepted(both.to_vec(), &own, &[]));
            }
        }
    }

    #[test]
    fn authority_signs_certificates_with_the_name_of_the_host_or_domain() {
        for (name, accepted) in [(HOST, true), ("example.net", true), ("elsewhere.example", false)] {
            let own = chain(&[name]);
            for (selector, matching) in [(0, 1), (1, 1), (1, 2), (0, 0)] {
                let records = vec![record(2, selector, matching, &own.authority)];
                assert_eq!(
                    is_accepted(records, &own, std::slice::from_ref(&own.authority)),
                    accepted,
                    "{name}"
                );
            }
            assert_eq!(is_accepted(vec![record(2, 0, 0, &own.authority)], &own, &[]), accepted);
            assert!(!is_accepted(vec![record(2, 0, 1, &own.authority)], &own, &[]), "not in the chain");
            let other = chain(&[HOST]);
            let records = vec![record(2, 0, 1, &other.authority)];
            assert!(
                !is_accepted(records, &own, std::slice::from_ref(&other.authority)),
                "it did not sign the certificate"
            );
        }
    }

    #[test]
    fn records_of_other_usages_are_unusable() {
        let own = chain(&[HOST]);
        for (usage, selector, matching) in
            [(0, 0, 1), (1, 1, 1), (4, 0, 1), (3, 2, 1), (3, 1, 3), (255, 0, 0)]
        {
            let mut unknown = record(3, 1, 1, &own.leaf);
            unknown.cert_usage = usage.into();
            unknown.selector = selector.into();
            unknown.matching = matching.into();
            assert!(usable(vec![unknown]).is_empty(), "{usage} {selector} {matching}");
        }
        assert_eq!(usable(vec![record(3, 1, 1, &own.leaf); 1_000]).len(), RECORDS_MAX);
    }

    #[test]
    fn malformed_records_and_certificates_are_refused() {
        let own = chain(&[HOST]);
        let broken = Chain { leaf: CertificateDer::from(vec![0x30, 3]), ..chain(&[HOST]) };
        assert!(!is_accepted(vec![record(3, 1, 1, &own.leaf)], &broken, &[]));
        let empty = TLSA::new(CertUsage::DaneEe, Selector::Full, Matching::Sha256, Vec::new());
        let no_certificate = TLSA::new(CertUsage::DaneTa, Selector::Full, Matching::Raw, vec![0; 100]);
        assert!(!is_accepted(vec![empty, no_certificate], &own, &[]));
    }
}
