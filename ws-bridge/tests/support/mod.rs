//! What the bridge's tests share: a bridge on a free port, targets to connect to, and a WebSocket client.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use config::{Target, Web};
use futures_util::{SinkExt, StreamExt};
use mail_core::message::address::Domain;
use tls::Certificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use ws_bridge::Bridge;

/// How long anything here may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// A bridge whose one target is called `target`.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// It is the bridge's for as long as this lives, also when it listens no more.
    _port: Port,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) served: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(target: SocketAddr) -> Self {
        Self::with(Target { address: target, proxy: false }, |_| {})
    }

    pub(crate) fn with(target: Target, adjust: impl FnOnce(&mut Web)) -> Self {
        Self::over(None, target, adjust)
    }

    /// With a certificate, over TLS.
    pub(crate) fn over(
        certificate: Option<Certificate>,
        target: Target,
        adjust: impl FnOnce(&mut Web),
    ) -> Self {
        let mut web = Web { root: "no-such-directory".into(), ..Web::default() };
        adjust(&mut web);
        let hostname = Domain::parse("iitkgp.edu").expect("a domain");
        let port = Port::hold();
        let bridge = Bridge::bind(port.address(), &hostname, &web).expect("nobody else has it");
        let (stop, stopping) = watch::channel(false);
        let address = bridge.address();
        let targets = BTreeMap::from([("target".to_owned(), target)]);
        let served = tokio::spawn(bridge.serve(targets, certificate, stopping));
        Self { address, _port: port, stop, served }
    }

    /// A page's WebSocket to the target.
    pub(crate) async fn connect(&self) -> Socket {
        let stream = TcpStream::connect(self.address).await.expect("the bridge accepts");
        let mut request =
            format!("ws://{}/ws/target", self.address).into_client_request().expect("a request");
        let origin = format!("http://{}", self.address).parse().expect("a header value");
        request.headers_mut().insert("Origin", origin);
        let (socket, response) =
            soon(tokio_tungstenite::client_async(request, stream)).await.expect("upgraded");
        assert_eq!(response.status(), 101);
        socket
    }

    /// The status of the answer to a request, which may be an upgrade.
    pub(crate) async fn status(&self, head: &str) -> u16 {
        let mut stream = TcpStream::connect(self.address).await.expect("the bridge accepts");
        let head = head.replace("ADDRESS", &self.address.to_string());
        stream.write_all(format!("{head}\r\n\r\n").as_bytes()).await.expect("written");
        let mut line = [0; 12];
        soon(stream.read_exact(&mut line)).await.expect("the bridge answers");
        let status = line.strip_prefix(b"HTTP/1.1 ").expect("a status line");
        str::from_utf8(status).ok().and_then(|word| word.parse().ok()).expect("a number")
    }

    /// The whole answer to a request; the bridge is asked to close behind it.
    pub(crate) async fn request(&self, head: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("the bridge accepts");
        let head = head.replace("ADDRESS", &self.address.to_string());
        stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.expect("the bridge answers and closes");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(answer[..end].to_vec()).expect("ASCII");
        Answer { head, body: answer[end + 4..].to_vec() }
    }
}

pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status line")
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

/// A port that nobody is given by chance as long as this lives, as a connection has it. Who asks for it by its number can listen
/// there; until then whoever connects is refused.
pub(crate) struct Port {
    far: std::net::TcpStream,
    _near: std::net::TcpStream,
}

impl Port {
    pub(crate) fn hold() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let near = std::net::TcpStream::connect(listener.local_addr().expect("it is bound"));
        let (far, _) = listener.accept().expect("somebody has connected");
        Self { far, _near: near.expect("it listens") }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.far.local_addr().expect("it is connected")
    }
}

/// The bridge's clock stands still as long as this lives.
pub(crate) struct StoppedClock {
    _until: mpsc::Sender<()>,
}

/// Stops the clock of a test that runs on one thread: however slow the test is, the bridge never gives it up, and whatever would
/// come of time alone does not come. A test that waits for that ends all the same, and fails.
pub(crate) fn stop_the_clock() -> StoppedClock {
    tokio::time::pause();
    let (until, ended) = mpsc::channel();
    // A clock that is paused goes on when nobody has anything to do, but not beside work like this.
    tokio::task::spawn_blocking(move || ended.recv_timeout(PATIENCE));
    StoppedClock { _until: until }
}

/// Fails the test rather than waiting for ever.
pub(crate) async fn soon<F: IntoFuture>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it does not hang")
}

/// A target that sends back what it gets.
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
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// A bridge, a page's connection through it, and the target's end of it.
pub(crate) async fn connected() -> (Running, Socket, TcpStream) {
    let (listener, address) = listen().await;
    let running = Running::start(address);
    let (socket, accepted) = tokio::join!(running.connect(), soon(listener.accept()));
    (running, socket, accepted.expect("the bridge connects").0)
}

pub(crate) async fn send(socket: &mut Socket, octets: impl Into<Bytes>) {
    soon(socket.send(Message::Binary(octets.into()))).await.expect("the bridge reads");
}

/// The next so many octets, whatever frames they come in.
pub(crate) async fn receive(socket: &mut Socket, octets: usize) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < octets {
        match soon(socket.next()).await.expect("not closed").expect("no error") {
            Message::Binary(more) => received.extend(more),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?} after {} octets", received.len()),
        }
    }
    assert_eq!(received.len(), octets);
    received
}

/// What still comes, and the code and reason of the Close behind it.
pub(crate) async fn closed(socket: &mut Socket) -> (Vec<u8>, u16, String) {
    let mut received = Vec::new();
    loop {
        match soon(socket.next()).await.expect("a Close comes first").expect("no error") {
            Message::Binary(more) => received.extend(more),
            Message::Close(Some(frame)) => {
                // The bridge ends the TCP connection behind its Close.
                assert!(soon(socket.next()).await.is_none());
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

/// All that a stream brings until its end.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut octets = Vec::new();
    soon(stream.read_to_end(&mut octets)).await.expect("an orderly end");
    octets
}

/// Octets that look random and are the same each time (xorshift64).
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets: Vec<u8> = (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        octets.truncate(count);
        octets
    }

    /// Between 1 and `max`, short ones as often as long ones.
    pub(crate) fn length(&mut self, max: usize) -> usize {
        let shift = self.next() % 20;
        1 + (self.next() as usize % max) / (1 << shift)
    }
}
