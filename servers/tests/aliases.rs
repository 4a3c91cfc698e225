//! Aliases.txt: routing, own addresses, changes at run time, `pennypost alias` and `pennypost check`.

mod support;

use std::fs;

use mail_core::sasl;
use mail_core::secret::Secret;
use support::{ServerProcess, SmtpClient, TestDir};

const MESSAGE: &[u8] = b"Subject: hello\r\n\r\nbody\r\n";

fn with_aliases(aliases: &str) -> TestDir {
    let dir = TestDir::new();
    fs::write(dir.path("data/Aliases.txt"), aliases).expect("the file is written");
    dir
}

/// Number of messages of ag and gb.
fn counts(server: &ServerProcess) -> (usize, usize) {
    let count = |user, password| {
        let mut pop3 = server.log_in(user, password);
        let (count, _) = pop3.stat();
        assert!(pop3.command("QUIT").starts_with("+OK"));
        count
    };
    (count("ag", "secret"), count("gb", "other"))
}

fn recipient_reply(server: &ServerProcess, recipient: &str) -> String {
    let mut smtp = server.smtp();
    smtp.command("EHLO client.example");
    assert!(smtp.command("MAIL FROM:<a@elsewhere.example>").starts_with("250"));
    smtp.command(&format!("RCPT TO:<{recipient}>"))
}

#[test]
fn every_account_of_an_alias_receives_one_copy() {
    let dir = with_aliases(
        "sales@iit.edu: ag, team, gb\nteam: gb, ag+team@iitkgp.edu\n@iitkgp.edu: gb # unknown addresses\nag: ag, gb\n",
    );
    let server = dir.serve();
    let mut smtp = server.smtp();
    smtp.command("EHLO client.example");
    let mut expected = (0, 0);
    for (recipients, copies) in [
        (&["sales@iit.edu"][..], (1, 1)),
        (&["Sales+spring@IIT.EDU", "gb@iit.edu", "team@iit.edu"], (1, 1)),
        (&["nobody@iitkgp.edu"], (0, 1)),
        (&["sales@iitkgp.edu"], (0, 1)),
        (&["ag@iit.edu"], (1, 1)),
        (&["abuse@iit.edu"], (1, 0)),
        (&["postmaster"], (1, 0)),
    ] {
        let reply = smtp.deliver("a@elsewhere.example", recipients, MESSAGE);
        assert!(reply.starts_with("250"), "{recipients:?}: {reply}");
        expected = (expected.0 + copies.0, expected.1 + copies.1);
        assert_eq!(counts(&server), expected, "{recipients:?}");
    }
    assert!(recipient_reply(&server, "nobody@iit.edu").starts_with("550 5.1.1"));
    assert!(recipient_reply(&server, "sales@elsewhere.example").starts_with("550 5.7.1"));
}

#[test]
fn account_sends_from_its_aliases_and_from_no_other() {
    let dir = TestDir::with_config("[smtp]\nsubmission_listen = ['127.0.0.1:0']\n");
    fs::write(dir.path("data/Aliases.txt"), "sales: ag\nboth@iit.edu: ag, gb\nother: gb\n")
        .expect("the file is written");
    let server = ServerProcess::start(
        env!("CARGO_BIN_EXE_smtp-server"),
        &["--smtp", "127.0.0.1:0"],
        &dir,
        &["smtp", "submission"],
    );
    let mut smtp = SmtpClient::connect(server.address("submission"));
    smtp.command("EHLO client.example");
    let plain = sasl::encode(&Secret::new("\0ag\0secret".into())).expose().clone();
    let reply = smtp.command(&format!("AUTH PLAIN {plain}"));
    assert!(reply.starts_with("235"), "{reply}");
    for (from, code) in [
        ("sales@iit.edu", "250"),
        ("Sales+x@iitkgp.edu", "250"),
        ("both@iit.edu", "250"),
        ("both@iitkgp.edu", "550"),
        ("other@iit.edu", "550"),
    ] {
        let reply = smtp.command(&format!("MAIL FROM:<{from}>"));
        assert!(reply.starts_with(code), "{from}: {reply}");
        smtp.command("RSET");
    }
}

#[test]
fn change_of_the_file_applies_at_once_and_an_invalid_one_does_not() {
    let dir = with_aliases("sales: ag\n");
    let mut server = dir.serve();
    assert!(recipient_reply(&server, "sales@iit.edu").starts_with("250"));
    fs::write(dir.path("data/Aliases.txt"), "sales: gb\nhelp: ag\n").expect("the file is written");
    assert!(recipient_reply(&server, "help@iit.edu").starts_with("250"));
    for invalid in ["a: b\nb: a\n", ""] {
        fs::write(dir.path("data/Aliases.txt"), invalid).expect("the file is written");
        assert!(recipient_reply(&server, "help@iit.edu").starts_with("250"));
        server.wait_for_log("the previous version stays in force");
    }
    fs::write(dir.path("data/Aliases.txt"), "# none\n").expect("the file is written");
    assert!(recipient_reply(&server, "help@iit.edu").starts_with("550"));
}

#[test]
fn invalid_file_is_refused_at_start_with_its_line() {
    for (aliases, part) in [
        ("sales: ag\n\nteam: |/bin/sh\n", "Aliases.txt, line 3: the target `|/bin/sh`"),
        ("sales: team@iit.edu\nteam: sales\n", "leads back to itself"),
    ] {
        let dir = with_aliases(aliases);
        for arguments in
            [&["serve", "--smtp", "127.0.0.1:0", "--web", "off"][..], &["check"], &["alias", "list"]]
        {
            let output = dir.pennypost(arguments, "");
            assert_eq!(output.code, Some(2), "{output:?}");
            assert!(output.stderr.contains(part), "{output:?}");
        }
    }
}

#[test]
fn remote_and_unknown_targets_are_defects_and_lose_no_mail() {
    let dir = with_aliases("sales: ag, partner@elsewhere.example\nteam: gb, gone\n");
    let mut server = dir.serve();
    let reply = recipient_reply(&server, "sales@iit.edu");
    assert!(reply.starts_with("451"), "{reply}");
    server.wait_for_log("partner@elsewhere.example on another host");
    server.smtp().deliver_to("team@iit.edu", MESSAGE);
    assert_eq!(counts(&server), (0, 1));

    let checked = dir.pennypost(&["check"], "");
    assert_eq!(checked.code, Some(1), "{checked:?}");
    fs::write(
        dir.path("data/Aliases.txt"),
        "root: postmaster, abuse\nold: gone@iitkgp.edu\n@iitkgp.edu: gb\n",
    )
    .expect("the file is written");
    let roles = dir.pennypost(&["check"], "");
    assert_eq!(roles.code, Some(0), "{roles:?}");
    for part in ["sales points to partner@elsewhere.example on another host", "team points to gone, which is"]
    {
        assert!(checked.stdout.contains(part), "{checked:?}");
    }
}

#[test]
fn alias_commands_change_the_file_and_keep_its_comments() {
    let dir = with_aliases("# ours\nsales: ag\n");
    let run = |arguments: &[&str]| {
        let output = dir.pennypost(&[&["alias"], arguments].concat(), "");
        (output.code, output.stdout + &output.stderr)
    };
    assert_eq!(run(&["add", "sales", "gb", "ag"]).0, Some(0));
    assert_eq!(run(&["add", "@iit.edu", "ag"]).0, Some(0));
    assert_eq!(run(&["list"]), (Some(0), "sales: ag, gb\n@iit.edu: ag\n".to_owned()));
    assert_eq!(run(&["remove", "sales", "ag"]).0, Some(0));
    assert_eq!(run(&["remove", "@iit.edu"]).0, Some(0));
    let text = fs::read_to_string(dir.path("data/Aliases.txt")).expect("the file is readable");
    assert_eq!(text, "# ours\nsales: gb\n");
    for (arguments, part) in [
        (&["add", "gb", "sales"][..], "leads back to itself"),
        (&["add", "a b", "ag"], "a b"),
        (&["add", "x", "/etc/passwd"], "is a program or a file"),
        (&["add", "x"], "TARGETS"),
        (&["remove", "x"], "there is no alias `x`"),
        (&["remove", "sales", "ag"], "there is no alias `sales` with these targets"),
    ] {
        let (code, text) = run(arguments);
        assert!(code == Some(2) && text.contains(part), "{arguments:?}: {text}");
    }
    assert_eq!(fs::read_to_string(dir.path("data/Aliases.txt")).expect("readable"), text);
    assert_eq!(run(&["remove", "sales"]).0, Some(0));
    assert_eq!(run(&["list"]), (Some(0), String::new()));
}
