//! A TLS client for the tests, which believes the certificates of one file and nobody else; and certificates.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version,
};

use super::Wire;

/// Does handshakes in one version of TLS, or in any.
pub(crate) struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    pub(crate) fn new(roots: &Path) -> Self {
        Self::with_versions(roots, &[&version::TLS12, &version::TLS13])
    }

    pub(crate) fn with_versions(roots: &Path, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(roots).expect("the file is there") {
            store.add(certificate.expect("a certificate")).expect("a good one");
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions that the provider has")
            .with_root_certificates(store)
            .with_no_client_auth();
        // A session that goes on shows no certificate.
        config.resumption = Resumption::disabled();
        Self(Arc::new(config))
    }

    /// The same conversation, encrypted from here on.
    pub(crate) fn encrypt(&self, wire: Wire, name: &str) -> Wire {
        self.try_encrypt(wire, name).unwrap_or_else(|error| panic!("no TLS with {name}: {error}"))
    }

    pub(crate) fn try_encrypt(&self, wire: Wire, name: &str) -> std::io::Result<Wire> {
        let mut stream = self.over(wire.socket.try_clone()?, name);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Wire::over(stream, wire.socket))
    }

    /// A stream that does its handshake when it is used.
    pub(crate) fn over(&self, socket: TcpStream, name: &str) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let connection = ClientConnection::new(Arc::clone(&self.0), name).expect("a good configuration");
        StreamOwned::new(connection, socket)
    }
}

/// Writes a new key and a certificate for it, as a person or a program does who knows nothing of the server.
pub(crate) fn put_pair(certificate: &Path, key: &Path) {
    let pair = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new(vec!["iitkgp.edu".to_owned()]).expect("a name");
    fs::write(certificate, parameters.self_signed(&pair).expect("signed").pem()).expect("written");
    fs::write(key, pair.serialize_pem()).expect("written");
}
