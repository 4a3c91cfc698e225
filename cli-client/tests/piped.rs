//! The dialogue through a pipe: each option and each refusal.

mod support;

use support::{FakeServer, ProgramOutput, Servers, client, refused_address, run_program};

const OPTIONS: &str = "1. Manage Mail\n2. Send Mail\n3. Quit\n";
const COLUMNS: &str = "Sl. No. | Sender's email id | When received (date : hour : minute) | Subject\n";
const MAIL: &str = "From: ag@iit.edu\nTo: gb@iit.edu\nSubject: Meeting\nSee you at five.\n.\n";

fn dialogue(servers: &Servers, input: &str) -> ProgramOutput {
    let output = run_program(&mut servers.client(), input.as_bytes());
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    output
}

/// Output of a dialogue that exits with 0 and without errors.
fn transcript(servers: &Servers, input: &str) -> String {
    let output = dialogue(servers, input);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{}", output.text());
    output.text().to_owned()
}

/// Number of times that the options are printed.
fn count_menus(transcript: &str) -> usize {
    transcript.matches(OPTIONS).count()
}

#[test]
fn quit_and_end_of_input_exit_with_0() {
    let servers = Servers::start();
    let quit = transcript(&servers, "ag\nsecret\n3\n");
    assert_eq!(quit, format!("Username: \nPassword: \n\n{OPTIONS}Option: \n"));
    assert_eq!(transcript(&servers, "ag\nsecret\n"), quit);
    assert_eq!(transcript(&servers, "ag\nsecret\n9\nQuit\n").matches("Choose 1, 2 or 3.\n").count(), 1);
    for input in [
        "",
        "ag\n",
        "ag\nsecret\n2\n",
        "ag\nsecret\n2\nFrom: ag@iit.edu\n",
        "ag\nwrong\n1\n",
        "ag\nwrong\n1\nag\n",
    ] {
        transcript(&servers, input);
    }
}

#[test]
fn sent_mail_is_listed_and_read() {
    let servers = Servers::start();
    let sent = transcript(&servers, &format!("ag\nsecret\n2\n{MAIL}3\n"));
    assert!(sent.contains("\n250 2.0.0 OK Message accepted for delivery\n"), "{sent}");
    assert_eq!(count_menus(&sent), 2);
    let record = servers.mailbox("gb");
    assert!(
        record.starts_with("From: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\nSubject: Meeting\r\nReceived: "),
        "{record}"
    );

    let managed =
        transcript(&servers, "gb\nother\n1\nSTAT\nLIST\nRETR 1\n3\n1\n3 1 --raw\nRETR 2\nfoo\nQUIT\n");
    assert!(managed.contains(&format!("\n+OK POP3 server ready\n{COLUMNS}1 | ag@iit.edu | 20")), "{managed}");
    assert_eq!(managed.matches(" | Meeting\n").count(), 2, "the list is printed after login and by LIST");
    assert!(managed.contains("Command: \n1 message, "), "{managed}");
    assert_eq!(
        managed.matches("Subject: Meeting\n\nSee you at five.\n").count(),
        2,
        "RETR by name and number"
    );
    assert!(
        managed.contains("Command: \nReturn-Path: <ag@iit.edu>\r\nReceived: from iit.edu ("),
        "{managed}"
    );
    assert!(managed.contains("\n-ERR no such message\n"), "{managed}");
    assert_eq!(
        managed.matches("POP3 commands, by name or number:").count(),
        2,
        "an unknown command prints the menu"
    );
    assert!(managed.ends_with("Command: \n+OK goodbye\n"), "{managed}");
    assert_eq!(count_menus(&managed), 1, "QUIT exits");
}

#[test]
fn deleted_messages_are_removed_by_quit() {
    let servers = Servers::start();
    for _ in 0..3 {
        servers.deliver(b"Subject: x\r\n\r\n");
    }
    let deleted = transcript(&servers, "gb\nother\n1\nDELE 2\n4\n3\nDELE 2\nLIST\n5\n");
    assert!(
        deleted.contains("Message 2 is marked as deleted")
            && deleted.contains("Message 3 is marked as deleted"),
        "{deleted}"
    );
    assert!(deleted.contains("-ERR "), "a deleted message cannot be deleted again: {deleted}");
    let listed = deleted.rsplit_once(COLUMNS).expect("LIST prints the list").1;
    assert!(listed.starts_with("1 | ag@iit.edu | ") && !listed.contains("\n2 |"), "{listed}");
    let remaining = transcript(&servers, "gb\nother\n1\n1\n5\n");
    assert!(remaining.contains("Command: \n1 message, "), "{remaining}");
}

#[test]
fn refused_credentials_prompt_for_others() {
    let servers = Servers::start();
    let managed = transcript(&servers, "gb\nwrong\n1\nnobody\nother\ngb\nother\n5\n");
    let refusals = managed.matches("-ERR ").count();
    assert_eq!((refusals, managed.matches("Username: \nPassword: \n").count()), (2, 3), "{managed}");
    assert!(managed.contains("\n+OK POP3 server ready\n"), "{managed}");

    let sent = transcript(&servers, &format!("ag\nwrong\n2\nnobody\nx\nag\nsecret\n{MAIL}3\n"));
    assert_eq!(sent.matches("\n535 5.7.8 ").count(), 2, "{sent}");
    assert!(sent.contains("\n250 2.0.0 "), "{sent}");
}

#[test]
fn malformed_mail_prints_incorrect_format_and_the_reason() {
    let servers = Servers::start();
    let (from, to, subject) = ("From: ag@iit.edu\n", "To: gb@iit.edu\n", "Subject: x\n");
    for (mail, reason) in [
        (format!("From: ag\n{to}{subject}.\n"), "From: "),
        (format!("{from}To: gb@\n{subject}.\n"), "To: "),
        (format!("{from}To: gb@iit.edu, ag@iit.edu\n{subject}.\n"), "To: "),
        (format!("{from}{to}Subject: {}\n.\n", "é".repeat(101)), "Subject: it has 101 characters"),
        (format!("{to}{subject}text\n.\n"), "expected \"From:\""),
        (format!("{from}{subject}text\n.\n"), "expected \"To:\""),
        (format!("{from}{to}text\n.\n"), "expected \"Subject:\""),
        (format!("{to}{from}{subject}text\n.\n"), "expected \"From:\""),
        (".\n".to_owned(), "expected \"From:\""),
    ] {
        let refused = transcript(&servers, &format!("ag\nsecret\n2\n{mail}3\n"));
        let (_, after) = refused.split_once("\nIncorrect format\n").expect(&refused);
        let (line, after) = after.split_once('\n').expect("the reason is a line");
        assert!(line.contains(reason), "{mail:?}: {line}");
        assert_eq!(after, format!("\n{OPTIONS}Option: \n"), "{mail:?}");
    }
    assert_eq!(servers.mailbox("gb"), "");
    let longest = format!("{from}{to}Subject: {}\n.\n", "é".repeat(100));
    assert!(transcript(&servers, &format!("ag\nsecret\n2\n{longest}3\n")).contains("\n250 "));
}

#[test]
fn refused_mail_is_saved_as_draft() {
    let servers = Servers::start();
    let mail = MAIL.replace("gb@iit.edu", "nobody@iit.edu");
    let refused = transcript(&servers, &format!("ag\nsecret\n2\n{mail}3\n"));
    assert!(refused.contains("\nthe server refused the mail: 550 5.1.1 "), "{refused}");
    assert_eq!(count_menus(&refused), 2);
    let [draft] = &servers.drafts()[..] else { panic!("{refused}") };
    let hint = format!(
        "mail-client send --raw '{}' --smtp '{}' --tls 'never' --user 'ag' --from 'ag@iit.edu' --to 'nobody@iit.edu'",
        draft.display(),
        servers.smtp
    );
    assert!(refused.contains(&hint), "{refused}");
    let message = std::fs::read_to_string(draft).expect("the draft is text");
    assert!(
        message.contains("Subject: Meeting\r\n") && message.ends_with("\r\n\r\nSee you at five.\r\n"),
        "{message}"
    );
}

#[test]
fn mail_is_saved_as_draft_when_the_server_becomes_unreachable() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // The server accepts one connection, which the login check uses.
    let smtp = FakeServer::start(
        "220 here\r\n",
        &["250-here\r\n250 AUTH PLAIN\r\n", "235 2.7.0 welcome\r\n", "221 bye\r\n"],
    );
    let mut client = client(smtp.address, refused_address(), directory.path());
    let refused = run_program(&mut client, format!("ag\nsecret\n2\n{MAIL}3\n").as_bytes());
    assert!(smtp.received()[1].starts_with("AUTH PLAIN "));
    let text = refused.text();
    assert!(text.contains("cannot connect to the SMTP server at ") && text.contains("--smtp"), "{text}");
    assert!(text.contains("The draft is saved; "), "{text}");
    assert_eq!((count_menus(text), refused.code), (2, Some(0)));
    assert_eq!(
        std::fs::read_dir(directory.path().join("drafts")).expect("the drafts directory exists").count(),
        1
    );
}

#[test]
fn lost_reply_reports_that_the_mail_may_be_accepted() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let smtp =
        FakeServer::start("220 here\r\n", &["250 here\r\n", "250 ok\r\n", "250 ok\r\n", "354 go on\r\n"]);
    let to = ["send", "--from", "ag@iit.edu", "--to", "gb@iit.edu"];
    let lost = run_program(client(smtp.address, refused_address(), directory.path()).args(to), b"");
    assert_eq!(smtp.received()[..2], ["EHLO iit.edu", "MAIL FROM:<ag@iit.edu>"]);
    assert_eq!(lost.code, Some(1));
    assert!(
        lost.stderr.contains(" lost: ") && lost.stderr.contains("may have accepted the mail"),
        "{}",
        lost.stderr
    );
    assert!(lost.stderr.contains("The draft is saved; "), "{}", lost.stderr);
}

#[test]
fn server_without_ehlo_gets_helo_and_the_login_is_checked_by_pop3() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let smtp = FakeServer::start("220 old\r\n", &["500 what?\r\n", "250 OK Hello\r\n", "221 bye\r\n"]);
    let pop3 = FakeServer::start(
        "+OK old\r\n",
        &["-ERR what?\r\n", "+OK\r\n", "-ERR no, \x1b[31mno\r\n", "+OK bye\r\n"],
    );
    let mut client = client(smtp.address, pop3.address, directory.path());
    let refused = run_program(&mut client, b"ag\nwrong\n2\n");
    let hello = smtp.received();
    assert_eq!(hello, ["EHLO [127.0.0.1]", "HELO [127.0.0.1]", "QUIT"]);
    assert_eq!(pop3.received(), ["CAPA", "USER ag", "PASS wrong", "QUIT"]);
    let text = refused.text();
    assert!(text.contains("\n-ERR no,  [31mno\n") && text.ends_with("Username: \n"), "{text:?}");
}

#[test]
fn unreachable_servers_are_named_and_the_menu_returns() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (smtp, pop3) = (refused_address(), refused_address());
    let output = run_program(&mut client(smtp, pop3, directory.path()), b"ag\nsecret\n1\n2\n3\n");
    let text = output.text();
    for (address, protocol) in [(smtp, "SMTP"), (pop3, "POP3")] {
        let sentence = format!("cannot connect to the {protocol} server at {address}: connection refused");
        assert!(text.contains(&sentence), "{text}");
    }
    assert_eq!((count_menus(text), output.code), (3, Some(0)));
}

#[test]
fn disconnect_or_invalid_reply_prints_an_error_and_the_menu_returns() {
    for (greeting, replies, sentence) in [
        ("", &[][..], " lost: the connection was closed by the other side"),
        (
            "220 this is SMTP\r\n",
            &[],
            " violated the protocol: the other side sent an invalid reply: 220 this is SMTP",
        ),
        ("-ERR too busy\r\n", &[], "closed the connection: -ERR too busy"),
        (
            "+OK\r\n",
            &["-ERR\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n1 100\r\n"],
            " lost: the connection was closed by the other side",
        ),
    ] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let pop3 = FakeServer::start(greeting, replies);
        let mut client = client(refused_address(), pop3.address, directory.path());
        let output = run_program(&mut client, b"ag\nsecret\n1\n3\n");
        let text = output.text();
        pop3.received();
        assert!(text.contains(sentence), "{text}");
        assert_eq!((count_menus(text), output.code), (2, Some(0)), "{text}");
    }
}
