//! Invalid configurations, accounts and flags: an error that names the file and the remedy, exit code 2, no listener. Also
//! `pennypost user` and `pennypost check`.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::tls::{write_key_pair, write_key_pair_valid};
use support::{LineStream, ServerProcess, SmtpClient, TestDir};

/// Runs each server program with an invalid configuration.
fn run_servers(dir: &TestDir) -> Vec<support::ProgramOutput> {
    let config = dir.path("pennypost.toml");
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
        support::run_program(command.arg("--config").arg(&config), b"")
    })
    .collect()
}

fn assert_refused(dir: &TestDir, parts: &[&str]) {
    for output in run_servers(dir) {
        assert_eq!(output.code, Some(2), "{output:?}");
        let sentence = output.stderr.lines().last().unwrap_or_default();
        for part in parts {
            assert!(sentence.contains(part), "{part:?} is not in {output:?}");
        }
        assert!(!output.stderr.contains("listening"), "{output:?}");
    }
}

#[test]
fn invalid_configuration_is_refused_with_its_line() {
    assert_refused(&TestDir::with_config("[smtp]\nlisen = []\n"), &["pennypost.toml, line 4", "lisen"]);
    assert_refused(
        &TestDir::with_config("[limits]\nmessage_size = 'big'\n"),
        &["pennypost.toml, line 4", "big"],
    );
    assert_refused(&TestDir::with_config("postmaster = 'nobody'\n"), &["postmaster", "nobody"]);
}

#[test]
fn unusable_certificate_is_refused_with_its_file() {
    let dir = TestDir::with_config("[tls]\ncertificate = 'cert.pem'\nkey = 'key.pem'\n");
    assert_refused(&dir, &["cert.pem", "self_signed = true"]);
    fs::write(dir.path("cert.pem"), "no certificate").expect("the file is written");
    assert_refused(&dir, &["cert.pem", "`certificate` in [tls]"]);
    let checked = dir.pennypost(&["check"], "");
    assert!(
        checked.code == Some(1) && checked.stdout.contains("cert.pem contains no certificate"),
        "{checked:?}"
    );
    assert_refused(
        &TestDir::with_config("[tls]\nkey = 'key.pem'\n"),
        &["pennypost.toml, line 3", "`key` without"],
    );
}

#[test]
fn check_reports_a_certificate_that_clients_refuse() {
    let tls = "[tls]\ncertificate = 'cert.pem'\nkey = 'key.pem'\n";
    let dir = TestDir::with_config(tls);
    for (from, until, code, part) in [
        (-1, 90, 0, None),
        (-90, -1, 1, Some("cert.pem: the certificate expired on ")),
        (-90, 13, 0, Some("cert.pem: the certificate expires on ")),
        (-90, 15, 0, None),
        (1, 90, 1, Some("cert.pem: the certificate is not valid before ")),
    ] {
        write_key_pair_valid(&dir.path("cert.pem"), &dir.path("key.pem"), from, until);
        let checked = dir.pennypost(&["check"], "");
        assert_eq!(checked.code, Some(code), "{checked:?}");
        let expected =
            part.map_or_else(|| !checked.stdout.contains("cert.pem"), |part| checked.stdout.contains(part));
        assert!(expected, "{part:?}: {checked:?}");
    }

    let dir = TestDir::with_config(&format!("{tls}[web]\nnames = ['web.example.org']\n"));
    write_key_pair(&dir.path("cert.pem"), &dir.path("key.pem"));
    let checked = dir.pennypost(&["check"], "");
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(
        checked.stdout.contains("cert.pem: the certificate is not valid for `web.example.org`"),
        "{checked:?}"
    );
    assert!(!checked.stdout.contains("`iitkgp.edu`"), "{checked:?}");
}

#[test]
fn invalid_user_txt_is_refused_with_its_line() {
    let dir = TestDir::new();
    for (text, parts) in [
        ("ag secret\ngb\n", &["User.txt, line 2", "password"][..]),
        ("ag secret\nAG other\n", &["User.txt, line 2", "line 1"]),
        ("../ag secret\n", &["User.txt, line 1", "username"]),
        ("# nobody\n", &["User.txt", "pennypost user add"]),
    ] {
        fs::write(dir.path("data/User.txt"), text).expect("the file is written");
        assert_refused(&dir, parts);
    }
}

#[test]
fn invalid_flag_is_refused() {
    let dir = TestDir::new();
    for arguments in [
        &["serve", "--smtp", "nowhere"][..],
        &["serve", "--domain", "a b"],
        &["serve", "--web", "somewhere"],
        &["serve", "--prt", "1"],
        &["user", "add", "../x"],
    ] {
        let output = dir.pennypost(arguments, "");
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(output.stderr.contains(arguments[1]) || output.stderr.contains(arguments[2]), "{output:?}");
    }
}

#[test]
fn address_in_use_is_refused() {
    let dir = TestDir::new();
    let running = dir.serve();
    let taken = running.smtp.expect("the server listens").to_string();
    let output = dir.pennypost(&["serve", "--smtp", &taken, "--pop3", "127.0.0.1:0", "--web", "off"], "");
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains(&taken) && output.stderr.contains("--smtp"), "{output:?}");
    let arguments = ["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", &taken];
    let output = dir.pennypost(&arguments, "");
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains(&taken) && output.stderr.contains("--web"), "{output:?}");
}

#[test]
fn account_changes_apply_to_a_running_server() {
    let dir = TestDir::new();
    let server = dir.serve();
    assert_eq!(dir.pennypost(&["user", "list"], "").stdout, "ag\ngb\n");
    let added = dir.pennypost(&["user", "add", "cd", "--password-stdin"], "three words here\n");
    assert_eq!(added.code, Some(0), "{added:?}");
    assert!(dir.path("data/cd").is_dir());
    let again = dir.pennypost(&["user", "add", "CD", "--password-stdin"], "x\n");
    assert_eq!(again.code, Some(2), "{again:?}");

    server.smtp().deliver_to("cd+lists@iit.edu", b"Subject: hello\r\n\r\nbody\r\n");
    let mut pop3 = server.pop3();
    pop3.login("cd", "three words here");
    assert_eq!(pop3.stat().0, 1);
    assert!(pop3.command("QUIT").starts_with("+OK"));

    assert_eq!(dir.pennypost(&["user", "passwd", "cd", "--password-stdin"], "new\n").code, Some(0));
    // An open maildrop prevents a purge.
    assert!(server.log_in("cd", "new").command("QUIT").starts_with("+OK"));
    assert_eq!(dir.pennypost(&["user", "hash"], "").code, Some(0));
    let users = fs::read_to_string(dir.path("data/User.txt")).expect("the file is readable");
    assert!(!users.contains("secret") && users.lines().all(|line| line.contains(" $argon2id$")), "{users}");
    server.log_in("ag", "secret");

    assert_eq!(dir.pennypost(&["user", "remove", "cd"], "").code, Some(0));
    assert!(!dir.mailbox("cd").is_empty(), "the mail is not removed");
    assert_eq!(dir.pennypost(&["user", "add", "cd", "--password-stdin"], "x\n").code, Some(0));
    assert_eq!(dir.pennypost(&["user", "remove", "cd", "--purge"], "").code, Some(0));
    assert!(!dir.path("data/cd").exists());
    assert_eq!(dir.pennypost(&["user", "remove", "cd"], "").code, Some(2));
    assert_eq!(dir.pennypost(&["user", "add", "ef", "--password-stdin"], "\n").code, Some(2));
}

#[test]
fn purge_is_refused_while_the_maildrop_is_open() {
    let dir = TestDir::new();
    let server = dir.serve();
    server.smtp().deliver_to_gb(b"Subject: kept\r\n\r\nbody\r\n");
    let _session = server.log_in("gb", "other");
    let output = dir.pennypost(&["user", "remove", "gb", "--purge"], "");
    assert_eq!(output.code, Some(2), "{output:?}");
    assert_eq!(dir.pennypost(&["user", "list"], "").stdout, "ag\ngb\n");
    assert!(!dir.mailbox("gb").is_empty());
}

#[test]
fn only_user_add_creates_the_data_directory_and_with_mode_0700() {
    let dir = TestDir::new();
    let typo = dir.path("typo");
    let data = typo.to_str().expect("UTF-8");
    for arguments in [&["user", "list"][..], &["user", "hash"], &["check"]] {
        let output = dir.pennypost(&[arguments, &["--data", data]].concat(), "");
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(output.stderr.contains("no data directory") && output.stderr.contains(data), "{output:?}");
        assert!(!typo.exists());
    }
    let added = dir.pennypost(&["user", "add", "ag", "--password-stdin", "--data", data], "x\n");
    assert_eq!(added.code, Some(0), "{added:?}");
    let mode = fs::metadata(&typo).expect("the directory is created").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn hostname_flag_overrides_the_configuration_and_is_sent_in_ascii() {
    let dir = TestDir::new();
    fs::write(dir.path("pennypost.toml"), "hostname = 'old.example'\n").expect("the file is written");
    let server = ServerProcess::start(
        env!("CARGO_BIN_EXE_smtp-server"),
        &["--smtp", "127.0.0.1:0", "--hostname", "b\u{fc}cher.example"],
        &dir,
        &["smtp"],
    );
    let mut smtp = SmtpClient { stream: LineStream::connect(server.address("smtp")) };
    assert_eq!(smtp.reply(), "220 <xn--bcher-kva.example> Service ready");
    assert!(smtp.command("EHLO iit.edu").starts_with("250-xn--bcher-kva.example Hello "));
    assert!(smtp.command("MAIL FROM:<ag@iit.edu>").starts_with("250 "));
    assert!(smtp.command("RCPT TO:<gb@old.example>").starts_with("550 5.7.1 "));
    assert!(smtp.command("RCPT TO:<gb@xn--bcher-kva.example>").starts_with("250 "));
    assert!(smtp.command("DATA").starts_with("354 "));
    smtp.stream.send(b"Subject: x\r\n\r\nbody\r\n.\r\n");
    assert!(smtp.reply().starts_with("250 "));
    let mailbox = String::from_utf8(dir.mailbox("gb")).expect("text");
    assert!(mailbox.contains("by xn--bcher-kva.example with ESMTP id "), "{mailbox}");
}

#[test]
fn check_reports_invalid_postmaster_and_invalid_hash() {
    let dir = TestDir::with_config("postmaster = 'nobody'\n");
    let checked = dir.pennypost(&["check"], "");
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(checked.stderr.contains("`postmaster`"), "{checked:?}");

    let dir = TestDir::new();
    fs::write(dir.path("data/User.txt"), "ag $argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$!!!\n")
        .expect("the file is written");
    let checked = dir.pennypost(&["check"], "");
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(
        checked.stdout.contains("hash of ag") && checked.stdout.contains("user passwd ag"),
        "{checked:?}"
    );
}

#[test]
fn check_reports_the_offset_of_an_invalid_record() {
    let dir = TestDir::new();
    let server = dir.serve();
    server.smtp().deliver_to_gb(b"Subject: first\r\n\r\nbody\r\n");
    assert_eq!(dir.pennypost(&["check"], "").code, Some(0));
    let mut mailbox = dir.mailbox("gb");
    let offset = mailbox.len();
    mailbox.extend_from_slice(b"this is no record\r\n.\r\n");
    fs::write(dir.path("data/gb/MyMailBox.txt"), &mailbox).expect("the file is written");
    server.smtp().deliver_to_gb(b"Subject: last\r\n\r\nbody\r\n");

    let checked = dir.pennypost(&["check"], "");
    assert_eq!(checked.code, Some(1), "{checked:?}");
    let line = checked.stdout.lines().find(|line| line.contains("MyMailBox.txt")).expect("a finding");
    assert!(line.contains(&offset.to_string()) && line.contains("; write the fields"), "{line}");

    // The record is skipped, and a removal keeps it.
    let mut pop3 = server.pop3();
    pop3.login("gb", "other");
    assert_eq!(pop3.stat().0, 2);
    assert_eq!(pop3.command("DELE 1"), "+OK message deleted");
    assert!(pop3.command("QUIT").starts_with("+OK"));
    let kept = dir.mailbox("gb");
    assert!(kept.windows(17).any(|window| window == b"this is no record"), "{}", kept.escape_ascii());
}

#[test]
fn deployment_configuration_is_valid() {
    let dir = TestDir::new();
    let sample = include_str!("../../deploy/pennypost.toml");
    let own = sample.replace("/var/lib/pennypost", "data").replace("/etc/pennypost/tls/", "");
    write_key_pair(&dir.path("fullchain.pem"), &dir.path("privkey.pem"));
    assert!(own.contains("\"data\"") && own.contains("\"fullchain.pem\""), "{own}");
    fs::write(dir.path("pennypost.toml"), own.replace("# [process]\n# user", "[process]\nuser"))
        .expect("the file is written");
    let checked = dir.pennypost(&["check"], "");
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let unit = include_str!("../../deploy/pennypost.service");
    assert!(unit.contains("serve --config /etc/pennypost/pennypost.toml"));
    // ProcSubset would hide the boot id, which index validity depends on.
    assert!(!unit.contains("ProcSubset"));
}
