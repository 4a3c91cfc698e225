use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, ServerConnection, SignatureScheme};

use super::*;

const DIRECTORY: &str = "https://ca.example/directory";
const DIGEST: [u8; 32] = [7; 32];

struct TestDir(tempfile::TempDir);

impl TestDir {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn config(&self) -> config::Tls {
        config::Tls::Files { certificate: self.path("cert.pem"), key: self.path("key.pem") }
    }

    fn open(&self) -> Result<Option<Certificate>, String> {
        Certificate::open(&self.config(), self.0.path(), "iitkgp.edu")
    }

    fn open_self_signed(&self, hostname: &str) -> Certificate {
        Certificate::open(&config::Tls::SelfSigned, self.0.path(), hostname)
            .expect("the certificate can be created")
            .expect("TLS is on")
    }

    /// Replaces both files with a new pair.
    fn write_new_pair(&self) {
        let (certificate, key) = pair();
        for (name, pem) in [("cert.pem", certificate), ("key.pem", key)] {
            // A rename changes the inode; a write in place might keep both length and ctime.
            fs::write(self.path("new.pem"), pem).expect("written");
            fs::rename(self.path("new.pem"), self.path(name)).expect("moved");
        }
    }
}

fn pair() -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new(vec!["iitkgp.edu".to_owned()]).expect("a name");
    (parameters.self_signed(&key).expect("signed").pem(), key.serialize_pem())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("the file exists").permissions().mode() & 0o777
}

#[test]
fn open_without_tls_returns_none_and_writes_nothing() {
    let dir = TestDir::new();
    let opened = Certificate::open(&config::Tls::Off, dir.0.path(), "iitkgp.edu");
    assert!(opened.expect("TLS is off").is_none());
    assert!(!dir.path(".tls").exists());
}

#[test]
fn changed_files_are_reloaded_and_invalid_files_keep_the_previous_certificate() {
    let dir = TestDir::new();
    dir.write_new_pair();
    let certificate = dir.open().expect("a valid pair").expect("TLS is on");
    let first = certificate.fingerprint();
    assert_eq!(first.len(), 32 * 3 - 1);

    dir.write_new_pair();
    let second = certificate.fingerprint();
    assert_ne!(first, second);

    let good = fs::read(dir.path("cert.pem")).expect("read");
    for broken in [&pair().0.into_bytes()[..], b"", b"-----BEGIN CERTIFICATE-----\n!\n"] {
        fs::write(dir.path("cert.pem"), broken).expect("written");
        assert_eq!(certificate.fingerprint(), second);
    }
    fs::remove_file(dir.path("cert.pem")).expect("removed");
    assert_eq!(certificate.fingerprint(), second);

    fs::write(dir.path("cert.pem"), good).expect("written");
    assert_eq!(certificate.fingerprint(), second);
    dir.write_new_pair();
    assert_ne!(certificate.fingerprint(), second);
}

#[test]
fn open_errors_name_the_file_and_the_remedy() {
    let dir = TestDir::new();
    let assert_error = |part: &str| {
        let sentence = dir.open().expect_err(part);
        assert!(
            sentence.contains(part) && sentence.contains("[tls]") && !sentence.contains('\n'),
            "{sentence}"
        );
    };
    assert_error("cert.pem: No such file");
    dir.write_new_pair();
    fs::remove_file(dir.path("key.pem")).expect("removed");
    assert_error("key.pem: No such file");
    fs::write(dir.path("key.pem"), "no key").expect("written");
    assert_error("key.pem contains no private key");
    fs::write(dir.path("key.pem"), pair().1).expect("written");
    assert_error("do not form a usable pair");
    fs::write(dir.path("cert.pem"), "no certificate").expect("written");
    assert_error("cert.pem contains no certificate");
}

#[test]
fn self_signed_certificate_persists_and_its_key_is_private() {
    let dir = TestDir::new();
    let first = dir.open_self_signed("iitkgp.edu").fingerprint();
    assert_eq!(dir.open_self_signed("iitkgp.edu").fingerprint(), first);
    assert_eq!(mode(&dir.path(".tls")), 0o700);
    assert_eq!(mode(&dir.path(".tls/key.pem")), 0o600);
    let key = fs::read(dir.path(".tls/key.pem")).expect("read");
    assert_ne!(dir.open_self_signed("iit.edu").fingerprint(), first, "the host name changed");
    assert_eq!(fs::read(dir.path(".tls/key.pem")).expect("read"), key);
    dir.open_self_signed("localhost");
}

#[test]
fn self_signed_certificate_is_renewed_before_expiry() {
    let dir = TestDir::new();
    let first = dir.open_self_signed("iitkgp.edu");
    let path = dir.path(".tls/certificate.pem");
    let pem = fs::read_to_string(&path).expect("read");
    let (note, block) = pem.split_once('\n').expect("a note");
    let (prefix, expiry) = note.rsplit_once(' ').expect("an expiry");
    let expiry: u64 = expiry.parse().expect("seconds");
    let now = SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    assert!((expiry - now).abs_diff(397 * 86_400) < 60, "{note}");
    // Both a running process and a new one find a certificate that expires in 29 days.
    let soon = now + 29 * 86_400;
    fs::write(&path, format!("{prefix} {soon}\n{block}")).expect("written");
    let second = dir.open_self_signed("iitkgp.edu");
    assert_ne!(fs::read_to_string(&path).expect("read"), pem);
    assert_eq!(first.fingerprint(), second.fingerprint(), "the running process reloads the certificate");
    let self_signed = second.0.self_signed.as_ref().expect("the certificate is self-signed");
    self_signed.make_renewal_due();
    let third = second.fingerprint();
    assert_eq!(third, first.fingerprint(), "a valid certificate is not reissued");
    fs::write(&path, format!("{prefix} {soon}\n{block}")).expect("written");
    self_signed.make_renewal_due();
    assert_ne!(second.fingerprint(), third);
}

/// A certificate of an ACME directory, without one yet.
fn open_issued(dir: &TestDir) -> Certificate {
    let acme = config::Acme {
        contact: "mailto:ag@iitkgp.edu".into(),
        directory: DIRECTORY.parse().expect("a URL"),
        ca: None,
    };
    let opened = Certificate::open(&config::Tls::Acme(acme), dir.0.path(), "iitkgp.edu");
    opened.expect("the certificate can be created").expect("TLS is on")
}

/// Returns a certificate for the key of a request, as a directory does.
fn issue(files: &IssuedFiles, names: &[String]) -> String {
    assert!(!files.signing_request(names).expect("valid names").is_empty());
    let key = fs::read_to_string(files.key()).expect("a request creates the key");
    let key = KeyPair::from_pem(&key).expect("a key");
    CertificateParams::new(names).expect("valid names").self_signed(&key).expect("signed").pem()
}

#[test]
fn issued_certificate_replaces_the_self_signed_one_and_stays() {
    let dir = TestDir::new();
    let names = ["iitkgp.edu".to_owned(), "mail.iit.edu".to_owned()];
    let certificate = open_issued(&dir);
    let self_signed = certificate.fingerprint();
    assert_eq!(certificate.renewal_due(&names), None);
    assert_eq!(certificate.file(), dir.path(".tls/certificate.pem"));

    let files = IssuedFiles::new(dir.0.path());
    let chain = issue(&files, &names);
    assert_eq!(certificate.fingerprint(), self_signed, "there is a key, but no certificate");
    files.store_certificate(&chain, DIRECTORY).expect("stored");
    let issued = certificate.fingerprint();
    assert_ne!(issued, self_signed);
    assert!(certificate.renewal_due(&names).is_some());
    assert_eq!(certificate.renewal_due(&["iit.edu".to_owned()]), None);
    assert!(files.is_issued_by(DIRECTORY) && !files.is_issued_by("https://ca.example/"));
    assert_eq!(certificate.file(), files.certificate());
    assert_eq!(open_issued(&dir).fingerprint(), issued);

    // The key stays, so a renewed certificate fits.
    files.store_certificate(&issue(&files, &names), DIRECTORY).expect("stored");
    let renewed = certificate.fingerprint();
    assert_ne!(renewed, issued);
    fs::remove_file(files.certificate()).expect("removed");
    assert_eq!(certificate.fingerprint(), renewed, "the last good certificate stays in use");
    for path in [files.key(), dir.path(".tls/acme")] {
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn unusable_issued_certificate_is_not_stored_and_not_loaded() {
    let dir = TestDir::new();
    let files = IssuedFiles::new(dir.0.path());
    let names = ["iitkgp.edu".to_owned()];
    let chain = issue(&files, &names);
    for unusable in ["", "no certificate", &pair().0] {
        let sentence = files.store_certificate(unusable, DIRECTORY).expect_err("unusable");
        assert!(sentence.contains("unusable certificate"), "{sentence}");
    }
    assert!(!files.certificate().exists());
    files.store_certificate(&chain, DIRECTORY).expect("stored");
    fs::write(files.key(), pair().1).expect("written");
    let certificate = open_issued(&dir);
    assert_eq!(certificate.renewal_due(&names), None);
    assert_eq!(certificate.file(), dir.path(".tls/certificate.pem"));
    // A certificate for the key that is there now.
    files.store_certificate(&issue(&files, &names), DIRECTORY).expect("stored");
    assert!(certificate.renewal_due(&names).is_some());
}

/// Accepts every certificate.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate that a listener shows to a client that offers protocols, and the selected protocol; `None` if the handshake
/// fails.
fn handshake(certificate: &Certificate, name: &str, alpn: &[&[u8]]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports them")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a valid configuration");
    let mut server = ServerConnection::new(certificate.server_config(&[b"http/1.1"])).expect("valid");
    while client.is_handshaking() || server.is_handshaking() {
        let mut octets = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut octets).expect("written");
        }
        server.read_tls(&mut &octets[..]).expect("read");
        server.process_new_packets().ok()?;
        octets.clear();
        while server.wants_write() {
            server.write_tls(&mut octets).expect("written");
        }
        client.read_tls(&mut &octets[..]).expect("read");
        client.process_new_packets().ok()?;
    }
    let leaf = client.peer_certificates().and_then(<[_]>::first).expect("a certificate");
    Some((leaf.to_vec(), client.alpn_protocol().map(<[u8]>::to_vec)))
}

#[test]
fn open_challenge_is_answered_for_its_name_and_protocol_only() {
    let dir = TestDir::new();
    let certificate = open_issued(&dir);
    let ordinary = handshake(&certificate, "iitkgp.edu", &[b"http/1.1"]).expect("a handshake");
    assert_eq!(ordinary.1.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(handshake(&certificate, "iitkgp.edu", &[CHALLENGE_PROTOCOL]), None);

    let challenge = certificate.open_challenge("IITKGP.edu", &DIGEST).expect("a valid name");
    let (leaf, protocol) = handshake(&certificate, "iitkgp.edu", &[CHALLENGE_PROTOCOL]).expect("a handshake");
    assert_eq!(protocol.as_deref(), Some(CHALLENGE_PROTOCOL));
    // An OCTET STRING with the digest, in the critical extension 1.3.6.1.5.5.7.1.31 (RFC 8737 section 3).
    let extension = [&[6, 8, 0x2b, 6, 1, 5, 5, 7, 1, 31, 1, 1, 0xff, 4, 34, 4, 32][..], &DIGEST].concat();
    assert!(leaf.windows(extension.len()).any(|window| window == extension));
    assert_ne!(leaf, ordinary.0);
    assert_eq!(handshake(&certificate, "iit.edu", &[CHALLENGE_PROTOCOL]), None);
    for alpn in [&[][..], &[&b"http/1.1"[..]], &[CHALLENGE_PROTOCOL, b"http/1.1"]] {
        assert_eq!(handshake(&certificate, "iitkgp.edu", alpn).expect("a handshake").0, ordinary.0);
    }

    drop(challenge);
    assert_eq!(handshake(&certificate, "iitkgp.edu", &[CHALLENGE_PROTOCOL]), None);
    assert!(certificate.open_challenge("iitkgp.edu", b"short").is_err());
    assert!(dir.open_self_signed("iitkgp.edu").open_challenge("iitkgp.edu", &DIGEST).is_err());
}
