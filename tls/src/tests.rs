//! What is read, made, and read again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};

use super::*;

struct Place(tempfile::TempDir);

impl Place {
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
            .expect("made")
            .expect("asked for")
    }

    /// Puts a new pair into the files; its fingerprint.
    fn put_pair(&self) {
        let (certificate, key) = pair();
        for (name, pem) in [("cert.pem", certificate), ("key.pem", key)] {
            // In the place of the old file: one that is written to may be of the same length and moment.
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
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn nothing_configured_is_no_certificate() {
    let place = Place::new();
    let opened = Certificate::open(&config::Tls::Off, place.0.path(), "iitkgp.edu");
    assert!(opened.expect("nothing can go wrong").is_none());
    assert!(!place.path(".tls").exists());
}

#[test]
fn a_change_of_the_files_is_seen_at_once_and_a_broken_one_changes_nothing() {
    let place = Place::new();
    place.put_pair();
    let certificate = place.open().expect("a pair").expect("asked for");
    let first = certificate.fingerprint();
    assert_eq!(first.len(), 32 * 3 - 1);

    place.put_pair();
    let second = certificate.fingerprint();
    assert_ne!(first, second);

    let good = fs::read(place.path("cert.pem")).expect("read");
    for broken in [&pair().0.into_bytes()[..], b"", b"-----BEGIN CERTIFICATE-----\n!\n"] {
        fs::write(place.path("cert.pem"), broken).expect("written");
        assert_eq!(certificate.fingerprint(), second);
    }
    fs::remove_file(place.path("cert.pem")).expect("removed");
    assert_eq!(certificate.fingerprint(), second);

    fs::write(place.path("cert.pem"), good).expect("written");
    assert_eq!(certificate.fingerprint(), second);
    place.put_pair();
    assert_ne!(certificate.fingerprint(), second);
}

#[test]
fn errors_name_the_file_and_the_remedy() {
    let place = Place::new();
    let refused = |part: &str| {
        let sentence = place.open().expect_err(part);
        assert!(
            sentence.contains(part) && sentence.contains("[tls]") && !sentence.contains('\n'),
            "{sentence}"
        );
    };
    refused("cert.pem: No such file");
    place.put_pair();
    fs::remove_file(place.path("key.pem")).expect("removed");
    refused("key.pem: No such file");
    fs::write(place.path("key.pem"), "no key").expect("written");
    refused("key.pem holds no private key");
    fs::write(place.path("key.pem"), pair().1).expect("written");
    refused("cannot be used together");
    fs::write(place.path("cert.pem"), "no certificate").expect("written");
    refused("cert.pem holds no certificate");
}

#[test]
fn one_that_signs_itself_is_kept_and_is_nobody_elses() {
    let place = Place::new();
    let first = place.open_self_signed("iitkgp.edu").fingerprint();
    assert_eq!(place.open_self_signed("iitkgp.edu").fingerprint(), first);
    assert_eq!(mode(&place.path(".tls")), 0o700);
    assert_eq!(mode(&place.path(".tls/key.pem")), 0o600);
    let key = fs::read(place.path(".tls/key.pem")).expect("read");
    assert_ne!(place.open_self_signed("iit.edu").fingerprint(), first, "it is for another name");
    assert_eq!(fs::read(place.path(".tls/key.pem")).expect("read"), key);
    place.open_self_signed("localhost");
}

#[test]
fn one_that_signs_itself_is_made_again_before_its_end() {
    let place = Place::new();
    let first = place.open_self_signed("iitkgp.edu");
    let path = place.path(".tls/certificate.pem");
    let pem = fs::read_to_string(&path).expect("read");
    let (note, block) = pem.split_once('\n').expect("a note");
    let (words, end) = note.rsplit_once(' ').expect("an end");
    let end: u64 = end.parse().expect("seconds");
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    assert!((end - now).abs_diff(397 * 86_400) < 60, "{note}");
    // A process that runs on until 29 days before the end, as one that starts then.
    let late = now + 29 * 86_400;
    fs::write(&path, format!("{words} {late}\n{block}")).expect("written");
    let second = place.open_self_signed("iitkgp.edu");
    assert_ne!(fs::read_to_string(&path).expect("read"), pem);
    assert_eq!(first.fingerprint(), second.fingerprint(), "the running one takes the new one too");
    let self_signed = second.0.self_signed.as_ref().expect("it is");
    self_signed.make_due();
    let third = second.fingerprint();
    assert_eq!(third, first.fingerprint(), "a good one is left alone");
    fs::write(&path, format!("{words} {late}\n{block}")).expect("written");
    self_signed.make_due();
    assert_ne!(second.fingerprint(), third);
}
