//! One connection's throughput through the bridge, beside a plain TCP proxy and, where PENNYPOST_WEBSOCKIFY names it, websockify.
//!
//! Target, relay and client share the machine's cores and its loopback: what goes through without any relay is the most
//! that the others could reach.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use config::{Target, Web};
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use futures_util::{SinkExt, StreamExt};
use mail_core::message::address::Domain;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use ws_bridge::Bridge;

/// What one iteration carries.
const OCTETS: usize = 16 << 20;
const PIECE: usize = 64 << 10;
const FREE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Sends [`OCTETS`] for a first octet `d`; takes as many behind a `u`, and answers with one.
async fn serve_target(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut piece = vec![b'x'; PIECE];
            while let Ok(what) = stream.read_u8().await {
                let mut left = OCTETS;
                while left > 0 && what == b'd' {
                    stream.write_all(&piece).await?;
                    left -= PIECE;
                }
                while left > 0 {
                    left -= stream.read(&mut piece[..PIECE.min(left)]).await?;
                }
                if what == b'u' {
                    stream.write_u8(b'.').await?;
                }
            }
            Ok::<_, std::io::Error>(())
        });
    }
}

async fn serve_proxy(listener: TcpListener, target: SocketAddr) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut upstream = TcpStream::connect(target).await?;
            upstream.set_nodelay(true)?;
            copy_bidirectional(&mut stream, &mut upstream).await
        });
    }
}

async fn start_bridge(target: SocketAddr) -> (SocketAddr, watch::Sender<bool>) {
    let hostname = Domain::parse("localhost").expect("a domain");
    let bridge = Bridge::bind(FREE, &hostname, &Web::default()).expect("a free port");
    let (stop, stopping) = watch::channel(false);
    let address = bridge.address();
    let targets = BTreeMap::from([("target".to_owned(), Target { address: target, proxy: false })]);
    tokio::spawn(bridge.serve(targets, stopping));
    (address, stop)
}

/// It takes no port 0, so it gets one that was free a moment ago.
fn start_websockify(program: &str, target: SocketAddr) -> (Child, SocketAddr) {
    let address = StdListener::bind(FREE).and_then(|listener| listener.local_addr()).expect("a free port");
    let child = Command::new(program)
        .args([address.to_string(), target.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("websockify can be run");
    (child, address)
}

/// The client's end: octets, over WebSocket frames or not.
enum Client {
    Plain(TcpStream),
    Framed(Box<WebSocketStream<TcpStream>>),
}

impl Client {
    async fn framed(address: SocketAddr) -> Self {
        let stream = loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let mut request = format!("ws://{address}/ws/target").into_client_request().expect("a request");
        request.headers_mut().insert("Origin", format!("http://{address}").parse().expect("a value"));
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("upgraded");
        Self::Framed(Box::new(socket))
    }

    async fn send(&mut self, octets: &[u8]) {
        match self {
            Self::Plain(stream) => stream.write_all(octets).await.expect("it takes all"),
            Self::Framed(socket) => {
                let message = Message::Binary(octets.to_vec().into());
                socket.send(message).await.expect("it takes all");
            }
        }
    }

    async fn receive(&mut self, mut left: usize) {
        let mut piece = vec![0; PIECE];
        while left > 0 {
            left -= match self {
                Self::Plain(stream) => stream.read(&mut piece).await.expect("more comes"),
                Self::Framed(socket) => socket.next().await.expect("more comes").expect("no error").len(),
            };
        }
    }

    async fn down(&mut self) {
        self.send(b"d").await;
        self.receive(OCTETS).await;
    }

    async fn up(&mut self) {
        let piece = vec![b'x'; PIECE];
        self.send(b"u").await;
        for _ in 0..OCTETS / PIECE {
            self.send(&piece).await;
        }
        self.receive(1).await;
    }
}

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, runtime: &Runtime, name: &str, mut client: Client) {
    group.bench_function(format!("{name} to the browser"), |bencher| {
        bencher.iter(|| runtime.block_on(client.down()));
    });
    group.bench_function(format!("{name} from the browser"), |bencher| {
        bencher.iter(|| runtime.block_on(client.up()));
    });
}

fn relay(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("threads");
    let (target, proxy, bridge, _stop) = runtime.block_on(async {
        let target = TcpListener::bind(FREE).await.expect("a free port");
        let proxy = TcpListener::bind(FREE).await.expect("a free port");
        let address = target.local_addr().expect("it is bound");
        let proxy_address = proxy.local_addr().expect("it is bound");
        tokio::spawn(serve_target(target));
        tokio::spawn(serve_proxy(proxy, address));
        let (bridge, stop) = start_bridge(address).await;
        (address, proxy_address, bridge, stop)
    });
    let mut group = criterion.benchmark_group("relay");
    group
        .throughput(Throughput::Bytes(OCTETS as u64))
        .sample_size(10)
        .measurement_time(Duration::from_secs(3));
    for (name, address) in [("no proxy", target), ("plain TCP proxy", proxy)] {
        let plain = runtime.block_on(TcpStream::connect(address)).expect("it accepts");
        measure(&mut group, &runtime, name, Client::Plain(plain));
    }
    measure(&mut group, &runtime, "bridge", runtime.block_on(Client::framed(bridge)));
    if let Ok(program) = std::env::var("PENNYPOST_WEBSOCKIFY") {
        let (mut child, address) = start_websockify(&program, target);
        measure(&mut group, &runtime, "websockify", runtime.block_on(Client::framed(address)));
        child.kill().and_then(|()| child.wait()).expect("it ends");
    }
    group.finish();
}

criterion_group!(benches, relay);
criterion_main!(benches);
