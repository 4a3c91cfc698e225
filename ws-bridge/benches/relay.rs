//! What goes through the bridge, beside a plain TCP proxy and, where PENNYPOST_WEBSOCKIFY names it, websockify.
//!
//! Three things are carried: a stream to the browser, a stream from it, and short questions and answers on a hundred
//! connections. Each is measured by the clock and by the processor time that the relay alone took, which is the steadier
//! figure where both ends share the machine's cores with it.
//!
//! Every relay is a process of its own, and the ends cost as little as they can, for all of them alike: what is sent lies
//! ready in memory and goes out by sendfile(2), frames from the browser masked beforehand; what is received is
//! counted and thrown away unread, and one thread answers all questions. That it is the right octets is asked once before,
//! of every relay.

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

/// What one iteration carries.
const OCTETS: usize = 256 << 20;
/// A frame from the browser.
const FRAME: usize = 64 << 10;
/// What lies ready, to be sent again and again.
const BLOCK: usize = 64 * FRAME;
/// One question, or one answer.
const WORD: usize = 64;
const CONNECTIONS: usize = 100;
/// Questions on each of them in one iteration.
const ROUNDS: usize = 20;
const FREE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn block() -> Vec<u8> {
    (0..BLOCK).map(|place| (place % 251) as u8).collect()
}

/// Octets that lie in memory, for sendfile.
fn ready(octets: &[u8]) -> File {
    let mut file = File::from(memfd_create("block", MemfdFlags::CLOEXEC).expect("memory"));
    file.write_all(octets).expect("memory");
    file
}

fn send(to: &TcpStream, from: &File, octets: usize) {
    let length = from.metadata().expect("it is open").len() as usize;
    let mut sent = 0;
    while sent < octets {
        let mut place = (sent % length) as u64;
        let left = (octets - sent).min(length - place as usize);
        sent += sendfile(to, from, Some(&mut place), left).expect("the other end reads");
    }
}

/// Takes octets without looking at them.
fn discard(from: &TcpStream, octets: usize, nowhere: &mut [u8]) {
    let mut left = octets;
    while left > 0 {
        let most = left.min(nowhere.len());
        let (_, received) = recv(from, &mut nowhere[..most], RecvFlags::TRUNC).expect("no reset");
        assert!(received > 0, "{left} octets are missing");
        left -= received;
    }
}

/// Does what the first octet says: `d` sends, `u` takes, `c` takes and compares; `e` hands the stream on to where every
/// word is sent back.
fn converse(mut stream: TcpStream, octets: &File, echo: &UnboundedSender<TcpStream>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut what = [0];
    stream.read_exact(&mut what)?;
    match &what {
        b"d" => send(&stream, octets, OCTETS),
        b"u" => {
            discard(&stream, OCTETS, &mut vec![0; 1 << 20]);
            stream.write_all(b".")?;
        }
        b"c" => {
            let (expected, mut got) = (block(), vec![0; BLOCK]);
            for _ in 0..OCTETS / BLOCK {
                stream.read_exact(&mut got)?;
                assert!(got == expected, "the octets differ");
            }
            stream.write_all(b".")?;
        }
        _ => {
            stream.set_nonblocking(true)?;
            echo.send(stream).expect("the thread that answers runs as long as this one");
            return Ok(());
        }
    }
    // Until the other end is through as well.
    let _ = stream.read(&mut what);
    Ok(())
}

/// Sends back what comes on any of the streams; in one thread, as a hundred of them would cost more than the relay.
#[tokio::main(flavor = "current_thread")]
async fn send_back(mut streams: UnboundedReceiver<TcpStream>) {
    while let Some(stream) = streams.recv().await {
        let mut stream = tokio::net::TcpStream::from_std(stream).expect("it does not block");
        tokio::spawn(async move {
            // An octet more than comes at once, so that a read shows that there is nothing more.
            let mut word = [0; WORD + 1];
            while let Ok(octets @ 1..) = stream.read(&mut word).await {
                stream.write_all(&word[..octets]).await.expect("the other end reads");
            }
        });
    }
}

fn start_target() -> SocketAddr {
    let listener = TcpListener::bind(FREE).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let octets = Arc::new(ready(&block()));
    let (echo, streams) = unbounded_channel();
    thread::spawn(move || send_back(streams));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (octets, echo) = (Arc::clone(&octets), echo.clone());
            thread::spawn(move || converse(stream, &octets, &echo));
        }
    });
    address
}

/// What this program does when it is called with [`PROXY`] and an address.
#[tokio::main]
async fn proxy(target: &str) {
    let listener = tokio::net::TcpListener::bind(FREE).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    writeln!(std::io::stderr(), "address={address}").expect("somebody reads it");
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

const PROXY: &str = "--be-a-proxy-to";

/// A program between the two ends; it ends with this value.
struct Relay {
    name: &'static str,
    address: SocketAddr,
    framed: bool,
    child: Option<Child>,
    _folder: Option<TempDir>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().and_then(|()| child.wait()).expect("it runs until here");
        }
    }
}

impl Relay {
    fn none(target: SocketAddr) -> Self {
        Self { name: "no relay", address: target, framed: false, child: None, _folder: None }
    }

    fn proxy(target: SocketAddr) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("it runs"));
        let (child, address) = announced(command.args([PROXY, &target.to_string()]));
        Self { name: "plain TCP proxy", address, framed: false, child: Some(child), _folder: None }
    }

    fn bridge(target: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file = folder.path().join("pennypost.toml");
        let config = format!(
            "[web]\nlisten = '{FREE}'\ntargets = {{ target = {{ address = '{target}' }} }}\n\
             [web.limits]\nconnections_per_address = 1000"
        );
        fs::write(&file, config).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ws-bridge"));
        let (child, address) = announced(command.env("RUST_LOG", "info").arg("--config").arg(file));
        Self { name: "bridge", address, framed: true, child: Some(child), _folder: Some(folder) }
    }

    /// It takes no port 0, so it gets one that was free a moment ago.
    fn websockify(program: &str, target: SocketAddr) -> Self {
        let address =
            TcpListener::bind(FREE).and_then(|listener| listener.local_addr()).expect("a free port");
        let child = Command::new(program)
            .args([address.to_string(), target.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("websockify can be run");
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "websockify does not accept");
            thread::sleep(Duration::from_millis(20));
        }
        Self { name: "websockify", address, framed: true, child: Some(child), _folder: None }
    }

    fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("it accepts");
        stream.set_nodelay(true).expect("set");
        if self.framed {
            let address = self.address;
            let request = format!(
                "GET /ws/target HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\n\
                 Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).expect("it reads");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut octet = [0];
                stream.read_exact(&mut octet).expect("it answers");
                head.extend(octet);
            }
            assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        }
        stream
    }

    /// The octets as they are sent to this relay, in frames of at most [`FRAME`] where it wants frames.
    fn wrapped(&self, octets: &[u8]) -> Vec<u8> {
        const MASK: [u8; 4] = [0x9c, 0x31, 0xe5, 0x7a];
        if !self.framed {
            return octets.to_vec();
        }
        let mut frames = Vec::new();
        for piece in octets.chunks(FRAME) {
            frames.push(0x82);
            match u8::try_from(piece.len()) {
                Ok(short @ ..126) => frames.push(0x80 | short),
                _ => {
                    frames.push(0xff);
                    frames.extend((piece.len() as u64).to_be_bytes());
                }
            }
            frames.extend(MASK);
            frames.extend(piece.iter().zip(MASK.iter().cycle()).map(|(octet, mask)| octet ^ mask));
        }
        frames
    }

    /// How many nanoseconds the processors have worked so far for each thread of it and of its children.
    fn processor_time(&self) -> BTreeMap<String, u64> {
        let mut pending: Vec<_> = self.child.iter().map(|child| child.id().to_string()).collect();
        let mut times = BTreeMap::new();
        while let Some(process) = pending.pop() {
            for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
                let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
                if let Some(time) = read("schedstat").split(' ').next().and_then(|word| word.parse().ok()) {
                    times.insert(task.file_name().to_string_lossy().into_owned(), time);
                }
                pending.extend(read("children").split_whitespace().map(str::to_owned));
            }
        }
        times
    }

    /// Fails unless the octets arrive as they were sent, both ways.
    fn check(&self) {
        let (block, count) = (block(), OCTETS / BLOCK);
        let mut stream = self.connect();
        stream.write_all(&self.wrapped(b"c")).expect("it reads");
        send(&stream, &ready(&self.wrapped(&block)), count * self.wrapped(&block).len());
        assert!(stream.read(&mut [0; 3]).is_ok_and(|octets| octets > 0), "{} keeps the octets", self.name);

        let mut stream = self.connect();
        stream.write_all(&self.wrapped(b"d")).expect("it reads");
        let mut place = 0;
        let mut compare = |octets: &[u8]| {
            for piece in octets.chunks(BLOCK / 2) {
                let start = place % BLOCK;
                let (first, rest) = piece.split_at(piece.len().min(BLOCK - start));
                assert!(block[start..].starts_with(first) && block.starts_with(rest), "the octets differ");
                place += piece.len();
            }
            place < OCTETS
        };
        if self.framed {
            let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
            while matches!(socket.read().expect("more"), Message::Binary(octets) if compare(&octets)) {}
        } else {
            let mut piece = vec![0; FRAME];
            while {
                let octets = stream.read(&mut piece).expect("more");
                compare(&piece[..octets])
            } {}
        }
        assert_eq!(place, OCTETS);
    }
}

/// Starts a program that writes its address to standard error.
fn announced(command: &mut Command) -> (Child, SocketAddr) {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it was built");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.split_once("address=")?.1.trim().parse().ok());
    // It may have more to say.
    thread::spawn(move || lines.for_each(drop));
    (child, address.expect("it listens"))
}

/// What is measured: the time by the clock, and the relay's processor time meanwhile.
type Cost = (Duration, Duration);

fn timed(relay: &Relay, work: impl FnOnce()) -> Cost {
    // Looking at a hundred processes takes its time, which is not the relay's.
    let before = relay.processor_time();
    let start = Instant::now();
    work();
    let elapsed = start.elapsed();
    // A child of an earlier connection may have ended meanwhile; this one's is there.
    let since = |(task, time): (&String, &u64)| time - before.get(task).unwrap_or(&0);
    (elapsed, Duration::from_nanos(relay.processor_time().iter().map(since).sum()))
}

fn down(relay: &Relay) -> Cost {
    let mut stream = relay.connect();
    let start = relay.wrapped(b"d");
    timed(relay, || {
        stream.write_all(&start).expect("it reads");
        // With the frames' headers a few octets more come than are counted here.
        discard(&stream, OCTETS, &mut vec![0; 1 << 20]);
    })
}

fn up(relay: &Relay, octets: &File) -> Cost {
    let mut stream = relay.connect();
    let start = relay.wrapped(b"u");
    let count = OCTETS / BLOCK * octets.metadata().expect("it is open").len() as usize;
    timed(relay, || {
        stream.write_all(&start).expect("it reads");
        send(&stream, octets, count);
        stream.read_exact(&mut [0]).expect("all has arrived");
    })
}

/// Questions and answers on each connection, one of each at a time.
fn exchange(relay: &Relay, streams: &mut [TcpStream], question: &[u8]) -> Cost {
    let answer = WORD + if relay.framed { 2 } else { 0 };
    timed(relay, || {
        for _ in 0..ROUNDS {
            for stream in &mut *streams {
                stream.write_all(question).expect("it reads");
            }
            for stream in &*streams {
                discard(stream, answer, &mut [0; WORD * 2]);
            }
        }
    })
}

/// Every relay's work, by one of its costs.
fn measure(criterion: &mut Criterion, relays: &[Relay], group: &str, pick: fn(Cost) -> Duration) {
    let mut group = criterion.benchmark_group(group);
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(4));
    for relay in relays {
        let octets = ready(&relay.wrapped(&block()));
        let mut streams: Vec<_> = (0..CONNECTIONS).map(|_| relay.connect()).collect();
        for stream in &mut streams {
            stream.write_all(&relay.wrapped(b"e")).expect("it reads");
        }
        let question = relay.wrapped(&[b'x'; WORD]);
        for (what, throughput, work) in [
            (
                "to the browser",
                Throughput::Bytes(OCTETS as u64),
                &mut (|| down(relay)) as &mut dyn FnMut() -> Cost,
            ),
            ("from the browser", Throughput::Bytes(OCTETS as u64), &mut || up(relay, &octets)),
            ("questions and answers", Throughput::Elements((ROUNDS * CONNECTIONS) as u64), &mut || {
                exchange(relay, &mut streams, &question)
            }),
        ] {
            group.throughput(throughput).bench_function(format!("{} {what}", relay.name), |bencher| {
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
    // Without a relay there is nothing that takes processor time.
    measure(criterion, &relays[1..], "relay's processor time", |(_, processor)| processor);
}

criterion_group!(benches, bench);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, target] = &arguments[..]
        && word == PROXY
    {
        return proxy(target);
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
