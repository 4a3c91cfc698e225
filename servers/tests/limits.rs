//! Limits of connections: each has its reply and its log line, and other sessions continue.

mod support;

use std::net::{IpAddr, SocketAddr};

use mail_core::proxy::Header;
use support::tls::TlsClient;
use support::{Daemon, Place, Pop3, Smtp, Wire};

/// A connection as a proxy opens it for a client elsewhere.
fn through_a_proxy(server: &Daemon, client: &str) -> Wire {
    let mut wire = Wire::connect(server.door("smtp-proxy"));
    let source = SocketAddr::new(client.parse::<IpAddr>().expect("an address"), 50_000);
    let destination = SocketAddr::from(([127, 0, 0, 1], 8_080));
    wire.send(&Header::Proxied { source, destination, secure: false }.encode());
    wire
}

fn serve(place: &Place, doors: &[&str]) -> Daemon {
    Daemon::start(env!("CARGO_BIN_EXE_pennypost"), &["serve"], place, doors)
}

/// Connects again until a place that has just been given back is free.
fn until_greeted(connect: impl Fn() -> Wire) -> Wire {
    loop {
        let mut wire = connect();
        if !wire.text().starts_with('4') {
            return wire;
        }
    }
}

const LISTEN: &str = "[smtp]\nlisten = ['127.0.0.1:0']\nproxy_listen = ['127.0.0.1:0']\n\
                      [pop3]\nlisten = ['127.0.0.1:0']\ntls_listen = ['127.0.0.1:0']\n\
                      [web]\nlisten = 'off'\n[tls]\nself_signed = true\n";

#[test]
fn connection_limit_refuses_with_a_reply() {
    let place = Place::with(&format!("{LISTEN}[limits]\nconnections = 2\n"));
    let mut server = serve(&place, &["smtp", "smtp-proxy", "pop3", "pop3s"]);
    let first = server.smtp();
    let mut second = server.smtp();
    let refused = Wire::connect(server.door("smtp")).rest();
    assert_eq!(refused, b"421 iitkgp.edu Too many connections, try again later\r\n");
    server.wait_for_log("`connections` reached");
    second.command("EHLO iit.edu");
    let reply = second.deliver("ag@iit.edu", &["gb@iit.edu"], b"Subject: beside it\r\n\r\nbody\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    drop(first);
    until_greeted(|| Wire::connect(server.door("smtp")));

    let client = TlsClient::new(&place.path("data/.tls/certificate.pem"));
    let connect = || client.encrypt(Wire::connect(server.door("pop3s")), "localhost");
    let _both = [Pop3::greeted(connect()), Pop3::greeted(connect())];
    assert!(Wire::connect(server.door("pop3s")).rest().is_empty(), "no plain-text reply on a TLS listener");
    let _both = [server.pop3(), server.pop3()];
    let refused = Wire::connect(server.door("pop3")).rest();
    assert_eq!(refused, b"-ERR [SYS/TEMP] too many connections; try again later\r\n");
}

#[test]
fn limit_per_address_applies_to_clients_and_not_to_their_proxy() {
    let limits = "[limits]\nconnections_per_address = 2\ntrusted = ['192.0.2.0/24']\n";
    let place = Place::with(&format!("{LISTEN}{limits}"));
    let mut server = serve(&place, &["smtp", "smtp-proxy", "pop3"]);
    let held = [server.smtp(), server.smtp()];
    let refused = Wire::connect(server.door("smtp")).rest();
    assert_eq!(refused, b"421 iitkgp.edu Too many connections from your address, try again later\r\n");
    let line = server.wait_for_log("`connections_per_address`");
    assert!(line.contains("WARN") && line.contains("127.0.0.1"), "{line}");
    let _pop3 = [server.pop3(), server.pop3()];
    let refused = Wire::connect(server.door("pop3")).rest();
    assert_eq!(refused, b"-ERR [SYS/TEMP] too many connections from your address; try again later\r\n");

    // The proxy does not count. Its clients do: IPv6 clients by /64 network, trusted clients not at all.
    let mut places = Vec::new();
    for client in ["198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8:0:1::1", "192.0.2.1"] {
        places.extend([client; 2].map(|client| Smtp::greeted(through_a_proxy(&server, client))));
    }
    for client in ["198.51.100.1", "2001:db8::ffff"] {
        let refused = String::from_utf8(through_a_proxy(&server, client).rest()).expect("text");
        assert!(refused.contains("from your address"), "{client}: {refused}");
    }
    places.push(Smtp::greeted(through_a_proxy(&server, "192.0.2.1")));
    drop(held);
    until_greeted(|| Wire::connect(server.door("smtp")));
}

#[test]
fn too_many_commands_end_the_session() {
    let place = Place::with(&format!("{LISTEN}[limits]\nrecipients = 100\n"));
    let mut server = serve(&place, &["smtp", "pop3"]);
    let mut smtp = server.smtp();
    // Pipelined without reading: the server must neither stall nor queue without bound. Reading starts at once, because the
    // server resets a connection whose input arrives more than two seconds after the last reply.
    let mut wire = smtp.wire.socket.try_clone().expect("cloned");
    let writer = std::thread::spawn(move || {
        std::io::Write::write_all(&mut wire, &b"EHLO iit.edu\r\n".repeat(10_101)).expect("the server reads");
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
    assert!(smtp.wire.rest().is_empty());
    writer.join().expect("no panic");
    server.wait_for_log("too many commands in one session");

    let mut pop3 = server.pop3();
    pop3.wire.send(&b"CAPA\r\n".repeat(10_001));
    let said = String::from_utf8(pop3.wire.rest()).expect("text");
    assert_eq!(said.matches("\r\n.\r\n").count(), 10_000);
    assert!(said.ends_with("-ERR too many commands in one session, goodbye\r\n"));
    server.wait_for_log("too many commands in one session");
}

#[test]
fn last_reply_arrives_although_input_is_unread() {
    let place = Place::with(LISTEN);
    let mut server = serve(&place, &["smtp"]);
    let mut smtp = server.smtp();
    // One segment, which arrives as a whole. Its replies exceed the socket buffers of a client that does not read, so the last
    // ones are in flight when the server closes. The trailing bytes exceed one read of the server.
    let commands = [b"EHLO iit.edu\r\n".repeat(1_000), b"FROB\r\n".repeat(20), vec![b'x'; 15_000]].concat();
    smtp.wire.send(&commands);
    server.wait_for_log(": closed");
    let said = String::from_utf8(smtp.wire.rest()).expect("text");
    assert!(said.len() > 100_000 && said.matches("\r\n250 ").count() == 1_000, "{}", said.len());
    assert!(said.ends_with("421 4.7.0 Too many errors, closing connection\r\n"), "{said}");
}

#[test]
fn exceeded_limits_are_refused_and_logged() {
    let place = Place::with(&format!("{LISTEN}[limits]\nrecipients = 100\nmessage_size = '2 MiB'\n"));
    let mut server = serve(&place, &["smtp", "pop3"]);
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    let refused = |server: &mut Daemon, reply: &str, code: &str| {
        assert!(reply.starts_with(code), "{reply}");
        let line = server.wait_for_log("refused");
        assert!(line.contains("INFO") && line.contains(reply), "{line} for {reply}");
    };
    refused(&mut server, &smtp.command(&"x".repeat(10_000)), "500 5.5.2 Line too long");
    refused(&mut server, &smtp.command("MAIL FROM:<ag@iit.edu> SIZE=2097153"), "552 5.3.4 ");
    smtp.command("MAIL FROM:<ag@iit.edu>");
    for number in 0..100 {
        assert!(smtp.command(&format!("RCPT TO:<gb+{number}@iit.edu>")).starts_with("250 "));
    }
    refused(&mut server, &smtp.command("RCPT TO:<ag@iit.edu>"), "452 4.5.3 ");
    smtp.command("DATA");
    smtp.wire.send(&b"0123456789abcdef0123456789abcdef\r\n".repeat(70_000));
    smtp.wire.send(b".\r\n");
    refused(&mut server, &smtp.reply(), "552 5.3.4 ");
    let header = b"X-Field: 0123456789012345678901234567890123456789\r\n".repeat(25_000);
    refused(&mut server, &smtp.deliver("ag@iit.edu", &["gb@iit.edu"], &header), "552 5.3.4 ");
    let header = b"Received: from a by b\r\n".repeat(101);
    refused(&mut server, &smtp.deliver("ag@iit.edu", &["gb@iit.edu"], &header), "554 5.4.6 ");
    assert!(place.mailbox("gb").is_empty() && place.mailbox("ag").is_empty());

    smtp.command("NOOP");
    smtp.wire.send(&b"FROB\r\n".repeat(20));
    let said = String::from_utf8(smtp.wire.rest()).expect("text");
    assert!(said.ends_with("421 4.7.0 Too many errors, closing connection\r\n"), "{said}");
    assert!(server.wait_for_log("421 4.7.0 ").contains("refused"));
    server.wait_for_log("too many errors in a row");
    let mut pop3 = server.pop3();
    refused(&mut server, &pop3.command(&"x".repeat(10_000)), "-ERR ");
    pop3.wire.send(&b"FROB\r\n".repeat(20));
    assert!(pop3.wire.rest().ends_with(b"-ERR too many errors in a row, goodbye\r\n"));
    server.wait_for_log("too many errors in a row");
}

#[test]
fn message_memory_limit_spills_bodies_and_refuses_headers() {
    let place = Place::with(&format!("{LISTEN}[limits]\nmessage_memory = '64 KiB'\n"));
    let mut server = serve(&place, &["smtp", "pop3"]);
    let begin = |server: &Daemon| {
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
        session.wire.send(format!("Subject: large\r\n\r\n{body}").as_bytes());
    }

    // Headers stay in memory until they end; this one does not end.
    let mut endless = begin(&server);
    endless.wire.send(&b"X-Field: 0123456789012345678901234567890123456789\r\n".repeat(10_000));
    endless.wire.send(b".\r\n");
    assert!(endless.reply().starts_with("452 4.3.1 "));
    server.wait_for_log("`message_memory` in [limits]");
    let mut ordinary = begin(&server);
    ordinary.wire.send(b"Subject: ordinary\r\n\r\nbody\r\n.\r\n");
    assert!(ordinary.reply().starts_with("250 2.0.0 "));

    for session in &mut sessions {
        session.wire.send(b".\r\n");
        assert!(session.reply().starts_with("250 2.0.0 "));
    }
    let mailbox = String::from_utf8(place.mailbox("gb")).expect("text");
    for body in &bodies {
        assert!(mailbox.contains(&format!("\r\n\r\n{body}.\r\n")), "the message is complete");
    }
}
