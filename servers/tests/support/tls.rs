//! A TLS client that trusts only the certificates of one file, and certificates for servers.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version,
};

use super::LineStream;

pub(crate) struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    pub(crate) fn new(roots: &Path) -> Self {
        Self::with_versions(roots, &[&version::TLS12, &version::TLS13])
    }

    pub(crate) fn with_versions(roots: &Path, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(roots).expect("the file is readable") {
            store.add(certificate.expect("a certificate")).expect("a valid certificate");
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("the provider supports the versions")
            .with_root_certificates(store)
            .with_no_client_auth();
        // A resumed session has no certificate to verify.
        config.resumption = Resumption::disabled();
        Self(Arc::new(config))
    }

    /// As this client, with a protocol that it offers to the server (RFC 7301).
    pub(crate) fn offering(&self, protocol: &[u8]) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = vec![protocol.to_vec()];
        Self(Arc::new(config))
    }

    /// Performs the handshake.
    pub(crate) fn encrypt(&self, stream: LineStream, name: &str) -> LineStream {
        self.try_encrypt(stream, name).unwrap_or_else(|error| panic!("no TLS with {name}: {error}"))
    }

    pub(crate) fn try_encrypt(&self, stream: LineStream, name: &str) -> std::io::Result<LineStream> {
        let mut tls = self.stream(stream.socket.try_clone()?, name);
        tls.conn.complete_io(&mut tls.sock)?;
        Ok(LineStream::from_stream(tls, stream.socket))
    }

    /// A stream that performs the handshake on first use.
    pub(crate) fn stream(&self, socket: TcpStream, name: &str) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from(name.to_owned()).expect("a server name");
        let connection = ClientConnection::new(Arc::clone(&self.0), name).expect("a valid configuration");
        StreamOwned::new(connection, socket)
    }
}

/// Writes a new key and a certificate for it in place, as other programs do.
pub(crate) fn write_key_pair(certificate: &Path, key: &Path) {
    write_key_pair_valid(certificate, key, -1, 90);
}

/// As [`write_key_pair`]; the certificate is valid from and until these days, counted from today.
pub(crate) fn write_key_pair_valid(certificate: &Path, key: &Path, from: i64, until: i64) {
    let pair = KeyPair::generate().expect("a key");
    // The host names of the tests and of `deploy/pennypost.toml`.
    let names = ["iitkgp.edu", "mail.example.org"].map(str::to_owned);
    let mut parameters = CertificateParams::new(names.to_vec()).expect("valid names");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs().cast_signed();
    let day = |number: i64| {
        let seconds = (now + number * 86_400).cast_unsigned();
        date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    (parameters.not_before, parameters.not_after) = (day(from), day(until));
    let signed = parameters.self_signed(&pair).expect("the certificate is signed");
    fs::write(certificate, signed.pem()).expect("the file is written");
    fs::write(key, pair.serialize_pem()).expect("the file is written");
}
