//! An HTTPS server that answers every request with the same image and records the requests.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A recorded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRequest {
    pub path: String,
    /// The Sec-Fetch-Dest field: the purpose of the request.
    pub destination: String,
    /// The names of all fields, in lower case.
    pub fields: Vec<String>,
}

/// Listens on 127.0.0.1 with a self-signed certificate, which the tests' browser accepts.
#[derive(Debug)]
pub struct ImageServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<ImageRequest>>>,
}

impl ImageServer {
    /// Starts on a free port. Its thread ends with the process.
    #[must_use]
    pub fn start(image: Vec<u8>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = Self { address, requests: Arc::default() };
        let (config, image, requests) = (config(), Arc::new(image), Arc::clone(&server.requests));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, image, requests) =
                    (Arc::clone(&config), Arc::clone(&image), Arc::clone(&requests));
                // A connection without a request, such as a failed handshake, is not recorded.
                thread::spawn(move || answer(stream, config, &image, &requests).ok());
            }
        });
        server
    }

    /// The URL of a path, which starts with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// The requests in order.
    #[must_use]
    pub fn requests(&self) -> Vec<ImageRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn config() -> Arc<ServerConfig> {
    let key = KeyPair::generate().expect("a key");
    let names = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
    let certificate = names.self_signed(&key).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a PKCS #8 key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key);
    Arc::new(config.expect("the key belongs to the certificate"))
}

fn answer(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    image: &[u8],
    requests: &Mutex<Vec<ImageRequest>>,
) -> io::Result<()> {
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut head = Vec::new();
    for line in BufReader::new(&mut stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else { return Ok(()) };
    let fields: Vec<_> = head[1..].iter().filter_map(|line| line.split_once(": ")).collect();
    let destination = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("Sec-Fetch-Dest"));
    let request = ImageRequest {
        path: path.to_owned(),
        destination: destination.map(|(_, value)| (*value).to_owned()).unwrap_or_default(),
        fields: fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect(),
    };
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Connection: close\r\n\r\n",
        image.len()
    )?;
    stream.write_all(image)?;
    stream.conn.send_close_notify();
    stream.flush()
}
