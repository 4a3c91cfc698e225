//! Privileges of the running server: user, and file access (Landlock).

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::Command;

use support::{ServerProcess, TestDir};

const MAIL: &[u8] = b"From: ag@iit.edu\r\nTo: gb@iit.edu\r\nSubject: Rights\r\n\r\nText.\r\n";

/// Starts a server whose mailbox of gb is a symbolic link out of the data directory. Returns the reply to a login as gb.
fn log_in_to_linked_mailbox(extra: &str) -> (ServerProcess, String) {
    let dir = TestDir::with_config(extra);
    let outside = dir.path("outside.txt");
    fs::write(
        &outside,
        "From: a@b\nTo: gb@iit.edu\nSubject: s\nReceived: 2026-11-22 : 19 : 15\n\nText.\n.\n",
    )
    .expect("the file is written");
    fs::create_dir(dir.path("data/gb")).expect("the directory is created");
    symlink(&outside, dir.path("data/gb/MyMailBox.txt")).expect("the link is created");
    let server = dir.serve();
    let mut pop3 = server.pop3();
    pop3.command("USER gb");
    let reply = pop3.command("PASS other");
    (server, reply)
}

#[test]
fn confined_process_accesses_only_its_data() {
    let (_server, reply) = log_in_to_linked_mailbox("[process]\nconfine = false\n");
    assert!(reply.starts_with("+OK"), "{reply}");

    let dir = TestDir::with_config("");
    let server = dir.serve();
    let line = server.early_log.iter().find(|line| line.contains("confined")).expect("confinement is logged");
    if line.contains("not confined") {
        // The kernel has no Landlock.
        assert!(log_in_to_linked_mailbox("").1.starts_with("+OK"));
        return;
    }
    server.smtp().deliver_to_gb(MAIL);
    assert_eq!(server.log_in("gb", "other").stat().0, 1);
    let (_server, reply) = log_in_to_linked_mailbox("");
    assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
}

#[test]
fn symlink_out_of_the_data_directory_is_not_followed() {
    let dir = TestDir::new();
    fs::create_dir(dir.path("outside")).expect("the directory is created");
    symlink(dir.path("outside"), dir.path("data/gb")).expect("the link is created");
    let server = dir.serve();
    if server.early_log.iter().any(|line| line.contains("not confined")) {
        // The kernel has no Landlock.
        server.smtp().deliver_to_gb(MAIL);
        assert!(dir.path("outside/MyMailBox.txt").exists());
        return;
    }
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], MAIL);
    assert!(reply.starts_with("451 4.3.0 "), "{reply}");
    let mut pop3 = server.pop3();
    pop3.command("USER gb");
    let reply = pop3.command("PASS other");
    assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
    assert_eq!(
        fs::read_dir(dir.path("outside")).expect("the path exists").count(),
        0,
        "no file is created there"
    );
    server.smtp().deliver_to("ag@iit.edu", MAIL);
}

#[test]
fn process_switches_to_the_configured_user() {
    let dir = TestDir::with_config("[process]\nuser = 'nobody'\n");
    let metadata = fs::metadata(dir.root.path()).expect("the path exists");
    if metadata.uid() != 0 {
        let refused = dir.pennypost(&["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0"], "");
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains("only root can become `nobody`"), "{refused:?}");
        return;
    }
    let id = |flag| {
        let output = Command::new("id").args([flag, "nobody"]).output().expect("id is installed");
        String::from_utf8(output.stdout).expect("a number").trim().parse::<u32>().expect("a number")
    };
    let (uid, gid) = (id("-u"), id("-g"));
    fs::set_permissions(dir.root.path(), fs::Permissions::from_mode(0o755)).expect("the option is set");
    for name in ["data", "data/User.txt"] {
        chown(dir.path(name), Some(uid), Some(gid)).expect("root changes the owner");
    }
    // Files that root creates or changes belong to the configured user.
    let changed = dir.pennypost(&["user", "passwd", "gb", "--password-stdin"], "other\n");
    assert_eq!(changed.code, Some(0), "{changed:?}");
    let fresh = dir.path("fresh");
    let added = ["user", "add", "ef", "--password-stdin", "--data", fresh.to_str().expect("a plain name")];
    let added = dir.pennypost(&added, "a password\n");
    assert_eq!(added.code, Some(0), "{added:?}");
    for name in ["data/User.txt", "data/.hash-cost", "fresh", "fresh/User.txt", "fresh/ef"] {
        let metadata = fs::metadata(dir.path(name)).expect("the path exists");
        assert_eq!((metadata.uid(), metadata.gid()), (uid, gid), "{name}");
        assert!(metadata.mode() & 0o077 == 0 || name == "data/User.txt", "{name}");
    }
    let server = dir.serve();
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the process runs");
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of status");
        line.split_whitespace().map(|id| id.parse().expect("a number")).collect::<Vec<u32>>()
    };
    assert_eq!((line("Uid:"), line("Gid:")), (vec![uid; 4], vec![gid; 4]));
    assert!(!line("Groups:").contains(&0), "supplementary groups of root are dropped");
    server.smtp().deliver_to_gb(MAIL);
    let mailbox = fs::metadata(dir.path("data/gb/MyMailBox.txt")).expect("the mailbox exists");
    assert_eq!((mailbox.uid(), mailbox.gid()), (uid, gid));
}

#[test]
fn unknown_user_is_refused() {
    let dir = TestDir::with_config("[process]\nuser = 'no-such-user'\n");
    let refused = dir.pennypost(&["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0"], "");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let sentence = refused.stderr.lines().last().unwrap_or_default();
    assert!(sentence.contains("no user `no-such-user`") && sentence.contains("[process]"), "{refused:?}");
}
