use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};

use super::*;

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
