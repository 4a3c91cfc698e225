//! SMTP and POP3 policy: routing, sizes, loops, authentication.

mod support;

use support::{SmtpClient, TestDir};

fn hello(smtp: &mut SmtpClient) {
    assert!(smtp.command("EHLO iit.edu").starts_with("250-iitkgp.edu Hello iit.edu"));
}

#[test]
fn mail_is_accepted_only_for_local_accounts_and_postmaster() {
    let dir = TestDir::with_config("postmaster = 'gb'\n");
    let server = dir.serve();
    let mut smtp = server.smtp();
    hello(&mut smtp);
    assert!(smtp.command("MAIL FROM:<ag@iit.edu>").starts_with("250 2.1.0 "));
    for (recipient, reply) in [
        ("<gb@iit.edu>", "250 2.1.5 "),
        ("<GB+lists@IITKGP.EDU>", "250 2.1.5 "),
        ("<\"gb\"@iit.edu>", "250 2.1.5 "),
        ("<postmaster>", "250 2.1.5 "),
        ("<PostMaster@iit.edu>", "250 2.1.5 "),
        ("<@relay.example:gb@iit.edu>", "250 2.1.5 "),
        ("<nobody@iit.edu>", "550 5.1.1 "),
        ("<\"../gb\"@iit.edu>", "550 5.1.1 "),
        ("<user.txt@iit.edu>", "550 5.1.1 "),
        ("<gb@example.org>", "550 5.7.1 "),
        ("<gb%example.org@elsewhere.example>", "550 5.7.1 "),
        ("<gb@[127.0.0.1]>", "550 5.7.1 "),
        ("<gb@>", "501 5.1.3 "),
    ] {
        let actual = smtp.command(&format!("RCPT TO:{recipient}"));
        assert!(actual.starts_with(reply), "{recipient}: {actual}");
    }
    assert!(smtp.command("DATA").starts_with("354 "));
    smtp.stream.send(b"Subject: one copy\r\n\r\nbody\r\n.\r\n");
    assert!(smtp.reply().starts_with("250 2.0.0 "));
    let mailbox = String::from_utf8(dir.mailbox("gb")).expect("text");
    assert_eq!(mailbox.matches("Subject: one copy").count(), 1, "one copy per account");
}

#[test]
fn postmaster_mail_goes_to_the_configured_account_or_the_first() {
    let dir = TestDir::with_config("postmaster = 'gb'\n");
    let users = dir.path("data/User.txt");
    std::fs::write(&users, "ag secret\ngb other\npostmaster third\n").expect("the file is written");
    let mut server = dir.serve();
    server.smtp().deliver_to("PostMaster@iit.edu", b"Subject: with a domain\r\n\r\nbody\r\n");
    server.smtp().deliver_to("postmaster", b"Subject: without one\r\n\r\nbody\r\n");
    let mailbox = String::from_utf8(dir.mailbox("gb")).expect("text");
    assert!(mailbox.contains("with a domain") && mailbox.contains("without one"), "{mailbox}");

    std::fs::write(&users, "ag secret\npostmaster third\n").expect("the file is written");
    server.smtp().deliver_to("postmaster@iit.edu", b"Subject: gb has gone\r\n\r\nbody\r\n");
    assert!(server.wait_for_log("`postmaster` is set").contains("`gb`"));
    let mailbox = String::from_utf8(dir.mailbox("ag")).expect("text");
    assert!(mailbox.contains("gb has gone"), "{mailbox}");
    assert!(dir.mailbox("postmaster").is_empty());
}

#[test]
fn added_to_field_contains_only_the_recipient_of_the_mailbox() {
    let dir = TestDir::new();
    let server = dir.serve();
    let mut smtp = server.smtp();
    hello(&mut smtp);
    let reply = smtp.deliver("", &["ag@iit.edu", "gb@iit.edu"], b"Subject: blind\r\n\r\nbody\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    for (account, other) in [("ag", "gb"), ("gb", "ag")] {
        let mailbox = String::from_utf8(dir.mailbox(account)).expect("text");
        assert!(
            mailbox.starts_with(&format!("From: MAILER-DAEMON@iitkgp.edu\r\nTo: {account}@iit.edu\r\n"))
                || mailbox
                    .starts_with(&format!("From: <MAILER-DAEMON@iitkgp.edu>\r\nTo: <{account}@iit.edu>\r\n")),
            "{mailbox}"
        );
        assert!(!mailbox.contains(&format!("{other}@iit.edu")), "{mailbox}");
        assert!(mailbox.contains("(added From To)"), "{mailbox}");
    }
}

#[test]
fn oversized_message_is_refused_at_mail_or_after_the_final_dot() {
    let dir = TestDir::with_config("[limits]\nmessage_size = '4 KiB'\n");
    let server = dir.serve();
    let mut smtp = server.smtp();
    assert!(smtp.command("EHLO iit.edu").contains("\n250-SIZE 4096\n"));
    assert!(smtp.command("MAIL FROM:<ag@iit.edu> SIZE=4097").starts_with("552 5.3.4 "));
    let message = [&b"Subject: big\r\n\r\n"[..], &b"x\r\n".repeat(2_000)].concat();
    let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], &message);
    assert!(reply.starts_with("552 5.3.4 "), "{reply}");
    assert!(dir.mailbox("gb").is_empty());
    let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], b"Subject: small\r\n\r\nbody\r\n");
    assert!(reply.starts_with("250 "), "the session continues: {reply}");
}

#[test]
fn loop_is_refused_after_100_hops() {
    let dir = TestDir::new();
    let server = dir.serve();
    let mut smtp = server.smtp();
    hello(&mut smtp);
    for (hops, reply) in [(100, "250 2.0.0 "), (101, "554 5.4.6 ")] {
        let message =
            ["Received: from a by b\r\n".repeat(hops).as_str(), "Subject: x\r\n\r\nReceived: body\r\n"]
                .concat();
        let actual = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], message.as_bytes());
        assert!(actual.starts_with(reply), "{hops}: {actual}");
    }
}

#[test]
fn oversized_header_is_refused() {
    let dir = TestDir::new();
    let server = dir.serve();
    let mut smtp = server.smtp();
    hello(&mut smtp);
    let message =
        ["X-Field: 0123456789012345678901234567890123456789\r\n".repeat(25_000).as_str(), "\r\nbody\r\n"]
            .concat();
    let actual = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], message.as_bytes());
    assert!(actual.starts_with("552 5.3.4 "), "{actual}");
    assert!(dir.mailbox("gb").is_empty());
}

#[test]
fn auth_requires_matching_name_and_password() {
    let dir = TestDir::new();
    let server = dir.serve();
    let mut smtp = server.smtp();
    assert!(smtp.command("EHLO iit.edu").contains("AUTH PLAIN LOGIN"));
    // base64 of NUL ag NUL wrong, of gb NUL ag NUL secret, of NUL ag@iit.edu NUL secret
    assert!(smtp.command("AUTH PLAIN AGFnAHdyb25n").starts_with("535 5.7.8 "));
    assert!(
        smtp.command("AUTH PLAIN Z2IAYWcAc2VjcmV0").starts_with("535 5.7.8 "),
        "a different authorization identity is refused"
    );
    assert!(smtp.command("AUTH PLAIN AGFnQGlpdC5lZHUAc2VjcmV0").starts_with("235 2.7.0 "));
    let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], b"Subject: signed in\r\n\r\nbody\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    assert!(String::from_utf8_lossy(&dir.mailbox("gb")).contains(" with ESMTPA id "));
}

#[test]
fn unknown_user_gets_the_reply_of_a_wrong_password_by_default() {
    let dir = TestDir::with_config("");
    let server = dir.serve();
    for user in ["nobody", "gb", "../gb"] {
        let mut pop3 = server.pop3();
        assert!(pop3.command(&format!("USER {user}")).starts_with("+OK"), "{user}");
        assert_eq!(pop3.command("PASS wrong"), "-ERR [AUTH] wrong username or password", "{user}");
    }
}

/// RFC 6856 section 5 permits a refusal, but most clients stop at it for ever.
#[test]
fn smtputf8_message_is_sent_unchanged_to_every_client() {
    let dir = TestDir::new();
    let server = dir.serve();
    let messages = ["Subject: plain\r\n\r\nbody\r\n", "Subject: Gr\u{fc}\u{df}e\r\n\r\nK\u{f6}rper\r\n"];
    for message in messages {
        let mut smtp = server.smtp();
        hello(&mut smtp);
        assert!(smtp.command("MAIL FROM:<\u{fc}@iit.edu>").starts_with("553 5.6.7 "));
        assert!(smtp.command("MAIL FROM:<\u{fc}@iit.edu> SMTPUTF8 BODY=8BITMIME").starts_with("250 "));
        assert!(smtp.deliver_after_mail(&["gb@iit.edu"], message.as_bytes()).starts_with("250 "));
    }
    for utf8 in [false, true] {
        let mut pop3 = server.pop3();
        if utf8 {
            assert!(pop3.command("UTF8").starts_with("+OK"));
        }
        // The previous session may still hold the lease.
        while {
            pop3.command("USER gb");
            !pop3.command("PASS other").starts_with("+OK")
        } {}
        for (number, message) in (1..).zip(messages) {
            let text = String::from_utf8(pop3.retrieve(number)).expect("UTF-8");
            assert!(text.contains(" with UTF8SMTP id ") && text.ends_with(message), "{text}");
            assert_eq!(pop3.command(&format!("LIST {number}")), format!("+OK {number} {}", text.len()));
            let (_, top) = pop3.multiline(&format!("TOP {number} 0"));
            assert!(
                top.iter().any(|line| message.as_bytes().starts_with(line) && !line.is_empty()),
                "{top:?}"
            );
        }
        assert!(pop3.command("QUIT").starts_with("+OK"));
    }
}

#[test]
fn twenty_invalid_commands_in_a_row_end_the_session() {
    let dir = TestDir::new();
    let server = dir.serve();
    let mut smtp = server.smtp();
    for _ in 0..19 {
        assert!(smtp.command("FROB").starts_with("500 "));
    }
    assert!(smtp.command("FROB").starts_with("421 "));
    assert!(smtp.stream.is_closed());
}

#[test]
fn write_error_refuses_the_message_and_later_mail_is_accepted() {
    // Writes to /dev/full fail with ENOSPC. Landlock would deny access to it.
    let dir = TestDir::with_config("[process]\nconfine = false\n");
    let server = dir.serve();
    std::fs::create_dir_all(dir.path("data/gb")).expect("the directory is created");
    std::os::unix::fs::symlink("/dev/full", dir.path("data/gb/MyMailBox.txt")).expect("the link is created");
    let mut smtp = server.smtp();
    hello(&mut smtp);
    let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], b"Subject: x\r\n\r\nbody\r\n");
    assert!(reply.starts_with("452 4.3.1 "), "{reply}");
    std::fs::remove_file(dir.path("data/gb/MyMailBox.txt")).expect("the file is removed");
    let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], b"Subject: x\r\n\r\nbody\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
}

#[test]
fn second_sigterm_ends_the_grace_period() {
    let dir = TestDir::new();
    let mut server = dir.serve();
    let mut busy = server.smtp();
    hello(&mut busy);
    assert!(busy.command("MAIL FROM:<ag@iit.edu>").starts_with("250 "));
    assert!(busy.command("RCPT TO:<gb@iit.edu>").starts_with("250 "));
    assert!(busy.command("DATA").starts_with("354 "));
    server.signal_terminate();
    server.wait_for_log("stopping");
    server.signal_terminate();
    server.wait_for_log("at once");
    assert_eq!(server.wait(), Some(0));
    assert!(dir.mailbox("gb").is_empty());
}
