//! Script commands: output, JSON, exit codes, and byte-exact transfer of mail.

mod support;

use std::process::Stdio;

use serde_json::{Value, json};
use support::{FakeServer, Servers, client, json, refused_address, run_program};

/// A message with leading dots, long lines, invalid UTF-8, mixed line ends and no final line end.
fn difficult_message(size: usize) -> Vec<u8> {
    let mut mail =
        b"From: ag@iit.edu\nTo: gb@iit.edu\r\nSubject: =?utf-8?q?n=C3=A4sty?=\n folded\nX: \t \n\n".to_vec();
    let lines = [
        &b".\n"[..],
        b"..\r\n",
        b".x\n",
        b"\n",
        b"caf\xe9 \xff\xfe\n",
        b"From here\n",
        b"bare\rreturn\n",
        b" \t\n",
    ];
    for line in lines.iter().cycle() {
        if mail.len() > size {
            break;
        }
        mail.extend_from_slice(line);
        mail.resize(mail.len() + 2_000, b'x');
    }
    mail.extend_from_slice(b"\n.\nno line end");
    mail
}

/// The message with CRLF line ends.
fn with_crlf(mail: &[u8]) -> Vec<u8> {
    let text = mail.iter().map(|&byte| char::from(byte)).collect::<String>();
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n") + "\r\n";
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("every character is from a byte")).collect()
}

#[test]
fn raw_message_is_delivered_byte_for_byte() {
    let servers = Servers::start();
    for (number, size) in [(1, 0), (2, 30_000), (3, 10 << 20)] {
        let mail = difficult_message(size);
        let file = servers.directory.path().join("message.eml");
        std::fs::write(&file, &mail).expect("the file is written");
        let mut send = servers.client();
        send.args(["send", "--to", "gb@iit.edu", "--raw"]).arg(&file);
        let sent = run_program(&mut send, b"");
        assert_eq!(
            (sent.code, sent.text()),
            (Some(0), "250 2.0.0 OK Message accepted for delivery\n"),
            "{sent:?}"
        );

        let read = servers.run_as_gb(&["read", &number.to_string(), "--raw"]);
        assert_eq!((read.code, read.stderr.as_str()), (Some(0), ""));
        let expected = with_crlf(&mail);
        assert!(read.stdout.starts_with(b"Return-Path: <ag@iit.edu>\r\nReceived: "));
        assert!(read.stdout.ends_with(&expected), "message {number} differs");
        let trace = &read.stdout[..read.stdout.len() - expected.len()];
        assert!(trace.ends_with(b"\r\n") && trace.len() < 500, "{}", trace.escape_ascii());
    }
    assert!(servers.drafts().is_empty());
}

#[test]
fn composed_message_is_sent_listed_read_and_deleted() {
    let servers = Servers::start();
    let file = servers.directory.path().join("data.csv");
    std::fs::write(&file, b"a,b\r\n\0\xff").expect("the file is written");
    let mut send = servers.client();
    send.args(["send", "--user", "ag", "--password-stdin", "--from", "ag@iit.edu", "--to", "gb@iit.edu"])
        .args(["--to", "<\"gb+x\"@iit.edu>", "--cc", "ag@iit.edu", "--bcc", "ag@iitkgp.edu"])
        .args(["--subject", "Grüße", "--body-file", "-", "--json", "--attach"])
        .arg(&file);
    let sent = json(&run_program(&mut send, "secret\nZeile eins\n.\n".as_bytes()));
    assert_eq!(sent, json!({ "reply": "250 2.0.0 OK Message accepted for delivery", "refused": [] }));
    assert!(!servers.mailbox("ag").contains("Bcc") && !servers.mailbox("ag").is_empty());

    let list = json(&servers.run_as_gb(&["list", "--json"]));
    let [message] = &list.as_array().expect("a list")[..] else { panic!("{list}") };
    assert_eq!(
        (&message["number"], &message["from"], &message["subject"]),
        (&json!(1), &json!("ag@iit.edu"), &json!("Grüße"))
    );
    assert!(
        message["unique_id"].is_string()
            && message["received"].as_str().is_some_and(|at| at.starts_with("20"))
    );
    assert_eq!(
        json(&servers.run_as_gb(&["stat", "--json"])),
        json!({ "count": 1, "octets": message["octets"] })
    );
    let raw = servers.run_as_gb(&["read", "1", "--raw"]).stdout;
    assert_eq!(message["octets"], json!(raw.len()));

    let read = json(&servers.run_as_gb(&["read", "1", "--json"]));
    assert_eq!((&read["subject"], &read["text"]), (&json!("Grüße"), &json!("Zeile eins\r\n.\r\n")));
    assert_eq!(read["to"][1]["address"], json!("gb+x@iit.edu"));
    assert_eq!(read["attachments"], json!([{ "name": "data.csv", "type": "text/csv", "octets": 7 }]));
    assert_eq!((&read["unique_id"], &read["octets"]), (&message["unique_id"], &message["octets"]));

    let shown = servers.run_as_gb(&["read", "1"]);
    assert!(
        shown.text().starts_with("From: ag@iit.edu\nTo: gb@iit.edu, gb+x@iit.edu\nCc: ag@iit.edu\nDate: ")
    );
    assert!(
        shown
            .text()
            .ends_with("\nSubject: Grüße\n\nZeile eins\n.\n[attachment: data.csv, text/csv, 7 octets]\n")
    );
    assert!(servers.run_as_gb(&["list"]).text().ends_with(" | Grüße\n"));

    assert_eq!(json(&servers.run_as_gb(&["delete", "1", "--json"])), json!({ "deleted": [1] }));
    assert_eq!(servers.run_as_gb(&["stat"]).text(), "0 messages, 0 octets\n");
    assert_eq!(json(&servers.run_as_gb(&["list", "--json"])), json!([]));
}

#[test]
fn json_contains_headers_html_and_message_id() {
    let servers = Servers::start();
    servers.deliver(
        b"Message-ID: <1@client.example>\r\nX-Trace: a\r\n  b\r\nContent-Type: text/html\r\n\r\n<p>Caf&eacute;</p>\r\n",
    );
    let read = json(&servers.run_as_gb(&["read", "1", "--json"]));
    assert_eq!(
        (&read["message_id"], &read["html"]),
        (&json!("<1@client.example>"), &json!("<p>Caf&eacute;</p>\r\n"))
    );
    assert!(read["text"].as_str().is_some_and(|text| text.contains("Caf\u{e9}")), "{read}");
    let headers = read["headers"].as_array().expect("a list");
    assert!(headers.contains(&json!({ "name": "X-Trace", "value": "a b" })), "{read}");
    assert_eq!(headers[0]["name"], json!("Return-Path"));
}

#[test]
fn delivery_report_is_shown_as_a_sentence() {
    let servers = Servers::start();
    servers.deliver(
        b"Subject: x\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
          --b\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n\
          Final-Recipient: rfc822; x@y.example\r\nAction: failed\r\nStatus: 5.2.2\r\n\
          Diagnostic-Code: smtp; 552 5.2.2 no\x1b[2J room\r\n--b--\r\n",
    );
    let sentence = "Not delivered to x@y.example: the mailbox is full.";
    let read = servers.run_as_gb(&["read", "1"]);
    let shown = format!("\n{sentence} The server said: \"552 5.2.2 no [2J room\"\n\nSorry.\n");
    assert!(read.text().contains(&shown), "{}", read.text());
    let report = &json(&servers.run_as_gb(&["read", "1", "--json"]))["report"];
    let recipient = json!({
        "recipient": "x@y.example",
        "action": "failed",
        "status": "5.2.2",
        "diagnostic": "552 5.2.2 no [2J room",
        "sentence": sentence,
    });
    assert_eq!(*report, json!({ "reporting_mta": "mx.example", "recipients": [recipient] }));
}

#[test]
fn attachment_is_saved_by_name_and_by_position_and_overwrites_nothing() {
    let servers = Servers::start();
    servers.deliver(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Disposition: attachment; \
          filename=\"a.bin\"\r\nContent-Transfer-Encoding: base64\r\n\r\nAP8K\r\n--b\r\nContent-Disposition: attachment; \
          filename=\"../.b.txt\"\r\n\r\nsecond\r\n--b--\r\n",
    );
    let directory = servers.directory.path().join("files");
    std::fs::create_dir(&directory).expect("the directory is created");
    let save = |arguments: &[&str]| {
        let mut command = servers.client();
        command.current_dir(&directory).arg("save").args(arguments).args([
            "--user",
            "gb",
            "--password-stdin",
        ]);
        run_program(&mut command, b"other\n")
    };
    let saved = save(&["1", "a.bin"]);
    assert_eq!((saved.code, saved.text()), (Some(0), "./a.bin\n"), "{saved:?}");
    assert_eq!(std::fs::read(directory.join("a.bin")).expect("the file exists"), b"\0\xff\n");
    let again = save(&["1", "1"]);
    assert!(again.code == Some(1) && again.stderr.contains("--output"), "{again:?}");
    assert_eq!(save(&["1", "1", "--output", "-"]).stdout, b"\0\xff\n");
    assert_eq!(save(&["1", "2"]).code, Some(0));
    let names: Vec<_> = std::fs::read_dir(&directory)
        .expect("readable")
        .map(|file| file.expect("readable").file_name())
        .collect();
    assert!(
        names.len() == 2 && names.iter().all(|name| !name.to_string_lossy().starts_with('.')),
        "{names:?}"
    );
    for missing in ["3", "0", "c.bin"] {
        let output = save(&["1", missing]);
        assert!(output.code == Some(1) && output.stderr.contains("its attachments: a.bin, "), "{output:?}");
    }
}

#[test]
fn delete_with_an_invalid_number_deletes_nothing() {
    let servers = Servers::start();
    servers.deliver(b"Subject: x\r\n\r\n");
    let refused = servers.run_as_gb(&["delete", "1", "2"]);
    assert_eq!((refused.code, refused.text()), (Some(1), ""));
    assert!(refused.stderr.starts_with("mail-client: message 2: -ERR "), "{}", refused.stderr);
    assert_eq!(servers.run_as_gb(&["stat", "--json"]).code, Some(0));
    assert!(servers.mailbox("gb").contains("Subject: x"));
}

#[test]
fn refusals_and_failures_exit_with_1() {
    let servers = Servers::start();
    let account = ["--user", "gb", "--password-command"];
    for (arguments, sentence) in [
        (["read", "7"].as_slice(), "-ERR no such message"),
        (&["read", "7", "--raw"], "-ERR no such message"),
        (
            &["list", "--pop3", &refused_address().to_string()],
            "cannot connect to the POP3 server at 127.0.0.1:",
        ),
        (
            &["list", "--pop3", "nowhere.invalid:110"],
            "cannot resolve the host of the POP3 server at nowhere.invalid:110",
        ),
    ] {
        let refused = run_program(servers.client().args(arguments).args(account).arg("echo other"), b"");
        assert_eq!((refused.code, refused.text()), (Some(1), ""), "{arguments:?}");
        assert!(
            refused.stderr.starts_with("mail-client: ") && refused.stderr.contains(sentence),
            "{refused:?}"
        );
    }
    let wrong =
        run_program(servers.client().args(["stat", "--password-command", "echo no", "--user", "gb"]), b"");
    assert_eq!((wrong.code, wrong.stderr.contains("-ERR [AUTH] ")), (Some(1), true), "{wrong:?}");
}

#[test]
fn stat_prints_its_result_even_if_quit_fails() {
    const REPLIES: [&str; 5] =
        ["-ERR\r\n", "+OK\r\n", "+OK\r\n", "+OK 2 320\r\n", "-ERR cannot update the maildrop\r\n"];
    // Without the fifth reply, the server closes the connection.
    for replies in [&REPLIES[..], &REPLIES[..4]] {
        let server = FakeServer::start("+OK hi\r\n", replies);
        let home = tempfile::tempdir().expect("a parent directory");
        let mut command = client(refused_address(), server.address, home.path());
        let stat = run_program(command.args(["stat", "--user", "gb", "--password-stdin"]), b"other\n");
        assert_eq!((stat.code, stat.text()), (Some(0), "2 messages, 320 octets\n"), "{stat:?}");
        server.received();
    }
}

#[test]
fn login_uses_sasl_plain_if_capa_lacks_user() {
    let server = FakeServer::start(
        "+OK hi\r\n",
        &["+OK\r\nTOP\r\nSASL LOGIN PLAIN\r\n.\r\n", "+ \r\n", "+OK\r\n", "+OK 2 320\r\n", "+OK bye\r\n"],
    );
    let home = tempfile::tempdir().expect("a parent directory");
    let mut command = client(refused_address(), server.address, home.path());
    let stat = run_program(command.args(["stat", "--user", "gb", "--password-stdin"]), b"other\n");
    assert_eq!((stat.code, stat.text()), (Some(0), "2 messages, 320 octets\n"), "{stat:?}");
    assert_eq!(server.received(), ["CAPA", "AUTH PLAIN", "AGdiAG90aGVy", "STAT", "QUIT"]);
}

#[test]
fn usage_errors_exit_with_2_without_sending() {
    let servers = Servers::start();
    let broken = servers.directory.path().join("broken.toml");
    std::fs::write(&broken, "smtp = 3\n").expect("the file is written");
    let broken = broken.to_str().expect("a plain path");
    let send = ["send", "--to", "gb@iit.edu"];
    for (arguments, sentence) in [
        (vec!["list"], "no account; pass it with --user NAME"),
        (vec!["list", "--user", "gb"], "--password-file"),
        (vec!["list", "--user", "gb", "--password-file", "/no/such/file"], "/no/such/file"),
        (vec!["list", "--user", "gb", "--password-command", "exit 3"], "the password command failed"),
        (vec!["list", "--user", "gb", "--password-stdin"], "is empty"),
        (vec!["list", "--password", "other"], "--password"),
        (vec!["list", "--smtp", "nowhere"], "host:port"),
        (vec!["list", "--config", broken], "broken.toml, line 1"),
        (vec!["read", "x"], "invalid digit"),
        (vec!["delete"], "NUMBER"),
        ([&send[..], &["--from", "ag"]].concat(), "From: "),
        ([&send[..], &["--from", "ag@iit.edu", "--to", "b@"]].concat(), "To: "),
        ([&send[..], &["--from", "ag@iit.edu", "--subject", "a\nb"]].concat(), "Subject: "),
        ([&send[..], &["--from", "ag@iit.edu", "--body-file", "/no/such/file"]].concat(), "/no/such/file"),
        ([&send[..], &["--raw", "-"]].concat(), "pass it with --from"),
        ([&send[..], &["--raw", "-", "--subject", "x"]].concat(), "cannot be used with"),
    ] {
        let refused = run_program(servers.client().args(&arguments), b"");
        assert_eq!((refused.code, refused.text()), (Some(2), ""), "{arguments:?}: {refused:?}");
        assert!(refused.stderr.contains(sentence), "{arguments:?}: {}", refused.stderr);
    }
    assert_eq!(servers.mailbox("gb"), "");
}

#[test]
fn refused_recipients_are_named() {
    let servers = Servers::start();
    let send = ["send", "--from", "ag@iit.edu", "--to", "nobody@iit.edu"];
    let partial = run_program(servers.client().args(send).args(["--to", "gb@iit.edu", "--json"]), b"");
    assert_eq!(partial.code, Some(1));
    assert!(
        partial.stderr.contains("sent, but the server refused some recipients: nobody@iit.edu: 550 5.1.1 "),
        "{}",
        partial.stderr
    );
    let answer: Value = serde_json::from_slice(&partial.stdout).expect("the output is JSON");
    assert_eq!(answer["refused"][0]["recipient"], json!("nobody@iit.edu"));
    assert!(
        servers.mailbox("gb").contains("To: <nobody@iit.edu>, <gb@iit.edu>"),
        "{}",
        servers.mailbox("gb")
    );
    assert!(servers.drafts().is_empty(), "one recipient was accepted");

    let refused = run_program(servers.client().args(send).args(["--bcc", "o'neil@example.org"]), b"");
    assert_eq!((refused.code, refused.text()), (Some(1), ""));
    assert!(refused.stderr.contains("nobody@iit.edu: 550 5.1.1 "), "{}", refused.stderr);
    assert!(
        refused.stderr.contains(r"--to 'nobody@iit.edu' --to 'o'\''neil@example.org'"),
        "{}",
        refused.stderr
    );
    assert_eq!(servers.drafts().len(), 1);
}

#[test]
fn message_with_nul_is_not_delivered() {
    let servers = Servers::start();
    let mut send = servers.client();
    send.args(["send", "--raw", "-", "--from", "ag@iit.edu", "--to", "gb@iit.edu"]);
    let refused = run_program(&mut send, b"Subject: x\n\na\0b\n");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("NUL"), "{}", refused.stderr);
    assert_eq!((servers.mailbox("gb").as_str(), servers.drafts().len()), ("", 1));
}

#[test]
fn closed_output_pipe_exits_with_0() {
    let servers = Servers::start();
    servers.deliver(&[&b"Subject: x\r\n\r\n"[..], &b"a line of text\r\n".repeat(50_000)].concat());
    let mut read = servers.client();
    read.args(["read", "1", "--raw", "--user", "gb", "--password-command", "echo other"]);
    let mut child = read
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the process has exited");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn server_addresses_are_read_from_the_configuration() {
    let servers = Servers::start();
    let file = servers.directory.path().join("client.toml");
    let text = format!("[smtp]\nlisten = ['{}']\n[pop3]\nlisten = ['{}']\n", servers.smtp, servers.pop3);
    std::fs::write(&file, text).expect("the file is written");
    let mut stat = std::process::Command::new(env!("CARGO_BIN_EXE_mail-client"));
    stat.args(["stat", "--user", "gb@iit.edu", "--password-stdin", "--config"]).arg(&file);
    assert_eq!(run_program(&mut stat, b"other\r\n").text(), "0 messages, 0 octets\n");
}

#[test]
fn json_output_escapes_control_characters() {
    let servers = Servers::start();
    servers.deliver(b"From: ag@iit.edu\r\nSubject: =?utf-8?q?=1B=7F=C2=9B?=\r\n\r\n\x1b[2J\xe2\x80\xae\r\n");
    for arguments in [&["list", "--json"][..], &["read", "1", "--json"]] {
        let answer = servers.run_as_gb(arguments);
        assert!(!answer.text().contains(|c: char| c != '\n' && c.is_control()), "{:?}", answer.text());
        assert!(json(&answer).to_string().contains("\u{9b}"));
    }
}

#[test]
fn help_lists_flags_commands_and_exit_codes() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let help = run_program(client(refused_address(), refused_address(), directory.path()).arg("--help"), b"");
    for part in [
        "--config",
        "--smtp",
        "--pop3",
        "--user",
        "--drafts",
        "list",
        "read",
        "send",
        "delete",
        "stat",
        "Exit status",
    ] {
        assert!(help.text().contains(part), "{part} in {}", help.text());
    }
    assert_eq!(help.code, Some(0));
}

const REPORT: &[u8] = b"From: MAILER-DAEMON@iitkgp.edu\r\nTo: gb@iit.edu\r\nSubject: Not delivered\r\n\
    Content-Type: multipart/report; report-type=delivery-status; boundary=r\r\n\r\n\
    --r\r\n\r\nNot delivered.\r\n--r\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; iitkgp.edu\r\n\r\n\
    Final-Recipient: rfc822; ag@iit.edu\r\nAction: failed\r\nStatus: 5.2.2\r\n\r\n--r\r\nContent-Type: message/rfc822\r\n\r\n\
    From: gb@iit.edu\r\nTo: ag@iit.edu, hc@iit.edu\r\nSubject: Plans\r\n\r\nThe plans are ready.\r\n--r--\r\n";

#[test]
fn resend_submits_the_returned_message_to_the_failed_recipient() {
    let servers = Servers::start();
    servers.deliver(REPORT);
    servers.deliver(b"Subject: no report\r\n\r\ntext\r\n");
    let sent = servers.run_as_gb(&["resend", "1"]);
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let mailbox = servers.mailbox("ag");
    for part in ["Return-Path: <gb@iit.edu>\r\n", "Subject: Plans\r\n", "The plans are ready."] {
        assert!(mailbox.contains(part), "{part}\n{mailbox}");
    }
    assert!(!mailbox.contains("hc@iit.edu"), "{mailbox}");
    let refused = servers.run_as_gb(&["resend", "2"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("names no recipient"), "{refused:?}");
    let refused = servers.run_as_gb(&["resend", "2", "--from", "gb@iit.edu"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("no report"), "{refused:?}");
}
