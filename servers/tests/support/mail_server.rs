//! A mail host for one domain with a certificate of a test authority, and a sender that trusts this authority.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use mail_core::sasl;
use mail_core::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::dns::DnsServer;
use super::{LineStream, ServerProcess, SmtpClient, TIMEOUT, TestDir, run_program};

/// The address of the receiving host.
pub(crate) const RECEIVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 22);
/// The address of another one, on the same port.
pub(crate) const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 23);
/// The address of a sending host that receives mail, too.
pub(crate) const SENDER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 24);

/// A certificate authority.
pub(crate) struct Authority {
    dir: TestDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL treats a certificate whose subject is its issuer as self-signed.
        parameters.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(parameters, key).expect("a certificate");
        let dir = TestDir::new();
        fs::write(dir.path("ca.pem"), issuer.pem()).expect("the file is written");
        Self { dir, issuer }
    }

    /// The PEM file of its certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path("ca.pem")
    }

    /// Writes a certificate and its key to `certificate.pem` and `key.pem` in a directory.
    pub(crate) fn issue(&self, names: &[&str], dir: &TestDir) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let parameters = CertificateParams::new(names).expect("valid names");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("it is signed");
        fs::write(dir.path("certificate.pem"), certificate.pem()).expect("the file is written");
        fs::write(dir.path("key.pem"), key.serialize_pem()).expect("the file is written");
    }
}

/// A host with the accounts ag and gb.
pub(crate) struct MailServer {
    pub(crate) dir: TestDir,
    pub(crate) server: ServerProcess,
    domain: &'static str,
    /// The file of the certificate that verifies its own.
    roots: PathBuf,
}

impl MailServer {
    /// Sends and receives mail of first.example, on `port` of [`SENDER`] and of the other hosts.
    pub(crate) fn exchanger(authority: &Authority, dns: &DnsServer, port: u16) -> Self {
        let dir = TestDir::new();
        authority.issue(&["mx.first.example", "localhost"], &dir);
        let config = format!(
            "hostname = 'mx.first.example'\ndomains = ['first.example']\n\
             [outbound]\nmode = 'direct'\nport = {port}\nresolver = ['{}']\nprivate_networks = ['127.0.0.0/8']\n\
             retry_seconds = [1]\n\
             [smtp]\nlisten = ['{SENDER}:{port}']\nsubmission_listen = ['127.0.0.1:0']\n[pop3]\nlisten = ['127.0.0.1:0']\n\
             [tls]\ncertificate = 'certificate.pem'\nkey = 'key.pem'\n",
            dns.address
        );
        fs::write(dir.path("pennypost.toml"), config).expect("the file is written");
        let services = ["smtp", "submission", "pop3"];
        let arguments = ["serve", "--web", "off"];
        let server = ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &arguments, &dir, &services);
        Self { dir, server, domain: "first.example", roots: authority.file() }
    }

    /// Receives mail for second.example on `port` of [`RECEIVER`], with a certificate for `names`, and publishes its MTA-STS policy.
    pub(crate) fn receiver(authority: &Authority, names: &[&str], port: u16) -> Self {
        let dir = TestDir::new();
        authority.issue(names, &dir);
        let config = format!(
            "hostname = 'mx.second.example'\ndomains = ['second.example']\n\
             [smtp]\nlisten = ['{RECEIVER}:{port}']\nsubmission_listen = ['127.0.0.1:0']\n\
             [pop3]\nlisten = ['127.0.0.1:0']\n[web]\nlisten = '{RECEIVER}:0'\n\
             [tls]\ncertificate = 'certificate.pem'\nkey = 'key.pem'\n[inbound]\nmta_sts = 'enforce'\n"
        );
        fs::write(dir.path("pennypost.toml"), config).expect("the file is written");
        let services = ["smtp", "submission", "pop3", "web"];
        let server = ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &["serve"], &dir, &services);
        Self { dir, server, domain: "second.example", roots: authority.file() }
    }

    /// Sends mail from first.example. `keys` are added to `[outbound]`.
    pub(crate) fn sender(dns: &DnsServer, port: u16, keys: &str) -> Self {
        Self::sender_in(TestDir::new(), dns, port, keys)
    }

    pub(crate) fn sender_in(dir: TestDir, dns: &DnsServer, port: u16, keys: &str) -> Self {
        fs::write(dir.path("root.key"), &dns.trust_anchor).expect("the file is written");
        let anchor = if dns.trust_anchor.is_empty() { "" } else { "trust_anchor = 'root.key'\n" };
        let config = format!(
            "hostname = 'mx.first.example'\ndomains = ['first.example']\n\
             [outbound]\nmode = 'direct'\nport = {port}\nresolver = ['{}']\nprivate_networks = ['127.0.0.0/8']\n\
             retry_seconds = [3600]\n{anchor}{keys}\n\
             [smtp]\nlisten = ['127.0.0.1:0']\nsubmission_listen = ['127.0.0.1:0']\n[pop3]\nlisten = ['127.0.0.1:0']\n\
             [tls]\nself_signed = true\n",
            dns.address
        );
        fs::write(dir.path("pennypost.toml"), config).expect("the file is written");
        let services = ["smtp", "submission", "pop3"];
        let arguments = ["serve", "--web", "off"];
        let server = ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &arguments, &dir, &services);
        let roots = dir.path("data/.tls/certificate.pem");
        Self { dir, server, domain: "first.example", roots }
    }

    pub(crate) fn web_port(&self) -> u16 {
        self.server.address("web").port()
    }

    /// The data of a record that `pennypost dns` prints.
    pub(crate) fn record(&self, name: &str, kind: &str) -> String {
        let output = self.dir.pennypost(&["dns"], "");
        assert_eq!(output.code, Some(0), "{output:?}");
        let start = format!("{name}. 3600 IN {kind} ");
        let line = output.stdout.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {start}: {output:?}")).trim_matches('"').to_owned()
    }

    /// Name and text of each DKIM record that `pennypost dns` prints, one a line.
    pub(crate) fn dkim_keys(&self) -> String {
        let output = self.dir.pennypost(&["dns"], "");
        assert_eq!(output.code, Some(0), "{output:?}");
        let records = output.stdout.lines().filter_map(|line| line.split_once(". 3600 IN TXT "));
        let keys = records.filter(|(name, _)| name.contains("._domainkey."));
        keys.map(|(name, text)| format!("{name} {}\n", text.replace("\" \"", "").trim_matches('"'))).collect()
    }

    /// Submits a message as ag.
    pub(crate) fn submit(&self, recipient: &str, mail_parameters: &str, message: &str) {
        let mut smtp = self.submission();
        let reply = smtp.command(&format!("MAIL FROM:<ag@{}>{mail_parameters}", self.domain));
        assert!(reply.starts_with("250"), "{reply}");
        let reply = smtp.deliver_after_mail(&[recipient], message.as_bytes());
        assert!(reply.starts_with("250"), "{reply}");
    }

    /// A client that has signed in as ag.
    pub(crate) fn submission(&self) -> SmtpClient {
        let mut smtp = SmtpClient { stream: LineStream::connect(self.server.address("submission")) };
        assert!(smtp.reply().starts_with("220"));
        smtp.command("EHLO client.example");
        assert!(smtp.command("STARTTLS").starts_with("220"));
        let stream = super::tls::TlsClient::new(&self.roots).encrypt(smtp.stream, "localhost");
        let mut smtp = SmtpClient { stream };
        smtp.command("EHLO client.example");
        let plain = sasl::encode(&Secret::new("\0ag\0secret".into())).expose().clone();
        assert!(smtp.command(&format!("AUTH PLAIN {plain}")).starts_with("235"));
        smtp
    }

    /// The mailbox of an account once it contains `text`.
    pub(crate) fn wait_for(&self, account: &str, text: &str) -> String {
        let start = Instant::now();
        loop {
            let mailbox = String::from_utf8_lossy(&self.dir.mailbox(account)).into_owned();
            if mailbox.contains(text) && mailbox.ends_with("\r\n.\r\n") {
                return mailbox;
            }
            assert!(start.elapsed() < TIMEOUT, "no {text:?} in {mailbox:?}; {}", self.queue());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn queue(&self) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pennypost"));
        command.args(["queue", "list", "--config"]).arg(self.dir.path("pennypost.toml"));
        run_program(&mut command, b"").stdout
    }

    /// The queue once a message in it was deferred for a reason that contains `text`.
    pub(crate) fn wait_until_deferred(&self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let list = self.queue();
            if list.contains("1 attempt:") {
                assert!(list.contains(text), "{list}");
                return list;
            }
            assert!(start.elapsed() < TIMEOUT, "no attempt: {list}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A port that is free on both addresses of receiving hosts.
pub(crate) fn common_port() -> u16 {
    loop {
        let first = TcpListener::bind((RECEIVER, 0)).expect("a free port");
        let port = first.local_addr().expect("bound").port();
        if TcpListener::bind(SocketAddr::from((OTHER, port))).is_ok() {
            return port;
        }
    }
}
