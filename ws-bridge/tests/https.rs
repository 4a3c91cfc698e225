//! The page and its connections over TLS: what the target learns, which certificate is shown, and who comes without.

mod support;

use std::fs;
use std::io;
use std::sync::Arc;

use config::Target;
use futures_util::{SinkExt, StreamExt};
use mail_core::proxy::{FIXED_HEADER_OCTETS, Header, payload_octets};
use rcgen::{CertificateParams, KeyPair};
use support::{Noise, Running, echo, listen, soon};
use tls::Certificate;
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

/// A certificate of `localhost` in files, and a bridge that shows it.
struct Site {
    folder: tempfile::TempDir,
    running: Running,
}

impl Site {
    fn new(target: Target) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        put_pair(&folder);
        let files = config::Tls::Files {
            certificate: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
        };
        let certificate = Certificate::open(&files, folder.path(), "localhost").expect("a pair");
        Self { folder, running: Running::over(certificate, target, |_| {}) }
    }

    async fn echoing() -> Self {
        Self::new(Target { address: echo().await, proxy: false })
    }

    /// A browser's handshake; it believes what is in the certificate's file now.
    async fn encrypted(&self, alpn: &[&[u8]]) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let pem = self.folder.path().join("cert.pem");
        roots.add(CertificateDer::from_pem_file(pem).expect("a certificate")).expect("a good one");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .expect("versions that the provider has")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TcpStream::connect(self.running.address).await.expect("the bridge accepts");
        let name = ServerName::try_from("localhost").expect("a name");
        soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }

    /// A page's WebSocket to the target.
    async fn connect(&self, origin: &str) -> Result<WebSocketStream<TlsStream<TcpStream>>, Error> {
        let stream = self.encrypted(&[b"http/1.1"]).await.expect("a certificate that it believes");
        let host = format!("localhost:{}", self.running.address.port());
        let mut request = format!("wss://{host}/ws/target").into_client_request().expect("a request");
        let origin = format!("{origin}{host}").parse().expect("a header value");
        request.headers_mut().insert("Origin", origin);
        soon(tokio_tungstenite::client_async(request, stream)).await.map(|(socket, _)| socket)
    }

    /// The answer to a request over TLS.
    async fn get(&self, path: &str) -> String {
        let mut stream = self.encrypted(&[]).await.expect("a certificate that it believes");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the bridge reads");
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.expect("an orderly end");
        answer
    }
}

fn put_pair(folder: &tempfile::TempDir) {
    let key = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = parameters.self_signed(&key).expect("signed").pem();
    for (name, pem) in [("cert.pem", certificate), ("key.pem", key.serialize_pem())] {
        // In the place of the old file, which is of the same length and may be of the same moment.
        let new = folder.path().join("new.pem");
        fs::write(&new, pem).expect("written");
        fs::rename(new, folder.path().join(name)).expect("moved");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_come_back_over_tls_as_they_were_sent() {
    let site = Site::echoing().await;
    let (mut sink, mut stream) = site.connect("https://").await.expect("upgraded").split();
    let sent = Noise(9).octets(4 << 20);
    let pieces = sent.clone();
    let sender = tokio::spawn(async move {
        for piece in pieces.chunks(100_000) {
            soon(sink.send(Message::Binary(piece.to_vec().into()))).await.expect("the bridge reads");
        }
        sink
    });
    let mut received = Vec::new();
    while received.len() < sent.len() {
        if let Message::Binary(more) = soon(stream.next()).await.expect("not closed").expect("no error") {
            received.extend(more);
        }
    }
    assert!(received == sent, "the bytes differ");
    let mut socket = soon(sender).await.expect("all was sent").reunite(stream).expect("its two halves");
    socket.close(None).await.expect("sent");
    assert!(matches!(soon(socket.next()).await, Some(Ok(Message::Close(None)))));
    assert!(soon(socket.next()).await.is_none(), "the bridge says that it closes");
}

#[tokio::test]
async fn the_target_learns_that_the_browser_s_way_is_encrypted() {
    let (listener, address) = listen().await;
    let site = Site::new(Target { address, proxy: true });
    let socket = site.connect("https://").await.expect("upgraded");
    let (mut upstream, _) = soon(listener.accept()).await.expect("the bridge connects");
    let mut fixed = [0; FIXED_HEADER_OCTETS];
    soon(upstream.read_exact(&mut fixed)).await.expect("a header comes first");
    let mut rest = vec![0; payload_octets(&fixed).expect("a header")];
    soon(upstream.read_exact(&mut rest)).await.expect("the header is whole");
    let source = socket.get_ref().get_ref().0.local_addr().expect("connected");
    let expected = Header::Proxied { source, destination: site.running.address, secure: true };
    assert_eq!(Header::decode(&fixed, &rest), Ok(expected));
}

#[tokio::test]
async fn a_page_of_the_same_name_without_tls_is_another_origin() {
    let site = Site::echoing().await;
    let Err(Error::Http(answer)) = site.connect("http://").await else { panic!("it is not refused") };
    assert_eq!(answer.status(), 403);
}

#[tokio::test]
async fn a_new_certificate_is_shown_at_the_next_handshake() {
    let site = Site::echoing().await;
    let mut before = site.connect("https://").await.expect("upgraded");
    put_pair(&site.folder);
    // It believes in nothing but the new one.
    site.connect("https://").await.expect("upgraded");
    before.send(Message::Binary(b"still here"[..].into())).await.expect("the bridge reads");
    assert!(
        matches!(soon(before.next()).await, Some(Ok(Message::Binary(word))) if &word[..] == b"still here")
    );
}

#[tokio::test]
async fn http_1_1_is_what_is_spoken() {
    let site = Site::echoing().await;
    let stream = site.encrypted(&[b"h2", b"http/1.1"]).await.expect("one of them");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(site.encrypted(&[b"h2"]).await.is_err());
}

/// Every timer of the bridge is far away when this one ends: the clock jumps to the next one.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_hangs_ends_in_time() {
    let site = Site::echoing().await;
    let start = Instant::now();
    // Nothing, and the beginning of a first record.
    for octets in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(site.running.address).await.expect("the bridge accepts");
        stream.write_all(octets).await.expect("the bridge reads");
        assert_eq!(soon(stream.read_to_end(&mut Vec::new())).await.unwrap_or(0), 0);
    }
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn what_is_no_handshake_gets_an_end_and_the_next_one_an_answer() {
    let site = Site::echoing().await;
    let mut stream = TcpStream::connect(site.running.address).await.expect("the bridge accepts");
    stream.write_all(b"\x16GET / HTTP/1.1\r\n\r\n").await.expect("the bridge reads");
    let mut alert = Vec::new();
    let _ = soon(stream.read_to_end(&mut alert)).await;
    assert!(!alert.windows(4).any(|window| window == b"HTTP"), "{}", alert.escape_ascii());
    assert!(site.get("/").await.starts_with("HTTP/1.1 "));
}

#[tokio::test]
async fn who_comes_without_tls_is_sent_to_where_it_is() {
    let site = Site::echoing().await;
    let answer = site.running.request("GET /message/7?a=b HTTP/1.1\r\nHost: ADDRESS").await;
    assert_eq!(answer.status(), 307);
    let there = format!("https://{}/message/7?a=b", site.running.address);
    assert_eq!(answer.header("location"), Some(&there[..]));
    assert_eq!(answer.header("strict-transport-security"), None, "that is said over TLS only");
    assert!(answer.text().contains(&there), "{}", answer.text());

    for head in ["GET / HTTP/1.1\r\nHost: evil.example", "GET / HTTP/1.0", "GET //evil.example HTTP/1.0"] {
        let answer = site.running.request(head).await;
        assert_eq!((answer.status(), answer.header("location")), (400, None), "{head}");
        assert!(answer.text().contains("https"), "{}", answer.text());
    }
    let upgrade = "GET /ws/target HTTP/1.1\r\nHost: ADDRESS\r\nOrigin: http://ADDRESS\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    assert_eq!(site.running.request(upgrade).await.status(), 307);
}

#[tokio::test]
async fn browsers_are_told_to_come_back_by_https_if_somebody_vouches_for_it() {
    const HEADER: &str = "\r\nstrict-transport-security: max-age=31536000\r\n";
    let site = Site::echoing().await;
    for path in ["/", "/none.js", "/ws/target"] {
        let answer = site.get(path).await;
        assert!(answer.contains(HEADER) && answer.contains("nosniff"), "{answer}");
    }

    let folder = tempfile::tempdir().expect("a temporary directory");
    let certificate = Certificate::open(&config::Tls::SelfSigned, folder.path(), "localhost").expect("made");
    let target = Target { address: echo().await, proxy: false };
    let running = Running::over(certificate, target, |_| {});
    fs::copy(folder.path().join(".tls/certificate.pem"), folder.path().join("cert.pem")).expect("copied");
    let site = Site { folder, running };
    let answer = site.get("/").await;
    assert!(answer.contains("nosniff") && !answer.contains("strict-transport"), "{answer}");
}
