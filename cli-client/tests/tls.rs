//! TLS: certificate trust, and no password in plain text when TLS is configured.

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use support::{FakeServer, ProgramOutput, Servers, client, refused_address, run_program};

fn stat(servers: &Servers, flags: &[&str]) -> ProgramOutput {
    servers.run_as_gb(&[flags, &["stat"]].concat())
}

fn send(servers: &Servers, flags: &[&str]) -> ProgramOutput {
    let arguments =
        [flags, &["send", "--from", "ag@iit.edu", "--to", "gb@iit.edu", "--user", "ag", "--password-stdin"]];
    run_program(servers.client().args(arguments.concat()), b"secret\n")
}

fn assert_untrusted(output: &ProgramOutput, servers: &Servers, remedy: &str) {
    assert_eq!(output.code, Some(1), "{output:?}");
    for part in ["is not trusted", "No password was sent", remedy, &servers.fingerprint] {
        assert!(output.stderr.contains(part), "{part:?} is not in {output:?}");
    }
}

#[test]
fn only_the_pinned_certificate_is_trusted() {
    let servers = Servers::start_with_tls();
    let fingerprint = servers.fingerprint.as_str();
    let pinned = ["--tls", "starttls", "--fingerprint", fingerprint];
    let sent = send(&servers, &pinned);
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert!(servers.mailbox("gb").contains(" with ESMTPSA "), "{}", servers.mailbox("gb"));
    let result = stat(&servers, &pinned);
    assert!(result.code == Some(0) && result.text().starts_with('1'), "{result:?}");

    let zeros = "00".repeat(32);
    let other = ["--tls", "starttls", "--fingerprint", zeros.as_str()];
    assert_untrusted(&send(&servers, &other), &servers, "does not match --fingerprint");
    assert_untrusted(&stat(&servers, &other), &servers, "does not match --fingerprint");
}

#[test]
fn implicit_tls_works_with_a_pinned_certificate_and_fails_on_a_plain_port() {
    let servers = Servers::start_with_tls();
    let home = servers.directory.path();
    let implicit = || {
        let mut command = client(servers.listeners["smtps"], servers.listeners["pop3s"], home);
        command.args(["--tls", "implicit", "--user", "gb"]);
        command
    };
    let untrusted = run_program(implicit().args(["stat", "--password-stdin"]), b"other\n");
    assert_untrusted(&untrusted, &servers, "--ca");
    let pinned = run_program(
        implicit().args(["stat", "--password-stdin", "--fingerprint", &servers.fingerprint]),
        b"other\n",
    );
    assert_eq!(pinned.code, Some(0), "{pinned:?}");
    let sent = run_program(
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
    // A plain listener does not complete the handshake.
    let plain = run_program(
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
    assert!(plain.stderr.contains("TLS with "), "{plain:?}");
}

#[test]
fn ca_root_is_trusted_if_it_issued_the_certificate_and_the_name_matches() {
    let servers = Servers::start_with_tls();
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut root = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = root.self_signed(&key).expect("signed");
    let ca = servers.directory.path().join("ca.pem");
    fs::write(&ca, certificate.pem()).expect("the file is written");
    let flags = ["--tls", "starttls", "--ca", ca.to_str().expect("text")];
    // This root did not issue the server's certificate.
    assert_untrusted(&stat(&servers, &flags), &servers, "--fingerprint");

    let issuer = rcgen::Issuer::new(root, key);
    for (name, trusted) in [("127.0.0.1", true), ("mail.example.org", false)] {
        let own = rcgen::KeyPair::generate().expect("a key");
        let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let leaf = leaf.signed_by(&own, &issuer).expect("signed");
        // The server reloads changed files.
        let directory = servers.directory.path().join("data/.tls");
        let names: Vec<_> = fs::read_dir(&directory)
            .expect("the directory exists")
            .map(|entry| entry.unwrap().path())
            .collect();
        for path in names {
            let text = fs::read_to_string(&path).expect("PEM");
            let pem = if text.contains("PRIVATE KEY") { own.serialize_pem() } else { leaf.pem() };
            // A rename changes the inode; a write in place might keep both length and ctime.
            let new = servers.directory.path().join("new.pem");
            fs::write(&new, pem).expect("the file is written");
            fs::rename(new, path).expect("the file is renamed");
        }
        let result = stat(&servers, &flags);
        assert_eq!(result.code, Some(if trusted { 0 } else { 1 }), "{name}: {result:?}");
        if !trusted {
            assert!(result.stderr.contains("not valid for name"), "{result:?}");
        }
    }
}

#[test]
fn changed_certificate_is_refused_until_its_known_line_is_removed() {
    let servers = Servers::start_with_tls();
    let known = servers.directory.path().join(".config/pennypost/known-certificates");
    fs::create_dir_all(known.parent().expect("a parent directory")).expect("the directory is created");
    fs::write(&known, format!("{} {}\n", servers.pop3, "AB".repeat(32))).expect("the file is written");
    let refused = stat(&servers, &["--tls", "starttls"]);
    assert_untrusted(&refused, &servers, "remove its line from");
    assert!(refused.stderr.contains("known-certificates"), "{refused:?}");
    fs::write(&known, format!("{} {}\n", servers.pop3, servers.fingerprint)).expect("the file is written");
    assert_eq!(stat(&servers, &["--tls", "starttls"]).code, Some(0));
}

#[test]
fn missing_or_refused_starttls_sends_no_credentials_and_no_mail() {
    // An attacker removes STARTTLS from the extensions, or refuses it.
    for (greeting, replies) in [
        ("220 hi\r\n", &["250-hi\r\n250 AUTH PLAIN LOGIN\r\n", "221 bye\r\n"][..]),
        (
            "220 hi\r\n",
            &["250-hi\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n", "454 4.7.0 not now\r\n", "221 bye\r\n"],
        ),
        ("220 hi\r\n", &["500 what\r\n", "250 hi\r\n", "221 bye\r\n"]),
    ] {
        let server = FakeServer::start(greeting, replies);
        let home = tempfile::tempdir().expect("a parent directory");
        let mut command = client(server.address, refused_address(), home.path());
        command.args(["--tls", "starttls", "send", "--from", "ag@iit.edu", "--to", "gb@iit.edu"]);
        let failed = run_program(command.args(["--user", "ag", "--password-stdin"]), b"secret\n");
        assert_eq!(failed.code, Some(1), "{failed:?}");
        let reason = match replies[1] {
            "454 4.7.0 not now\r\n" => {
                "refused to start TLS: 454 4.7.0 not now. No password and no mail was sent"
            }
            _ => "does not offer encryption (STARTTLS)",
        };
        assert!(failed.stderr.contains(reason), "{failed:?}");
        let received = server.received().join("\n");
        assert!(!received.contains("AUTH") && !received.contains("MAIL"), "{received}");
    }
    let server = FakeServer::start("+OK hi\r\n", &["-ERR no STLS here\r\n"]);
    let home = tempfile::tempdir().expect("a parent directory");
    let mut command = client(refused_address(), server.address, home.path());
    let failed = run_program(
        command.args(["--tls", "starttls", "stat", "--user", "gb", "--password-stdin"]),
        b"other\n",
    );
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let reason = "refused to start TLS: -ERR no STLS here. No password and no mail was sent";
    assert!(failed.stderr.contains(reason), "{failed:?}");
    assert_eq!(server.received(), ["STLS"]);
}

#[test]
fn plain_text_after_the_starttls_reply_fails() {
    let server = FakeServer::start(
        "220 hi\r\n",
        &["250-hi\r\n250 STARTTLS\r\n", "220 go ahead\r\n250-hi\r\n250 AUTH PLAIN\r\n"],
    );
    let home = tempfile::tempdir().expect("a parent directory");
    let mut command = client(server.address, refused_address(), home.path());
    command.args(["--tls", "starttls", "send", "--from", "ag@iit.edu", "--to", "gb@iit.edu"]);
    let failed = run_program(command.args(["--user", "ag", "--password-stdin"]), b"secret\n");
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert_eq!(server.received().len(), 2);

    let server = FakeServer::start("+OK hi\r\n", &["+OK go ahead\r\n+OK logged in\r\n"]);
    let mut command = client(refused_address(), server.address, home.path());
    let failed = run_program(
        command.args(["--tls", "starttls", "stat", "--user", "gb", "--password-stdin"]),
        b"other\n",
    );
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert_eq!(server.received(), ["STLS"]);
}

#[test]
fn require_tls_is_passed_to_the_server() {
    let smarthost = refused_address();
    let servers = Servers::start_with_tls_and(&format!(
        "[outbound]\nmode = 'smarthost'\nsmarthost = {{ address = '{smarthost}' }}\n"
    ));
    let flags = [
        "--tls",
        "starttls",
        "--fingerprint",
        &servers.fingerprint,
        "send",
        "--from",
        "gb@iit.edu",
        "--to",
        "x@example.net",
    ];
    // A report must not contain the message (RFC 8689 section 5).
    for (extra, end) in
        [(&[][..], "from: <gb@iit.edu>"), (&["--require-tls"], "from: <gb@iit.edu> RET=HDRS REQUIRETLS")]
    {
        let sent = servers.run_as_gb(&[&flags, extra].concat());
        assert_eq!(sent.code, Some(0), "{sent:?}");
        let queue = fs::read_dir(servers.directory.path().join("data/queue")).expect("the queue exists");
        let mut entries: Vec<_> = queue
            .map(|entry| entry.expect("a readable directory").path())
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                !name.contains('.')
            })
            .collect();
        // The names begin with their time.
        entries.sort();
        let newest = fs::read(entries.last().expect("an entry")).expect("a file");
        let newest = String::from_utf8_lossy(&newest);
        assert!(newest.lines().any(|line| line == end), "{newest}");
    }
}

#[test]
fn require_tls_without_an_encrypted_connection_or_the_servers_promise_sends_nothing() {
    let servers = Servers::start();
    let arguments = ["send", "--from", "gb@iit.edu", "--to", "ag@iit.edu", "--require-tls"];
    let refused = servers.run_as_gb(&arguments);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("pass --tls starttls or --tls implicit"), "{refused:?}");

    let (address, fingerprint, server) = server_without_require_tls();
    let mut command = client(address, servers.pop3, servers.directory.path());
    command.args(["--tls", "implicit", "--fingerprint", &fingerprint]).args(arguments);
    let refused = run_program(&mut command, b"");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("(REQUIRETLS)"), "{refused:?}");
    // The command that sends the draft again keeps the demand.
    assert!(refused.stderr.trim_end().ends_with(" --require-tls"), "{refused:?}");
    assert_eq!(server.join().expect("the client quits"), ["EHLO iit.edu", "QUIT"]);
}

/// A server with implicit TLS for one connection: its address, the fingerprint of its certificate, and the lines that it receives.
fn server_without_require_tls() -> (std::net::SocketAddr, String, std::thread::JoinHandle<Vec<String>>) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let fingerprint = Sha256::digest(cert.der()).iter().map(|octet| format!("{octet:02x}")).collect();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("the key fits");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let server = std::thread::spawn(move || {
        let connection = rustls::ServerConnection::new(Arc::new(config)).expect("a connection");
        let (stream, _) = listener.accept().expect("the client connects");
        let mut stream = BufReader::new(rustls::StreamOwned::new(connection, stream));
        stream.get_mut().write_all(b"220 ready\r\n").expect("the client reads");
        let mut received = Vec::new();
        for reply in ["250-iit.edu\r\n250 PIPELINING\r\n", "221 bye\r\n"] {
            let mut line = String::new();
            stream.read_line(&mut line).expect("the client sends a command");
            received.push(line.trim_end().to_owned());
            stream.get_mut().write_all(reply.as_bytes()).expect("the client reads");
        }
        received
    });
    (address, fingerprint, server)
}
