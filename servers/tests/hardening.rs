//! Privileges of the running server: user, and file access (Landlock).

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::Command;

use support::{Daemon, Place};

const MAIL: &[u8] = b"From: ag@iit.edu\r\nTo: gb@iit.edu\r\nSubject: Rights\r\n\r\nText.\r\n";

/// Starts it on a place where gb's mailbox is a link out of the data directory. Tells what signing in as gb gets.
fn read_beyond_the_data(process: &str) -> (Daemon, String) {
    let place = Place::with(process);
    let beyond = place.path("beyond.txt");
    fs::write(&beyond, "From: a@b\nTo: gb@iit.edu\nSubject: s\nReceived: 2026-11-22 : 19 : 15\n\nText.\n.\n")
        .expect("written");
    fs::create_dir(place.path("data/gb")).expect("made");
    symlink(&beyond, place.path("data/gb/MyMailBox.txt")).expect("linked");
    let daemon = place.serve();
    let mut pop3 = daemon.pop3();
    pop3.command("USER gb");
    let reply = pop3.command("PASS other");
    (daemon, reply)
}

#[test]
fn confined_process_accesses_only_its_data() {
    let (_daemon, reply) = read_beyond_the_data("[process]\nconfine = false\n");
    assert!(reply.starts_with("+OK"), "{reply}");

    let place = Place::with("");
    let daemon = place.serve();
    let told = daemon.early_log.iter().find(|line| line.contains("confined")).expect("confinement is logged");
    if told.contains("not confined") {
        // The kernel has no Landlock.
        assert!(read_beyond_the_data("").1.starts_with("+OK"));
        return;
    }
    daemon.smtp().deliver_one(MAIL);
    assert_eq!(daemon.signed_in("gb", "other").stat().0, 1);
    let (_daemon, reply) = read_beyond_the_data("");
    assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
}

#[test]
fn symlink_out_of_the_data_directory_is_not_followed() {
    let place = Place::new();
    fs::create_dir(place.path("beyond")).expect("made");
    symlink(place.path("beyond"), place.path("data/gb")).expect("linked");
    let daemon = place.serve();
    if daemon.early_log.iter().any(|line| line.contains("not confined")) {
        // The kernel has no Landlock.
        daemon.smtp().deliver_one(MAIL);
        assert!(place.path("beyond/MyMailBox.txt").exists());
        return;
    }
    let mut smtp = daemon.smtp();
    smtp.command("EHLO iit.edu");
    let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], MAIL);
    assert!(reply.starts_with("451 4.3.0 "), "{reply}");
    let mut pop3 = daemon.pop3();
    pop3.command("USER gb");
    let reply = pop3.command("PASS other");
    assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
    assert_eq!(fs::read_dir(place.path("beyond")).expect("there").count(), 0, "no file is created there");
    daemon.smtp().deliver_to("ag@iit.edu", MAIL);
}

#[test]
fn process_switches_to_the_configured_user() {
    let place = Place::with("[process]\nuser = 'nobody'\n");
    let own = fs::metadata(place.folder.path()).expect("it is there");
    if own.uid() != 0 {
        let refused = place.pennypost(&["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0"], "");
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains("only root can become `nobody`"), "{refused:?}");
        return;
    }
    let id = |flag| {
        let output = Command::new("id").args([flag, "nobody"]).output().expect("id is installed");
        String::from_utf8(output.stdout).expect("a number").trim().parse::<u32>().expect("a number")
    };
    let (uid, gid) = (id("-u"), id("-g"));
    fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o755)).expect("set");
    for name in ["data", "data/User.txt"] {
        chown(place.path(name), Some(uid), Some(gid)).expect("root changes the owner");
    }
    // Files that root creates or changes belong to the configured user.
    let changed = place.pennypost(&["user", "passwd", "gb", "--password-stdin"], "other\n");
    assert_eq!(changed.code, Some(0), "{changed:?}");
    let fresh = place.path("fresh");
    let added = ["user", "add", "ef", "--password-stdin", "--data", fresh.to_str().expect("a plain name")];
    let added = place.pennypost(&added, "a password\n");
    assert_eq!(added.code, Some(0), "{added:?}");
    for name in ["data/User.txt", "data/.User.txt.lock", "fresh", "fresh/User.txt", "fresh/ef"] {
        let own = fs::metadata(place.path(name)).expect("it is there");
        assert_eq!((own.uid(), own.gid()), (uid, gid), "{name}");
        assert!(own.mode() & 0o077 == 0 || name == "data/User.txt", "{name}");
    }
    let daemon = place.serve();
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("the process runs");
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of status");
        line.split_whitespace().map(|id| id.parse().expect("a number")).collect::<Vec<u32>>()
    };
    assert_eq!((line("Uid:"), line("Gid:")), (vec![uid; 4], vec![gid; 4]));
    assert!(!line("Groups:").contains(&0), "supplementary groups of root are dropped");
    daemon.smtp().deliver_one(MAIL);
    let mailbox = fs::metadata(place.path("data/gb/MyMailBox.txt")).expect("delivered");
    assert_eq!((mailbox.uid(), mailbox.gid()), (uid, gid));
}

#[test]
fn unknown_user_is_refused() {
    let place = Place::with("[process]\nuser = 'no-such-user'\n");
    let refused = place.pennypost(&["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0"], "");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let sentence = refused.stderr.lines().last().unwrap_or_default();
    assert!(sentence.contains("no user `no-such-user`") && sentence.contains("[process]"), "{refused:?}");
}
