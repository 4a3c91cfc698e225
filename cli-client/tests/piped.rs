//! The dialogue through a pipe, against the real servers: each option and each refusal.

mod support;

use support::{FakeServer, Finished, Servers, client, finish, nowhere};

const OPTIONS: &str = "1. Manage Mail\n2. Send Mail\n3. Quit\n";
const COLUMNS: &str = "Sl. No. | Sender's email id | When received (date : hour : minute) | Subject\n";
const MAIL: &str = "From: ag@iit.edu\nTo: gb@iit.edu\nSubject: Meeting\nSee you at five.\n.\n";

fn dialogue(servers: &Servers, input: &str) -> Finished {
    let finished = finish(&mut servers.client(), input.as_bytes());
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    finished
}

/// The dialogue of a person who types this; it must end well.
fn transcript(servers: &Servers, input: &str) -> String {
    let finished = dialogue(servers, input);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{}", finished.text());
    finished.text().to_owned()
}

/// How often the options were shown.
fn menus(transcript: &str) -> usize {
    transcript.matches(OPTIONS).count()
}

#[test]
fn quit_ends_it_and_so_does_the_end_of_the_input() {
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
fn a_mail_is_sent_and_managed() {
    let servers = Servers::start();
    let sent = transcript(&servers, &format!("ag\nsecret\n2\n{MAIL}3\n"));
    assert!(sent.contains("\n250 2.0.0 OK Message accepted for delivery\n"), "{sent}");
    assert_eq!(menus(&sent), 2);
    let record = servers.mailbox("gb");
    assert!(
        record.starts_with("From: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\nSubject: Meeting\r\nReceived: "),
        "{record}"
    );

    let managed =
        transcript(&servers, "gb\nother\n1\nSTAT\nLIST\nRETR 1\n3\n1\n3 1 --raw\nRETR 2\nfoo\nQUIT\n");
    assert!(managed.contains(&format!("\n+OK POP3 server ready\n{COLUMNS}1 | ag@iit.edu | 20")), "{managed}");
    assert_eq!(managed.matches(" | Meeting\n").count(), 2, "the list is shown at first and by LIST");
    assert!(managed.contains("Command: \n1 message, "), "{managed}");
    assert_eq!(
        managed.matches("Subject: Meeting\n\nSee you at five.\n").count(),
        2,
        "RETR by word and number"
    );
    assert!(
        managed.contains("Command: \nReturn-Path: <ag@iit.edu>\r\nReceived: from iit.edu ("),
        "{managed}"
    );
    assert!(managed.contains("\n-ERR no such message\n"), "{managed}");
    assert_eq!(managed.matches("POP3 commands, by word or number:").count(), 2, "foo shows them again");
    assert!(managed.ends_with("Command: \n+OK goodbye\n"), "{managed}");
    assert_eq!(menus(&managed), 1, "QUIT ends the program");
}

#[test]
fn what_is_deleted_goes_with_quit() {
    let servers = Servers::start();
    for _ in 0..3 {
        servers.deliver(b"Subject: x\r\n\r\n");
    }
    let deleted = transcript(&servers, "gb\nother\n1\nDELE 2\n4\n3\nDELE 2\nLIST\n5\n");
    assert!(
        deleted.contains("Message 2 is deleted") && deleted.contains("Message 3 is deleted"),
        "{deleted}"
    );
    assert!(deleted.contains("-ERR "), "what is deleted cannot be deleted again: {deleted}");
    let listed = deleted.rsplit_once(COLUMNS).expect("LIST shows the list").1;
    assert!(listed.starts_with("1 | ag@iit.edu | ") && !listed.contains("\n2 |"), "{listed}");
    let left = transcript(&servers, "gb\nother\n1\n1\n5\n");
    assert!(left.contains("Command: \n1 message, "), "{left}");
}

#[test]
fn refused_credentials_are_asked_for_again() {
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
fn a_mail_in_the_wrong_format_is_refused_with_its_reason() {
    let servers = Servers::start();
    let (from, to, subject) = ("From: ag@iit.edu\n", "To: gb@iit.edu\n", "Subject: x\n");
    for (mail, reason) in [
        (format!("From: ag\n{to}{subject}.\n"), "From: "),
        (format!("{from}To: gb@\n{subject}.\n"), "To: "),
        (format!("{from}To: gb@iit.edu, ag@iit.edu\n{subject}.\n"), "To: "),
        (format!("{from}{to}Subject: {}\n.\n", "é".repeat(101)), "Subject: it has 101 characters"),
        (format!("{to}{subject}text\n.\n"), "\"From:\" is not where it should be"),
        (format!("{from}{subject}text\n.\n"), "\"To:\" is not where it should be"),
        (format!("{from}{to}text\n.\n"), "\"Subject:\" is not where it should be"),
        (format!("{to}{from}{subject}text\n.\n"), "\"From:\" is not where it should be"),
        (".\n".to_owned(), "\"From:\" is not where it should be"),
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
fn a_draft_survives_a_refusal() {
    let servers = Servers::start();
    let mail = MAIL.replace("gb@iit.edu", "nobody@iit.edu");
    let refused = transcript(&servers, &format!("ag\nsecret\n2\n{mail}3\n"));
    assert!(refused.contains("\nthe server refused the mail: 550 5.1.1 "), "{refused}");
    assert_eq!(menus(&refused), 2);
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
fn a_draft_survives_a_server_that_goes_away() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    // One connection to sign in, and nobody is left for the mail.
    let smtp = FakeServer::start(
        "220 here\r\n",
        &["250-here\r\n250 AUTH PLAIN\r\n", "235 2.7.0 welcome\r\n", "221 bye\r\n"],
    );
    let mut client = client(smtp.address, nowhere(), folder.path());
    let refused = finish(&mut client, format!("ag\nsecret\n2\n{MAIL}3\n").as_bytes());
    assert!(smtp.heard()[1].starts_with("AUTH PLAIN "));
    let text = refused.text();
    assert!(text.contains("nothing answers at ") && text.contains("--smtp"), "{text}");
    assert!(text.contains("The draft is kept; "), "{text}");
    assert_eq!((menus(text), refused.code), (2, Some(0)));
    assert_eq!(std::fs::read_dir(folder.path().join("drafts")).expect("made").count(), 1);
}

#[test]
fn a_mail_whose_answer_is_lost_may_have_been_sent() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let smtp =
        FakeServer::start("220 here\r\n", &["250 here\r\n", "250 ok\r\n", "250 ok\r\n", "354 go on\r\n"]);
    let to = ["send", "--from", "ag@iit.edu", "--to", "gb@iit.edu"];
    let lost = finish(client(smtp.address, nowhere(), folder.path()).args(to), b"");
    assert_eq!(smtp.heard()[..2], ["EHLO iit.edu", "MAIL FROM:<ag@iit.edu>"]);
    assert_eq!(lost.code, Some(1));
    assert!(
        lost.stderr.contains("was lost: ") && lost.stderr.contains("may have taken the mail"),
        "{}",
        lost.stderr
    );
    assert!(lost.stderr.contains("The draft is kept; "), "{}", lost.stderr);
}

#[test]
fn an_old_server_is_greeted_with_helo_and_the_login_is_asked_of_pop3() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let smtp = FakeServer::start("220 old\r\n", &["500 what?\r\n", "250 OK Hello\r\n", "221 bye\r\n"]);
    let pop3 = FakeServer::start(
        "+OK old\r\n",
        &["-ERR what?\r\n", "+OK\r\n", "-ERR no, \x1b[31mno\r\n", "+OK bye\r\n"],
    );
    let mut client = client(smtp.address, pop3.address, folder.path());
    let refused = finish(&mut client, b"ag\nwrong\n2\n");
    let hello = smtp.heard();
    assert_eq!(hello, ["EHLO [127.0.0.1]", "HELO [127.0.0.1]", "QUIT"]);
    assert_eq!(pop3.heard(), ["CAPA", "USER ag", "PASS wrong", "QUIT"]);
    let text = refused.text();
    assert!(text.contains("\n-ERR no,  [31mno\n") && text.ends_with("Username: \n"), "{text:?}");
}

#[test]
fn servers_that_are_not_there_are_named_and_the_options_come_again() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (smtp, pop3) = (nowhere(), nowhere());
    let finished = finish(&mut client(smtp, pop3, folder.path()), b"ag\nsecret\n1\n2\n3\n");
    let text = finished.text();
    for (address, protocol) in [(smtp, "SMTP"), (pop3, "POP3")] {
        let sentence =
            format!("nothing answers at {address}: is the {protocol} server at {address} running?");
        assert!(text.contains(&sentence), "{text}");
    }
    assert_eq!((menus(text), finished.code), (3, Some(0)));
}

#[test]
fn a_server_that_breaks_off_or_talks_nonsense_is_a_sentence() {
    for (greeting, replies, sentence) in [
        ("", &[][..], "was lost: the connection was closed by the other side"),
        ("220 this is SMTP\r\n", &[], "was lost: the other side sent no valid reply: 220 this is SMTP"),
        ("-ERR too busy\r\n", &[], "has closed the connection: -ERR too busy"),
        (
            "+OK\r\n",
            &["-ERR\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n1 100\r\n"],
            "was lost: the connection was closed by the other side",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let pop3 = FakeServer::start(greeting, replies);
        let mut client = client(nowhere(), pop3.address, folder.path());
        let finished = finish(&mut client, b"ag\nsecret\n1\n3\n");
        let text = finished.text();
        pop3.heard();
        assert!(text.contains(sentence), "{text}");
        assert_eq!((menus(text), finished.code), (2, Some(0)), "{text}");
    }
}
