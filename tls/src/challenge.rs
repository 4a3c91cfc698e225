//! Challenges of an ACME directory over TLS (TLS-ALPN-01, RFC 8737): the directory connects to port 443 of the name with the only
//! protocol `acme-tls/1` and expects a self-signed certificate with a digest in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

/// The ALPN protocol of a challenge. A server sends no application data over it and closes the connection after the handshake.
pub const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";

/// Octets of a SHA-256 digest.
const DIGEST_LENGTH: usize = 32;

/// The certificates of open challenges, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Challenges(Arc<Mutex<BTreeMap<String, Arc<CertifiedKey>>>>);

/// A challenge that is answered until this is dropped.
#[derive(Debug)]
pub struct OpenChallenge {
    challenges: Challenges,
    name: String,
}

impl Challenges {
    /// # Errors
    /// A sentence: the name or the digest cannot be in a certificate.
    pub(crate) fn open(&self, name: &str, digest: &[u8]) -> Result<OpenChallenge, String> {
        let name = name.to_ascii_lowercase();
        let key = certified_key(&name, digest)
            .map_err(|error| format!("cannot create the certificate of a challenge for {name}: {error}"))?;
        self.lock().insert(name.clone(), Arc::new(key));
        Ok(OpenChallenge { challenges: self.clone(), name })
    }

    /// The key for a challenge; `None` if no challenge is open for the requested name.
    pub(crate) fn key(&self, client_hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = client_hello.server_name()?.to_ascii_lowercase();
        self.lock().get(&name).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<CertifiedKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenChallenge {
    fn drop(&mut self) {
        self.challenges.lock().remove(&self.name);
    }
}

/// Whether the client offers no protocol but the one of challenges (RFC 8737 section 3).
pub(crate) fn is_challenge(client_hello: &ClientHello<'_>) -> bool {
    client_hello.alpn().is_some_and(|protocols| protocols.eq([CHALLENGE_PROTOCOL]))
}

fn certified_key(name: &str, digest: &[u8]) -> Result<CertifiedKey, String> {
    if digest.len() != DIGEST_LENGTH {
        return Err(format!("its digest has {} octets", digest.len()));
    }
    let key_pair = KeyPair::generate().map_err(|error| error.to_string())?;
    let mut parameters = CertificateParams::new([name.to_owned()]).map_err(|error| error.to_string())?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = parameters.self_signed(&key_pair).map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key_pair.serialize_der()));
    let key = ring::default_provider().key_provider.load_private_key(key);
    // `from_der` rejects the extension, which is critical.
    key.map(|key| CertifiedKey::new(vec![certificate.der().clone()], key)).map_err(|error| error.to_string())
}
