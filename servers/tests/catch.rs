//! `pennypost catch`: what it accepts over SMTP, its flags, its files, and its end.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::catch::{Catcher, MESSAGE};
use support::tls::TlsClient;
use support::{LineStream, Pop3Client, ProgramOutput, TIMEOUT, is_installed, run_program};

fn run(arguments: &[&str]) -> ProgramOutput {
    run_program(&mut Catcher::command(arguments), b"")
}

/// Client and server lines of a dialogue.
fn lines(mail: &Value) -> Vec<String> {
    let lines = mail["dialogue"].as_array().expect("a list").iter();
    lines
        .map(|line| match (&line["client"], &line["server"], &line["octets"]) {
            (Value::String(text), _, _) => format!("C: {text}"),
            (_, Value::String(text), _) => format!("S: {text}"),
            (_, _, octets) => format!("({octets} octets)"),
        })
        .collect()
}

#[test]
fn every_sign_in_and_recipient_is_accepted_and_recorded() {
    let catcher = Catcher::start(&[]);
    let mut smtp = catcher.smtp();
    smtp.command("EHLO client.example");
    // \0user@anywhere.example\0wrong, with an authorization identity of somebody else.
    assert!(smtp.command("AUTH PLAIN b3RoZXIAdXNlckBhbnl3aGVyZS5leGFtcGxlAHdyb25n").starts_with("235"));
    let mail_from = "MAIL FROM:<\"odd sender\"@a.example> SIZE=200 BODY=8BITMIME SMTPUTF8";
    assert!(smtp.command(mail_from).starts_with("250"));
    let to = ["bob@b.example", "BOB@B.example", "j\u{f6}rg@b\u{fc}cher.example", "x@[192.0.2.1]"];
    assert!(smtp.command("RCPT TO:<Postmaster>").starts_with("250"));
    let reply = smtp.deliver_after_mail(&to, MESSAGE.as_bytes());
    assert!(reply.starts_with("250 2.0.0"), "{reply}");

    let mail = catcher.json("GET", "/api/v1/wait?to=bob@b.example");
    let envelope = &mail["envelope"];
    assert_eq!(envelope["from"], "\"odd sender\"@a.example");
    assert_eq!(
        envelope["to"],
        json!(["Postmaster", to[0], to[1], to[2], to[3]]),
        "every RCPT TO in its order"
    );
    assert_eq!(
        (&envelope["size"], &envelope["eight_bit"], &envelope["utf8"]),
        (&json!(200), &json!(true), &json!(true))
    );
    let session = &mail["session"];
    assert_eq!((&session["user"], &session["tls"]), (&json!("user@anywhere.example"), &Value::Null));
    assert_eq!((&session["hello"], &session["protocol"]), (&json!("client.example"), &json!("UTF8SMTPA")));
    assert_eq!(catcher.request("GET", mail["raw"].as_str().expect("a path")).text(), MESSAGE);

    let lines = lines(&mail);
    assert_eq!(lines[..2], ["S: 220 <localhost> Service ready", "C: EHLO client.example"]);
    assert!(lines.contains(&"C: AUTH PLAIN ***".to_owned()), "{lines:?}");
    assert!(
        lines.contains(&format!("C: {mail_from}")) && lines.contains(&"C: RCPT TO:<Postmaster>".to_owned())
    );
    let message = format!("({} octets)", MESSAGE.len());
    let end = [
        "C: DATA",
        "S: 354 Enter mail, end with \".\" on a line by itself",
        &message,
        "S: 250 2.0.0 OK Message accepted for delivery",
    ];
    assert_eq!(lines[lines.len() - 4..], end, "{lines:?}");
    let times: Vec<f64> = mail["dialogue"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|line| line["at"].as_f64().expect("a number"))
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    let timings =
        ["mail", "data", "end", "stored"].map(|name| mail["timings"][name].as_f64().expect("a number"));
    assert!(timings.is_sorted() && timings[0] > 0.0, "{timings:?}");
}

#[test]
fn second_message_of_a_session_has_the_prologue_and_its_own_lines() {
    let catcher = Catcher::start(&[]);
    let mut smtp = catcher.smtp();
    smtp.command("EHLO client.example");
    for to in ["one@b.example", "two@b.example"] {
        assert!(smtp.deliver("ann@a.example", &[to], MESSAGE.as_bytes()).starts_with("250"));
    }
    let mail = catcher.json("GET", "/api/v1/wait?to=two@b.example");
    let lines = lines(&mail);
    assert!(
        lines.contains(&"C: EHLO client.example".to_owned())
            && lines.contains(&"C: RCPT TO:<two@b.example>".to_owned())
    );
    assert!(!lines.iter().any(|line| line.contains("one@b.example")), "{lines:?}");
}

#[test]
fn starttls_uses_the_certificate_of_the_ready_line() {
    let catcher = Catcher::start(&[]);
    let ca = catcher.ready["ca"].as_str().expect("a path");
    let mut smtp = catcher.smtp();
    assert!(smtp.command("EHLO client.example").contains("STARTTLS"));
    assert!(smtp.command("STARTTLS").starts_with("220"));
    let socket = smtp.stream.socket.try_clone().expect("the socket is cloned");
    let stream = LineStream::from_stream(socket.try_clone().expect("the socket is cloned"), socket);
    smtp.stream = TlsClient::new(Path::new(ca)).encrypt(stream, "localhost");
    assert!(!smtp.command("EHLO client.example").contains("STARTTLS"));
    assert!(smtp.deliver("ann@a.example", &["bob@b.example"], MESSAGE.as_bytes()).starts_with("250"));
    let mail = catcher.json("GET", "/api/v1/wait?to=bob@b.example");
    assert_eq!(
        (&mail["session"]["tls"], &mail["session"]["protocol"]),
        (&json!("TLSv1.3"), &json!("ESMTPS"))
    );
    assert!(lines(&mail).contains(&"C: STARTTLS".to_owned()));
}

#[test]
fn child_ends_with_standard_input_and_removes_its_directory() {
    let mut catcher = Catcher::start(&["--child"]);
    let directory = Path::new(catcher.ready["ca"].as_str().expect("a path"))
        .ancestors()
        .nth(2)
        .expect("a directory")
        .to_owned();
    // A small message stays in memory.
    let large = format!("Subject: large\r\n\r\n{}", "0123456789abcde\r\n".repeat(20_000));
    assert!(catcher.deliver("a@a.example", &["bob@b.example"], &large).starts_with("250"));
    assert_eq!(fs::read_dir(directory.join("messages")).expect("the directory exists").count(), 2);
    // An idle client does not delay the end.
    let mut idle = catcher.smtp();
    catcher.close_stdin();
    assert_eq!(catcher.wait(), Some(0));
    assert!(!directory.exists());
    assert!(idle.reply().starts_with("421"));
}

/// A test runner that is killed leaves no catcher behind.
#[test]
fn catcher_ends_when_its_parent_is_killed() {
    assert!(is_installed("python3"), "`cargo xtask setup` installs python3");
    let script = "import subprocess, sys, time
catcher = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(catcher.stdout.readline().decode(), flush=True)
time.sleep(600)";
    let mut parent = Command::new("python3")
        .args([
            "-c",
            script,
            env!("CARGO_BIN_EXE_pennypost"),
            "catch",
            "--child",
            "--smtp",
            "127.0.0.1:0",
            "--web",
            "127.0.0.1:0",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    BufReader::new(parent.stdout.take().expect("stdout is piped")).read_line(&mut line).expect("a line");
    let ready: Value = serde_json::from_str(&line).expect("JSON");
    let smtp = ready["smtp"].as_str().expect("an address").to_owned();
    let directory =
        Path::new(ready["ca"].as_str().expect("a path")).ancestors().nth(2).expect("a directory").to_owned();
    assert!(std::net::TcpStream::connect(&smtp).is_ok() && directory.exists());
    parent.kill().expect("the parent is killed");
    parent.wait().expect("the parent has exited");
    let start = Instant::now();
    while directory.exists() || std::net::TcpStream::connect(&smtp).is_ok() {
        assert!(start.elapsed() < TIMEOUT, "the catcher still runs");
        std::thread::yield_now();
    }
}

#[test]
fn message_that_cannot_be_stored_is_refused_for_now() {
    let directory = tempfile::tempdir().expect("a directory");
    let catcher = Catcher::start(&["--data", directory.path().to_str().expect("UTF-8")]);
    let mut smtp = catcher.smtp();
    smtp.command("EHLO client.example");
    smtp.command("MAIL FROM:<ann@a.example>");
    smtp.command("RCPT TO:<bob@b.example>");
    smtp.command("DATA");
    // A message of this size has a file, whose name cannot be changed after this.
    smtp.stream.send(&b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(16 << 10));
    let messages = directory.path().join("messages");
    let start = Instant::now();
    while fs::read_dir(&messages).expect("the directory exists").count() == 0 {
        assert!(start.elapsed() < TIMEOUT, "the message has no file");
    }
    fs::rename(&messages, directory.path().join("moved")).expect("the directory is renamed");
    smtp.stream.send(b".\r\n");
    let reply = smtp.reply();
    assert!(reply.starts_with("451 4.3.0"), "{reply}");
    assert_eq!(catcher.json("GET", "/api/v1/messages")["total"], 0);
    fs::rename(directory.path().join("moved"), &messages).expect("the directory is renamed");
    assert!(smtp.deliver("ann@a.example", &["bob@b.example"], MESSAGE.as_bytes()).starts_with("250"));
    assert_eq!(catcher.json("GET", "/api/v1/messages")["total"], 1);
}

/// The message can be found as soon as its sender has the 250.
#[test]
fn accepted_message_is_listed_at_once() {
    let catcher = Catcher::start(&[]);
    let mut smtp = catcher.smtp();
    smtp.command("EHLO client.example");
    for count in 1..=50 {
        assert!(smtp.deliver("ann@a.example", &["bob@b.example"], MESSAGE.as_bytes()).starts_with("250"));
        assert_eq!(catcher.json("GET", "/api/v1/mail?to=bob@b.example&limit=1")["count"], count);
    }
}

#[test]
fn terminated_catcher_removes_its_directory_and_ends_waits() {
    let catcher = Catcher::start(&[]);
    let directory = Path::new(catcher.ready["ca"].as_str().expect("a path"))
        .ancestors()
        .nth(2)
        .expect("a directory")
        .to_owned();
    let mut waiting = catcher.begin("GET", "/api/v1/wait?timeout=60s", &[], "");
    catcher.json("GET", "/api/v1/info");
    catcher.signal_terminate();
    let response = support::catch::HttpResponse::read(&mut waiting);
    assert_eq!(response.status, 503, "{response:?}");
    assert_eq!(catcher.wait(), Some(0));
    assert!(!directory.exists());
}

#[test]
fn unusable_flags_are_refused_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("bound").to_string();
    let server = tempfile::tempdir().expect("a directory");
    fs::write(server.path().join("User.txt"), "ag secret\n").expect("the file is written");
    let server = server.path().to_str().expect("UTF-8");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let file = file.path().to_str().expect("UTF-8");
    for (arguments, parts) in [
        (&["--smtp", &taken, "--web", "127.0.0.1:0"][..], [&taken, "--smtp", "port 0"]),
        (&["--smtp", "127.0.0.1:0", "--web", &taken], [&taken, "--web", "port 0"]),
        (&["--smtp", "0.0.0.0:0"], ["--smtp 0.0.0.0:0", "--public", "127.0.0.1"]),
        (&["--data", server], [server, "User.txt", "another directory"]),
        (
            &["--smtp", "127.0.0.1:0", "--web", "127.0.0.1:0", "--data", file],
            [file, "--data", "name another"],
        ),
        (&["--keep", "soon"], ["`soon`", "500", "24h"]),
        (&["--cors", "localhost"], ["`localhost`", "http://", "--cors"]),
    ] {
        let output = run(arguments);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{output:?}");
        for part in parts {
            assert!(output.stderr.contains(part), "{part} is not in {output:?}");
        }
    }
    assert_eq!(fs::read_dir(server).expect("the directory exists").count(), 1, "nothing was created");
}

#[test]
fn public_catcher_prints_what_is_exposed() {
    let catcher = Catcher::start(&["--public", "--smtp", "0.0.0.0:0"]);
    let text: String = std::iter::from_fn(|| catcher.log_line()).take(2).collect();
    assert!(text.contains("--public") && text.contains("(SMTP)") && text.contains("send messages"), "{text}");
}

#[test]
fn data_directory_keeps_mail_and_serves_one_catcher() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("UTF-8");
    let catcher = Catcher::start(&["--data", path, "--keep", "2"]);
    let ids: Vec<_> =
        ["one@b.example", "two@b.example", "three@b.example"].map(|to| catcher.deliver_to(to)).into();
    catcher.put("/api/v1/messages", &json!({ "IDs": [ids[1]], "Read": true }).to_string());
    let second = run(&["--smtp", "127.0.0.1:0", "--web", "127.0.0.1:0", "--data", path]);
    assert!(second.code == Some(2) && second.stderr.contains("in use by another catcher"), "{second:?}");
    catcher.signal_terminate();
    assert_eq!(catcher.wait(), Some(0));

    let catcher = Catcher::start(&["--data", path, "--keep", "2"]);
    let list = catcher.json("GET", "/api/v1/messages");
    let kept: Vec<_> = list["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|message| (message["ID"].clone(), message["Read"].clone()))
        .collect();
    assert_eq!(kept, [(json!(ids[2]), json!(false)), (json!(ids[1]), json!(true))]);
    let mail = catcher.json("GET", &format!("/api/v1/mail/{}", ids[1]));
    assert_eq!(
        (&mail["envelope"]["to"], &mail["text"]),
        (
            &json!(["two@b.example"]),
            &json!("Open https://a.example/confirm?token=x1. Your code is 482913.\r\n")
        )
    );
}

#[test]
fn age_deletes_messages_while_nothing_arrives() {
    let catcher = Catcher::start(&["--keep", "200ms"]);
    let mut events = catcher.json("GET", "/api/v1/info")["RuntimeStats"]["MessagesDeleted"].clone();
    assert!(catcher.deliver("a@a.example", &["bob@b.example"], MESSAGE).starts_with("250"));
    let start = Instant::now();
    while events != json!(1) {
        assert!(start.elapsed() < TIMEOUT, "the message was not deleted");
        events = catcher.json("GET", "/api/v1/info")["RuntimeStats"]["MessagesDeleted"].clone();
    }
    assert_eq!(catcher.json("GET", "/api/v1/messages")["total"], 0);
}

#[test]
fn commands_with_bare_lf_are_understood() {
    let catcher = Catcher::start(&[]);
    let mut stream = std::net::TcpStream::connect(catcher.smtp).expect("the catcher accepts");
    stream.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
    let session =
        "HELO x\nMAIL FROM:<a@a.example>\nRCPT TO:<bob@b.example>\nDATA\nSubject: s\n\nbody\r\n.\r\nQUIT\n";
    stream.write_all(session.as_bytes()).expect("the catcher reads");
    let mut replies = String::new();
    stream.read_to_string(&mut replies).expect("the catcher closes the connection");
    assert!(replies.contains("221"), "{replies}");
    assert_eq!(catcher.json("GET", "/api/v1/wait?to=bob@b.example")["subject"], "s");
}

/// 100 MiB with PENNYPOST_LONG=1. Either size is over the part that stays in memory.
#[test]
fn large_message_is_stored_and_searched() {
    const LINE: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n";
    let blocks = if std::env::var_os("PENNYPOST_LONG").is_some() { 100 } else { 8 };
    let catcher = Catcher::start(&[]);
    let mut smtp = catcher.smtp();
    smtp.command("EHLO client.example");
    smtp.command(&format!("MAIL FROM:<ann@a.example> SIZE={}", blocks << 20));
    smtp.command("RCPT TO:<bob@b.example>");
    smtp.command("DATA");
    let head = "Subject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nthe text\r\n--b\r\n\
        Content-Disposition: attachment; filename=f\r\n\r\n";
    smtp.stream.send(head.as_bytes());
    let block = LINE.repeat(1 << 14);
    for _ in 0..blocks {
        smtp.stream.send(&block);
    }
    smtp.stream.send(b"--b--\r\n.\r\n");
    assert!(smtp.reply().starts_with("250"));
    let size = head.len() + block.len() * blocks + 7;
    let list = catcher.json("GET", "/api/v1/search?query=text%20larger:7m");
    assert_eq!(
        (&list["messages"][0]["Size"], &list["messages"][0]["Attachments"]),
        (&json!(size), &json!(1))
    );
    assert_eq!(catcher.request("GET", "/api/v1/message/latest/raw").body.len(), size);
}

/// With PENNYPOST_LONG=1, as many messages as the design names.
#[test]
fn memory_does_not_grow_with_the_number_of_messages() {
    let (warm_up, total) =
        if std::env::var_os("PENNYPOST_LONG").is_some() { (5_000, 100_000) } else { (500, 2_500) };
    let catcher = Catcher::start(&["--keep", "500"]);
    let message = format!("{MESSAGE}{}", "A line of an ordinary message, with some words.\r\n".repeat(80));
    let stuffed = support::mails::dot_stuffed(message.as_bytes());
    let mut before = 0;
    let (smtp_address, stuffed) = (catcher.smtp, &stuffed);
    std::thread::scope(|scope| {
        for round in [warm_up, total - warm_up] {
            let senders: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(move || {
                        let mut smtp = support::catch::connect(smtp_address);
                        smtp.command("EHLO client.example");
                        for _ in 0..round / 4 {
                            smtp.stream.send(b"MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n");
                            assert_eq!(
                                [smtp.reply(), smtp.reply(), smtp.reply()].map(|reply| reply[..3].to_owned()),
                                ["250", "250", "354"]
                            );
                            smtp.stream.send(stuffed);
                            assert!(smtp.reply().starts_with("250"));
                        }
                    })
                })
                .collect();
            for sender in senders {
                sender.join().expect("no reply is missing");
            }
            if before == 0 {
                before = catcher.resident();
            }
        }
    });
    let after = catcher.resident();
    assert!(after < before + 8 * 1_024, "{before} KiB after {warm_up} messages, {after} KiB after {total}");
    let info = catcher.json("GET", "/api/v1/info");
    assert_eq!((&info["Messages"], &info["RuntimeStats"]["SMTPAccepted"]), (&json!(500), &json!(total)));
}

#[test]
fn ready_line_is_the_only_line_on_standard_output() {
    let mut child = Catcher::command(&["--smtp", "127.0.0.1:0", "--web", "127.0.0.1:0", "--child"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let start = Instant::now();
    while child.try_wait().expect("the child can be waited for").is_none() {
        assert!(start.elapsed() < TIMEOUT, "standard input is closed");
        std::thread::yield_now();
    }
    let output = child.wait_with_output().expect("the output is read");
    let stdout = String::from_utf8(output.stdout).expect("text");
    assert!(stdout.ends_with('\n') && stdout.lines().count() == 1, "{stdout}");
    let ready: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(ready["ready"], true);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "the log level is warn");
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn pop3_serves_the_mail_of_a_user_name_with_any_password() {
    let catcher = Catcher::start(&["--pop3", "127.0.0.1:0"]);
    let pop3 = catcher.ready["pop3"].as_str().expect("an address").parse().expect("an address");
    catcher.deliver("ann@a.example", &["bob+tag@b.example"], &MESSAGE.replace("Open", ".Open"));
    catcher.deliver("ann@a.example", &["carl@b.example"], MESSAGE);
    catcher.deliver_raw(b"Subject: bare\n\nbody\n");
    let log_in = |user: &str| {
        let mut client = Pop3Client::connect(pop3);
        client.login(user, "any password");
        client
    };
    assert_eq!(log_in("nobody").stat(), (0, 0));
    assert_eq!(log_in("carl@b.example").stat().0, 3, "an address sees all messages");
    let mut client = log_in("bob");
    assert_eq!(client.stat().0, 2);
    assert_eq!(client.retrieve(1), MESSAGE.replace("Open", ".Open").as_bytes());
    assert_eq!(client.retrieve(2), b"Subject: bare\r\n\r\nbody\r\n\r\n", "with CRLF");
    let (_, top) = client.multiline("TOP 1 0");
    assert_eq!(top.len(), 6);
    assert!(client.command("DELE 1").starts_with("+OK") && client.command("QUIT").starts_with("+OK"));
    let list = catcher.json("GET", "/api/v1/mail");
    assert_eq!(list["count"], 2, "{list}");
}
