//! Memory of connections that are idle after large transfers.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

/// Each connection uses four file descriptors, two of them in this process.
const CONNECTIONS: usize = 200;
/// Bytes transferred on each connection in each direction.
const BYTES: usize = 200_000;
/// Size of a frame from the browser.
const FRAME_BYTES: usize = 60_000;
const IDLE_BYTES_MAX: usize = 40 << 10;
const TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A bridge process with one target; killed on drop.
struct Bridge {
    child: Child,
    address: SocketAddr,
    target: TcpListener,
    _folder: tempfile::TempDir,
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("the process is running");
    }
}

/// The two ends of a bridged connection.
struct Connection {
    browser: WebSocket<TcpStream>,
    target: TcpStream,
}

impl Bridge {
    fn start() -> Self {
        let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file = folder.path().join("pennypost.toml");
        let config = format!(
            "[web]\nlisten = '127.0.0.1:0'\ntargets = {{ target = {{ address = '{}' }} }}\n\
             [web.limits]\nconnections_per_address = 1000",
            target.local_addr().expect("the socket is bound")
        );
        fs::write(&file, config).expect("written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_ws-bridge"))
            .arg("--config")
            .arg(file)
            .env("RUST_LOG", "info")
            // glibc returns freed buffers to the system at once (mallopt(3)), so resident memory is memory in use.
            .env("MALLOC_MMAP_THRESHOLD_", "4096")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let mut log =
            BufReader::new(child.stderr.take().expect("stderr is piped")).lines().map_while(Result::ok);
        let address = log.find_map(|line| line.split_once("address=")?.1.trim().parse().ok());
        // Keep reading, so that the program does not block on its log.
        thread::spawn(move || log.for_each(drop));
        let address = address.expect("the program logs its address");
        Self { child, address, target, _folder: folder }
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).expect("the bridge accepts");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a valid timeout");
        let mut request =
            format!("ws://{}/ws/target", self.address).into_client_request().expect("a request");
        let origin = format!("http://{}", self.address).parse().expect("a header value");
        request.headers_mut().insert("Origin", origin);
        let (browser, _) = client(request, stream).expect("the bridge upgrades the connection");
        let (target, _) = self.target.accept().expect("the bridge connects");
        target.set_read_timeout(Some(TIMEOUT)).expect("a valid timeout");
        Connection { browser, target }
    }

    /// Resident memory in bytes.
    fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Linux's /proc");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS is present");
        line.split_whitespace().nth(1).and_then(|text| text.parse::<usize>().ok()).expect("a number") << 10
    }

    /// Waits until each of these connections takes at most [`IDLE_BYTES_MAX`].
    fn wait_until_released(&self, before: usize, connections: usize) {
        let start = Instant::now();
        loop {
            let bytes = self.resident_bytes().saturating_sub(before) / connections;
            if bytes <= IDLE_BYTES_MAX {
                return;
            }
            assert!(start.elapsed() < TIMEOUT, "an idle connection takes {bytes} bytes");
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Connection {
    fn transfer(&mut self) {
        let Self { browser, target } = self;
        thread::scope(|scope| {
            scope.spawn(|| target.write_all(&vec![b'x'; BYTES]).expect("the bridge reads"));
            let mut received = 0;
            while received < BYTES {
                if let Message::Binary(data) = browser.read().expect("a message") {
                    received += data.len();
                }
            }
        });
        thread::scope(|scope| {
            scope.spawn(|| target.read_exact(&mut vec![0; BYTES]).expect("the bridge writes"));
            let mut left = BYTES;
            while left > 0 {
                let length = left.min(FRAME_BYTES);
                browser.send(Message::Binary(vec![b'x'; length].into())).expect("the bridge reads");
                left -= length;
            }
        });
    }
}

#[test]
fn idle_connection_releases_the_buffers_of_a_transfer() {
    let bridge = Bridge::start();
    // One-time allocations.
    let mut first = bridge.connect();
    first.transfer();
    let before = bridge.resident_bytes();
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| bridge.connect()).collect();
    connections.iter_mut().for_each(Connection::transfer);
    bridge.wait_until_released(before, CONNECTIONS);
    // The replaced WebSockets still work.
    connections.iter_mut().for_each(Connection::transfer);
}
