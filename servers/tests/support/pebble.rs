//! Pebble, an ACME directory for tests, on the loopback interface.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rcgen::{CertificateParams, KeyPair};

use super::tls::TlsClient;
use super::{TIMEOUT, is_installed};

/// The name of the directory, which the tests' DNS server resolves to 127.0.0.1.
pub(crate) const HOST: &str = "acme.example";

/// Files and ports of a directory.
pub(crate) struct PebbleSetup {
    folder: tempfile::TempDir,
    port: u16,
    management_port: u16,
}

/// A running directory. Killed on drop.
pub(crate) struct Pebble {
    child: Child,
    dns: SocketAddr,
    setup: PebbleSetup,
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

impl PebbleSetup {
    pub(crate) fn new() -> Self {
        assert!(is_installed("pebble"), "pebble is not installed; run `cargo xtask setup`");
        let folder = tempfile::tempdir().expect("a temporary directory");
        let pair = KeyPair::generate().expect("a key");
        let names = vec![HOST.to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).expect("valid names").self_signed(&pair);
        fs::write(folder.path().join("ca.pem"), certificate.expect("signed").pem()).expect("written");
        fs::write(folder.path().join("key.pem"), pair.serialize_pem()).expect("written");
        Self { folder, port: free_port(), management_port: free_port() }
    }

    /// URL of the directory.
    pub(crate) fn url(&self) -> String {
        format!("https://{HOST}:{}/dir", self.port)
    }

    /// The root certificate of the directory's own HTTPS.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Starts the directory. It verifies names at `tls_port` of the addresses that `dns` returns, and its certificates are valid for
    /// these seconds.
    pub(crate) fn start(self, dns: SocketAddr, tls_port: u16, validity_seconds: u64) -> Pebble {
        let config = self.folder.path().join("pebble.json");
        let text = format!(
            r#"{{ "pebble": {{ "listenAddress": "127.0.0.1:{}", "managementListenAddress": "127.0.0.1:{}",
               "certificate": "{}", "privateKey": "{}", "httpPort": 9, "tlsPort": {tls_port},
               "certificateValidityPeriod": {validity_seconds} }} }}"#,
            self.port,
            self.management_port,
            self.ca().display(),
            self.folder.path().join("key.pem").display()
        );
        fs::write(&config, text).expect("written");
        let pebble = Pebble { child: self.spawn(dns), dns, setup: self };
        pebble.wait_until_listening();
        pebble
    }

    fn spawn(&self, dns: SocketAddr) -> Child {
        let log = fs::File::create(self.folder.path().join("log")).expect("created");
        Command::new("pebble")
            .arg("-config")
            .arg(self.folder.path().join("pebble.json"))
            .args(["-strict", "-dnsserver", &dns.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("cloned"))
            .stderr(log)
            .spawn()
            .expect("pebble starts")
    }
}

impl Pebble {
    /// Starts the directory again, without its accounts and with another issuer.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.child = self.setup.spawn(self.dns);
        self.wait_until_listening();
    }

    fn wait_until_listening(&self) {
        let start = Instant::now();
        for port in [self.setup.port, self.setup.management_port] {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                assert!(start.elapsed() < TIMEOUT, "pebble does not listen: {}", self.log());
                std::thread::yield_now();
            }
        }
    }

    /// Writes the root certificate of the issued certificates to a file and returns its path.
    pub(crate) fn issuer(&self) -> PathBuf {
        let socket =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.setup.management_port)).expect("it listens");
        socket.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
        let mut stream = TlsClient::new(&self.setup.ca()).stream(socket, HOST);
        write!(stream, "GET /roots/0 HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").expect("sent");
        let mut response = String::new();
        // The server may close the connection without a close_notify.
        let _ = stream.read_to_string(&mut response);
        let (_, pem) = response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {response}"));
        let path = self.setup.folder.path().join("issuer.pem");
        fs::write(&path, pem).expect("written");
        path
    }

    /// Stops the directory. Its files remain.
    pub(crate) fn stop(&mut self) {
        // The process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.setup.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
    }
}
