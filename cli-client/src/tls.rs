//! TLS to a server, and the policy that decides which certificates are trusted: those issued by the system's roots or by a
//! file of roots, or a certificate pinned by its fingerprint (given by a flag, or accepted by the user at the first connection).
//!
//! If TLS is configured, the client never falls back to plain text, and no password is sent before the certificate is trusted.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::deadline_stream::DeadlineStream;
use crate::fingerprint::Fingerprint;

pub(crate) type TlsStream = StreamOwned<ClientConnection, DeadlineStream>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TlsMode {
    /// No TLS: the connection is not encrypted
    Never,
    /// After the greeting and before the password (STARTTLS, STLS)
    Starttls,
    /// With the first byte (ports 465 and 995)
    Implicit,
}

/// The value of `--tls`.
impl Display for TlsMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Never => "never",
            Self::Starttls => "starttls",
            Self::Implicit => "implicit",
        })
    }
}

/// The trusted certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrustPolicy {
    /// PEM file of roots that replaces the system's.
    pub(crate) ca: Option<PathBuf>,
    /// The only trusted certificate.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// File of the certificates that the user accepted: one `host:port fingerprint` per line. The last line of an
    /// address applies.
    pub(crate) known_certificates: PathBuf,
}

/// A certificate that the policy does not trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UntrustedCertificate {
    /// `host:port` of the server.
    pub(crate) address: String,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) reason: String,
    /// Another certificate is known for this address.
    pub(crate) has_changed: bool,
}

#[derive(Debug)]
pub(crate) enum HandshakeError {
    Untrusted(UntrustedCertificate),
    Failed(String),
}

impl TrustPolicy {
    /// Performs the client's handshake before the deadline of `stream`.
    pub(crate) fn handshake(
        &self,
        stream: DeadlineStream,
        address: &str,
    ) -> Result<TlsStream, HandshakeError> {
        let failed = |reason: &dyn Display| HandshakeError::Failed(reason.to_string());
        let known = self.known_fingerprint(address).map_err(|error| {
            let path = self.known_certificates.display();
            failed(&format!(
                "cannot read the known certificates in {path}: {error}; correct or remove the file"
            ))
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
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
                return Err(match verifier.take_rejection() {
                    Some((fingerprint, reason)) => HandshakeError::Untrusted(UntrustedCertificate {
                        address: address.to_owned(),
                        fingerprint,
                        reason,
                        has_changed: known.is_some(),
                    }),
                    None if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                        failed(&"handshake timed out")
                    }
                    None => failed(&error),
                });
            }
        }
        Ok(stream)
    }

    /// The fingerprint that the user accepted for an address.
    fn known_fingerprint(&self, address: &str) -> io::Result<Option<Fingerprint>> {
        let text = match std::fs::read_to_string(&self.known_certificates) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let line =
            text.lines().rev().filter_map(|line| line.split_once(' ')).find(|(host, _)| *host == address);
        line.map(|(_, fingerprint)| fingerprint.parse().map_err(io::Error::other)).transpose()
    }

    /// Trusts a certificate at its address from now on.
    pub(crate) fn remember(&self, certificate: &UntrustedCertificate) -> io::Result<()> {
        if let Some(directory) = self.known_certificates.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let mut file = OpenOptions::new().append(true).create(true).open(&self.known_certificates)?;
        writeln!(file, "{} {}", certificate.address, certificate.fingerprint)?;
        file.sync_all()
    }
}

/// The user's configuration directory, or else the current directory.
pub(crate) fn default_known_certificates() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .map_or_else(PathBuf::new, |config| config.join("pennypost/known-certificates"))
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None` if there are no roots.
    roots: Option<Arc<WebPkiServerVerifier>>,
    pinned: Option<Fingerprint>,
    rejection: Mutex<Option<(Fingerprint, String)>>,
}

impl Verifier {
    fn new(policy: &TrustPolicy, known: Option<Fingerprint>) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let roots = match policy.fingerprint {
            Some(_) => None,
            // A system without root certificates trusts confirmed fingerprints only.
            None => match root_certificates::load(policy.ca.as_deref(), "--ca") {
                Err(error) if policy.ca.is_some() => return Err(error),
                roots => roots.ok(),
            },
        };
        let roots = roots
            .map(|roots| WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build());
        let roots = roots.transpose().map_err(|error| error.to_string())?;
        Ok(Self { provider, roots, pinned: policy.fingerprint.or(known), rejection: Mutex::default() })
    }

    fn take_rejection(&self) -> Option<(Fingerprint, String)> {
        self.rejection.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
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
        let verified = match &self.roots {
            Some(roots) => {
                roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Err(rustls::CertificateError::UnknownIssuer.into()),
        };
        let fingerprint = Fingerprint::of(end_entity);
        match verified {
            Err(_) if self.pinned == Some(fingerprint) => Ok(ServerCertVerified::assertion()),
            Err(error) => {
                let mut rejection = self.rejection.lock().unwrap_or_else(PoisonError::into_inner);
                *rejection = Some((fingerprint, error.to_string()));
                Err(error)
            }
            verified => verified,
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

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn known_fingerprint_returns_the_last_line_of_the_address() {
        let directory = tempfile::tempdir().unwrap();
        let policy =
            TrustPolicy { ca: None, fingerprint: None, known_certificates: directory.path().join("a/known") };
        assert_eq!(policy.known_fingerprint("host:1").unwrap(), None);
        let [first, second] = [b"1", b"2"].map(|text| Fingerprint::of(&CertificateDer::from(text.to_vec())));
        for (address, fingerprint) in [("host:1", first), ("host:2", first), ("host:1", second)] {
            let (address, reason) = (address.to_owned(), String::new());
            let certificate = UntrustedCertificate { address, fingerprint, reason, has_changed: false };
            policy.remember(&certificate).unwrap();
        }
        assert_eq!(policy.known_fingerprint("host:1").unwrap(), Some(second));
        assert_eq!(policy.known_fingerprint("host:2").unwrap(), Some(first));
        assert_eq!(policy.known_fingerprint("host:3").unwrap(), None);
    }

    #[test]
    fn known_fingerprint_fails_on_a_malformed_line() {
        let directory = tempfile::tempdir().unwrap();
        let policy =
            TrustPolicy { ca: None, fingerprint: None, known_certificates: directory.path().join("known") };
        std::fs::write(&policy.known_certificates, "host:1 nonsense\n").unwrap();
        assert!(policy.known_fingerprint("host:1").is_err(), "the user must not be asked to accept another");
    }

    #[test]
    fn handshake_with_single_bytes_times_out_at_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let server = thread::spawn(move || {
            let (mut peer, _) = listener.accept().expect("the client connects");
            // The header of a 16 KiB handshake record, then one byte at a time.
            let mut sent = peer.write_all(&[22, 3, 3, 64, 0]);
            while sent.is_ok() {
                thread::sleep(Duration::from_millis(10));
                sent = peer.write_all(&[0]);
            }
        });
        let socket = TcpStream::connect(address).expect("the server listens");
        let stream = DeadlineStream { socket, deadline: Some(Instant::now() + Duration::from_millis(300)) };
        let fingerprint = "00".repeat(32).parse().expect("32 bytes");
        let trust =
            TrustPolicy { ca: None, fingerprint: Some(fingerprint), known_certificates: "none".into() };
        let error = trust.handshake(stream, &address.to_string()).expect_err("the deadline passes");
        assert!(
            matches!(&error, HandshakeError::Failed(reason) if reason == "handshake timed out"),
            "{error:?}"
        );
        server.join().expect("the server stops when the client disconnects");
    }
}
