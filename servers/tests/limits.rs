//! Limits of connections: each has its reply and its log line, and other sessions continue.

mod support;

use std::net::{IpAddr, SocketAddr};

use mail_core::proxy::Header;
use support::tls::TlsClient;
use support::{LineStream, Pop3Client, ServerProcess, SmtpClient, TestDir};

/// A connection with a PROXY header for a remote client.
fn connect_through_proxy(server: &ServerProcess, client: &str) -> LineStream {
    let mut stream = LineStream::connect(server.address("smtp-proxy"));
    let source = SocketAddr::new(client.parse::<IpAddr>().expect("an address"), 50_000);
    let destination = SocketAddr::from(([127, 0, 0, 1], 8_080));
    stream.send(&Header::Proxied { source, destination, secure: false }.encode());
    stream
}

fn serve(dir: &TestDir, listeners: &[&str]) -> ServerProcess {
    ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &["serve"], dir, listeners)
}

/// Connects until a released connection slot is free.
fn connect_until_accepted(connect: impl Fn() -> LineStream) -> LineStream {
    loop {
        let mut stream = connect();
        if !stream.read_text().starts_with('4') {
            return stream;
        }
    }
}

const LISTEN: &str = "[smtp]\nlisten = ['127.0.0.1:0']\nproxy_listen = ['127.0.0.1:0']\n\
                      [pop3]\nlisten = ['127.0.0.1:0']\ntls_listen = ['127.0.0.1:0']\n\
                      [web]\nlisten = 'off'\n[tls]\nself_signed = true\n";

#[test]
fn connection_limit_refuses_with_a_reply() {
    let dir = TestDir::with_config(&format!("{LISTEN}[limits]\nconnections = 2\n"));
    let mut server = serve(&dir, &["smtp", "smtp-proxy", "pop3", "pop3s"]);
    let first = server.smtp();
    let mut second = server.smtp();
    let refused = LineStream::connect(server.address("smtp")).read_to_end();
    assert_eq!(refused, b"421 iitkgp.edu Too many connections, try again later\r\n");
    server.wait_for_log("`connections` reached");
    second.command("EHLO iit.edu");
    let reply = second.deliver("ag@iit.edu", &["gb@iit.edu"], b"Subject: beside it\r\n\r\nbody\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    drop(first);
    connect_until_accepted(|| LineStream::connect(server.address("smtp")));

    let client = TlsClient::new(&dir.path("data/.tls/certificate.pem"));
    let connect = || client.encrypt(LineStream::connect(server.address("pop3s")), "localhost");
    let _both = [Pop3Client::from_stream(connect()), Pop3Client::from_stream(connect())];
    assert!(
        LineStream::connect(server.address("pop3s")).read_to_end().is_empty(),
        "no plain-text reply on a TLS listener"
    );
    let _both = [server.pop3(), server.pop3()];
    let refused = LineStream::connect(server.address("pop3")).read_to_end();
    assert_eq!(refused, b"-ERR [SYS/TEMP] too many connections; try again later\r\n");
}

#[test]
fn limit_per_address_applies_to_clients_and_not_to_their_proxy() {
    let limits = "[limits]\nconnections_per_address = 2\ntrusted = ['192.0.2.0/24']\n";
    let dir = TestDir::with_config(&format!("{LISTEN}{limits}"));
    let mut server = serve(&dir, &["smtp", "smtp-proxy", "pop3"]);
    let held = [server.smtp(), server.smtp()];
    let refused = LineStream::connect(server.address("smtp")).read_to_end();
    assert_eq!(refused, b"421 iitkgp.edu Too many connections from your address, try again later\r\n");
    let line = server.wait_for_log("`connections_per_address`");
    assert!(line.contains("WARN") && line.contains("127.0.0.1"), "{line}");
    let _pop3 = [server.pop3(), server.pop3()];
    let refused = LineStream::connect(server.address("pop3")).read_to_end();
    assert_eq!(refused, b"-ERR [SYS/TEMP] too many connections from your address; try again later\r\n");

    // The proxy does not count. Its clients do: IPv6 clients by /64 network, trusted clients not at all.
    let mut connections = Vec::new();
    for client in ["198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8:0:1::1", "192.0.2.1"] {
        connections.extend(
            [client; 2].map(|client| SmtpClient::from_stream(connect_through_proxy(&server, client))),
        );
    }
    for client in ["198.51.100.1", "2001:db8::ffff"] {
        let refused = String::from_utf8(connect_through_proxy(&server, client).read_to_end()).expect("text");
        assert!(refused.contains("from your address"), "{client}: {refused}");
    }
    connections.push(SmtpClient::from_stream(connect_through_proxy(&server, "192.0.2.1")));
    drop(held);
    connect_until_accepted(|| LineStream::connect(server.address("smtp")));
}

#[test]
fn too_many_commands_end_the_session() {
    let dir = TestDir::with_config(&format!("{LISTEN}[limits]\nrecipients = 100\n"));
    let mut server = serve(&dir, &["smtp", "pop3"]);
    let mut smtp = server.smtp();
    // Pipelined without reading: the server must neither stall nor queue without bound. Reading starts at once, because the
    // server resets a connection whose input arrives more than two seconds after the last reply.
    let mut stream = smtp.stream.socket.try_clone().expect("the socket is cloned");
    let writer = std::thread::spawn(move || {
        std::io::Write::write_all(&mut stream, &b"EHLO iit.edu\r\n".repeat(10_101))
            .expect("the server reads");
    });
    let mut replies = 0;
    let last = loop {
        let reply = smtp.reply();
        if !reply.starts_with("250") {
            break reply;
        }
        replies += 1;
    };
    assert_eq!((replies, &last[..10]), (10_100, "421 4.7.0 "), "{last}");
    assert!(smtp.stream.read_to_end().is_empty());
    writer.join().expect("no panic");
    server.wait_for_log("too many commands in one session");

    let mut pop3 = server.pop3();
    pop3.stream.send(&b"CAPA\r\n".repeat(10_001));
    let replies = String::from_utf8(pop3.stream.read_to_end()).expect("text");
    assert_eq!(replies.matches("\r\n.\r\n").count(), 10_000);
    assert!(replies.ends_with("-ERR too many commands in one session, goodbye\r\n"));
    server.wait_for_log("too many commands in one session");
}

#[test]
fn last_reply_arrives_although_input_is_unread() {
    let dir = TestDir::with_config(LISTEN);
    let mut server = serve(&dir, &["smtp"]);
    let mut smtp = server.smtp();
    // One segment, which arrives as a whole. Its replies exceed the socket buffers of a client that does not read, so the last
    // ones are in flight when the server closes. The trailing bytes exceed one read of the server.
    let commands = [b"EHLO iit.edu\r\n".repeat(1_000), b"FROB\r\n".repeat(20), vec![b'x'; 15_000]].concat();
    smtp.stream.send(&commands);
    server.wait_for_log(": closed");
    let replies = String::from_utf8(smtp.stream.read_to_end()).expect("text");
    assert!(replies.len() > 100_000 && replies.matches("\r\n250 ").count() == 1_000, "{}", replies.len());
    assert!(replies.ends_with("421 4.7.0 Too many errors, closing connection\r\n"), "{replies}");
}

#[test]
fn exceeded_limits_are_refused_and_logged() {
    let dir = TestDir::with_config(&format!("{LISTEN}[limits]\nrecipients = 100\nmessage_size = '2 MiB'\n"));
    let mut server = serve(&dir, &["smtp", "pop3"]);
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    let assert_refused = |server: &mut ServerProcess, reply: &str, code: &str| {
        assert!(reply.starts_with(code), "{reply}");
        let line = server.wait_for_log("refused reply=");
        assert!(line.contains("INFO") && line.contains(reply), "{line} for {reply}");
    };
    assert_refused(&mut server, &smtp.command(&"x".repeat(10_000)), "500 5.5.2 Line too long");
    assert_refused(&mut server, &smtp.command("MAIL FROM:<ag@iit.edu> SIZE=2097153"), "552 5.3.4 ");
    smtp.command("MAIL FROM:<ag@iit.edu>");
    for number in 0..100 {
        assert!(smtp.command(&format!("RCPT TO:<gb+{number}@iit.edu>")).starts_with("250 "));
    }
    assert_refused(&mut server, &smtp.command("RCPT TO:<ag@iit.edu>"), "452 4.5.3 ");
    smtp.command("DATA");
    smtp.stream.send(&b"0123456789abcdef0123456789abcdef\r\n".repeat(70_000));
    smtp.stream.send(b".\r\n");
    assert_refused(&mut server, &smtp.reply(), "552 5.3.4 ");
    let header = b"X-Field: 0123456789012345678901234567890123456789\r\n".repeat(25_000);
    assert_refused(&mut server, &smtp.deliver("ag@iit.edu", &["gb@iit.edu"], &header), "552 5.3.4 ");
    let header = b"Received: from a by b\r\n".repeat(101);
    assert_refused(&mut server, &smtp.deliver("ag@iit.edu", &["gb@iit.edu"], &header), "554 5.4.6 ");
    assert!(dir.mailbox("gb").is_empty() && dir.mailbox("ag").is_empty());

    smtp.command("NOOP");
    smtp.stream.send(&b"FROB\r\n".repeat(20));
    let replies = String::from_utf8(smtp.stream.read_to_end()).expect("text");
    assert!(replies.ends_with("421 4.7.0 Too many errors, closing connection\r\n"), "{replies}");
    assert!(server.wait_for_log("421 4.7.0 ").contains("refused"));
    server.wait_for_log("too many errors in a row");
    let mut pop3 = server.pop3();
    assert_refused(&mut server, &pop3.command(&"x".repeat(10_000)), "-ERR ");
    pop3.stream.send(&b"FROB\r\n".repeat(20));
    assert!(pop3.stream.read_to_end().ends_with(b"-ERR too many errors in a row, goodbye\r\n"));
    server.wait_for_log("too many errors in a row");
}

#[test]
fn message_memory_limit_spills_bodies_and_refuses_headers() {
    let dir = TestDir::with_config(&format!("{LISTEN}[limits]\nmessage_memory = '64 KiB'\n"));
    let mut server = serve(&dir, &["smtp", "pop3"]);
    let begin = |server: &ServerProcess| {
        let mut smtp = server.smtp();
        smtp.command("EHLO iit.edu");
        assert!(smtp.command("MAIL FROM:<ag@iit.edu>").starts_with("250 "));
        assert!(smtp.command("RCPT TO:<gb@iit.edu>").starts_with("250 "));
        assert!(smtp.command("DATA").starts_with("354 "));
        smtp
    };
    let bodies: Vec<_> =
        (0..8).map(|n| format!("body {n} 0123456789abcdefghijklmnopqrstuvwxyz\r\n").repeat(20_000)).collect();
    let mut sessions: Vec<_> = bodies.iter().map(|_| begin(&server)).collect();
    for (session, body) in sessions.iter_mut().zip(&bodies) {
        session.stream.send(format!("Subject: large\r\n\r\n{body}").as_bytes());
    }

    // Headers stay in memory until they end; this one does not end.
    let mut endless = begin(&server);
    endless.stream.send(&b"X-Field: 0123456789012345678901234567890123456789\r\n".repeat(10_000));
    endless.stream.send(b".\r\n");
    assert!(endless.reply().starts_with("452 4.3.1 "));
    server.wait_for_log("`message_memory` in [limits]");
    let mut small = begin(&server);
    small.stream.send(b"Subject: ordinary\r\n\r\nbody\r\n.\r\n");
    assert!(small.reply().starts_with("250 2.0.0 "));

    for session in &mut sessions {
        session.stream.send(b".\r\n");
        assert!(session.reply().starts_with("250 2.0.0 "));
    }
    let mailbox = String::from_utf8(dir.mailbox("gb")).expect("text");
    for body in &bodies {
        assert!(mailbox.contains(&format!("\r\n\r\n{body}.\r\n")), "the message is complete");
    }
}
