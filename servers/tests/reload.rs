//! SIGHUP: configuration, accounts and certificate are read again; messages to systemd.

mod support;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use support::tls::write_key_pair;
use support::{ServerProcess, TIMEOUT, TestDir, read_lines, send_signal};

const BASE: &str = "hostname = 'iitkgp.edu'\ndomains = ['iitkgp.edu', 'iit.edu']\n";

fn reload(server: &mut ServerProcess, dir: &TestDir, config: &str) {
    // As an editor does.
    fs::write(dir.path("new.toml"), format!("{BASE}{config}")).expect("the file is written");
    fs::rename(dir.path("new.toml"), dir.path("pennypost.toml")).expect("the file is renamed");
    server.signal("-HUP");
}

fn size_limit(server: &ServerProcess) -> String {
    let reply = server.smtp().command("EHLO client.example");
    let size = reply.lines().find_map(|line| line.get(4..)?.strip_prefix("SIZE "));
    size.expect("the server announces its limit").to_owned()
}

#[test]
fn new_connections_use_the_reloaded_configuration() {
    let dir = TestDir::with_config("[limits]\nmessage_size = '1 MiB'\n");
    let mut server = dir.serve();
    let mut open = server.smtp();
    assert_eq!(size_limit(&server), "1048576");
    reload(&mut server, &dir, "[limits]\nmessage_size = '2 MiB'\nconnections = 5\n[web]\ntls = false\n");
    let line = server.wait_for_log("configuration reloaded");
    assert!(line.contains("limits.message_size"), "{line}");
    let line = server.wait_for_log("only after a restart");
    assert!(line.contains("limits.connections, web.tls"), "{line}");
    assert_eq!(size_limit(&server), "2097152");
    assert!(open.command("EHLO client.example").contains("SIZE 1048576"), "an open session is unchanged");

    let fault = "[[faults]]\nprotocol = 'smtp'\ncommand = 'RCPT'\nreply = '451 4.3.0 later'\n";
    reload(&mut server, &dir, fault);
    server.wait_for_log("configuration reloaded");
    let mut smtp = server.smtp();
    smtp.command("EHLO client.example");
    smtp.command("MAIL FROM:<a@elsewhere.example>");
    assert_eq!(smtp.command("RCPT TO:<gb@iit.edu>"), "451 4.3.0 later");
}

#[test]
fn invalid_configuration_changes_nothing() {
    let dir = TestDir::with_config("[limits]\nmessage_size = '1 MiB'\n");
    let mut server = dir.serve();
    for (config, part) in [
        ("[limits]\nmessage_size = '2 MiB'\nunknown = 1\n", "line 5: unknown field `unknown`"),
        ("[limits]\nmessage_size = '2 MiB'\nrecipients = 1\n", "must be 100 or more"),
        ("[limits\n", "line 3"),
    ] {
        reload(&mut server, &dir, config);
        let line = server.wait_for_log("the previous configuration stays in force");
        assert!(line.contains(part), "{line}");
        assert_eq!(size_limit(&server), "1048576");
    }
    fs::remove_file(dir.path("pennypost.toml")).expect("the file is removed");
    server.signal("-HUP");
    let line = server.wait_for_log("the previous configuration stays in force");
    assert!(line.contains("cannot read the configuration"), "{line}");
    assert_eq!(size_limit(&server), "1048576");
}

#[test]
fn errors_in_aliases_and_the_new_certificate_are_reported() {
    let dir = TestDir::with_config("[tls]\ncertificate = 'cert.pem'\nkey = 'key.pem'\n");
    write_key_pair(&dir.path("cert.pem"), &dir.path("key.pem"));
    let mut server = dir.serve();
    fs::write(dir.path("data/Aliases.txt"), "a: b\nb: a\n").expect("the file is written");
    write_key_pair(&dir.path("cert.pem"), &dir.path("key.pem"));
    server.signal("-HUP");
    server.wait_for_log("configuration reloaded");
    let line = server.wait_for_log("Aliases.txt");
    assert!(line.contains("leads back to itself") && line.contains("stays in force"), "{line}");
    server.wait_for_log("certificate in use");
}

#[test]
fn systemd_is_told_about_start_reload_and_shutdown() {
    let dir = TestDir::new();
    let socket = UnixDatagram::bind(dir.path("notify")).expect("a socket");
    socket.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
    let message = || {
        let mut buffer = [0; 1_000];
        let length = socket.recv(&mut buffer).expect("the program sends a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_pennypost"))
        .args(["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "off", "--config"])
        .arg(dir.path("pennypost.toml"))
        .env("NOTIFY_SOCKET", dir.path("notify"))
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let _log = read_lines(child.stderr.take().expect("stderr is piped"));
    assert_eq!(message(), "READY=1\n");
    send_signal(child.id(), "-HUP");
    let reloading = message();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(message(), "READY=1\n");
    send_signal(child.id(), "-TERM");
    assert_eq!(message(), "STOPPING=1\n");
    assert!(child.wait().expect("it exits").success());
}
