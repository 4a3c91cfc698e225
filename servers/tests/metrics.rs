//! `/metrics` after a known sequence of sessions, `/livez` and `/readyz`, and the session ids in the log.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use support::tls::TlsClient;
use support::{LineStream, Pop3Client, ServerProcess, TIMEOUT, TestDir, field};

const LISTEN: &str = "[smtp]\nlisten = ['127.0.0.1:0']\nproxy_listen = ['127.0.0.1:0']\n\
                      submission_listen = ['127.0.0.1:0']\n\
                      [pop3]\nlisten = ['127.0.0.1:0']\ntls_listen = ['127.0.0.1:0']\n\
                      [web]\nlisten = 'off'\n[tls]\nself_signed = true\n\
                      [limits]\nconnections_per_address = 2\n[metrics]\nlisten = '127.0.0.1:0'\n";
const LISTENERS: [&str; 6] = ["smtp", "smtp-proxy", "submission", "pop3", "pop3s", "metrics"];

/// Head and body of a response of the metrics listener.
fn request(server: &ServerProcess, line: &str) -> (String, String) {
    request_from(server, "metrics", line)
}

/// Head and body of a response of this listener, which closes the connection.
fn request_from(server: &ServerProcess, listener: &str, line: &str) -> (String, String) {
    let mut stream = TcpStream::connect(server.address(listener)).expect("the server accepts");
    stream.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
    write!(stream, "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("the server reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("the server replies and closes");
    let (head, body) = response.split_once("\r\n\r\n").expect("the head ends");
    (head.to_owned(), body.to_owned())
}

/// Values by name and labels, without durations.
fn samples(server: &ServerProcess) -> BTreeMap<String, u64> {
    let (head, body) = request(server, "GET /metrics");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("application/openmetrics-text"), "{head}");
    assert!(body.ends_with("# EOF\n"), "{body}");
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.map(|line| line.rsplit_once(' ').expect("a name and a number"));
    lines
        .filter(|(name, _)| !name.contains("_bucket{") && !name.contains("_seconds_sum"))
        .map(|(name, number)| {
            let name = name.strip_prefix("pennypost_").expect("every name has the prefix");
            (name.to_owned(), number.parse().expect("a whole number"))
        })
        .collect()
}

const MESSAGE: &[u8] = b"Subject: counted\r\n\r\n.every octet of it\r\n";

/// Sends two messages: one is delivered, the store fails for the other.
fn send(server: &mut ServerProcess) {
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    assert!(smtp.deliver("ag@iit.edu", &["gb@iit.edu"], MESSAGE).starts_with("250 "));
    smtp.command("MAIL FROM:<gb@iit.edu>");
    assert!(smtp.command("RCPT TO:<nobody@iit.edu>").starts_with("550 "));
    assert!(smtp.deliver_after_mail(&["ag@iit.edu"], MESSAGE).starts_with("451 "));
    smtp.command("QUIT");
    server.wait_for_log(": closed");
}

/// Fails a login, logs in and retrieves the message. Returns its octets.
fn read(server: &mut ServerProcess) -> u64 {
    let mut pop3 = server.pop3();
    pop3.command("USER gb");
    assert!(pop3.command("PASS wrong").starts_with("-ERR"));
    pop3.login("gb", "other");
    let listed = pop3.command("STAT");
    pop3.multiline("TOP 1 0");
    pop3.multiline("RETR 1");
    pop3.command("QUIT");
    server.wait_for_log(": closed");
    listed.rsplit_once(' ').expect("two numbers").1.parse().expect("octets")
}

#[test]
fn metrics_match_the_sessions() {
    let dir = TestDir::with_config(LISTEN);
    // A directory in place of the mailbox makes the store fail.
    fs::create_dir_all(dir.path("data/ag/MyMailBox.txt")).expect("the directory is created");
    let mut server = ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &["serve"], &dir, &LISTENERS);
    let fresh = samples(&server);
    assert!(fresh.len() > 30 && fresh.values().all(|number| *number == 0), "{fresh:?}");

    send(&mut server);
    let octets = read(&mut server);
    let client = TlsClient::new(&dir.path("data/.tls/certificate.pem"));
    let mut encrypted =
        Pop3Client::from_stream(client.encrypt(LineStream::connect(server.address("pop3s")), "localhost"));
    encrypted.command("QUIT");
    // An unread close_notify would reset the connection, which counts as lost.
    assert!(encrypted.stream.read_to_end().is_empty());
    drop(encrypted);
    server.wait_for_log(": closed");
    let mut plain = LineStream::connect(server.address("pop3s"));
    plain.send(b"USER ag\r\n");
    server.wait_for_log("connection lost");
    LineStream::connect(server.address("smtp-proxy")).send(b"EHLO without a header\r\n");
    server.wait_for_log("connection refused");
    let _held = [server.smtp(), server.smtp()];
    assert!(LineStream::connect(server.address("smtp")).read_to_end().starts_with(b"421 "));

    let mut expected = fresh;
    for (name, number) in [
        ("connections_accepted_total{protocol=\"smtp\"}", 5),
        ("connections_accepted_total{protocol=\"pop3\"}", 3),
        ("connections_refused_total{protocol=\"smtp\",reason=\"connections_per_address\"}", 1),
        ("connections_refused_total{protocol=\"smtp\",reason=\"proxy_header\"}", 1),
        ("connections_open{protocol=\"smtp\"}", 2),
        ("tls_handshakes_total{protocol=\"pop3\",result=\"good\"}", 1),
        ("tls_handshakes_total{protocol=\"pop3\",result=\"failed\"}", 1),
        ("replies_total{protocol=\"smtp\",class=\"2xx\"}", 10),
        ("replies_total{protocol=\"smtp\",class=\"3xx\"}", 2),
        ("replies_total{protocol=\"smtp\",class=\"4xx\"}", 1),
        ("replies_total{protocol=\"smtp\",class=\"5xx\"}", 1),
        ("replies_total{protocol=\"pop3\",class=\"+OK\"}", 10),
        ("replies_total{protocol=\"pop3\",class=\"-ERR\"}", 1),
        // MAIL, RCPT, DATA and the final dot of each message, and one more RCPT.
        ("answer_seconds_count{protocol=\"smtp\"}", 9),
        // USER twice, PASS, TOP, RETR, QUIT; not the PASS with the delayed reply.
        ("answer_seconds_count{protocol=\"pop3\"}", 6),
        ("sign_ins_total{result=\"success\"}", 1),
        ("sign_ins_total{result=\"failure\"}", 1),
        ("delivered_messages_total", 1),
        ("delivered_octets_total", MESSAGE.len() as u64),
        ("commit_seconds_count", 1),
        ("retrieved_messages_total", 1),
        ("retrieved_octets_total", octets),
        ("store_errors_total{kind=\"failed\"}", 1),
    ] {
        assert!(expected.insert(name.to_owned(), number).is_some(), "{name} exists from the start");
    }
    assert_eq!(samples(&server), expected);
}

/// A WebSocket connection through the bridge, or the status line of its refusal.
fn open_websocket(
    server: &ServerProcess,
    target: &str,
    origin: &str,
    upgrade: &str,
) -> Result<LineStream, String> {
    let address = server.address("web");
    let mut stream = LineStream::connect(address);
    let request = format!(
        "GET /ws/{target} HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n{upgrade}\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.send(request.as_bytes());
    let status = stream.read_text();
    if status.contains(" 101 ") {
        while stream.read_text() != "" {}
        Ok(stream)
    } else {
        Err(status)
    }
}

/// A short WebSocket frame with a zero mask.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

const BRIDGE_CONFIG: &str = "[smtp]\nlisten = []\n[pop3]\nlisten = ['127.0.0.1:0']\n[web]\nlisten = '127.0.0.1:0'\n\
                             [web.limits]\nconnections_per_address = 1\n[metrics]\nlisten = '127.0.0.1:0'\n";

#[test]
fn bridge_metrics_match_the_connections() {
    let dir = TestDir::with_config(BRIDGE_CONFIG);
    let arguments = ["serve"];
    let listeners = ["pop3", "web", "metrics"];
    let server = ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &arguments, &dir, &listeners);
    let bridge = |server: &ServerProcess| {
        let mut numbers = samples(server);
        numbers.retain(|name, _| name.starts_with("bridge_"));
        numbers
    };
    let wait_for = |name: &str, number: u64| {
        let start = Instant::now();
        while bridge(&server)[name] != number {
            assert!(start.elapsed() < TIMEOUT, "{name} does not reach {number}");
        }
    };
    let mut expected = bridge(&server);
    assert!(expected.len() > 20 && expected.values().all(|number| *number == 0), "{expected:?}");

    let origin = format!("http://{}", server.address("web"));
    let open = "bridge_connections_open{target=\"pop3\"}";
    let upgrade = "Upgrade: websocket\r\n";
    let connect =
        || open_websocket(&server, "pop3", &origin, upgrade).expect("the bridge upgrades the connection");
    assert!(
        open_websocket(&server, "pop3", "http://evil.example", upgrade)
            .is_err_and(|line| line.contains(" 403 "))
    );
    assert!(open_websocket(&server, "imap", &origin, upgrade).is_err_and(|line| line.contains(" 404 ")));
    assert!(open_websocket(&server, "pop3", &origin, "").is_err_and(|line| line.contains(" 400 ")));

    // The target closes.
    let mut stream = connect();
    assert!(open_websocket(&server, "pop3", &origin, upgrade).is_err_and(|line| line.contains(" 503 ")));
    wait_for(open, 1);
    let greeting = stream.read_line();
    stream.send(&frame(0x82, b"QUIT\r\n"));
    let goodbye = stream.read_line();
    // Wait for the Close frame of the bridge, so that it closes first.
    stream.expect_bytes(b"\x88");
    stream.send(&frame(0x88, b""));
    assert!(stream.read_to_end().ends_with(b"the mail server closed the connection"));
    wait_for(open, 0);
    // The browser sends a text frame, then closes, then disconnects.
    let mut stream = connect();
    assert_eq!(stream.read_line(), greeting);
    stream.send(&frame(0x81, b"text"));
    assert!(stream.read_to_end().starts_with(b"\x88"));
    drop(stream);
    wait_for(open, 0);
    let mut stream = connect();
    assert_eq!(stream.read_line(), greeting);
    stream.send(&frame(0x88, b"\x03\xe8"));
    assert_eq!(stream.read_to_end(), b"\x88\x02\x03\xe8");
    wait_for(open, 0);
    let mut stream = connect();
    assert_eq!(stream.read_line(), greeting);
    drop(stream);
    wait_for(open, 0);

    // Each line includes the frame header, which is as long as the CRLF that it lacks.
    let down = 4 * greeting.len() + goodbye.len();
    for (name, number) in [
        ("bridge_connections_total{target=\"pop3\"}", 4),
        ("bridge_octets_total{target=\"pop3\",direction=\"up\"}", 6),
        ("bridge_octets_total{target=\"pop3\",direction=\"down\"}", down as u64),
        ("bridge_connections_refused_total{reason=\"host_or_origin\"}", 1),
        ("bridge_connections_refused_total{reason=\"target\"}", 1),
        ("bridge_connections_refused_total{reason=\"handshake\"}", 1),
        ("bridge_connections_refused_total{reason=\"connections_per_address\"}", 1),
        ("bridge_closes_total{code=\"1000\",reason=\"end\"}", 1),
        ("bridge_closes_total{code=\"1003\",reason=\"text\"}", 1),
        ("bridge_closed_by_browser_total", 1),
        ("bridge_lost_total", 1),
    ] {
        assert!(expected.insert(name.to_owned(), number).is_some(), "{name} exists from the start");
    }
    assert_eq!(bridge(&server), expected);
}

#[test]
fn other_paths_and_methods_are_refused() {
    let server = ServerProcess::start(
        env!("CARGO_BIN_EXE_pennypost"),
        &["serve"],
        &TestDir::with_config(LISTEN),
        &LISTENERS,
    );
    assert!(request(&server, "GET /").0.starts_with("HTTP/1.1 404 "));
    let (head, _) = request(&server, "POST /metrics");
    assert!(head.starts_with("HTTP/1.1 405 ") && head.to_lowercase().contains("allow: get"), "{head}");
}

/// Status and body of a probe.
fn probe(server: &ServerProcess, listener: &str, path: &str) -> (String, String) {
    let (head, body) = request_from(server, listener, &format!("GET {path}"));
    (head.split(' ').nth(1).expect("a status").to_owned(), body)
}

/// Waits until both listeners give this answer; results are cached for a second.
fn wait_for_readiness(server: &ServerProcess, expected: (&str, &str)) {
    let start = Instant::now();
    for listener in ["metrics", "web"] {
        loop {
            let (status, body) = probe(server, listener, "/readyz");
            if (&*status, &*body) == expected {
                break;
            }
            assert!(start.elapsed() < TIMEOUT, "{listener}: {status} {body}");
        }
    }
}

#[test]
fn server_is_ready_while_its_data_directory_is_writable() {
    let dir = TestDir::with_config(BRIDGE_CONFIG);
    let listeners = ["pop3", "web", "metrics"];
    let mut server = ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &["serve"], &dir, &listeners);
    wait_for_readiness(&server, ("200", "ok\n"));
    fs::rename(dir.path("data"), dir.path("elsewhere")).expect("the directory is moved");
    wait_for_readiness(&server, ("503", "the storage cannot be used; see the log\n"));
    assert_eq!(probe(&server, "metrics", "/livez"), ("200".to_owned(), "ok\n".to_owned()));
    assert!(server.wait_for_log("not ready").contains("cannot create a file in .tmp"));
    fs::rename(dir.path("elsewhere"), dir.path("data")).expect("the directory is moved");
    wait_for_readiness(&server, ("200", "ok\n"));
    server.wait_for_log("ready again");
}

#[test]
fn server_is_alive_but_not_ready_during_shutdown() {
    let dir = TestDir::with_config(LISTEN);
    let mut server = ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &["serve"], &dir, &LISTENERS);
    assert_eq!(probe(&server, "metrics", "/readyz").0, "200");
    // A message in transfer delays the end of the process.
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    smtp.command("MAIL FROM:<ag@iit.edu>");
    smtp.command("RCPT TO:<gb@iit.edu>");
    assert!(smtp.command("DATA").starts_with("354 "));
    server.signal_terminate();
    server.wait_for_log("stopping on SIGTERM");
    let stopping = ("503".to_owned(), "shutting down\n".to_owned());
    let start = Instant::now();
    while probe(&server, "metrics", "/readyz") != stopping {
        assert!(start.elapsed() < TIMEOUT, "the server stays ready");
    }
    assert_eq!(probe(&server, "metrics", "/livez").0, "200");
    smtp.stream.send(b"Subject: last\r\n\r\ntext\r\n.\r\n");
    assert!(smtp.reply().starts_with("250 "));
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn log_events_of_a_session_share_one_id() {
    let dir = TestDir::with_config(LISTEN);
    let arguments = ["serve", "--log", "json"];
    let mut server = ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &arguments, &dir, &LISTENERS);
    let (first, second) = (server.smtp(), server.smtp());
    second.deliver_to_gb(MESSAGE);
    first.deliver_to_gb(MESSAGE);

    let mut sessions = BTreeMap::<String, BTreeSet<String>>::new();
    let mut messages = BTreeMap::<String, Vec<String>>::new();
    while messages.values().filter(|session| session.iter().any(|message| message == "closed")).count() < 2 {
        let line = server.wait_for_log("\"peer\"");
        let (session, peer) = (field(&line, "session").to_owned(), field(&line, "peer").to_owned());
        sessions.entry(peer).or_default().insert(session.clone());
        messages.entry(session).or_default().push(field(&line, "message").to_owned());
    }
    assert!(sessions.len() == 2 && sessions.values().all(|ids| ids.len() == 1), "{sessions:?}");
    for session in messages.values() {
        for message in ["connected", "delivered", "closed"] {
            assert!(session.iter().any(|other| other == message), "{message}: {session:?}");
        }
    }
}
