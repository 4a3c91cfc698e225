//! Limits at accept, and connections of the same process.

use std::net::Ipv4Addr;

use bytes::BytesMut;
use mail_core::machine::{Machine, ProtocolError, Step};
use mail_core::session::{Encryption, Produced};
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;

use super::*;
use crate::local;
use crate::metrics::ReplyFormat;

/// Greets with the client's address, and ends at the end of input.
struct Greeter {
    greeting: Vec<u8>,
    closed: bool,
}

impl Machine for Greeter {
    type Event = ();

    fn receive(&mut self, _now: Instant, input: &mut BytesMut) -> Result<Step<()>, ProtocolError> {
        input.clear();
        Ok(if self.closed { Step::Closed } else { Step::NeedInput })
    }

    fn receive_eof(&mut self, _now: Instant) -> Result<Step<()>, ProtocolError> {
        self.closed = true;
        Ok(Step::Closed)
    }

    fn poll_transmit(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&std::mem::take(&mut self.greeting));
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _now: Instant) {}
}

struct NoPolicy;

impl Session for NoPolicy {
    type Machine = Greeter;

    async fn handle(&mut self, (): (), _machine: &mut Greeter) {}

    async fn produce(&mut self, _machine: &mut Greeter) -> Produced {
        Produced::Nothing
    }

    fn tls_established(&mut self, _encryption: Encryption, _now: Instant, _machine: &mut Greeter) {}

    fn shutdown(&self, machine: &mut Greeter) {
        machine.closed = true;
    }
}

fn greeter(client: Client, _now: Instant) -> (Greeter, NoPolicy) {
    let security = if client.secure { "secure" } else { "plain" };
    (Greeter { greeting: format!("{} {security}\n", client.address).into_bytes(), closed: false }, NoPolicy)
}

/// A running listener, its metrics and its shutdown signal.
struct Server {
    metrics: Arc<ConnectionMetrics>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

fn serve(listener: Listener, connections_max: usize, per_address_max: usize) -> Server {
    let metrics = ConnectionMetrics::unregistered(ReplyFormat::Smtp);
    let config = ConnectionConfig {
        limits: ConnectionLimits { connections_max, per_address_max, is_trusted: Arc::new(|_| false) },
        tls: None,
        too_busy: Bytes::from_static(b"too busy\n"),
        too_many_connections: Bytes::from_static(b"too many\n"),
        metrics: Arc::clone(&metrics),
    };
    let (stop, shutdown) = watch::channel(false);
    Server { metrics, stop, task: tokio::spawn(listener.serve(config, greeter, shutdown)) }
}

impl Server {
    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.expect("no panic");
    }
}

async fn line(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        line.push(stream.read_u8().await.expect("a line"));
    }
    String::from_utf8(line).expect("ASCII")
}

#[tokio::test]
async fn connection_waiting_for_its_proxy_header_counts_towards_the_total_limit() {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let address = SocketAddr::new(loopback, 0);
    let listener =
        Listener::bind("smtp", address, PeerPolicy::Proxies([loopback].into())).expect("a free port");
    let address = listener.address().expect("bound");
    let server = serve(listener, 1, 9);

    let mut waiting = TcpStream::connect(address).await.expect("connected");
    let mut refused = TcpStream::connect(address).await.expect("connected");
    assert_eq!(line(&mut refused).await, "too busy\n");
    assert_eq!((server.metrics.refused.total_limit.get(), server.metrics.open.get()), (1, 0));

    let client = Client::direct("192.0.2.7:50000".parse().expect("an address"));
    proxy::write_header(&mut waiting, &client, address).await.expect("written");
    assert_eq!(line(&mut waiting).await, "192.0.2.7:50000 plain\n");
    drop(waiting);
    server.stop().await;
}

#[tokio::test]
async fn local_connections_count_under_the_address_of_their_client() {
    let (connector, listener) = local::channel();
    let server = serve(Listener::local("smtp", listener), 9, 1);
    let client = |address: &str| Client {
        address: address.parse().expect("an address"),
        secure: true,
        encryption: None,
    };
    let mut first = connector.connect(client("192.0.2.7:1")).await.expect("connected");
    assert_eq!(line(&mut first).await, "192.0.2.7:1 secure\n");
    let mut same = connector.connect(client("192.0.2.7:2")).await.expect("connected");
    assert_eq!(line(&mut same).await, "too many\n");
    let mut other = connector.connect(client("192.0.2.8:1")).await.expect("connected");
    assert_eq!(line(&mut other).await, "192.0.2.8:1 secure\n");
    assert_eq!(server.metrics.refused.address_limit.get(), 1);
    drop((first, other));
    server.stop().await;
}
