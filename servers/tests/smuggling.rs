//! SMTP smuggling (CVE-2023-51764 and similar): only CRLF.CRLF ends a message, so that a message cannot contain a second one with
//! another sender.

mod support;

use support::{SmtpClient, TestDir};

/// Sequences that other servers accept as the end of a message.
const FALSE_ENDS: &[&[u8]] = &[
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r\n.\n",
    b"\r.\r\n",
    b"\n.\r",
    b"\r\n.\r",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n\0.\n",
    b"\n.\0\n",
    b"\r.\0\r",
    b"\r\0\n.\r\n",
];

/// Commands that would be executed if the message ended before them, and the real end.
const HIDDEN: &[u8] =
    b"MAIL FROM:<root@iit.edu>\r\nRCPT TO:<ag@iit.edu>\r\nDATA\r\nSubject: hidden\r\n\r\nhidden\r\n.\r\n";

fn start_data(smtp: &mut SmtpClient) {
    for (command, reply) in
        [("MAIL FROM:<gb@iit.edu>", "250"), ("RCPT TO:<gb@iit.edu>", "250"), ("DATA", "354")]
    {
        let actual = smtp.command(command);
        assert!(actual.starts_with(reply), "{command}: {actual}");
    }
}

#[test]
fn commands_after_a_false_end_are_not_executed() {
    let dir = TestDir::new();
    let server = dir.serve();
    for false_end in FALSE_ENDS {
        let mut smtp = server.smtp();
        smtp.command("EHLO iit.edu");
        for cut in 0..=false_end.len() {
            start_data(&mut smtp);
            let head = b"Subject: seen\r\n\r\ntext".as_slice();
            let octets = [head, false_end, HIDDEN].concat();
            let (first, second) = octets.split_at(head.len() + cut);
            smtp.stream.send(first);
            smtp.stream.send(second);
            let reply = smtp.reply();
            assert!(reply.starts_with("554 5.6.0 "), "{}, cut at {cut}: {reply}", false_end.escape_ascii());
            // The next reply belongs to NOOP: the message had only one.
            let reply = smtp.command("NOOP");
            assert!(reply.starts_with("250 2.0.0 "), "{}, cut at {cut}: {reply}", false_end.escape_ascii());
        }
        assert!(smtp.command("QUIT").starts_with("221"));
        assert_eq!(smtp.stream.read_to_end(), b"", "no further reply");
    }
    assert!(dir.mailbox("ag").is_empty() && dir.mailbox("gb").is_empty());
}

#[test]
fn final_dot_is_found_after_lines_of_dots() {
    let dir = TestDir::new();
    let server = dir.serve();
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    start_data(&mut smtp);
    smtp.stream.send(b"Subject: dots\r\n\r\n..\r\n...\r\n.. \r\n. \r\nMAIL FROM:<root@iit.edu>\r\n.\r\n");
    assert!(smtp.reply().starts_with("250 2.0.0 "));
    assert!(smtp.command("QUIT").starts_with("221"));
    let text = server.log_in("gb", "other").retrieve(1);
    assert!(
        text.ends_with(b"\r\n\r\n.\r\n..\r\n. \r\n \r\nMAIL FROM:<root@iit.edu>\r\n"),
        "{}",
        text.escape_ascii()
    );
}

#[test]
fn arguments_with_cr_lf_or_nul_are_refused() {
    let dir = TestDir::new();
    let server = dir.serve();
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    for octet in ['\r', '\0'] {
        for command in [
            format!("EHLO iit{octet}.edu"),
            format!("HELO iit{octet}.edu"),
            format!("MAIL FROM:<a{octet}g@iit.edu>"),
            format!("MAIL FROM:<\"a{octet}g\"@iit.edu>"),
            format!("MAIL FROM:<\"a\\{octet}g\"@iit.edu>"),
            format!("MAIL FROM:<ag@iit{octet}.edu>"),
            format!("MAIL FROM:<ag@iit.edu> SIZE=1{octet}0"),
            format!("VRFY g{octet}b"),
            format!("AUTH PL{octet}AIN AGFnAHNlY3JldA=="),
            format!("AUTH PLAIN AGFn{octet}AHNlY3JldA=="),
            // base64 of NUL a CR g NUL secret, of NUL a LF g NUL secret, of NUL a NUL g NUL secret
            "AUTH PLAIN AGENZwBzZWNyZXQ=".to_owned(),
            "AUTH PLAIN AGEKZwBzZWNyZXQ=".to_owned(),
            "AUTH PLAIN AGEAZwBzZWNyZXQ=".to_owned(),
        ] {
            let reply = smtp.command(&command);
            assert!(reply.starts_with('5'), "{command:?}: {reply}");
            assert!(smtp.command("NOOP").starts_with("250 2.0.0 "), "{command:?} has one reply");
        }
        assert!(smtp.command("MAIL FROM:<ag@iit.edu>").starts_with("250 "));
        for recipient in
            [format!("g{octet}b@iit.edu"), format!("\"g{octet}b\"@iit.edu"), format!("gb@iit.edu{octet}")]
        {
            let reply = smtp.command(&format!("RCPT TO:<{recipient}>"));
            assert!(reply.starts_with('5'), "{recipient:?}: {reply}");
        }
        assert!(smtp.command("DATA").starts_with("503 "), "no recipient was accepted");
        smtp.command("RSET");

        let mut pop3 = server.pop3();
        for command in [format!("USER g{octet}b"), format!("UTF8{octet}"), format!("AUTH PLA{octet}IN")] {
            let reply = pop3.command(&command);
            assert!(reply.starts_with("-ERR"), "{command:?}: {reply}");
        }
        assert!(pop3.command("USER gb").starts_with("+OK"));
        let reply = pop3.command(&format!("PASS oth{octet}er"));
        assert!(reply.starts_with("-ERR"), "{reply}");
    }
    // A line with a bare LF is refused, and the next line is parsed separately.
    smtp.stream.send(b"MAIL FROM:<ag@iit.edu>\nRCPT TO:<gb@iit.edu>\r\n");
    assert!(smtp.reply().starts_with("500 5.5.2 "));
    assert!(smtp.reply().starts_with("503 "));
    assert!(smtp.command("QUIT").starts_with("221"));
    assert_eq!(smtp.stream.read_to_end(), b"");
    assert!(dir.mailbox("gb").is_empty() && dir.mailbox("ag").is_empty());
}

/// The body contains separators of mbox files and of mailbox records.
#[test]
fn record_separators_in_a_body_do_not_start_another_message() {
    let dir = TestDir::new();
    let server = dir.serve();
    let body = b"Subject: one\r\n\r\nFrom ag@iit.edu Sun Nov 22 19:15:07 2026\r\nFrom: <root@iit.edu>\r\n\
        To: <gb@iit.edu>\r\nSubject: two\r\nReceived: 2026-11-22 : 19 : 15\r\n\r\n.\r\nFrom: x\r\n#rom: x\r\n.\r\n";
    server.smtp().deliver_to_gb(body);
    server.smtp().deliver_to_gb(b"Subject: three\r\n\r\nbody\r\n");
    let mut pop3 = server.log_in("gb", "other");
    assert_eq!(pop3.stat().0, 2);
    assert!(pop3.retrieve(1).ends_with(body));
    assert!(pop3.retrieve(2).ends_with(b"Subject: three\r\n\r\nbody\r\n"));
}
