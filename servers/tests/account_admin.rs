//! `pennypost user`: quotas, renaming, accounts from a file.

mod support;

use std::fs;

use support::{SmtpClient, TestDir};

const MESSAGE: &[u8] = b"Subject: hello\r\n\r\nbody\r\n";

fn recipient_reply(mut smtp: SmtpClient, parameters: &str, recipient: &str) -> String {
    smtp.command("EHLO client.example");
    assert!(smtp.command(&format!("MAIL FROM:<a@elsewhere.example>{parameters}")).starts_with("250"));
    smtp.command(&format!("RCPT TO:<{recipient}>"))
}

#[test]
fn quota_refuses_mail_for_now_and_then_for_good() {
    let dir = TestDir::new();
    fs::write(dir.path("data/Aliases.txt"), "both: ag, gb\n").expect("the file is written");
    let server = dir.serve();
    server.smtp().deliver_to_gb(MESSAGE);
    let size = dir.mailbox("gb").len();
    for (soft, hard, parameters, reply) in [
        (size + 1, size + 1_000, "", "250"),
        (size, size + 1_000, "", "452 4.2.2"),
        (size, size + 1_000, " SIZE=900", "452 4.2.2"),
        (size + 1, size + 1_000, " SIZE=1001", "552 5.2.2"),
        (size, size, "", "552 5.2.2"),
        (0, 0, "", "552 5.2.2"),
    ] {
        let set = dir.pennypost(&["user", "quota", "gb", &soft.to_string(), &hard.to_string()], "");
        assert_eq!(set.code, Some(0), "{set:?}");
        for recipient in ["gb@iit.edu", "both@iit.edu"] {
            let answer = recipient_reply(server.smtp(), parameters, recipient);
            assert!(answer.starts_with(reply), "{soft} {hard} {parameters} {recipient}: {answer}");
        }
        assert!(recipient_reply(server.smtp(), parameters, "ag@iit.edu").starts_with("250"));
    }
    assert_eq!(dir.pennypost(&["user", "quota", "gb", "none"], "").code, Some(0));
    assert!(recipient_reply(server.smtp(), "", "gb@iit.edu").starts_with("250"));
}

#[test]
fn user_deletes_mail_to_get_below_the_quota() {
    let dir = TestDir::new();
    let server = dir.serve();
    server.smtp().deliver_to_gb(MESSAGE);
    fs::write(dir.path("data/Quotas.txt"), "*: 10 B, 1 GiB\n").expect("the file is written");
    assert!(recipient_reply(server.smtp(), "", "gb@iit.edu").starts_with("452 4.2.2"));
    let mut pop3 = server.log_in("gb", "other");
    assert!(pop3.command("DELE 1").starts_with("+OK"));
    assert!(pop3.command("QUIT").starts_with("+OK"));
    assert!(recipient_reply(server.smtp(), "", "gb@iit.edu").starts_with("250"));
}

#[test]
fn list_shows_usage_and_quota() {
    let dir = TestDir::new();
    dir.serve().smtp().deliver_to_gb(MESSAGE);
    fs::write(dir.path("data/Quotas.txt"), "gb: 900 MiB, 1 GiB\n").expect("the file is written");
    let list = dir.pennypost(&["user", "list", "--usage"], "");
    let size = dir.mailbox("gb").len();
    assert_eq!(list.stdout, format!("ag: 0 octets\ngb: {size} octets, quota 900 MiB, 1 GiB\n"));
    assert_eq!(dir.pennypost(&["user", "list"], "").stdout, "ag\ngb\n");
    for arguments in
        [&["quota", "hc", "1 MiB"][..], &["quota", "gb", "2 MiB", "1 MiB"], &["quota", "gb", "much"]]
    {
        let refused = dir.pennypost(&[&["user"], arguments].concat(), "");
        assert_eq!(refused.code, Some(2), "{refused:?}");
    }
    fs::write(dir.path("data/Quotas.txt"), "gb 1 GiB\n").expect("the file is written");
    let refused = dir.pennypost(&["check"], "");
    assert!(refused.code == Some(2) && refused.stderr.contains("Quotas.txt, line 1"), "{refused:?}");
}

#[test]
fn renamed_account_keeps_mail_password_quota_and_aliases() {
    let dir = TestDir::new();
    fs::write(
        dir.path("data/Aliases.txt"),
        "sales: ag, gb, gb+sales\nhelp@iit.edu: gb@iit.edu, gb@elsewhere.example\n",
    )
    .expect("the file is written");
    fs::write(dir.path("data/Quotas.txt"), "gb: 1 GiB\n").expect("the file is written");
    let server = dir.serve();
    server.smtp().deliver_to_gb(MESSAGE);
    let in_use = server.log_in("gb", "other");
    let refused = dir.pennypost(&["user", "rename", "gb", "greta"], "");
    assert!(refused.code == Some(2) && refused.stderr.contains("was not renamed"), "{refused:?}");
    drop(in_use);
    drop(server.log_in("gb", "other"));
    let mut renamed = dir.pennypost(&["user", "rename", "gb", "greta"], "");
    while renamed.stderr.contains("in use") {
        renamed = dir.pennypost(&["user", "rename", "gb", "greta"], "");
    }
    assert!(renamed.code == Some(0) && renamed.stdout.contains("changed 2 aliases"), "{renamed:?}");
    let text = |name: &str| fs::read_to_string(dir.path(name)).expect("it exists");
    assert_eq!(text("data/User.txt"), "ag secret\ngreta other\n");
    assert_eq!(
        text("data/Aliases.txt"),
        "sales: ag, greta, greta+sales\nhelp@iit.edu: gb@elsewhere.example, greta@iit.edu\n"
    );
    assert_eq!(text("data/Quotas.txt"), "greta: 1 GiB\n");
    assert!(!dir.path("data/gb").exists());
    assert!(recipient_reply(server.smtp(), "", "gb@iit.edu").starts_with("550 5.1.1"));
    server.smtp().deliver_to("greta@iit.edu", MESSAGE);
    server.smtp().deliver_to("sales@iit.edu", MESSAGE);
    assert_eq!(server.log_in("greta", "other").stat().0, 3);
    for arguments in [["gb", "x"], ["greta", "ag"], ["ag", "User.txt"]] {
        let refused = dir.pennypost(&["user", "rename", arguments[0], arguments[1]], "");
        assert_eq!(refused.code, Some(2), "{refused:?}");
    }
}

#[test]
fn rename_does_not_touch_mail_of_the_new_name() {
    let dir = TestDir::new();
    fs::create_dir_all(dir.path("data/greta")).expect("the directory is created");
    fs::write(dir.path("data/greta/MyMailBox.txt"), "kept").expect("the file is written");
    let refused = dir.pennypost(&["user", "rename", "gb", "greta"], "");
    assert!(refused.code == Some(2) && refused.stderr.contains("exists already"), "{refused:?}");
    assert_eq!(fs::read_to_string(dir.path("data/User.txt")).expect("it exists"), "ag secret\ngb other\n");
    assert_eq!(fs::read_to_string(dir.path("data/greta/MyMailBox.txt")).expect("it exists"), "kept");
}

#[test]
fn accounts_are_added_from_a_file() {
    let dir = TestDir::new();
    fs::write(
        dir.path("users.csv"),
        "name,password\nhc,penny\nab,\"a \"\"long\"\", password\"\ngb,taken\nx y,z\nonly\nid,\n",
    )
    .expect("the file is written");
    let path = dir.path("users.csv");
    let added = dir.pennypost(&["user", "add", "--from-csv", path.to_str().expect("UTF-8")], "");
    assert!(added.code == Some(2) && added.stderr.contains("added 2 accounts, but not the 4"), "{added:?}");
    for part in [
        "added hc\n",
        "added ab\n",
        "line 4: the account `gb` exists",
        "line 5: a username",
        "line 6: the line",
        "line 7: a password",
    ] {
        assert!(added.stdout.contains(part), "{part}: {added:?}");
    }
    let server = dir.serve();
    server.log_in("hc", "penny");
    server.log_in("ab", "a \"long\", password");
    let more = dir.pennypost(&["user", "add", "--from-csv", "-"], "id,secret\n");
    assert!(more.code == Some(0) && more.stdout.ends_with("added 1 accounts\n"), "{more:?}");
    assert_eq!(dir.pennypost(&["user", "add"], "").code, Some(2));
    assert_eq!(dir.pennypost(&["user", "add", "x", "--from-csv", "-"], "").code, Some(2));
}
