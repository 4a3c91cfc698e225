//! The terminal client within TLS: whom it believes, and that it never sends a password in plain text once TLS was asked for.

mod support;

use std::fs;

use support::{FakeServer, Finished, Servers, client, finish};

/// The maildrop's totals, by the scriptable face.
fn stat(servers: &Servers, flags: &[&str]) -> Finished {
    servers.gb(&[flags, &["stat"]].concat())
}

fn send(servers: &Servers, flags: &[&str]) -> Finished {
    let arguments =
        [flags, &["send", "--from", "ag@iit.edu", "--to", "gb@iit.edu", "--user", "ag", "--password-stdin"]];
    finish(servers.client().args(arguments.concat()), b"secret\n")
}

fn assert_stranger(finished: &Finished, servers: &Servers, remedy: &str) {
    assert_eq!(finished.code, Some(1), "{finished:?}");
    for part in ["not to be trusted", "No password was sent", remedy, &servers.fingerprint] {
        assert!(finished.stderr.contains(part), "{part:?} is not in {finished:?}");
    }
}

#[test]
fn a_pinned_certificate_is_believed_and_no_other() {
    let servers = Servers::start_with_tls();
    let fingerprint = servers.fingerprint.as_str();
    let pinned = ["--tls", "starttls", "--fingerprint", fingerprint];
    let sent = send(&servers, &pinned);
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert!(servers.mailbox("gb").contains(" with ESMTPSA "), "{}", servers.mailbox("gb"));
    let found = stat(&servers, &pinned);
    assert!(found.code == Some(0) && found.text().starts_with('1'), "{found:?}");

    let zeros = "00".repeat(32);
    let other = ["--tls", "starttls", "--fingerprint", zeros.as_str()];
    assert_stranger(&send(&servers, &other), &servers, "--fingerprint names");
    assert_stranger(&stat(&servers, &other), &servers, "--fingerprint names");
}

#[test]
fn tls_from_the_first_byte() {
    let servers = Servers::start_with_tls();
    let home = servers.folder.path();
    let implicit = || {
        let mut command = client(servers.doors["smtps"], servers.doors["pop3s"], home);
        command.args(["--tls", "implicit", "--user", "gb"]);
        command
    };
    let stranger = finish(implicit().args(["stat", "--password-stdin"]), b"other\n");
    assert_stranger(&stranger, &servers, "--ca");
    let known = finish(
        implicit().args(["stat", "--password-stdin", "--fingerprint", &servers.fingerprint]),
        b"other\n",
    );
    assert_eq!(known.code, Some(0), "{known:?}");
    let sent = finish(
        implicit().args([
            "send",
            "--password-stdin",
            "--from",
            "gb@iit.edu",
            "--to",
            "ag@iit.edu",
            "--fingerprint",
            &servers.fingerprint,
        ]),
        b"other\n",
    );
    assert_eq!(sent.code, Some(0), "{sent:?}");
    // This one waits for a command, not for a handshake.
    let plain = finish(
        client(servers.smtp, servers.pop3, home).args([
            "--tls",
            "implicit",
            "--user",
            "gb",
            "stat",
            "--password-stdin",
        ]),
        b"other\n",
    );
    assert_eq!(plain.code, Some(1), "{plain:?}");
    assert!(plain.stderr.contains("there is no TLS"), "{plain:?}");
}

#[test]
fn a_certificate_is_believed_when_its_root_is_and_the_name_fits() {
    let servers = Servers::start_with_tls();
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut root = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = root.self_signed(&key).expect("signed");
    let ca = servers.folder.path().join("ca.pem");
    fs::write(&ca, certificate.pem()).expect("written");
    let flags = ["--tls", "starttls", "--ca", ca.to_str().expect("text")];
    // It is somebody else's root.
    assert_stranger(&stat(&servers, &flags), &servers, "--fingerprint");

    let issuer = rcgen::Issuer::new(root, key);
    for (name, believed) in [("127.0.0.1", true), ("mail.example.org", false)] {
        let own = rcgen::KeyPair::generate().expect("a key");
        let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let leaf = leaf.signed_by(&own, &issuer).expect("signed");
        // The server shows what its files hold now.
        let folder = servers.folder.path().join("data/.tls");
        let names: Vec<_> =
            fs::read_dir(&folder).expect("it keeps it there").map(|entry| entry.unwrap().path()).collect();
        for path in names {
            let text = fs::read_to_string(&path).expect("PEM");
            let pem = if text.contains("PRIVATE KEY") { own.serialize_pem() } else { leaf.pem() };
            // In the place of the old file: one that is written to may be of the same length and moment.
            let new = servers.folder.path().join("new.pem");
            fs::write(&new, pem).expect("written");
            fs::rename(new, path).expect("moved");
        }
        let found = stat(&servers, &flags);
        assert_eq!(found.code, Some(if believed { 0 } else { 1 }), "{name}: {found:?}");
        if !believed {
            assert!(found.stderr.contains("not valid for name"), "{found:?}");
        }
    }
}

#[test]
fn a_certificate_that_has_changed_is_nobody_to_be_asked_about() {
    let servers = Servers::start_with_tls();
    let known = servers.folder.path().join(".config/pennypost/known-certificates");
    fs::create_dir_all(known.parent().expect("a folder")).expect("made");
    fs::write(&known, format!("{} {}\n", servers.pop3, "AB".repeat(32))).expect("written");
    let refused = stat(&servers, &["--tls", "starttls"]);
    assert_stranger(&refused, &servers, "remove its line from");
    assert!(refused.stderr.contains("known-certificates"), "{refused:?}");
    fs::write(&known, format!("{} {}\n", servers.pop3, servers.fingerprint)).expect("written");
    assert_eq!(stat(&servers, &["--tls", "starttls"]).code, Some(0));
}

#[test]
fn without_starttls_nothing_is_said_in_plain_text() {
    // Somebody on the way has taken it out of the list, or refuses it.
    for (greeting, replies) in [
        ("220 hi\r\n", &["250-hi\r\n250 AUTH PLAIN LOGIN\r\n", "221 bye\r\n"][..]),
        (
            "220 hi\r\n",
            &["250-hi\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n", "454 4.7.0 not now\r\n", "221 bye\r\n"],
        ),
        ("220 hi\r\n", &["500 what\r\n", "250 hi\r\n", "221 bye\r\n"]),
    ] {
        let server = FakeServer::start(greeting, replies);
        let home = tempfile::tempdir().expect("a folder");
        let mut command = client(server.address, support::nowhere(), home.path());
        command.args(["--tls", "starttls", "send", "--from", "ag@iit.edu", "--to", "gb@iit.edu"]);
        let failed = finish(command.args(["--user", "ag", "--password-stdin"]), b"secret\n");
        assert_eq!(failed.code, Some(1), "{failed:?}");
        let heard = server.heard().join("\n");
        assert!(!heard.contains("AUTH") && !heard.contains("MAIL"), "{heard}");
    }
    let server = FakeServer::start("+OK hi\r\n", &["-ERR no STLS here\r\n"]);
    let home = tempfile::tempdir().expect("a folder");
    let mut command = client(support::nowhere(), server.address, home.path());
    let failed =
        finish(command.args(["--tls", "starttls", "stat", "--user", "gb", "--password-stdin"]), b"other\n");
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert_eq!(server.heard(), ["STLS"]);
}

#[test]
fn what_comes_behind_the_consent_to_tls_is_not_believed() {
    let server = FakeServer::start(
        "220 hi\r\n",
        &["250-hi\r\n250 STARTTLS\r\n", "220 go ahead\r\n250-hi\r\n250 AUTH PLAIN\r\n"],
    );
    let home = tempfile::tempdir().expect("a folder");
    let mut command = client(server.address, support::nowhere(), home.path());
    command.args(["--tls", "starttls", "send", "--from", "ag@iit.edu", "--to", "gb@iit.edu"]);
    let failed = finish(command.args(["--user", "ag", "--password-stdin"]), b"secret\n");
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert_eq!(server.heard().len(), 2);

    let server = FakeServer::start("+OK hi\r\n", &["+OK go ahead\r\n+OK logged in\r\n"]);
    let mut command = client(support::nowhere(), server.address, home.path());
    let failed =
        finish(command.args(["--tls", "starttls", "stat", "--user", "gb", "--password-stdin"]), b"other\n");
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert_eq!(server.heard(), ["STLS"]);
}
