//! Invalid configurations, accounts and flags: an error that names the file and the remedy, exit code 2, no listener. Also
//! `pennypost user` and `pennypost check`.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::tls::put_pair;
use support::{Daemon, Place, Smtp, Wire};

/// Each program with a configuration that it has to refuse.
fn refused(place: &Place) -> Vec<support::Finished> {
    let config = place.path("pennypost.toml");
    [
        (env!("CARGO_BIN_EXE_pennypost"), &["serve"][..]),
        (env!("CARGO_BIN_EXE_smtp-server"), &[]),
        (env!("CARGO_BIN_EXE_pop3-server"), &[]),
    ]
    .into_iter()
    .map(|(program, arguments)| {
        let mut command = Command::new(program);
        command.args(arguments).args(["--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0"]);
        if program.ends_with("smtp-server") || program.ends_with("pop3-server") {
            command = Command::new(program);
            let flag = if program.ends_with("smtp-server") { "--smtp" } else { "--pop3" };
            command.args([flag, "127.0.0.1:0"]);
        }
        support::finish(command.arg("--config").arg(&config), b"")
    })
    .collect()
}

fn assert_refused(place: &Place, parts: &[&str]) {
    for finished in refused(place) {
        assert_eq!(finished.code, Some(2), "{finished:?}");
        let sentence = finished.stderr.lines().last().unwrap_or_default();
        for part in parts {
            assert!(sentence.contains(part), "{part:?} is not in {finished:?}");
        }
        assert!(!finished.stderr.contains("listening"), "{finished:?}");
    }
}

#[test]
fn invalid_configuration_is_refused_with_its_line() {
    assert_refused(&Place::with("[smtp]\nlisen = []\n"), &["pennypost.toml, line 4", "lisen"]);
    assert_refused(&Place::with("[limits]\nmessage_size = 'big'\n"), &["pennypost.toml, line 4", "big"]);
    assert_refused(&Place::with("postmaster = 'nobody'\n"), &["postmaster", "nobody"]);
}

#[test]
fn unusable_certificate_is_refused_with_its_file() {
    let place = Place::with("[tls]\ncertificate = 'cert.pem'\nkey = 'key.pem'\n");
    assert_refused(&place, &["cert.pem", "self_signed = true"]);
    fs::write(place.path("cert.pem"), "no certificate").expect("written");
    assert_refused(&place, &["cert.pem", "`certificate` in [tls]"]);
    let checked = place.pennypost(&["check"], "");
    assert!(
        checked.code == Some(1) && checked.stdout.contains("cert.pem contains no certificate"),
        "{checked:?}"
    );
    assert_refused(&Place::with("[tls]\nkey = 'key.pem'\n"), &["pennypost.toml, line 3", "`key` without"]);
}

#[test]
fn invalid_user_txt_is_refused_with_its_line() {
    let place = Place::new();
    for (text, parts) in [
        ("ag secret\ngb\n", &["User.txt, line 2", "password"][..]),
        ("ag secret\nAG other\n", &["User.txt, line 2", "line 1"]),
        ("../ag secret\n", &["User.txt, line 1", "username"]),
        ("# nobody\n", &["User.txt", "pennypost user add"]),
    ] {
        fs::write(place.path("data/User.txt"), text).expect("written");
        assert_refused(&place, parts);
    }
}

#[test]
fn invalid_flag_is_refused() {
    let place = Place::new();
    for arguments in [
        &["serve", "--smtp", "nowhere"][..],
        &["serve", "--domain", "a b"],
        &["serve", "--web", "somewhere"],
        &["serve", "--prt", "1"],
        &["user", "add", "../x"],
    ] {
        let finished = place.pennypost(arguments, "");
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(
            finished.stderr.contains(arguments[1]) || finished.stderr.contains(arguments[2]),
            "{finished:?}"
        );
    }
}

#[test]
fn address_in_use_is_refused() {
    let place = Place::new();
    let running = place.serve();
    let taken = running.smtp.expect("it listens").to_string();
    let finished = place.pennypost(&["serve", "--smtp", &taken, "--pop3", "127.0.0.1:0", "--web", "off"], "");
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains(&taken) && finished.stderr.contains("--smtp"), "{finished:?}");
    let arguments = ["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", &taken];
    let finished = place.pennypost(&arguments, "");
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains(&taken) && finished.stderr.contains("--web"), "{finished:?}");
}

#[test]
fn account_changes_apply_to_a_running_server() {
    let place = Place::new();
    let server = place.serve();
    assert_eq!(place.pennypost(&["user", "list"], "").stdout, "ag\ngb\n");
    let added = place.pennypost(&["user", "add", "cd", "--password-stdin"], "three words here\n");
    assert_eq!(added.code, Some(0), "{added:?}");
    assert!(place.path("data/cd").is_dir());
    let again = place.pennypost(&["user", "add", "CD", "--password-stdin"], "x\n");
    assert_eq!(again.code, Some(2), "{again:?}");

    server.smtp().deliver_to("cd+lists@iit.edu", b"Subject: hello\r\n\r\nbody\r\n");
    let mut pop3 = server.pop3();
    pop3.login("cd", "three words here");
    assert_eq!(pop3.stat().0, 1);
    assert!(pop3.command("QUIT").starts_with("+OK"));

    assert_eq!(place.pennypost(&["user", "passwd", "cd", "--password-stdin"], "new\n").code, Some(0));
    // An open maildrop prevents a purge.
    assert!(server.signed_in("cd", "new").command("QUIT").starts_with("+OK"));
    assert_eq!(place.pennypost(&["user", "hash"], "").code, Some(0));
    let users = fs::read_to_string(place.path("data/User.txt")).expect("read");
    assert!(!users.contains("secret") && users.lines().all(|line| line.contains(" $argon2id$")), "{users}");
    server.signed_in("ag", "secret");

    assert_eq!(place.pennypost(&["user", "remove", "cd"], "").code, Some(0));
    assert!(!place.mailbox("cd").is_empty(), "the mail is not removed");
    assert_eq!(place.pennypost(&["user", "add", "cd", "--password-stdin"], "x\n").code, Some(0));
    assert_eq!(place.pennypost(&["user", "remove", "cd", "--purge"], "").code, Some(0));
    assert!(!place.path("data/cd").exists());
    assert_eq!(place.pennypost(&["user", "remove", "cd"], "").code, Some(2));
    assert_eq!(place.pennypost(&["user", "add", "ef", "--password-stdin"], "\n").code, Some(2));
}

#[test]
fn purge_is_refused_while_the_maildrop_is_open() {
    let place = Place::new();
    let server = place.serve();
    server.smtp().deliver_one(b"Subject: kept\r\n\r\nbody\r\n");
    let _reading = server.signed_in("gb", "other");
    let finished = place.pennypost(&["user", "remove", "gb", "--purge"], "");
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert_eq!(place.pennypost(&["user", "list"], "").stdout, "ag\ngb\n");
    assert!(!place.mailbox("gb").is_empty());
}

#[test]
fn only_user_add_creates_the_data_directory_and_with_mode_0700() {
    let place = Place::new();
    let typo = place.path("typo");
    let data = typo.to_str().expect("UTF-8");
    for arguments in [&["user", "list"][..], &["user", "hash"], &["check"]] {
        let finished = place.pennypost(&[arguments, &["--data", data]].concat(), "");
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(
            finished.stderr.contains("no data directory") && finished.stderr.contains(data),
            "{finished:?}"
        );
        assert!(!typo.exists());
    }
    let added = place.pennypost(&["user", "add", "ag", "--password-stdin", "--data", data], "x\n");
    assert_eq!(added.code, Some(0), "{added:?}");
    let mode = fs::metadata(&typo).expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn hostname_flag_overrides_the_configuration_and_is_sent_in_ascii() {
    let place = Place::new();
    fs::write(place.path("pennypost.toml"), "hostname = 'old.example'\n").expect("written");
    let server = Daemon::start(
        env!("CARGO_BIN_EXE_smtp-server"),
        &["--smtp", "127.0.0.1:0", "--hostname", "b\u{fc}cher.example"],
        &place,
        &["smtp"],
    );
    let mut smtp = Smtp { wire: Wire::connect(server.door("smtp")) };
    assert_eq!(smtp.reply(), "220 <xn--bcher-kva.example> Service ready");
    assert!(smtp.command("EHLO iit.edu").starts_with("250-xn--bcher-kva.example Hello "));
    assert!(smtp.command("MAIL FROM:<ag@iit.edu>").starts_with("250 "));
    assert!(smtp.command("RCPT TO:<gb@old.example>").starts_with("550 5.7.1 "));
    assert!(smtp.command("RCPT TO:<gb@xn--bcher-kva.example>").starts_with("250 "));
    assert!(smtp.command("DATA").starts_with("354 "));
    smtp.wire.send(b"Subject: x\r\n\r\nbody\r\n.\r\n");
    assert!(smtp.reply().starts_with("250 "));
    let mailbox = String::from_utf8(place.mailbox("gb")).expect("text");
    assert!(mailbox.contains("by xn--bcher-kva.example with ESMTP id "), "{mailbox}");
}

#[test]
fn check_reports_invalid_postmaster_and_invalid_hash() {
    let place = Place::with("postmaster = 'nobody'\n");
    let checked = place.pennypost(&["check"], "");
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(checked.stderr.contains("`postmaster`"), "{checked:?}");

    let place = Place::new();
    fs::write(place.path("data/User.txt"), "ag $argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$!!!\n")
        .expect("written");
    let checked = place.pennypost(&["check"], "");
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(
        checked.stdout.contains("hash of ag") && checked.stdout.contains("user passwd ag"),
        "{checked:?}"
    );
}

#[test]
fn check_reports_the_offset_of_an_invalid_record() {
    let place = Place::new();
    let server = place.serve();
    server.smtp().deliver_one(b"Subject: first\r\n\r\nbody\r\n");
    assert_eq!(place.pennypost(&["check"], "").code, Some(0));
    let mut mailbox = place.mailbox("gb");
    let offset = mailbox.len();
    mailbox.extend_from_slice(b"this is no record\r\n.\r\n");
    fs::write(place.path("data/gb/MyMailBox.txt"), &mailbox).expect("written");
    server.smtp().deliver_one(b"Subject: last\r\n\r\nbody\r\n");

    let checked = place.pennypost(&["check"], "");
    assert_eq!(checked.code, Some(1), "{checked:?}");
    let line = checked.stdout.lines().find(|line| line.contains("MyMailBox.txt")).expect("a finding");
    assert!(line.contains(&offset.to_string()) && line.contains("; write the fields"), "{line}");

    // The record is skipped, and a removal keeps it.
    let mut pop3 = server.pop3();
    pop3.login("gb", "other");
    assert_eq!(pop3.stat().0, 2);
    assert_eq!(pop3.command("DELE 1"), "+OK message deleted");
    assert!(pop3.command("QUIT").starts_with("+OK"));
    let kept = place.mailbox("gb");
    assert!(kept.windows(17).any(|window| window == b"this is no record"), "{}", kept.escape_ascii());
}

#[test]
fn deployment_configuration_is_valid() {
    let place = Place::new();
    let sample = include_str!("../../deploy/pennypost.toml");
    let own = sample.replace("/var/lib/pennypost", "data").replace("/etc/pennypost/tls/", "");
    put_pair(&place.path("fullchain.pem"), &place.path("privkey.pem"));
    assert!(own.contains("\"data\"") && own.contains("\"fullchain.pem\""), "{own}");
    fs::write(place.path("pennypost.toml"), own.replace("# [process]\n# user", "[process]\nuser"))
        .expect("written");
    let checked = place.pennypost(&["check"], "");
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let unit = include_str!("../../deploy/pennypost.service");
    assert!(unit.contains("serve --config /etc/pennypost/pennypost.toml"));
    // ProcSubset would hide the boot id, which index validity depends on.
    assert!(!unit.contains("ProcSubset"));
}
