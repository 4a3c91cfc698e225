//! Several processes on one data directory: locks, leases, and recovery after a kill.

mod support;

use support::TestDir;

#[test]
fn deliveries_during_a_session_survive_its_deleting_quit() {
    let dir = TestDir::new();
    let (smtp_server, pop3_server) = (dir.smtp_server(), dir.pop3_server());
    for subject in ["one", "two", "three"] {
        smtp_server.smtp().deliver_to_gb(format!("Subject: {subject}\r\n\r\nbody\r\n").as_bytes());
    }
    let mut pop3 = pop3_server.pop3();
    pop3.login("gb", "other");
    assert_eq!(pop3.command("DELE 1"), "+OK message deleted");
    assert_eq!(pop3.command("DELE 3"), "+OK message deleted");
    smtp_server.smtp().deliver_to_gb(b"Subject: four\r\n\r\nbody\r\n");
    assert_eq!(pop3.stat().0, 1, "the session keeps its snapshot");
    assert!(pop3.command("QUIT").starts_with("+OK"));
    smtp_server.smtp().deliver_to_gb(b"Subject: five\r\n\r\nbody\r\n");

    let mut pop3 = pop3_server.log_in("gb", "other");
    let subjects: Vec<String> = (1..=pop3.stat().0)
        .map(|number| {
            let message = String::from_utf8(pop3.retrieve(number)).expect("text");
            message
                .split("Subject: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next())
                .expect("a subject")
                .to_owned()
        })
        .collect();
    assert_eq!(subjects, ["two", "four", "five"]);
}

#[test]
fn maildrop_lease_is_exclusive_across_processes() {
    let dir = TestDir::new();
    let (first, second) = (dir.pop3_server(), dir.pop3_server());
    let mut holder = first.pop3();
    holder.login("gb", "other");
    for server in [&first, &second] {
        let mut other = server.pop3();
        other.command("USER gb");
        let refused = other.command("PASS other");
        assert!(refused.starts_with("-ERR [IN-USE]"), "{refused}");
        // The maildrop of another account is free.
        other.login("ag", "secret");
    }
    assert!(holder.command("QUIT").starts_with("+OK"));
    second.log_in("gb", "other");
}

#[test]
fn killed_process_leaves_no_lock_and_removes_nothing() {
    let dir = TestDir::new();
    let (smtp_server, killed) = (dir.smtp_server(), dir.pop3_server());
    smtp_server.smtp().deliver_to_gb(b"Subject: one\r\n\r\nbody\r\n");
    let mut pop3 = killed.pop3();
    pop3.login("gb", "other");
    assert_eq!(pop3.command("DELE 1"), "+OK message deleted");
    killed.kill();
    let next = dir.pop3_server();
    let mut pop3 = next.pop3();
    pop3.login("gb", "other");
    assert_eq!(pop3.stat().0, 1, "a killed server removed nothing");
}

#[test]
fn torn_tail_is_moved_to_a_separate_file() {
    let dir = TestDir::new();
    let server = dir.serve();
    server.smtp().deliver_to_gb(b"Subject: whole\r\n\r\nbody\r\n");
    let mut mailbox = dir.mailbox("gb");
    let complete = mailbox.len();
    let torn = b"From: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\nSubject: to";
    mailbox.extend_from_slice(torn);
    std::fs::write(dir.path("data/gb/MyMailBox.txt"), &mailbox).expect("the file is written");
    server.smtp().deliver_to_gb(b"Subject: next\r\n\r\nbody\r\n");
    assert_eq!(std::fs::read(dir.path("data/gb/MyMailBox.torn")).expect("the torn tail is saved"), torn);
    assert_eq!(dir.mailbox("gb")[..complete], mailbox[..complete]);
    let mut pop3 = server.pop3();
    pop3.login("gb", "other");
    assert_eq!(pop3.stat().0, 2);
}

#[test]
fn shutdown_lets_a_started_message_finish() {
    let dir = TestDir::new();
    let mut server = dir.serve();
    let mut idle = server.smtp();
    let mut busy = server.smtp();
    busy.command("EHLO iit.edu");
    busy.command("MAIL FROM:<ag@iit.edu>");
    busy.command("RCPT TO:<gb@iit.edu>");
    assert!(busy.command("DATA").starts_with("354"));
    busy.stream.send(b"Subject: half\r\n\r\nof it\r\n");
    server.signal_terminate();
    server.wait_for_log("stopping");
    assert!(idle.reply().starts_with("421 "), "an idle session gets 421");
    busy.stream.send(b"and the rest\r\n.\r\n");
    assert!(busy.reply().starts_with("250 "));
    assert!(busy.reply().starts_with("421 "));
    assert_eq!(server.wait(), Some(0));
    assert!(dir.mailbox("gb").ends_with(b"of it\r\nand the rest\r\n.\r\n"));
}
