//! A bridge on a free port, targets, and a WebSocket client.

#![allow(dead_code, reason = "each test binary uses some of these items")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use config::{Target, Web};
use futures::{SinkExt, StreamExt};
use mail_core::message::address::Domain;
use net::health::Readiness;
use tls::Certificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use ws_bridge::Bridge;

/// Timeout of every wait in a test.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// A running bridge with one target, named `target`.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// Keeps the port reserved after the bridge stops listening.
    _port: ReservedPort,
    pub(crate) shutdown: watch::Sender<bool>,
    pub(crate) served: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(target: SocketAddr) -> Self {
        Self::with(Target { address: target, proxy: false }, |_| {})
    }

    pub(crate) fn with(target: Target, configure: impl FnOnce(&mut Web)) -> Self {
        Self::with_certificate(None, target, configure)
    }

    /// Serves HTTPS if there is a certificate.
    pub(crate) fn with_certificate(
        certificate: Option<Certificate>,
        target: Target,
        configure: impl FnOnce(&mut Web),
    ) -> Self {
        let mut web = Web { root: "no-such-directory".into(), ..Web::default() };
        configure(&mut web);
        let hostname = Domain::parse("iitkgp.edu").expect("a domain");
        let port = ReservedPort::new();
        let bridge =
            Bridge::bind(port.address(), &hostname, &web).expect("the port is reserved for this test");
        let (sender, shutdown) = watch::channel(false);
        let address = bridge.address();
        let targets = BTreeMap::from([("target".to_owned(), target.into())]);
        let served = tokio::spawn(bridge.serve(targets, certificate, Readiness::new(shutdown)));
        Self { address, _port: port, shutdown: sender, served }
    }

    /// Opens a WebSocket to the target, as the page does.
    pub(crate) async fn connect(&self) -> Socket {
        let stream = TcpStream::connect(self.address).await.expect("the bridge accepts");
        let mut request =
            format!("ws://{}/ws/target", self.address).into_client_request().expect("a request");
        let origin = format!("http://{}", self.address).parse().expect("a header value");
        request.headers_mut().insert("Origin", origin);
        let (socket, response) =
            with_timeout(tokio_tungstenite::client_async(request, stream)).await.expect("upgraded");
        assert_eq!(response.status(), 101);
        socket
    }

    /// Sends a request, which may be an upgrade; returns the status.
    pub(crate) async fn status(&self, head: &str) -> u16 {
        self.open(head).await.0
    }

    /// Sends a request, which may be an upgrade; returns the status and the connection.
    pub(crate) async fn open(&self, head: &str) -> (u16, TcpStream) {
        let mut stream = TcpStream::connect(self.address).await.expect("the bridge accepts");
        let head = head.replace("ADDRESS", &self.address.to_string());
        stream.write_all(format!("{head}\r\n\r\n").as_bytes()).await.expect("written");
        let mut line = [0; 12];
        with_timeout(stream.read_exact(&mut line)).await.expect("the bridge answers");
        let status = line.strip_prefix(b"HTTP/1.1 ").expect("a status line");
        let status = str::from_utf8(status).ok().and_then(|status| status.parse().ok());
        (status.expect("a number"), stream)
    }

    /// Sends a request with `Connection: close`; returns the response.
    pub(crate) async fn request(&self, head: &str) -> Response {
        let mut stream = TcpStream::connect(self.address).await.expect("the bridge accepts");
        let head = head.replace("ADDRESS", &self.address.to_string());
        stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await.expect("written");
        let mut response = Vec::new();
        with_timeout(stream.read_to_end(&mut response)).await.expect("the bridge answers and closes");
        let end = response.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(response[..end].to_vec()).expect("ASCII");
        Response { head, body: response[end + 4..].to_vec() }
    }
}

pub(crate) struct Response {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }
}

/// Reserves a port: an open connection keeps the system from assigning it, but a listener can bind it by number. Until then,
/// connections to it are refused.
pub(crate) struct ReservedPort {
    server: std::net::TcpStream,
    _client: std::net::TcpStream,
}

impl ReservedPort {
    pub(crate) fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let client = std::net::TcpStream::connect(listener.local_addr().expect("the socket is bound"));
        let (server, _) = listener.accept().expect("a client connected");
        Self { server, _client: client.expect("the port listens") }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.local_addr().expect("the stream is connected")
    }
}

/// Keeps tokio's clock paused until it is dropped.
pub(crate) struct PausedClock {
    _sender: mpsc::Sender<()>,
}

/// Pauses the clock of a single-threaded test, so that no timeout of the bridge expires on a slow machine. If the test waits for a
/// timeout nevertheless, the clock resumes after [`TEST_TIMEOUT`].
pub(crate) fn pause_clock() -> PausedClock {
    tokio::time::pause();
    let (sender, receiver) = mpsc::channel::<()>();
    // A paused clock advances when all tasks are idle, but not while a blocking task runs.
    tokio::task::spawn_blocking(move || receiver.recv_timeout(TEST_TIMEOUT));
    PausedClock { _sender: sender }
}

/// Fails the test if the future takes longer than [`TEST_TIMEOUT`].
pub(crate) async fn with_timeout<F: IntoFuture>(future: F) -> F::Output {
    timeout(TEST_TIMEOUT, future).await.expect("the test does not hang")
}

/// Starts an echo server.
pub(crate) async fn echo() -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    address
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("the socket is bound");
    (listener, address)
}

/// Starts a bridge and connects through it; returns the WebSocket and the target's end.
pub(crate) async fn connected() -> (Running, Socket, TcpStream) {
    let (listener, address) = listen().await;
    let running = Running::start(address);
    let (socket, accepted) = tokio::join!(running.connect(), with_timeout(listener.accept()));
    (running, socket, accepted.expect("the bridge connects").0)
}

pub(crate) async fn send(socket: &mut Socket, data: impl Into<Bytes>) {
    with_timeout(socket.send(Message::Binary(data.into()))).await.expect("the bridge reads");
}

/// Receives this many bytes, in any number of messages.
pub(crate) async fn receive(socket: &mut Socket, length: usize) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < length {
        match with_timeout(socket.next()).await.expect("not closed").expect("no error") {
            Message::Binary(more) => received.extend(more),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?} after {} bytes", received.len()),
        }
    }
    assert_eq!(received.len(), length);
    received
}

/// Receives data until the Close; returns the data, the close code and the reason.
pub(crate) async fn closed(socket: &mut Socket) -> (Vec<u8>, u16, String) {
    let mut received = Vec::new();
    loop {
        match with_timeout(socket.next()).await.expect("a Close before the end").expect("no error") {
            Message::Binary(more) => received.extend(more),
            Message::Close(Some(frame)) => {
                // The bridge closes the TCP connection after its Close.
                assert!(with_timeout(socket.next()).await.is_none());
                return (received, frame.code.into(), frame.reason.to_string());
            }
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn close_code(socket: &mut Socket) -> u16 {
    closed(socket).await.1
}

/// Reads a stream to its end.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    with_timeout(stream.read_to_end(&mut bytes)).await.expect("an orderly end");
    bytes
}

/// Reproducible pseudo-random data (xorshift64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(count);
        bytes
    }

    /// Between 1 and `max`, logarithmically distributed.
    pub(crate) fn length(&mut self, max: usize) -> usize {
        let shift = self.next() % 20;
        1 + (self.next() as usize % max) / (1 << shift)
    }
}
