//! Whom the client believes to be the server: what the system's roots vouch for, or a file of roots, or a certificate that a
//! person has looked at (its SHA-256 fingerprint, given or kept from the first time).
//!
//! Once TLS was asked for there is no way back to plain text, and no password leaves before the server is believed.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
};
use sha2::{Digest as _, Sha256};

use crate::timed::Timed;

/// A connection within TLS.
pub(crate) type TlsStream = StreamOwned<ClientConnection, Timed>;

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Never: everything can be read on the way
    Never,
    /// After the greeting, before the password (STARTTLS, STLS)
    Starttls,
    /// At once (ports 465 and 995)
    Implicit,
}

/// As the flag takes it.
impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Never => "never",
            Self::Starttls => "starttls",
            Self::Implicit => "implicit",
        })
    }
}

/// Which certificates are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    /// Roots in place of the system's.
    pub(crate) ca: Option<PathBuf>,
    /// The one certificate, and no other.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Where the fingerprints are that a person has said yes to.
    pub(crate) known: PathBuf,
}

/// The SHA-256 of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

/// A server whose certificate nobody vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stranger {
    /// `host:port`
    pub(crate) address: String,
    pub(crate) fingerprint: Fingerprint,
    /// What is wrong with it.
    pub(crate) reason: String,
    /// It is not the one that was known at this address.
    pub(crate) has_changed: bool,
}

/// Why a handshake came to nothing.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    Stranger(Stranger),
    Failed(String),
}

impl Trust {
    /// Does the client's part of a handshake, in the time that the socket has.
    pub(crate) fn handshake(&self, socket: Timed, address: &str) -> Result<TlsStream, HandshakeError> {
        let failed = |reason: &dyn std::fmt::Display| HandshakeError::Failed(reason.to_string());
        let known = self.known(address).map_err(|error| {
            failed(&format!("cannot read the known certificates in {}: {error}", self.known.display()))
        })?;
        let verifier = Arc::new(Verifier::new(self, known).map_err(|error| failed(&error))?);
        let config = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for the default versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|error| failed(&error))?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(|error| failed(&error))?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
                let rejected = verifier.rejected.lock().unwrap_or_else(PoisonError::into_inner).take();
                return Err(match rejected {
                    Some((fingerprint, reason)) => HandshakeError::Stranger(Stranger {
                        address: address.to_owned(),
                        fingerprint,
                        reason,
                        has_changed: known.is_some(),
                    }),
                    None if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                        failed(&"it takes too long")
                    }
                    None => failed(&error),
                });
            }
        }
        Ok(stream)
    }

    /// The fingerprint that a person has said yes to.
    fn known(&self, address: &str) -> io::Result<Option<Fingerprint>> {
        let text = match std::fs::read_to_string(&self.known) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let line =
            text.lines().rev().filter_map(|line| line.split_once(' ')).find(|(host, _)| *host == address);
        line.map(|(_, fingerprint)| fingerprint.parse().map_err(io::Error::other)).transpose()
    }

    /// Believes this certificate at this address from now on.
    pub(crate) fn remember(&self, stranger: &Stranger) -> io::Result<()> {
        if let Some(folder) = self.known.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().append(true).create(true).open(&self.known)?;
        writeln!(file, "{} {}", stranger.address, stranger.fingerprint)?;
        file.sync_all()
    }
}

/// With the person's other configuration, or else in the current folder.
pub(crate) fn known_by_default() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .map_or_else(PathBuf::new, |config| config.join("pennypost/known-certificates"))
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// What the roots vouch for is good; `None` without a root.
    roots: Option<Arc<WebPkiServerVerifier>>,
    pinned: Option<Fingerprint>,
    rejected: Mutex<Option<(Fingerprint, String)>>,
}

impl Verifier {
    fn new(trust: &Trust, known: Option<Fingerprint>) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        // Who names one certificate wants no other.
        let roots = if trust.fingerprint.is_some() { None } else { Some(roots(trust.ca.as_deref())?) };
        let roots = roots.filter(|roots| !roots.is_empty()).map(|roots| {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()
        });
        let roots = roots.transpose().map_err(|error| error.to_string())?;
        Ok(Self { provider, roots, pinned: trust.fingerprint.or(known), rejected: Mutex::default() })
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let unusable = |error: &dyn std::fmt::Display| {
        format!("cannot use the certificates in {}: {error}; name a PEM file with --ca", path.display())
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() { Err(unusable(&"it has none")) } else { Ok(roots) }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let vouched = match &self.roots {
            Some(roots) => {
                roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Err(rustls::CertificateError::UnknownIssuer.into()),
        };
        let fingerprint = Fingerprint::of(end_entity);
        match vouched {
            Err(_) if self.pinned == Some(fingerprint) => Ok(ServerCertVerified::assertion()),
            Err(error) => {
                let mut rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
                *rejected = Some((fingerprint, error.to_string()));
                Err(error)
            }
            vouched => vouched,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

/// As `openssl x509 -fingerprint -sha256` and the servers' log write it.
impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, octet) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_char(':')?;
            }
            write!(f, "{octet:02X}")?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "write it as 64 hexadecimal digits, with or without colons";
        let digits: Vec<u8> = text.trim().bytes().filter(|octet| *octet != b':').collect();
        let mut octets = [0; 32];
        if digits.len() != 2 * octets.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(WRONG);
        }
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = str::from_utf8(pair).map_err(|_| WRONG)?;
            *octet = u8::from_str_radix(pair, 16).map_err(|_| WRONG)?;
        }
        Ok(Self(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let fingerprint = Fingerprint::of(&CertificateDer::from(b"any".to_vec()));
        let text = fingerprint.to_string();
        assert_eq!((text.len(), text.matches(':').count()), (95, 31));
        for text in [text.clone(), text.to_lowercase(), text.replace(':', "")] {
            assert_eq!(text.parse(), Ok(fingerprint), "{text}");
        }
        for text in ["", "12", &text[3..], &format!("{text}:00"), &text.replace(&text[..1], "x")] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_was_remembered_last_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let trust = Trust { ca: None, fingerprint: None, known: folder.path().join("a/known") };
        assert_eq!(trust.known("host:1").unwrap(), None);
        let [first, second] = [b"1", b"2"].map(|text| Fingerprint::of(&CertificateDer::from(text.to_vec())));
        for (address, fingerprint) in [("host:1", first), ("host:2", first), ("host:1", second)] {
            let stranger =
                Stranger { address: address.into(), fingerprint, reason: String::new(), has_changed: false };
            trust.remember(&stranger).unwrap();
        }
        assert_eq!(trust.known("host:1").unwrap(), Some(second));
        assert_eq!(trust.known("host:2").unwrap(), Some(first));
        assert_eq!(trust.known("host:3").unwrap(), None);
        std::fs::write(&trust.known, "host:1 nonsense\n").unwrap();
        assert!(trust.known("host:1").is_err(), "a line that cannot be read is no permission to ask again");
    }
}
