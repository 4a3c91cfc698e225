//! Throughput of the bridge, compared with a plain TCP proxy and, if PENNYPOST_WEBSOCKIFY names it, websockify.
//!
//! Three workloads: a stream to the browser, a stream from the browser, and short exchanges on a hundred connections. Each is
//! measured by wall-clock time and by the relay's own processor time, which varies less because both ends share the cores.
//!
//! Every relay is a separate process. Both ends are as cheap as possible, and the same for all relays: data is sent from memory
//! by sendfile(2), with frames from the browser masked in advance; received data is discarded with MSG_TRUNC; one thread
//! answers all exchanges. Before the measurements, each relay must deliver the data unchanged.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group};
use rustix::fs::{MemfdFlags, memfd_create, sendfile};
use rustix::net::{RecvFlags, recv};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

/// Bytes transferred by one iteration.
const BYTES: usize = 256 << 20;
/// Payload of a frame from the browser.
const FRAME_BYTES: usize = 64 << 10;
/// Size of the block of data that is sent repeatedly.
const BLOCK_BYTES: usize = 64 * FRAME_BYTES;
/// Size of a request or a response in an exchange.
const EXCHANGE_BYTES: usize = 64;
const CONNECTIONS: usize = 100;
/// Exchanges per connection in one iteration.
const ROUNDS: usize = 20;
const FREE_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn block() -> Vec<u8> {
    (0..BLOCK_BYTES).map(|index| (index % 251) as u8).collect()
}

/// Copies bytes to a file in memory, for sendfile.
fn memory_file(bytes: &[u8]) -> File {
    let mut file = File::from(memfd_create("block", MemfdFlags::CLOEXEC).expect("memory"));
    file.write_all(bytes).expect("memory");
    file
}

fn send(to: &TcpStream, from: &File, count: usize) {
    let length = from.metadata().expect("an open file has metadata").len() as usize;
    let mut sent = 0;
    while sent < count {
        let mut offset = (sent % length) as u64;
        let left = (count - sent).min(length - offset as usize);
        sent += sendfile(to, from, Some(&mut offset), left).expect("the other end reads");
    }
}

/// Receives and discards bytes. With MSG_TRUNC the kernel does not copy them.
fn discard(from: &TcpStream, count: usize, buffer: &mut [u8]) {
    let mut left = count;
    while left > 0 {
        let most = left.min(buffer.len());
        let (_, received) = recv(from, &mut buffer[..most], RecvFlags::TRUNC).expect("no reset");
        assert!(received > 0, "{left} bytes are missing");
        left -= received;
    }
}

/// Serves a connection as its first byte demands: `d` sends, `u` receives, `c` receives and compares, `e` passes the stream to
/// the echo thread.
fn serve(mut stream: TcpStream, data: &File, echo: &UnboundedSender<TcpStream>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut command = [0];
    stream.read_exact(&mut command)?;
    match &command {
        b"d" => send(&stream, data, BYTES),
        b"u" => {
            discard(&stream, BYTES, &mut vec![0; 1 << 20]);
            stream.write_all(b".")?;
        }
        b"c" => {
            let (expected, mut received) = (block(), vec![0; BLOCK_BYTES]);
            for _ in 0..BYTES / BLOCK_BYTES {
                stream.read_exact(&mut received)?;
                assert!(received == expected, "the data differs");
            }
            stream.write_all(b".")?;
        }
        _ => {
            stream.set_nonblocking(true)?;
            echo.send(stream).expect("the echo thread runs until the process ends");
            return Ok(());
        }
    }
    // Wait until the other end closes.
    let _ = stream.read(&mut command);
    Ok(())
}

/// Echoes on all streams in one thread; a hundred threads would cost more than the relay.
#[tokio::main(flavor = "current_thread")]
async fn echo_all(mut streams: UnboundedReceiver<TcpStream>) {
    while let Some(stream) = streams.recv().await {
        let mut stream = tokio::net::TcpStream::from_std(stream).expect("the stream is nonblocking");
        tokio::spawn(async move {
            // One byte larger than a request, so a short read shows that no more data is available.
            let mut request = [0; EXCHANGE_BYTES + 1];
            while let Ok(length @ 1..) = stream.read(&mut request).await {
                stream.write_all(&request[..length]).await.expect("the other end reads");
            }
        });
    }
}

fn start_target() -> SocketAddr {
    let listener = TcpListener::bind(FREE_PORT).expect("a free port");
    let address = listener.local_addr().expect("the socket is bound");
    let data = Arc::new(memory_file(&block()));
    let (echo, streams) = unbounded_channel();
    thread::spawn(move || echo_all(streams));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (data, echo) = (Arc::clone(&data), echo.clone());
            thread::spawn(move || serve(stream, &data, &echo));
        }
    });
    address
}

/// The TCP proxy: this program, started with [`PROXY_FLAG`] and an address.
#[tokio::main]
async fn proxy(target: &str) {
    let listener = tokio::net::TcpListener::bind(FREE_PORT).await.expect("a free port");
    let address = listener.local_addr().expect("the socket is bound");
    writeln!(std::io::stderr(), "address={address}").expect("the parent reads it");
    while let Ok((mut stream, _)) = listener.accept().await {
        let target = target.to_owned();
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let mut upstream = tokio::net::TcpStream::connect(target).await?;
            upstream.set_nodelay(true)?;
            tokio::io::copy_bidirectional(&mut stream, &mut upstream).await
        });
    }
}

const PROXY_FLAG: &str = "--proxy-to";

/// A relay process, killed on drop.
struct Relay {
    name: &'static str,
    address: SocketAddr,
    uses_websocket: bool,
    child: Option<Child>,
    _folder: Option<TempDir>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().and_then(|()| child.wait()).expect("the process is running");
        }
    }
}

impl Relay {
    fn none(target: SocketAddr) -> Self {
        Self { name: "no relay", address: target, uses_websocket: false, child: None, _folder: None }
    }

    fn proxy(target: SocketAddr) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("the program has a path"));
        let (child, address) = start_and_read_address(command.args([PROXY_FLAG, &target.to_string()]));
        Self { name: "plain TCP proxy", address, uses_websocket: false, child: Some(child), _folder: None }
    }

    fn bridge(target: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file = folder.path().join("pennypost.toml");
        let config = format!(
            "[web]\nlisten = '{FREE_PORT}'\ntargets = {{ target = {{ address = '{target}' }} }}\n\
             [web.limits]\nconnections_per_address = 1000"
        );
        fs::write(&file, config).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ws-bridge"));
        let (child, address) =
            start_and_read_address(command.env("RUST_LOG", "info").arg("--config").arg(file));
        Self { name: "bridge", address, uses_websocket: true, child: Some(child), _folder: Some(folder) }
    }

    /// websockify does not support port 0, so it gets a port that was free a moment ago.
    fn websockify(program: &str, target: SocketAddr) -> Self {
        let address =
            TcpListener::bind(FREE_PORT).and_then(|listener| listener.local_addr()).expect("a free port");
        let child = Command::new(program)
            .args([address.to_string(), target.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("websockify starts");
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "websockify does not accept");
            thread::sleep(Duration::from_millis(20));
        }
        Self { name: "websockify", address, uses_websocket: true, child: Some(child), _folder: None }
    }

    fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("the relay accepts");
        stream.set_nodelay(true).expect("set");
        if self.uses_websocket {
            let address = self.address;
            let request = format!(
                "GET /ws/target HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\n\
                 Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).expect("the relay reads");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a response");
                head.extend(byte);
            }
            assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        }
        stream
    }

    /// Encodes data for this relay: in masked frames of at most [`FRAME_BYTES`], if it uses WebSockets.
    fn encode(&self, data: &[u8]) -> Vec<u8> {
        const MASK: [u8; 4] = [0x9c, 0x31, 0xe5, 0x7a];
        if !self.uses_websocket {
            return data.to_vec();
        }
        let mut frames = Vec::new();
        for payload in data.chunks(FRAME_BYTES) {
            frames.push(0x82);
            match u8::try_from(payload.len()) {
                Ok(short @ ..126) => frames.push(0x80 | short),
                _ => {
                    frames.push(0xff);
                    frames.extend((payload.len() as u64).to_be_bytes());
                }
            }
            frames.extend(MASK);
            frames.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        }
        frames
    }

    /// Processor time of each thread of the process and its children, in nanoseconds.
    fn processor_time(&self) -> BTreeMap<String, u64> {
        let mut pending: Vec<_> = self.child.iter().map(|child| child.id().to_string()).collect();
        let mut times = BTreeMap::new();
        while let Some(process) = pending.pop() {
            for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
                let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
                if let Some(time) =
                    read("schedstat").split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok())
                {
                    times.insert(task.file_name().to_string_lossy().into_owned(), time);
                }
                pending.extend(read("children").split_whitespace().map(str::to_owned));
            }
        }
        times
    }

    /// Panics unless data arrives unchanged in both directions.
    fn check(&self) {
        let (block, count) = (block(), BYTES / BLOCK_BYTES);
        let mut stream = self.connect();
        stream.write_all(&self.encode(b"c")).expect("the relay reads");
        send(&stream, &memory_file(&self.encode(&block)), count * self.encode(&block).len());
        assert!(
            stream.read(&mut [0; 3]).is_ok_and(|length| length > 0),
            "{} does not deliver the data",
            self.name
        );

        let mut stream = self.connect();
        stream.write_all(&self.encode(b"d")).expect("the relay reads");
        let mut position = 0;
        let mut compare = |data: &[u8]| {
            for piece in data.chunks(BLOCK_BYTES / 2) {
                let start = position % BLOCK_BYTES;
                let (first, rest) = piece.split_at(piece.len().min(BLOCK_BYTES - start));
                assert!(block[start..].starts_with(first) && block.starts_with(rest), "the data differs");
                position += piece.len();
            }
            position < BYTES
        };
        if self.uses_websocket {
            let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
            while matches!(socket.read().expect("more"), Message::Binary(data) if compare(&data)) {}
        } else {
            let mut buffer = vec![0; FRAME_BYTES];
            while {
                let length = stream.read(&mut buffer).expect("more");
                compare(&buffer[..length])
            } {}
        }
        assert_eq!(position, BYTES);
    }
}

/// Starts a program that logs its address to standard error.
fn start_and_read_address(command: &mut Command) -> (Child, SocketAddr) {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the program was built");
    let mut lines =
        BufReader::new(child.stderr.take().expect("stderr is piped")).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.split_once("address=")?.1.trim().parse().ok());
    // Keep reading, so that the program does not block on its log.
    thread::spawn(move || lines.for_each(drop));
    (child, address.expect("the program logs its address"))
}

/// Wall-clock time, and the relay's processor time.
type Cost = (Duration, Duration);

fn timed(relay: &Relay, work: impl FnOnce()) -> Cost {
    // Reading /proc takes time, so it happens outside the measured interval.
    let before = relay.processor_time();
    let start = Instant::now();
    work();
    let elapsed = start.elapsed();
    // A child process of an earlier connection may have ended meanwhile.
    let since = |(task, time): (&String, &u64)| time - before.get(task).unwrap_or(&0);
    (elapsed, Duration::from_nanos(relay.processor_time().iter().map(since).sum()))
}

fn down(relay: &Relay) -> Cost {
    let mut stream = relay.connect();
    let start = relay.encode(b"d");
    timed(relay, || {
        stream.write_all(&start).expect("the relay reads");
        // Frame headers add a few bytes that are not counted.
        discard(&stream, BYTES, &mut vec![0; 1 << 20]);
    })
}

fn up(relay: &Relay, data: &File) -> Cost {
    let mut stream = relay.connect();
    let start = relay.encode(b"u");
    let count = BYTES / BLOCK_BYTES * data.metadata().expect("an open file has metadata").len() as usize;
    timed(relay, || {
        stream.write_all(&start).expect("the relay reads");
        send(&stream, data, count);
        stream.read_exact(&mut [0]).expect("a confirmation");
    })
}

/// Exchanges on all connections, one per connection at a time.
fn exchange(relay: &Relay, streams: &mut [TcpStream], request: &[u8]) -> Cost {
    let response_bytes = EXCHANGE_BYTES + if relay.uses_websocket { 2 } else { 0 };
    timed(relay, || {
        for _ in 0..ROUNDS {
            for stream in &mut *streams {
                stream.write_all(request).expect("the relay reads");
            }
            for stream in &*streams {
                discard(stream, response_bytes, &mut [0; EXCHANGE_BYTES * 2]);
            }
        }
    })
}

/// Measures all relays by one component of the cost.
fn measure(criterion: &mut Criterion, relays: &[Relay], group: &str, pick: fn(Cost) -> Duration) {
    let mut group = criterion.benchmark_group(group);
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(4));
    for relay in relays {
        let data = memory_file(&relay.encode(&block()));
        let mut streams: Vec<_> = (0..CONNECTIONS).map(|_| relay.connect()).collect();
        for stream in &mut streams {
            stream.write_all(&relay.encode(b"e")).expect("the relay reads");
        }
        let request = relay.encode(&[b'x'; EXCHANGE_BYTES]);
        for (workload, throughput, work) in [
            (
                "to the browser",
                Throughput::Bytes(BYTES as u64),
                &mut (|| down(relay)) as &mut dyn FnMut() -> Cost,
            ),
            ("from the browser", Throughput::Bytes(BYTES as u64), &mut || up(relay, &data)),
            ("short exchanges", Throughput::Elements((ROUNDS * CONNECTIONS) as u64), &mut || {
                exchange(relay, &mut streams, &request)
            }),
        ] {
            group.throughput(throughput).bench_function(format!("{} {workload}", relay.name), |bencher| {
                bencher.iter_custom(|count| (0..count).map(|_| pick(work())).sum());
            });
        }
    }
    group.finish();
}

fn bench(criterion: &mut Criterion) {
    let target = start_target();
    let mut relays = vec![Relay::none(target), Relay::proxy(target), Relay::bridge(target)];
    if let Ok(program) = std::env::var("PENNYPOST_WEBSOCKIFY") {
        relays.push(Relay::websockify(&program, target));
    }
    relays.iter().for_each(Relay::check);
    measure(criterion, &relays, "relay", |(clock, _)| clock);
    // The first entry is not a relay, so it has no processor time.
    measure(criterion, &relays[1..], "relay processor time", |(_, processor)| processor);
}

criterion_group!(benches, bench);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, target] = &arguments[..]
        && flag == PROXY_FLAG
    {
        return proxy(target);
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
