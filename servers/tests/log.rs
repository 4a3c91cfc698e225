//! A server whose standard error accepts nothing: mail is unaffected, and signals work.

#![cfg(target_os = "linux")]

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{ChildStderr, Stdio};
use std::time::Instant;

use support::unread_log::UnreadLogServer as Server;
use support::{ServerProcess, SmtpClient, TIMEOUT, TestDir, field};

const METRICS: &str = "[metrics]\nlisten = '127.0.0.1:0'\n";
/// Mails between two looks at the counter. The pipe and the queue hold some thousands of lines.
const MAILS: usize = 500;

fn full_device() -> File {
    OpenOptions::new().write(true).open("/dev/full").expect("Linux has the device")
}

/// Refuses one recipient and delivers `count` mails over one connection.
fn deliver(address: SocketAddr, count: usize) {
    let mut smtp = SmtpClient::connect(address);
    smtp.command("EHLO iit.edu");
    smtp.command("MAIL FROM:<ag@iit.edu>");
    assert!(smtp.command("RCPT TO:<nobody@iit.edu>").starts_with("550 "));
    smtp.command("RSET");
    for number in 0..count {
        let message = format!("Subject: {number}\r\n\r\ntext\r\n");
        let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], message.as_bytes());
        assert!(reply.starts_with("250 "), "mail {number}: {reply}");
    }
    assert!(smtp.command("QUIT").starts_with("221 "));
}

/// A server with metrics, its log, and its addresses for SMTP and metrics.
fn start_with_metrics(dir: &TestDir) -> (Server, BufReader<ChildStderr>, [SocketAddr; 2]) {
    let mut server = Server::start(dir, &[], Stdio::piped());
    let mut log = BufReader::new(server.0.stderr.take().expect("stderr is piped"));
    // Both lines are read in either order.
    let mut addresses = [None, None];
    while addresses.contains(&None) {
        let mut line = String::new();
        assert!(log.read_line(&mut line).expect("the log is text") > 0, "the server has exited");
        for (address, protocol) in addresses.iter_mut().zip(["smtp", "metrics"]) {
            if line.contains("listening") && line.contains(&format!("protocol=\"{protocol}\"")) {
                *address = Some(field(line.trim_end(), "address").parse().expect("an address"));
            }
        }
    }
    let [Some(smtp), Some(metrics)] = addresses else { unreachable!("the loop ends with both") };
    (server, log, [smtp, metrics])
}

/// Number of dropped lines.
fn dropped_lines(metrics: SocketAddr) -> u64 {
    let mut stream = TcpStream::connect(metrics).expect("the server accepts");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("the server reads");
    let mut body = String::new();
    stream.read_to_string(&mut body).expect("the server replies");
    let value = body.lines().find_map(|line| line.strip_prefix("pennypost_log_dropped_total "));
    value.expect("the counter exists").parse().expect("a number")
}

#[test]
fn unread_log_pipe_drops_lines_and_delays_neither_mail_nor_shutdown() {
    let dir = TestDir::with_config(METRICS);
    let (server, log, [smtp, metrics]) = start_with_metrics(&dir);
    let start = Instant::now();
    while dropped_lines(metrics) == 0 {
        assert!(start.elapsed() < TIMEOUT, "no line is counted");
        deliver(smtp, MAILS);
    }
    server.expect_exit();
    drop(log);
}

#[test]
fn closed_log_pipe_drops_lines_and_counts_them() {
    let dir = TestDir::with_config(METRICS);
    let (server, log, [smtp, metrics]) = start_with_metrics(&dir);
    drop(log);
    deliver(smtp, 5);
    let start = Instant::now();
    while dropped_lines(metrics) == 0 {
        assert!(start.elapsed() < TIMEOUT, "no line is counted");
    }
    server.expect_exit();
}

#[test]
fn full_log_disk_leaves_mail_unaffected() {
    let dir = TestDir::new();
    let mut server = Server::start(&dir, &[], full_device());
    let address = server.address();
    deliver(address, 5);
    server.expect_exit();
}

#[test]
fn closed_standard_error_leaves_mail_unaffected() {
    let dir = TestDir::new();
    let mut server = Server::start(&dir, &["sh", "-c", "exec \"$0\" \"$@\" 2>&-"], Stdio::null());
    let address = server.address();
    deliver(address, 5);
    server.expect_exit();
}

#[test]
fn startup_error_with_a_full_log_disk_exits_with_2() {
    let dir = TestDir::with_config("[nothing]\n");
    let mut server = Server::start(&dir, &[], full_device());
    assert_eq!(server.0.wait().expect("the program exits").code(), Some(2));
}

#[test]
fn file_size_limit_refuses_mail_with_452_even_if_the_log_reaches_it() {
    let dir = TestDir::new();
    let log = File::create(dir.path("log")).expect("the file is created");
    let mut server = Server::start(&dir, &["prlimit", "--fsize=20000:"], log);
    let address = server.address();
    let mut smtp = SmtpClient::connect(address);
    smtp.command("EHLO iit.edu");
    let message = format!("Subject: large\r\n\r\n{}", "0123456789\r\n".repeat(2_000));
    for _ in 0..3 {
        let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], message.as_bytes());
        assert!(reply.starts_with("452 "), "{reply}");
    }
    let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], b"Subject: small\r\n\r\ntext\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    smtp.command("QUIT");
    for _ in 0..200 {
        assert!(SmtpClient::connect(address).command("QUIT").starts_with("221 "));
    }
    server.expect_exit();
    assert_eq!(fs::metadata(dir.path("log")).expect("the file exists").len(), 20_000);
}

/// The next line about a refusal.
fn refusal(server: &mut ServerProcess) -> String {
    server
        .wait_for_log_where("refused", |line| line.contains(" refused: ") || line.contains("command refused"))
}

fn assert_contains(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

#[test]
fn every_refused_command_is_logged_with_sender_and_recipient() {
    let dir = TestDir::with_config("[limits]\nmessage_size = '4 KiB'\n");
    let mut server = dir.smtp_server();
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    let (from, nobody) = ("from=<ag@iit.edu>", "to=<nobody@iit.edu>");
    for (command, code, parts) in [
        ("MAIL FROM:<two words@iit.edu>", "501", &["command=MAIL FROM:<two words@iit.edu> "][..]),
        ("MAIL FROM:<ag@iit.edu> SIZE=4097", "552", &[from, "reply=552 5.3.4 "]),
        ("MAIL FROM:<ag@iit.edu>", "250", &[]),
        ("RCPT TO:<nobody@iit.edu>", "550", &["no such account", from, nobody]),
        ("DATA", "503", &["command=DATA ", from, nobody, "No valid recipients"]),
        ("RCPT TO:<gb@example.org>", "550", &["not a local domain", from, "to=<gb@example.org>"]),
        ("RCPT TO:<gb@iit.edu> NOTIFY=NEVER X=1", "555", &[from, "to=<gb@iit.edu>"]),
        ("RCPT TO:<ag@iit.edu>", "250", &[]),
        ("RCPT TO:<gb@iit.edu>", "250", &[]),
        ("RCPT TO:<\u{e9}@iit.edu>", "553", &[from, "to=<\u{e9}@iit.edu>"]),
        ("BDAT 5000 LAST", "552", &["command=BDAT 5000 LAST ", from, "to=<ag@iit.edu>,<gb@iit.edu>"]),
    ] {
        smtp.stream.send(format!("{command}\r\n").as_bytes());
        if command.starts_with("BDAT") {
            smtp.stream.send(&[b'x'; 5_000]);
        }
        let reply = smtp.reply();
        assert!(reply.starts_with(code), "{command}: {reply}");
        if !parts.is_empty() {
            assert_contains(&refusal(&mut server), parts);
        }
    }
}

#[test]
fn every_refused_message_is_logged_with_sender_and_recipients() {
    let dir = TestDir::with_config("[limits]\nmessage_size = '2 MiB'\n");
    let mut server = dir.smtp_server();
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    for (message, code, reason) in [
        ("Received: from a by b\r\n".repeat(101), "554 5.4.6 ", "passed through more than 100 servers"),
        ("X-Field: 0123456789\r\n".repeat(60_000), "552 5.3.4 ", "header is larger than"),
        ("a bare\rCR\r\n".to_owned(), "554 5.6.0 ", "bare CR"),
        ("Subject: x\r\n\r\n".to_owned() + &"x\r\n".repeat(800_000), "552 5.3.4 ", "exceeds the maximum"),
    ] {
        let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu", "postmaster@iit.edu"], message.as_bytes());
        assert!(reply.starts_with(code), "{reply}");
        let line = refusal(&mut server);
        assert_contains(
            &line,
            &["message refused", "from=<ag@iit.edu>", "to=<gb@iit.edu>,<postmaster@iit.edu>", reason],
        );
    }
}

#[test]
fn delivery_is_logged_with_its_message_id() {
    let dir = TestDir::new();
    let mut server = dir.smtp_server();
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    let long = "x".repeat(5_000);
    for (field, logged) in [
        ("Message-ID:\r\n <1@iit.edu>\r\n".to_owned(), "message_id=<1@iit.edu> "),
        ("message-id: <a\x1b[31m@iit.edu>\r\n".to_owned(), "message_id=<a\\u{1b}[31m@iit.edu> "),
        (format!("Message-ID: <{long}>\r\n"), &format!("message_id=<{}\u{2026} ", &long[..255])),
        ("Subject: none\r\n".to_owned(), "id="),
    ] {
        let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], format!("{field}\r\ntext\r\n").as_bytes());
        assert!(reply.starts_with("250 "), "{reply}");
        let line = server.wait_for_log("delivered");
        assert_contains(&line, &[logged, "from=<ag@iit.edu>", "to=\"gb\""]);
        assert!(
            line.contains("message_id") == logged.starts_with("message_id") && line.len() < 1_000,
            "{line}"
        );
    }
}

#[test]
fn text_of_a_client_is_escaped_and_bounded_in_the_log() {
    let dir = TestDir::new();
    let mut server = dir.smtp_server();
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    let path = format!("<\u{202e}{}", "x".repeat(1_500));
    assert!(smtp.command(&format!("MAIL FROM:{path}")).starts_with("50"));
    let line = refusal(&mut server);
    assert!(line.contains("<\\u{202e}xxx") && !line.contains('\u{202e}') && line.len() < 1_500, "{line}");
}

#[test]
fn hangup_signal_leaves_every_server_running() {
    let dir = TestDir::new();
    for mut server in [dir.serve(), dir.smtp_server(), dir.pop3_server()] {
        // A session proves that the handlers are installed, which precedes the first accept.
        let use_server = |server: &ServerProcess| {
            if server.smtp.is_some() {
                server.smtp().deliver_to_gb(b"Subject: x\r\n\r\ntext\r\n");
            }
            if server.pop3.is_some() {
                server.log_in("gb", "other").command("QUIT");
            }
        };
        use_server(&server);
        server.signal("-HUP");
        use_server(&server);
        server.signal_terminate();
        server.wait_for_log("stopped");
        assert_eq!(server.wait(), Some(0));
    }
}
