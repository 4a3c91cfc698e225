//! The WebSocket bridge of `pennypost serve`, and the PROXY header with the address of the client.

mod support;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use mail_core::proxy::Header;
use support::tls::TlsClient;
use support::{LineStream, ServerProcess, SmtpClient, TIMEOUT, TestDir, connect_from};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

/// A browser connection: lines in binary frames.
struct Page<S = TcpStream> {
    socket: WebSocket<S>,
    received: Vec<u8>,
}

impl Page {
    fn connect(server: &ServerProcess, target: &str) -> Self {
        Self::connect_from([127, 0, 0, 1], server, target)
    }

    fn connect_from(source: [u8; 4], server: &ServerProcess, target: &str) -> Self {
        let web = server.address("web");
        let mut request = format!("ws://{web}/ws/{target}").into_client_request().expect("a request");
        request.headers_mut().insert("Origin", format!("http://{web}").parse().expect("a value"));
        let stream = connect_from(source, web);
        stream.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
        let (socket, _) = client(request, stream).expect("the bridge upgrades the connection");
        Self { socket, received: Vec::new() }
    }
}

impl<S: Read + Write> Page<S> {
    fn read_line(&mut self) -> String {
        loop {
            if let Some(end) = self.received.windows(2).position(|window| window == b"\r\n") {
                let line = self.received.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).expect("replies are UTF-8");
            }
            if let Message::Binary(octets) = self.socket.read().expect("the bridge replies") {
                self.received.extend(octets);
            }
        }
    }

    fn send(&mut self, text: &str) {
        self.socket.send(Message::binary(text.as_bytes().to_vec())).expect("the bridge reads");
    }

    fn command(&mut self, command: &str) -> String {
        self.send(&format!("{command}\r\n"));
        self.read_line()
    }

    fn close_code(&mut self) -> u16 {
        loop {
            match self.socket.read().expect("a Close frame arrives before the end") {
                Message::Close(frame) => return frame.expect("the Close frame has a code").code.into(),
                Message::Binary(octets) => self.received.extend(octets),
                _ => {}
            }
        }
    }
}

#[test]
fn page_sends_and_reads_mail() {
    let dir = TestDir::new();
    let server = dir.serve();
    let mut smtp = Page::connect(&server, "smtp");
    let browser = smtp.socket.get_ref().local_addr().expect("connected");
    assert_eq!(smtp.read_line(), "220 <iitkgp.edu> Service ready");
    assert_eq!(smtp.command("HELO iit.edu"), "250 OK Hello iit.edu");
    assert_eq!(smtp.command("MAIL FROM: <ag@iit.edu>"), "250 <ag@iit.edu>... Sender ok");
    assert_eq!(smtp.command("RCPT TO: gb@iit.edu"), "250 root... Recipient ok");
    assert!(smtp.command("DATA").starts_with("354 "));
    assert_eq!(
        smtp.command("Subject: from a page\r\n\r\nSee you at five.\r\n."),
        "250 OK Message accepted for delivery"
    );
    assert_eq!(smtp.command("QUIT"), "221 iitkgp.edu closing connection");
    assert_eq!(smtp.close_code(), 1000);

    let mut pop3 = Page::connect(&server, "pop3");
    assert_eq!(pop3.read_line(), "+OK POP3 server ready");
    assert!(pop3.command("USER gb").starts_with("+OK"));
    assert!(pop3.command("PASS other").starts_with("+OK"));
    assert!(pop3.command("RETR 1").starts_with("+OK"));
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line| line != ".") {
        lines.push(pop3.read_line());
    }
    let message = lines.join("\n");
    assert!(message.contains("See you at five."), "{message}");
    assert!(message.contains(&format!("[{}]", browser.ip())), "{message}");
    assert!(pop3.command("QUIT").starts_with("+OK"));
    assert_eq!(pop3.close_code(), 1000);
}

#[test]
fn page_over_https_counts_as_encrypted() {
    let dir = TestDir::with_config("[tls]\nself_signed = true\n");
    let server = dir.serve();
    let web = server.address("web");
    let socket = TcpStream::connect(web).expect("the server accepts");
    socket.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
    let stream = TlsClient::new(&dir.path("data/.tls/certificate.pem")).stream(socket, "iitkgp.edu");
    let host = format!("iitkgp.edu:{}", web.port());
    let mut request = format!("wss://{host}/ws/smtp").into_client_request().expect("a request");
    request.headers_mut().insert("Origin", format!("https://{host}").parse().expect("a value"));
    let (socket, _) = client(request, stream).expect("the bridge upgrades the connection");
    let mut smtp = Page { socket, received: Vec::new() };
    assert_eq!(smtp.read_line(), "220 <iitkgp.edu> Service ready");
    let mut hello = vec![smtp.command("EHLO iit.edu")];
    while hello.last().is_some_and(|line| line.starts_with("250-")) {
        hello.push(smtp.read_line());
    }
    let hello = hello.join("\n");
    assert!(hello.contains("AUTH PLAIN LOGIN") && !hello.contains("STARTTLS"), "{hello}");
    assert!(smtp.command("AUTH PLAIN AGFnAHNlY3JldA==").starts_with("235 "));
}

#[test]
fn shutdown_lets_a_page_finish_its_message() {
    let dir = TestDir::new();
    let mut server = dir.serve();
    let mut smtp = Page::connect(&server, "smtp");
    smtp.read_line();
    for command in ["HELO iit.edu", "MAIL FROM:<ag@iit.edu>", "RCPT TO:<gb@iit.edu>", "DATA"] {
        smtp.command(command);
    }
    let mut idle = Page::connect(&server, "pop3");
    assert_eq!(idle.read_line(), "+OK POP3 server ready");
    smtp.send("Subject: half\r\n\r\n");
    server.signal_terminate();
    server.wait_for_log("stopping on SIGTERM");
    let reply = smtp.command("the rest\r\n.");
    assert!(reply.starts_with("250 "), "{reply}");
    assert!([1000, 1001].contains(&idle.close_code()));
    drop((smtp, idle));
    assert_eq!(server.wait(), Some(0));
    assert!(dir.mailbox("gb").windows(8).any(|window| window == b"the rest"));
}

/// An SMTP server with a PROXY listener.
fn start_proxy_listener(peers: &str) -> (TestDir, ServerProcess) {
    let dir = TestDir::with_config(&format!(
        "[smtp]\nlisten = ['127.0.0.1:0']\nproxy_listen = ['127.0.0.1:0']\nproxy_peers = [{peers}]\n"
    ));
    let server = ServerProcess::start(env!("CARGO_BIN_EXE_smtp-server"), &[], &dir, &["smtp", "smtp-proxy"]);
    (dir, server)
}

fn proxied(server: &ServerProcess, source: &str, secure: bool) -> SmtpClient {
    let (source, destination) =
        (source.parse().expect("an address"), SocketAddr::from(([127, 0, 0, 1], 8080)));
    let mut stream = LineStream::connect(server.address("smtp-proxy"));
    stream.send(&Header::Proxied { source, destination, secure }.encode());
    let mut smtp = SmtpClient { stream };
    assert_eq!(smtp.reply(), "220 <iitkgp.edu> Service ready");
    smtp
}

#[test]
fn proxy_header_sets_address_and_encryption_of_the_client() {
    let (dir, server) = start_proxy_listener("'127.0.0.1'");
    for (source, secure, offers_auth) in [
        ("127.0.0.1:1", false, true),
        ("192.0.2.7:1", true, true),
        ("192.0.2.7:1", false, false),
        ("[2001:db8::7]:1", false, false),
    ] {
        let hello = proxied(&server, source, secure).command("EHLO iit.edu");
        assert_eq!(hello.contains("AUTH"), offers_auth, "{source} {secure}: {hello}");
    }
    proxied(&server, "192.0.2.7:1", false).deliver_to_gb(b"Subject: from afar\r\n\r\nbody\r\n");
    let mailbox = String::from_utf8(dir.mailbox("gb")).expect("text");
    assert!(mailbox.contains("[192.0.2.7]") && !mailbox.contains("[127.0.0.1]"), "{mailbox}");
}

/// Sends the bytes and reads to the end of the stream.
fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
    let mut reply = Vec::new();
    // A refused connection may be reset.
    let _ = stream.write_all(bytes).and_then(|()| stream.read_to_end(&mut reply));
    reply
}

#[test]
fn missing_invalid_or_untrusted_proxy_header_closes_the_connection() {
    let (_place, server) = start_proxy_listener("'127.0.0.1'");
    let header = Header::Proxied {
        source: SocketAddr::from(([192, 0, 2, 7], 1)),
        destination: SocketAddr::from(([127, 0, 0, 1], 8080)),
        secure: false,
    }
    .encode();
    for octets in
        [b"EHLO iit.edu\r\nQUIT\r\n".to_vec(), b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n".to_vec(), {
            let mut unspecified = header.clone();
            unspecified[13] = 0;
            unspecified
        }]
    {
        assert_eq!(exchange(server.address("smtp-proxy"), &octets), b"", "{}", octets.escape_ascii());
    }
    // On an ordinary listener a PROXY header is an invalid command.
    let mut smtp = server.smtp();
    smtp.stream.send(&header);
    assert!(smtp.command("NOOP").starts_with("500 "));

    let (_place, server) = start_proxy_listener("'192.0.2.1'");
    assert_eq!(exchange(server.address("smtp-proxy"), &header), b"");
}

#[test]
fn bridge_refusals_send_close_codes_and_are_logged() {
    let dir = TestDir::with_config("[web.limits]\nframe_size = '64 KiB'\nconnections_per_address = 2\n");
    let mut server = dir.serve();
    let mut pages = [(); 2].map(|()| Page::connect(&server, "pop3"));
    let (web, mut third) = (server.address("web"), LineStream::connect(server.address("web")));
    let upgrade = format!(
        "GET /ws/pop3 HTTP/1.1\r\nHost: {web}\r\nOrigin: http://{web}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    third.send(upgrade.as_bytes());
    assert!(third.read_text().starts_with("HTTP/1.1 503 "));
    assert!(server.wait_for_log("refused").contains("status=503"));

    pages[0].socket.send(Message::text("USER gb")).expect("the bridge reads");
    assert_eq!(pages[0].close_code(), 1003);
    pages[1].socket.send(Message::binary(vec![b'x'; 65 << 10])).expect("the bridge reads");
    assert_eq!(pages[1].close_code(), 1013);
    // An idle connection.
    let dir = TestDir::with_config("[web.limits]\nidle_seconds = 1\n");
    let mut other = dir.serve();
    assert_eq!(Page::connect(&other, "pop3").close_code(), 1013);
    let assert_logged = |server: &mut ServerProcess, code: u16| {
        let line = server.wait_for_log("closing");
        assert!(line.contains("INFO") && line.contains(&format!("code={code}")), "{line}");
    };
    assert_logged(&mut server, 1003);
    assert_logged(&mut server, 1013);
    assert_logged(&mut other, 1013);
}

#[test]
fn failed_logins_through_the_bridge_block_only_their_address() {
    let dir = TestDir::with_config("[auth]\nfailures_per_address = 2\nfailures_per_account = 4\n");
    let server = dir.serve();
    let login = |source, user: &str, password: &str| {
        let mut pop3 = Page::connect_from(source, &server, "pop3");
        assert_eq!(pop3.read_line(), "+OK POP3 server ready");
        assert!(pop3.command(&format!("USER {user}")).starts_with("+OK"));
        let reply = pop3.command(&format!("PASS {password}"));
        if reply.starts_with("+OK") {
            // QUIT releases the maildrop for the next login.
            assert!(pop3.command("QUIT").starts_with("+OK"));
        }
        reply
    };
    for user in ["ag", "nobody"] {
        assert!(login([127, 0, 0, 2], user, "guess").starts_with("-ERR [AUTH] "));
    }
    assert!(login([127, 0, 0, 2], "gb", "other").starts_with("-ERR [SYS/TEMP] too many "));
    assert!(login([127, 0, 0, 3], "gb", "other").starts_with("+OK "));

    // Failed logins to one account from many addresses block it except from known addresses.
    for guess in 10..14 {
        assert!(login([127, 0, 0, guess], "gb", "guess").starts_with("-ERR [AUTH] "));
    }
    assert!(login([127, 0, 0, 14], "gb", "other").starts_with("-ERR [SYS/TEMP] too many "));
    assert!(login([127, 0, 0, 3], "gb", "other").starts_with("+OK "));
    assert!(login([127, 0, 0, 14], "ag", "secret").starts_with("+OK "));
}

/// TCP ports on which a process listens, from the sockets in /proc (proc(5)).
fn listening_ports(process: u32) -> BTreeSet<u16> {
    const LISTEN: &str = "0A";
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).expect("the process runs").flatten();
    let inodes: HashSet<String> = descriptors
        .filter_map(|descriptor| {
            let link = fs::read_link(descriptor.path()).ok()?;
            Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let mut ports = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        let table = fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            if fields[3] == LISTEN && inodes.contains(fields[9]) {
                let (_, port) = fields[1].rsplit_once(':').expect("ADDRESS:PORT");
                ports.insert(u16::from_str_radix(port, 16).expect("a port in hexadecimal"));
            }
        }
    }
    ports
}

#[test]
fn all_in_one_process_has_no_port_that_accepts_a_proxy_header() {
    let dir = TestDir::new();
    let server = dir.serve();
    let listeners = ["smtp", "pop3", "web"].map(|protocol| server.address(protocol));
    // A connection of the bridge opens no port either.
    let mut pop3 = Page::connect(&server, "pop3");
    assert_eq!(pop3.read_line(), "+OK POP3 server ready");
    assert_eq!(listening_ports(server.pid()), listeners.map(|address| address.port()).into());

    let forged = Header::Proxied {
        source: SocketAddr::from(([192, 0, 2, 7], 1)),
        destination: SocketAddr::from(([127, 0, 0, 1], 8080)),
        secure: true,
    }
    .encode();
    let mut smtp = server.smtp();
    smtp.stream.send(&forged);
    assert!(smtp.command("NOOP").starts_with("500 "));
    let web = exchange(server.address("web"), &[&forged[..], b"GET / HTTP/1.0\r\n\r\n"].concat());
    assert!(!web.starts_with(b"HTTP/1.1 200"), "{}", web.escape_ascii());
}

#[test]
fn bridged_session_has_the_address_of_its_browser() {
    let dir = TestDir::with_config("[limits]\nconnections_per_address = 1\n");
    let mut server = dir.serve();
    let mut smtp = Page::connect_from([127, 0, 0, 7], &server, "smtp");
    assert_eq!(smtp.read_line(), "220 <iitkgp.edu> Service ready");
    assert!(server.wait_for_log("connected").contains("127.0.0.7"));
    let mut second = Page::connect_from([127, 0, 0, 7], &server, "smtp");
    assert!(second.read_line().starts_with("421 "));
    let mut other = Page::connect_from([127, 0, 0, 8], &server, "smtp");
    assert_eq!(other.read_line(), "220 <iitkgp.edu> Service ready");

    for command in ["HELO iit.edu", "MAIL FROM:<ag@iit.edu>", "RCPT TO:<gb@iit.edu>", "DATA"] {
        assert!(!smtp.command(command).starts_with('5'), "{command}");
    }
    assert!(smtp.command("Subject: address\r\n\r\nbody\r\n.").starts_with("250 "));
    let mailbox = String::from_utf8(dir.mailbox("gb")).expect("text");
    assert!(mailbox.contains("[127.0.0.7]"), "{mailbox}");
}
