//! `[[faults]]`: rejections, delays and disconnects apply only to the configured commands and identities, and lose or duplicate
//! no mail.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{ServerProcess, SmtpClient, TestDir};

const SMALL: &[u8] = b"Subject: small\r\n\r\nbody\r\n";

/// A configuration with these faults; each is the text of an entry.
fn with_faults(faults: &[&str]) -> TestDir {
    TestDir::with_config(&faults.iter().map(|fault| format!("[[faults]]\n{fault}\n")).collect::<String>())
}

/// A session after EHLO and MAIL.
fn start_transaction(server: &ServerProcess) -> SmtpClient {
    let mut smtp = server.smtp();
    assert!(smtp.command("EHLO iit.edu").starts_with("250-"));
    assert!(smtp.command("MAIL FROM:<ag@iit.edu>").starts_with("250 "));
    smtp
}

fn count_messages(dir: &TestDir, account: &str) -> usize {
    String::from_utf8_lossy(&dir.mailbox(account)).matches("\nSubject: ").count()
}

/// The log of a new server up to `listening`.
fn startup_log(dir: &TestDir) -> Vec<String> {
    let mut server = Command::new(env!("CARGO_BIN_EXE_smtp-server"))
        .args(["--smtp", "127.0.0.1:0", "--config"])
        .arg(dir.path("pennypost.toml"))
        .env("RUST_LOG", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = Vec::new();
    for line in BufReader::new(server.stderr.take().expect("stderr is piped")).lines() {
        lines.push(line.expect("the log is text"));
        if lines.last().is_some_and(|line| line.contains("listening")) {
            break;
        }
    }
    server.kill().expect("the process is killed");
    server.wait().expect("the process has exited");
    assert!(lines.last().is_some_and(|line| line.contains("listening")), "{lines:?}");
    lines
}

#[test]
fn configured_faults_are_logged_at_startup() {
    let lines = startup_log(&TestDir::with_config(""));
    assert!(lines.iter().all(|line| !line.contains("on purpose")), "{lines:?}");

    let dir = with_faults(&[
        "protocol = 'smtp'\ncommand = 'RCPT'\nfor = 'gb'\nreply = '451 4.3.0 Try again later'",
        "protocol = 'smtp'\ncommand = 'MESSAGE'\ndrop = true\nprobability = 0.5\nseed = 3",
        "protocol = 'pop3'\ncommand = 'RETR'\ndrop = true",
    ]);
    let warnings: Vec<_> =
        startup_log(&dir).into_iter().filter(|line| line.contains("fault injection is on")).collect();
    assert_eq!(warnings.len(), 2, "only faults of the served protocol: {warnings:?}");
    for (warning, fault) in warnings.iter().zip([
        "RCPT for gb: 451 4.3.0 Try again later",
        "MESSAGE: connection dropped, with probability 0.5 (seed 3)",
    ]) {
        assert!(warning.contains("WARN") && warning.contains(fault), "{warning}");
    }
}

#[test]
fn rcpt_fault_rejects_only_its_recipient() {
    let dir = with_faults(&[
        "protocol = 'smtp'\ncommand = 'RCPT'\nfor = 'GB@iit.edu'\nreply = '451 4.3.0 Try again later'",
    ]);
    let mut server = dir.serve();
    let mut smtp = start_transaction(&server);
    assert_eq!(smtp.command("RCPT TO:<gb@iit.edu>"), "451 4.3.0 Try again later");
    server.wait_for_log("fault injected");
    assert!(smtp.command("RCPT TO:<gb@iitkgp.edu>").starts_with("250 "));
    assert!(smtp.command("RCPT TO:<ag@iit.edu>").starts_with("250 "));
    assert!(smtp.command("RSET").starts_with("250 "));

    let mut guide = server.smtp();
    guide.command("HELO iit.edu");
    guide.command("MAIL FROM:<ag@iit.edu>");
    assert_eq!(guide.command("RCPT TO:<gb@iit.edu>"), "451 Try again later", "no enhanced code after HELO");
    assert_eq!(guide.command("RCPT TO:<gb@iitkgp.edu>"), "250 root... Recipient ok");
}

#[test]
fn each_smtp_command_can_be_rejected() {
    let dir = with_faults(&[
        "protocol = 'smtp'\ncommand = 'AUTH'\nfor = 'gb'\nreply = '454 4.7.0 Not now'",
        "protocol = 'smtp'\ncommand = 'MAIL'\nfor = 'spam@iit.edu'\nreply = '550 5.7.1 Not you'",
        "protocol = 'smtp'\ncommand = 'DATA'\nfor = 'ag@iitkgp.edu'\nreply = '451 4.3.0 No message now'",
        "protocol = 'smtp'\ncommand = 'MESSAGE'\nfor = 'gb@iitkgp.edu'\nreply = '452 4.3.1 No room'",
        "protocol = 'smtp'\ncommand = 'RCPT'\nfor = 'postmaster'\nreply = '421 4.3.2 Closing'",
    ]);
    let server = dir.serve();
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    // base64 of NUL gb NUL other, of NUL ag NUL secret
    assert_eq!(smtp.command("AUTH PLAIN AGdiAG90aGVy"), "454 4.7.0 Not now");
    assert!(smtp.command("AUTH PLAIN AGFnAHNlY3JldA==").starts_with("235 "));
    assert_eq!(smtp.command("MAIL FROM:<spam@iit.edu>"), "550 5.7.1 Not you");
    assert!(smtp.command("RCPT TO:<gb@iit.edu>").starts_with("503 "), "no transaction has begun");

    smtp.command("MAIL FROM:<ag@iit.edu>");
    smtp.command("RCPT TO:<ag@iitkgp.edu>");
    assert_eq!(smtp.command("DATA"), "451 4.3.0 No message now");
    smtp.stream.send(b"BDAT 6 LAST\r\nNOOP\r\n");
    assert_eq!(smtp.reply(), "451 4.3.0 No message now", "a refused chunk is not parsed as a command");
    smtp.command("RSET");

    let reply = smtp.deliver("ag@iit.edu", &["ag@iit.edu", "gb@iitkgp.edu"], SMALL);
    assert_eq!(reply, "452 4.3.1 No room");
    assert_eq!((count_messages(&dir, "ag"), count_messages(&dir, "gb")), (0, 0));
    let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], SMALL);
    assert!(reply.starts_with("250 "), "the session continues: {reply}");
    assert_eq!((count_messages(&dir, "ag"), count_messages(&dir, "gb")), (0, 1));

    smtp.command("MAIL FROM:<ag@iit.edu>");
    assert_eq!(smtp.command("RCPT TO:<Postmaster>"), "421 4.3.2 Closing");
    assert!(smtp.stream.is_closed());
}

#[test]
fn rcpt_fault_drops_the_connection() {
    let dir = with_faults(&["protocol = 'smtp'\ncommand = 'RCPT'\nfor = 'gb'\ndrop = true"]);
    let server = dir.serve();
    let mut smtp = start_transaction(&server);
    assert_eq!(smtp.command("RCPT TO:<gb@iit.edu>"), "", "no reply");

    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    smtp.stream.send(b"MAIL FROM:<ag@iit.edu>\r\nRCPT TO:<ag@iit.edu>\r\nRCPT TO:<gb@iit.edu>\r\n");
    assert!(smtp.reply().starts_with("250 2.1.0 "), "earlier replies arrive");
    assert!(smtp.reply().starts_with("250 2.1.5 "));
    assert_eq!(smtp.reply(), "");
    server.smtp().deliver_to("ag@iit.edu", SMALL);
}

#[test]
fn data_fault_drops_the_connection_within_the_message() {
    let dir = with_faults(&["protocol = 'smtp'\ncommand = 'DATA'\ndrop = true\nafter = '1 KiB'"]);
    let server = dir.serve();
    let mut smtp = start_transaction(&server);
    smtp.command("RCPT TO:<gb@iit.edu>");
    assert!(smtp.command("DATA").starts_with("354 "));
    smtp.stream.send(&[&b"Subject: big\r\n\r\n"[..], &b"x\r\n".repeat(500)].concat());
    assert_eq!(smtp.reply(), "");
    assert_eq!(count_messages(&dir, "gb"), 0);
    server.smtp().deliver_to_gb(SMALL);
    assert_eq!(count_messages(&dir, "gb"), 1, "a shorter message is delivered");
}

#[test]
fn limit_of_a_data_fault_ends_with_its_message() {
    let dir = with_faults(&["protocol = 'smtp'\ncommand = 'DATA'\ndrop = true\nafter = '1 KiB'\ntimes = 1"]);
    let server = dir.serve();
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    smtp.deliver("ag@iit.edu", &["gb@iit.edu"], SMALL);
    let big = [&b"Subject: big\r\n\r\n"[..], &b"x\r\n".repeat(500)].concat();
    let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], &big);
    assert!(reply.starts_with("250 "), "the fault applies once: {reply}");
    assert_eq!(count_messages(&dir, "gb"), 2);
}

#[test]
fn message_fault_drops_the_connection_at_the_final_dot() {
    let dir = with_faults(&["protocol = 'smtp'\ncommand = 'MESSAGE'\nfor = 'gb'\ndrop = true"]);
    let server = dir.serve();
    let mut smtp = start_transaction(&server);
    assert_eq!(smtp.deliver_after_mail(&["gb@iit.edu"], SMALL), "");
    assert_eq!(count_messages(&dir, "gb"), 0, "no message is stored without a 250");
    server.smtp().deliver_to("ag@iit.edu", SMALL);
}

#[test]
fn each_pop3_command_can_be_rejected() {
    let commands = ["LIST", "UIDL", "RETR", "TOP", "DELE"];
    let mut faults: Vec<String> = commands
        .iter()
        .map(|command| {
            format!(
                "protocol = 'pop3'\ncommand = '{command}'\nfor = 'gb'\nreply = '-ERR [SYS/TEMP] no {command}'"
            )
        })
        .collect();
    faults.push("protocol = 'pop3'\ncommand = 'PASS'\nfor = 'late'\nreply = '-ERR [IN-USE] wait'".into());
    faults.push("protocol = 'pop3'\ncommand = 'USER'\nfor = 'gone'\nreply = '-ERR gone'".into());
    let dir = with_faults(&faults.iter().map(String::as_str).collect::<Vec<_>>());
    let server = dir.serve();
    let mut pop3 = server.pop3();
    assert_eq!(pop3.command("USER gone"), "-ERR gone");
    assert!(pop3.command("USER late").starts_with("+OK"));
    assert_eq!(pop3.command("PASS x"), "-ERR [IN-USE] wait");

    for (account, password) in [("gb", "other"), ("ag", "secret")] {
        server.smtp().deliver_to(&format!("{account}@iit.edu"), SMALL);
        let mut pop3 = server.log_in(account, password);
        for line in ["LIST", "LIST 1", "UIDL", "UIDL 1", "RETR 1", "TOP 1 0", "DELE 1"] {
            let command = line.split(' ').next().expect("a word");
            if account == "gb" {
                assert_eq!(pop3.command(line), format!("-ERR [SYS/TEMP] no {command}"));
            } else if line == "LIST 1" || line == "UIDL 1" || line == "DELE 1" {
                assert!(pop3.command(line).starts_with("+OK"), "{line}");
            } else {
                assert!(!pop3.multiline(line).1.is_empty(), "{line}");
            }
        }
        assert!(pop3.command("QUIT").starts_with("+OK"));
    }
    assert_eq!(
        (count_messages(&dir, "ag"), count_messages(&dir, "gb")),
        (0, 1),
        "a refused DELE marks nothing"
    );
}

#[test]
fn retr_fault_drops_the_connection_within_the_message() {
    let dir = with_faults(&["protocol = 'pop3'\ncommand = 'RETR'\nfor = 'gb'\ndrop = true\nafter = 100"]);
    let server = dir.serve();
    let message = [SMALL, &b"x\r\n".repeat(50_000)].concat();
    for account in ["ag", "gb"] {
        server.smtp().deliver_to(&format!("{account}@iit.edu"), &message);
    }
    let mut pop3 = server.log_in("gb", "other");
    let (_, top) = pop3.multiline("TOP 1 100");
    assert!(pop3.command("RETR 1").starts_with("+OK"));
    let message = top.iter().flat_map(|line| [line, &b"\r\n"[..]].concat()).collect::<Vec<_>>();
    assert_eq!(pop3.stream.read_to_end(), message[..100]);

    assert_eq!(server.log_in("gb", "other").stat().0, 1, "the message is not removed");
    assert!(server.log_in("ag", "secret").retrieve(1).ends_with(b"x\r\nx\r\n"));
}

#[test]
fn dropped_retr_sends_nothing_and_dropped_quit_removes_nothing() {
    let dir = with_faults(&[
        "protocol = 'pop3'\ncommand = 'RETR'\ndrop = true",
        "protocol = 'pop3'\ncommand = 'QUIT'\ndrop = true",
    ]);
    let server = dir.serve();
    server.smtp().deliver_to_gb(SMALL);
    assert_eq!(server.log_in("gb", "other").command("RETR 1"), "");
    let mut pop3 = server.log_in("gb", "other");
    assert_eq!(pop3.command("DELE 1"), "+OK message deleted");
    assert_eq!(pop3.command("QUIT"), "");
    assert_eq!(server.log_in("gb", "other").stat().0, 1);
}

#[test]
fn delay_fault_delays_only_its_session() {
    let dir = with_faults(&[
        "protocol = 'smtp'\ncommand = 'RCPT'\nfor = 'never@iit.edu'\ndelay = '10 min'",
        "protocol = 'smtp'\ncommand = 'RCPT'\nfor = 'ag'\ndelay = '50 ms'",
        "protocol = 'pop3'\ncommand = 'PASS'\nfor = 'ag'\ndelay = '50 ms'\nreply = '-ERR [IN-USE] at last'",
    ]);
    let mut server = dir.serve();
    let mut waiting = server.smtp();
    waiting.command("EHLO iit.edu");
    waiting.stream.send(b"MAIL FROM:<ag@iit.edu>\r\nRCPT TO:<never@iit.edu>\r\n");
    assert!(waiting.reply().starts_with("250 2.1.0 "), "earlier replies are not delayed");
    server.wait_for_log("fault injected");

    server.smtp().deliver_to_gb(SMALL);
    assert_eq!(server.log_in("gb", "other").stat().0, 1);
    let start = Instant::now();
    let mut smtp = start_transaction(&server);
    assert!(smtp.command("RCPT TO:<ag@iit.edu>").starts_with("250 "));
    assert!(start.elapsed() >= Duration::from_millis(50));
    let start = Instant::now();
    let mut pop3 = server.pop3();
    pop3.command("USER ag");
    assert_eq!(pop3.command("PASS secret"), "-ERR [IN-USE] at last");
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn equal_seeds_produce_equal_faults() {
    let draw = |seed: u64| {
        let dir = with_faults(&[&format!(
            "protocol = 'smtp'\ncommand = 'RCPT'\nreply = '451 no'\nprobability = 0.5\nseed = {seed}"
        )]);
        let server = dir.serve();
        // All sessions share one series.
        (0..4)
            .flat_map(|_| {
                let mut smtp = start_transaction(&server);
                (0..16).map(|_| smtp.command("RCPT TO:<gb@iit.edu>").starts_with("451 ")).collect::<Vec<_>>()
            })
            .collect::<Vec<bool>>()
    };
    let first = draw(7);
    let count = first.iter().filter(|struck| **struck).count();
    assert!((16..=48).contains(&count), "about half of 64: {count}");
    assert_ne!(first[..16], first[16..32]);
    assert_eq!(first, draw(7));
    assert_ne!(first, draw(8));
}

#[test]
fn invalid_fault_is_refused_with_its_line() {
    for (fault, parts) in [
        ("protocol = 'smtp'\ncommand = 'RCPT'\nreply = '250 OK'", ["line 3", "`250 OK`"]),
        ("protocol = 'pop3'\ncommand = 'RCPT'\ndrop = true", ["line 3", "USER, PASS"]),
        ("protocol = 'smtp'\ncommand = 'RCPT'\ndelay = 'long'", ["line 6", "`long`"]),
        ("protocol = 'smtp'\ncommand = 'RCPT'", ["line 3", "`delay`"]),
    ] {
        let dir = with_faults(&[fault]);
        let output = dir.pennypost(&["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0"], "");
        assert_eq!(output.code, Some(2), "{output:?}");
        for part in ["pennypost.toml"].iter().chain(&parts) {
            assert!(output.stderr.contains(part), "{part} is not in {output:?}");
        }
        assert!(!output.stderr.contains("listening"), "{output:?}");
    }
}

#[test]
fn session_command_fails_as_often_as_asked_and_a_stored_message_loses_its_reply() {
    let dir = with_faults(&[
        "protocol = 'smtp'\ncommand = 'EHLO'\nfor = '*.old.edu'\nreply = '502 5.5.1 No EHLO'\ntimes = 1",
        "protocol = 'smtp'\ncommand = 'MESSAGE'\nfor = '*@iit.edu'\nstored = true\ndrop = true\ntimes = 1",
    ]);
    let server = dir.serve();
    let mut smtp = server.smtp();
    assert_eq!(smtp.command("EHLO a.old.edu"), "502 No EHLO");
    assert!(smtp.command("EHLO a.old.edu").starts_with("250-"), "once only");
    assert!(smtp.command("MAIL FROM:<ag@iit.edu>").starts_with("250 "));
    smtp.command("RCPT TO:<gb@iit.edu>");
    smtp.command("DATA");
    smtp.stream.send(&[SMALL, b".\r\n"].concat());
    assert_eq!(smtp.stream.read_to_end(), b"", "the connection is closed without a reply");
    assert_eq!(count_messages(&dir, "gb"), 1, "the message is stored");
    server.smtp().deliver_to_gb(SMALL);
    assert_eq!(count_messages(&dir, "gb"), 2);
}
