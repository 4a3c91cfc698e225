//! Mail delivery beside many idle and slow clients, and a server without free file descriptors.
//!
//! 1,000 idle and 50 slow connections; with `PENNYPOST_LONG=1`, 10,000 and 200.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::tls::TlsClient;
use support::{LineStream, Pop3Client, ServerProcess, TIMEOUT, TestDir};

/// Uses one file descriptor; [`LineStream`] uses two.
struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
        Self(stream)
    }

    /// The next reply, with all its lines.
    fn reply(&mut self) -> String {
        let mut reply = Vec::new();
        let mut buffer = [0; 1_024];
        loop {
            let octets = self.0.read(&mut buffer).expect("the server replies");
            assert!(octets > 0, "closed after {}", reply.escape_ascii());
            reply.extend_from_slice(&buffer[..octets]);
            let text = String::from_utf8_lossy(&reply);
            let last = text.trim_end_matches("\r\n").rsplit("\r\n").next().unwrap_or_default();
            if text.ends_with("\r\n") && last.as_bytes().get(3) != Some(&b'-') {
                return text.into_owned();
            }
        }
    }

    fn command(&mut self, command: &str) -> String {
        self.0.write_all(format!("{command}\r\n").as_bytes()).expect("the server reads");
        self.reply()
    }
}

fn raise_descriptors(needed: u64) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let hard = maximum.unwrap_or(u64::MAX);
    assert!(hard >= needed, "this test needs {needed} file descriptors; `ulimit -Hn` allows {hard}");
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("a soft limit may be raised");
}

/// Resident memory of a process in KiB.
fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS is present");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Delivers and retrieves mails. Returns the longest time of one mail.
fn exchange_mail(server: &ServerProcess, mails: usize) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..mails {
        let start = Instant::now();
        server.smtp().deliver_to_gb(b"Subject: ordinary\r\n\r\nbody\r\n");
        let mut pop3 = server.log_in("gb", "other");
        assert_eq!(pop3.stat().0, 1);
        assert!(String::from_utf8(pop3.retrieve(1)).expect("text").contains("Subject: ordinary\r\n"));
        assert!(pop3.command("DELE 1").starts_with("+OK"));
        assert!(pop3.command("QUIT").starts_with("+OK"));
        longest = longest.max(start.elapsed());
    }
    longest
}

/// Sends one octet per second on each connection until `stop`.
fn trickle(mut clients: Vec<Client>, stop: &mpsc::Receiver<()>) -> Vec<Client> {
    while stop.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        for client in &mut clients {
            client.0.write_all(b"x").expect("the server reads");
        }
    }
    clients
}

#[test]
fn mail_is_delivered_beside_idle_and_slow_clients() {
    let is_long = std::env::var_os("PENNYPOST_LONG").is_some();
    let (idle_count, slow_count) = if is_long { (10_000, 200) } else { (1_000, 50) };
    raise_descriptors(idle_count + slow_count + 100);
    let dir = TestDir::with_config("[limits]\nconnections = 20_000\ntrusted = ['127.0.0.0/8']\n");
    let server = dir.serve();
    let (smtp, pop3) = (server.address("smtp"), server.address("pop3"));
    let baseline = exchange_mail(&server, 20);

    let before = resident_kib(server.pid());
    let mut idle: Vec<Client> = Vec::new();
    for number in 0..idle_count {
        let mut client = Client::connect(if number % 2 == 0 { smtp } else { pop3 });
        client.reply();
        assert!(
            client.command(if number % 2 == 0 { "EHLO iit.edu" } else { "USER gb" }).starts_with(['2', '+'])
        );
        idle.push(client);
    }
    let connection_bytes = (resident_kib(server.pid()).saturating_sub(before)) * 1_024 / idle_count;
    let slow = (0..slow_count).map(|_| {
        let mut client = Client::connect(smtp);
        client.reply();
        for (command, reply) in [
            ("EHLO slow", "250"),
            ("MAIL FROM:<ag@iit.edu>", "250"),
            ("RCPT TO:<ag@iit.edu>", "250"),
            ("DATA", "354"),
        ] {
            assert!(client.command(command).starts_with(reply), "{command}");
        }
        client
    });
    let slow: Vec<Client> = slow.collect();
    let (stop, stopped) = mpsc::channel();
    let trickling = std::thread::spawn(move || trickle(slow, &stopped));

    let crowded = exchange_mail(&server, if is_long { 200 } else { 50 });
    println!(
        "{idle_count} idle and {slow_count} slow clients: a mail takes {crowded:?} at most, {baseline:?} without them; \
         an idle connection takes {connection_bytes} octets"
    );
    assert!(crowded < TIMEOUT, "{crowded:?}");
    // Mostly the future of the session: box its large and rare parts.
    assert!(connection_bytes < 8 << 10, "an idle connection takes {connection_bytes} octets");

    for client in &mut idle {
        assert!(client.command("NOOP").starts_with(['2', '-']), "idle connections stay open");
    }
    stop.send(()).expect("the server listens");
    for mut client in trickling.join().expect("slow connections stay open") {
        assert!(client.command("\r\n.").starts_with("250 2.0.0 "), "a slow message is delivered");
    }
    let mailbox = String::from_utf8(dir.mailbox("ag")).expect("text");
    assert_eq!(mailbox.matches("Received: from slow ").count() as u64, slow_count);
}

#[test]
fn exhausted_file_descriptors_lose_no_mail_and_the_server_recovers() {
    let dir = TestDir::new();
    let program = env!("CARGO_BIN_EXE_pennypost");
    let script = "ulimit -n 80 && exec \"$0\" \"$@\"";
    let listen = ["--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "off"];
    let arguments = [&["-c", script, program, "serve"][..], &listen].concat();
    let mut server = ServerProcess::start("sh", &arguments, &dir, &["smtp", "pop3"]);
    let mut before = server.smtp();
    before.command("EHLO before");

    // More than the server can accept; the rest waits in the backlog.
    let mut waiting: Vec<_> = (0..120).map(|_| Client::connect(server.address("smtp"))).collect();
    server.wait_for_log("cannot accept a connection; retrying");
    let mut acknowledged = 0;
    for _ in 0..3 {
        // An open session gets 250 for stored mail, or a 4yz reply.
        let reply = before.deliver("ag@iit.edu", &["gb@iit.edu"], b"Subject: without\r\n\r\nbody\r\n");
        assert!(reply.starts_with("250 ") || reply.starts_with('4'), "{reply}");
        acknowledged += usize::from(reply.starts_with("250 "));
    }

    let mut last = waiting.pop().expect("connections are left");
    drop(waiting);
    assert!(last.reply().starts_with("220 "), "waiting connections are accepted after the recovery");
    assert!(last.command("QUIT").starts_with("221 "));
    drop(last);
    // Wait until the server has closed all other connections.
    for _ in 0..120 {
        server.wait_for_log_where("closed", |line| {
            line.contains(": closed") || line.contains(": connection lost")
        });
    }
    let reply = before.deliver("ag@iit.edu", &["gb@iit.edu"], b"Subject: within\r\n\r\nbody\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    server.smtp().deliver_to_gb(b"Subject: afterwards\r\n\r\nbody\r\n");
    let mailbox = String::from_utf8(dir.mailbox("gb")).expect("text");
    for (subject, count) in [("without", acknowledged), ("within", 1), ("afterwards", 1)] {
        assert_eq!(mailbox.matches(&format!("Subject: {subject}\r\n")).count(), count, "{mailbox}");
    }
    let mut pop3 = server.log_in("gb", "other");
    assert_eq!(pop3.stat().0, acknowledged + 2);
}

#[test]
fn idle_tls_connections_use_bounded_memory() {
    let count = 500;
    raise_descriptors(2 * count + 100);
    let dir = TestDir::with_config(
        "[pop3]\nlisten = []\ntls_listen = ['127.0.0.1:0']\n[limits]\nconnections_per_address = 1_000\n\
         [tls]\nself_signed = true\n",
    );
    let server = ServerProcess::start(env!("CARGO_BIN_EXE_pop3-server"), &[], &dir, &["pop3s"]);
    let client = TlsClient::new(&dir.path("data/.tls/certificate.pem"));
    let connect =
        || Pop3Client::from_stream(client.encrypt(LineStream::connect(server.address("pop3s")), "localhost"));
    // The first handshakes make one-time allocations.
    let mut idle: Vec<_> = (0..10).map(|_| connect()).collect();
    let before = resident_kib(server.pid());
    idle.extend((0..count).map(|_| connect()));
    let connection_bytes = (resident_kib(server.pid()).saturating_sub(before)) * 1_024 / count;
    println!("an idle connection over TLS takes {connection_bytes} octets");
    assert!(connection_bytes < 128 << 10, "an idle connection over TLS takes {connection_bytes} octets");
    for pop3 in &mut idle {
        assert!(pop3.command("USER gb").starts_with("+OK"));
    }
}
