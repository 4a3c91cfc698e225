//! Root certificates of TLS clients: the system's, or those of a PEM file.

use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The root certificates in `file`, or the system's. Those of the system are read once in a process. `setting` names `file` in errors.
///
/// # Errors
/// A sentence that names the file and the remedy: the file is unreadable or has no certificate, or the system has none.
pub fn load(file: Option<&Path>, setting: &str) -> Result<Arc<RootCertStore>, String> {
    match file {
        Some(path) => read(path).map(Arc::new).map_err(|error| {
            format!("cannot use the root certificates in {}: {error}; correct {setting}", path.display())
        }),
        None => system().ok_or_else(|| {
            format!("the system has no root certificates; install ca-certificates, or set {setting}")
        }),
    }
}

fn read(path: &Path) -> Result<RootCertStore, String> {
    let text = |error: &dyn Display| error.to_string();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| text(&error))? {
        let certificate = certificate.map_err(|error| text(&error))?;
        roots.add(certificate).map_err(|error| text(&error))?;
    }
    if roots.is_empty() { Err("the file has no certificate".into()) } else { Ok(roots) }
}

/// `None` if the system has none; then the next call reads again.
fn system() -> Option<Arc<RootCertStore>> {
    static SYSTEM: Mutex<Option<Arc<RootCertStore>>> = Mutex::new(None);
    let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    if system.is_none() {
        let mut roots = RootCertStore::empty();
        // One unreadable certificate of the system does not matter.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        *system = (!roots.is_empty()).then(|| Arc::new(roots));
    }
    system.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_file_is_named_with_its_setting() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("ca.pem");
        for (content, reason) in [
            (None, "No such file"),
            (Some(""), "no certificate"),
            (Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "certificate"),
        ] {
            if let Some(content) = content {
                std::fs::write(&path, content).expect("the file is written");
            }
            let error = load(Some(&path), "`ca` in [outbound]").expect_err("the file is unusable");
            assert!(error.contains(path.to_str().expect("UTF-8")) && error.contains(reason), "{error}");
            assert!(error.ends_with("; correct `ca` in [outbound]"), "{error}");
        }
    }
}
