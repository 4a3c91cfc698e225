//! The page and its WebSockets over TLS: PROXY header, certificate reload, redirect of plain HTTP.

mod support;

use std::fs;
use std::io;
use std::sync::Arc;

use config::Target;
use futures::{SinkExt, StreamExt};
use mail_core::proxy::{FIXED_HEADER_OCTETS, Header, payload_octets};
use rcgen::{CertificateParams, KeyPair};
use support::{Random, Running, echo, listen, with_timeout};
use tls::{CHALLENGE_PROTOCOL, Certificate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, version};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message, client::IntoClientRequest};

/// A bridge with a certificate for `localhost`.
struct HttpsBridge {
    folder: tempfile::TempDir,
    running: Running,
}

impl HttpsBridge {
    fn new(target: Target) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        write_certificate(&folder);
        let files = config::Tls::Files {
            certificate: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
        };
        let certificate =
            Certificate::open(&files, folder.path(), "localhost").expect("a certificate and its key");
        Self { folder, running: Running::with_certificate(certificate, target, |_| {}) }
    }

    async fn to_echo_server() -> Self {
        Self::new(Target { address: echo().await, proxy: false })
    }

    /// Performs a TLS handshake that trusts the current content of the certificate's file.
    async fn connect_tls(&self, alpn: &[&[u8]]) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let pem = self.folder.path().join("cert.pem");
        roots.add(CertificateDer::from_pem_file(pem).expect("a certificate")).expect("a valid certificate");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .expect("supported versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TcpStream::connect(self.running.address).await.expect("the bridge accepts");
        let name = ServerName::try_from("localhost").expect("a name");
        with_timeout(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }

    /// Opens a WebSocket to the target, as the page does.
    async fn connect(&self, origin: &str) -> Result<WebSocketStream<TlsStream<TcpStream>>, Error> {
        let stream = self.connect_tls(&[b"http/1.1"]).await.expect("a trusted certificate");
        let host = format!("localhost:{}", self.running.address.port());
        let mut request = format!("wss://{host}/ws/target").into_client_request().expect("a request");
        let origin = format!("{origin}{host}").parse().expect("a header value");
        request.headers_mut().insert("Origin", origin);
        with_timeout(tokio_tungstenite::client_async(request, stream)).await.map(|(socket, _)| socket)
    }

    /// Sends a request over TLS; returns the response.
    async fn get(&self, path: &str) -> String {
        let mut stream = self.connect_tls(&[]).await.expect("a trusted certificate");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the bridge reads");
        let mut response = String::new();
        with_timeout(stream.read_to_string(&mut response)).await.expect("an orderly end");
        response
    }
}

fn write_certificate(folder: &tempfile::TempDir) {
    let key = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = parameters.self_signed(&key).expect("signed").pem();
    for (name, pem) in [("cert.pem", certificate), ("key.pem", key.serialize_pem())] {
        // A rename changes the inode; the new file may have the same length and modification time.
        let new = folder.path().join("new.pem");
        fs::write(&new, pem).expect("written");
        fs::rename(new, folder.path().join(name)).expect("moved");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn echoed_bytes_arrive_unchanged_over_tls() {
    let bridge = HttpsBridge::to_echo_server().await;
    let (mut sink, mut stream) = bridge.connect("https://").await.expect("upgraded").split();
    let sent = Random(9).bytes(4 << 20);
    let pieces = sent.clone();
    let sender = tokio::spawn(async move {
        for piece in pieces.chunks(100_000) {
            with_timeout(sink.send(Message::Binary(piece.to_vec().into()))).await.expect("the bridge reads");
        }
        sink
    });
    let mut received = Vec::new();
    while received.len() < sent.len() {
        if let Message::Binary(data) =
            with_timeout(stream.next()).await.expect("not closed").expect("no error")
        {
            received.extend(data);
        }
    }
    assert!(received == sent, "the bytes differ");
    let mut socket = with_timeout(sender).await.expect("no panic").reunite(stream).expect("its two halves");
    socket.close(None).await.expect("sent");
    assert!(matches!(with_timeout(socket.next()).await, Some(Ok(Message::Close(None)))));
    assert!(with_timeout(socket.next()).await.is_none(), "the bridge closes the connection in order");
}

#[tokio::test]
async fn proxy_header_marks_tls_connections_as_secure() {
    let (listener, address) = listen().await;
    let bridge = HttpsBridge::new(Target { address, proxy: true });
    let socket = bridge.connect("https://").await.expect("upgraded");
    let (mut upstream, _) = with_timeout(listener.accept()).await.expect("the bridge connects");
    let mut fixed = [0; FIXED_HEADER_OCTETS];
    with_timeout(upstream.read_exact(&mut fixed)).await.expect("a PROXY header");
    let mut rest = vec![0; payload_octets(&fixed).expect("a header")];
    with_timeout(upstream.read_exact(&mut rest)).await.expect("a complete header");
    let source = socket.get_ref().get_ref().0.local_addr().expect("connected");
    let expected = Header::Proxied { source, destination: bridge.running.address, secure: true };
    assert_eq!(Header::decode(&fixed, &rest), Ok(expected));
}

#[tokio::test]
async fn http_origin_is_rejected_over_tls() {
    let bridge = HttpsBridge::to_echo_server().await;
    let Err(Error::Http(response)) = bridge.connect("http://").await else { panic!("not rejected") };
    assert_eq!(response.status(), 403);
}

#[tokio::test]
async fn replaced_certificate_is_used_for_the_next_handshake() {
    let bridge = HttpsBridge::to_echo_server().await;
    let mut before = bridge.connect("https://").await.expect("upgraded");
    write_certificate(&bridge.folder);
    // The client trusts only the new one.
    bridge.connect("https://").await.expect("upgraded");
    before.send(Message::Binary(b"still here"[..].into())).await.expect("the bridge reads");
    assert!(
        matches!(with_timeout(before.next()).await, Some(Ok(Message::Binary(data))) if &data[..] == b"still here")
    );
}

#[tokio::test]
async fn alpn_selects_http_1_1() {
    let bridge = HttpsBridge::to_echo_server().await;
    let stream = bridge.connect_tls(&[b"h2", b"http/1.1"]).await.expect("a common protocol");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(bridge.connect_tls(&[b"h2"]).await.is_err());
}

/// The paused clock jumps to the handshake timeout, the earliest one.
#[tokio::test(start_paused = true)]
async fn tls_handshake_times_out() {
    let bridge = HttpsBridge::to_echo_server().await;
    let start = Instant::now();
    // No data, and an incomplete first record.
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(bridge.running.address).await.expect("the bridge accepts");
        stream.write_all(bytes).await.expect("the bridge reads");
        assert_eq!(with_timeout(stream.read_to_end(&mut Vec::new())).await.unwrap_or(0), 0);
    }
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn invalid_handshake_ends_only_its_own_connection() {
    let bridge = HttpsBridge::to_echo_server().await;
    let mut stream = TcpStream::connect(bridge.running.address).await.expect("the bridge accepts");
    stream.write_all(b"\x16GET / HTTP/1.1\r\n\r\n").await.expect("the bridge reads");
    let mut alert = Vec::new();
    let _ = with_timeout(stream.read_to_end(&mut alert)).await;
    assert!(!alert.windows(4).any(|window| window == b"HTTP"), "{}", alert.escape_ascii());
    assert!(bridge.get("/").await.starts_with("HTTP/1.1 "));
}

#[tokio::test]
async fn plain_http_is_redirected_to_https() {
    let bridge = HttpsBridge::to_echo_server().await;
    let response = bridge.running.request("GET /message/7?a=b HTTP/1.1\r\nHost: ADDRESS").await;
    assert_eq!(response.status(), 307);
    let location = format!("https://{}/message/7?a=b", bridge.running.address);
    assert_eq!(response.header("location"), Some(&location[..]));
    assert_eq!(response.header("strict-transport-security"), None, "HSTS is sent over TLS only");
    assert!(response.text().contains(&location), "{}", response.text());

    for head in ["GET / HTTP/1.1\r\nHost: evil.example", "GET / HTTP/1.0", "GET //evil.example HTTP/1.0"] {
        let response = bridge.running.request(head).await;
        assert_eq!((response.status(), response.header("location")), (400, None), "{head}");
        assert!(response.text().contains("https"), "{}", response.text());
    }
    let upgrade = "GET /ws/target HTTP/1.1\r\nHost: ADDRESS\r\nOrigin: http://ADDRESS\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    assert_eq!(bridge.running.request(upgrade).await.status(), 307);
}

#[tokio::test]
async fn connection_of_an_acme_challenge_is_closed_after_the_handshake() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let acme = config::Acme {
        contact: "mailto:ag@localhost".into(),
        directory: config::DirectoryUrl::default(),
        ca: None,
    };
    let opened = Certificate::open(&config::Tls::Acme(acme), folder.path(), "localhost");
    let certificate = opened.expect("made").expect("TLS is on");
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with_certificate(Some(certificate.clone()), target, |_| {});
    fs::copy(folder.path().join(".tls/certificate.pem"), folder.path().join("cert.pem")).expect("copied");
    let bridge = HttpsBridge { folder, running };
    assert!(bridge.get("/").await.starts_with("HTTP/1.1 "));
    assert!(bridge.connect_tls(&[CHALLENGE_PROTOCOL]).await.is_err(), "no challenge is open");

    // The client only trusts the ordinary certificate, so it offers another protocol, too, but none that the bridge prefers.
    let _challenge = certificate.open_challenge("localhost", &[7; 32]).expect("a valid name");
    let mut stream = bridge.connect_tls(&[CHALLENGE_PROTOCOL, b"none"]).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(CHALLENGE_PROTOCOL));
    // The bridge may close the connection before this is written.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut response = Vec::new();
    let _ = with_timeout(stream.read_to_end(&mut response)).await;
    assert!(response.is_empty(), "{}", response.escape_ascii());
}

#[tokio::test]
async fn hsts_is_sent_only_with_a_certificate_that_is_not_self_signed() {
    const HEADER: &str = "\r\nstrict-transport-security: max-age=31536000\r\n";
    let bridge = HttpsBridge::to_echo_server().await;
    for path in ["/", "/none.js", "/ws/target"] {
        let response = bridge.get(path).await;
        assert!(response.contains(HEADER) && response.contains("nosniff"), "{response}");
    }

    let folder = tempfile::tempdir().expect("a temporary directory");
    let certificate = Certificate::open(&config::Tls::SelfSigned, folder.path(), "localhost").expect("made");
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with_certificate(certificate, target, |_| {});
    fs::copy(folder.path().join(".tls/certificate.pem"), folder.path().join("cert.pem")).expect("copied");
    let bridge = HttpsBridge { folder, running };
    let response = bridge.get("/").await;
    assert!(response.contains("nosniff") && !response.contains("strict-transport"), "{response}");
}
