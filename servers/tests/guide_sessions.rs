//! The guide's SMTP and POP3 dialogues word for word, and the resulting mailbox record.

mod support;

use support::{Pop3Client, SmtpClient};

#[test]
fn smtp_dialogue_of_the_guide_writes_its_record() {
    let dir = support::TestDir::new();
    let server = dir.smtp_server();
    let mut smtp = SmtpClient::connect(server.smtp.expect("the server listens for SMTP"));
    for (command, reply) in [
        ("HELO iit.edu", "250 OK Hello iit.edu"),
        ("MAIL FROM: <ag@iit.edu>", "250 <ag@iit.edu>... Sender ok"),
        ("RCPT TO: gb@iit.edu", "250 root... Recipient ok"),
        ("DATA", "354 Enter mail, end with \".\" on a line by itself"),
        (
            "From: ag@iit.edu\r\nTo: gb@iit.edu\r\nSubject: Meeting\r\n\r\nSee you at five.\r\n..dots\r\n.",
            "250 OK Message accepted for delivery",
        ),
        ("QUIT", "221 iitkgp.edu closing connection"),
    ] {
        assert_eq!(smtp.command(command), reply);
    }
    assert!(smtp.stream.is_closed());

    let record = String::from_utf8(dir.mailbox("gb")).expect("text");
    let lines: Vec<&str> = record.split("\r\n").collect();
    assert_eq!(lines[..3], ["From: ag@iit.edu", "To: gb@iit.edu", "Subject: Meeting"]);
    let received = lines[3].strip_prefix("Received: ").expect("the guide's fourth field");
    let parts: Vec<&str> = received.split(" : ").collect();
    assert!(
        matches!(parts[..], [date, hour, minute] if date.len() == 10 && hour.len() == 2 && minute.len() == 2),
        "{received}"
    );
    assert_eq!(lines[4], "Return-Path: <ag@iit.edu>");
    assert!(lines[5].starts_with("Received: from iit.edu ([127.0.0.1]) by iitkgp.edu"), "{}", lines[5]);
    assert!(record.ends_with("\r\n\r\nSee you at five.\r\n..dots\r\n.\r\n"), "{record}");
    assert!(dir.mailbox("ag").is_empty());
}

#[test]
fn pop3_dialogue_of_the_guide_works() {
    let dir = support::TestDir::new();
    let server = dir.serve();
    for subject in ["one", "two"] {
        let mut smtp = server.smtp();
        smtp.command("HELO iit.edu");
        let message = format!("From: ag@iit.edu\r\nTo: gb@iit.edu\r\nSubject: {subject}\r\n\r\nbody\r\n");
        assert_eq!(
            smtp.deliver("ag@iit.edu", &["gb@iit.edu"], message.as_bytes()),
            "250 OK Message accepted for delivery"
        );
    }
    let mut pop3 = Pop3Client::connect(server.pop3.expect("the server listens for POP3"));
    assert!(pop3.command("USER nobody").starts_with("-ERR"), "refuse_unknown_user is set");
    assert!(pop3.command("USER gb").starts_with("+OK"));
    assert!(pop3.command("PASS wrong").starts_with("-ERR"));
    pop3.login("gb", "other");
    let (count, octets) = pop3.stat();
    assert_eq!(count, 2);
    let (_, list) = pop3.multiline("LIST");
    let sizes: Vec<usize> = list
        .iter()
        .map(|line| {
            String::from_utf8_lossy(line)
                .split(' ')
                .nth(1)
                .and_then(|size| size.parse().ok())
                .expect("a scan listing")
        })
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), octets);
    let message = pop3.retrieve(1);
    assert_eq!(message.len(), sizes[0]);
    assert!(
        message.ends_with(b"From: ag@iit.edu\r\nTo: gb@iit.edu\r\nSubject: one\r\n\r\nbody\r\n"),
        "{}",
        message.escape_ascii()
    );
    assert_eq!(pop3.command("DELE 1"), "+OK message deleted");
    assert_eq!(pop3.command("DELE 1"), "-ERR no such message");
    assert_eq!(pop3.command("RETR 3"), "-ERR no such message");
    assert!(pop3.command("QUIT").starts_with("+OK"));
    assert!(pop3.stream.is_closed());

    let record = String::from_utf8(dir.mailbox("gb")).expect("text");
    assert!(record.starts_with("From: ag@iit.edu\r\nTo: gb@iit.edu\r\nSubject: two\r\n"), "{record}");
    let mut pop3 = server.pop3();
    pop3.login("gb@iit.edu", "other");
    assert_eq!(pop3.stat().0, 1);
}

#[test]
fn connection_lost_without_quit_removes_nothing() {
    let dir = support::TestDir::new();
    let mut server = dir.serve();
    server.smtp().deliver_to_gb(b"Subject: keep\r\n\r\nme\r\n");
    let mut pop3 = server.pop3();
    pop3.login("gb", "other");
    assert_eq!(pop3.command("DELE 1"), "+OK message deleted");
    drop(pop3);
    server.wait_for_log("closed");
    let mut pop3 = server.log_in("gb", "other");
    assert_eq!(pop3.stat().0, 1);
}
