//! The configuration file (TOML), as types: whatever can be built from it is valid.
//!
//! Every key is optional and an unknown key is an error that names itself, so that a misspelt limit never
//! passes for a set one. Relative paths are relative to the file. The servers and the terminal client read
//! the same file, each the part it needs.

mod auth;
mod faults;
mod metrics;
mod networks;
mod octets;
mod process;
mod tls;
mod web;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use mail_core::message::address::Domain;
use mail_core::users::Username;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

pub use auth::Auth;
pub use faults::{Chance, Command, Fault, Faults, Outcome, Pop3Command, SmtpCommand, Who};
pub use metrics::Metrics;
pub use networks::Networks;
pub use octets::Octets;
pub use process::Process;
pub use tls::Tls;
pub use web::{Target, Web, WebLimits, WebListen};

/// Everything that can be configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The server's own name, in greetings and trace fields.
    #[serde(deserialize_with = "domain")]
    pub hostname: Domain,
    /// Mail for these is delivered here, and for the hostname: see [`Config::with_own_domain`].
    #[serde(deserialize_with = "domains")]
    pub domains: Vec<Domain>,
    /// The account that gets postmaster's mail; the first of User.txt when it is not set.
    #[serde(deserialize_with = "username")]
    pub postmaster: Option<Username>,
    /// The directory with User.txt and the mailboxes.
    pub data: PathBuf,
    pub smtp: Smtp,
    pub pop3: Pop3,
    pub web: Web,
    pub auth: Auth,
    pub tls: Tls,
    pub limits: Limits,
    pub process: Process,
    pub metrics: Metrics,
    /// What the servers do wrong on purpose.
    pub faults: Faults,
}

/// `[smtp]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Smtp {
    /// Where the SMTP server listens; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Where it listens for connections that are TLS from their first byte (RFC 8314 section 3: port 465).
    pub tls_listen: Vec<SocketAddr>,
    /// Where people's mail programs submit their mail (RFC 6409): nothing is taken from who has not signed in.
    pub submission_listen: Vec<SocketAddr>,
    /// The same over TLS from the first byte (RFC 8314 section 3.3).
    pub submission_tls_listen: Vec<SocketAddr>,
    /// Where it listens besides for connections that open with a PROXY protocol v2 header.
    pub proxy_listen: Vec<SocketAddr>,
    /// Who may connect there: their word about the client is believed.
    pub proxy_peers: Vec<IpAddr>,
}

/// `[pop3]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pop3 {
    /// Where the POP3 server listens; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Where it listens for connections that are TLS from their first byte (RFC 8314 section 3: port 995).
    pub tls_listen: Vec<SocketAddr>,
    /// Where it listens besides for connections that open with a PROXY protocol v2 header.
    pub proxy_listen: Vec<SocketAddr>,
    /// Who may connect there: their word about the client is believed.
    pub proxy_peers: Vec<IpAddr>,
    /// Answer USER with `-ERR` for a name that is not in User.txt, and count that as a failed sign-in. Off, nobody can probe
    /// for names.
    pub refuse_unknown_user: bool,
}

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest message that is taken, in octets as sent (SIZE, RFC 1870); 1 or more.
    pub message_size: Octets,
    /// Recipients of one message; RFC 5321 section 4.5.3.1.8 asks for at least 100.
    pub recipients: usize,
    /// Connections that one listener serves at a time, 1 to 1 000 000; more are refused.
    pub connections: usize,
    /// Those of them that one address may have (one /64 network with IPv6); 1 or more.
    pub connections_per_address: usize,
    /// What all messages that are being received may hold in memory together; beyond it they are written to the disk.
    pub message_memory: Octets,
    /// Networks that no limit for an address applies to: proxies without a PROXY header, a site's own machines.
    pub trusted: Networks,
}

/// More than a machine has file descriptors for.
const CONNECTIONS_MAX: usize = 1_000_000;

impl Default for Config {
    fn default() -> Self {
        let localhost = Domain::parse("localhost").expect("localhost is a domain");
        Self {
            hostname: localhost,
            domains: Vec::new(),
            postmaster: None,
            data: PathBuf::from("data"),
            smtp: Smtp::default(),
            pop3: Pop3::default(),
            web: Web::default(),
            auth: Auth::default(),
            tls: Tls::default(),
            limits: Limits::default(),
            process: Process::default(),
            metrics: Metrics::default(),
            faults: Faults::default(),
        }
    }
}

impl Default for Smtp {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 2525))],
            tls_listen: Vec::new(),
            submission_listen: Vec::new(),
            submission_tls_listen: Vec::new(),
            proxy_listen: Vec::new(),
            proxy_peers: local_peers(),
        }
    }
}

impl Default for Pop3 {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 2110))],
            tls_listen: Vec::new(),
            proxy_listen: Vec::new(),
            proxy_peers: local_peers(),
            refuse_unknown_user: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: Octets::mebibytes(25),
            recipients: 1_000,
            connections: 1_000,
            connections_per_address: 100,
            message_memory: Octets::mebibytes(64),
            trusted: Networks::default(),
        }
    }
}

/// A bridge on the same machine.
fn local_peers() -> Vec<IpAddr> {
    vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
}

/// What is wrong with a configuration: one sentence with the file, the line or key, and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {}: {source}; name an existing file with --config", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}, line {line}: {reason}", path.display())]
    Invalid { path: PathBuf, line: usize, reason: String },
}

impl Config {
    /// Reads and checks a file; its relative paths are made relative to where it stands.
    ///
    /// # Errors
    /// The file cannot be read, or says something that cannot be.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let mut config = Self::parse(&text).map_err(|(line, reason)| ConfigError::Invalid {
            path: path.to_owned(),
            line,
            reason,
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.data = folder.join(config.data);
        config.web.root = folder.join(config.web.root);
        config.tls.place_in(folder);
        Ok(config)
    }

    /// Parses the text of a file; an error comes with its line number, counted from 1.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text[..start.min(text.len())].matches('\n').count() + 1;
            (line, error.message().replace('\n', " "))
        })?;
        if config.limits.recipients < 100 {
            return Err((
                line_of(text, "[limits]", "recipients"),
                "`recipients` must be 100 or more (RFC 5321 section 4.5.3.1.8)".into(),
            ));
        }
        if config.limits.message_size.get() == 0 {
            return Err((
                line_of(text, "[limits]", "message_size"),
                "`message_size` must be 1 or more".into(),
            ));
        }
        if !(1..=CONNECTIONS_MAX).contains(&config.limits.connections) {
            return Err((
                line_of(text, "[limits]", "connections"),
                format!("`connections` must be 1 or more, and {CONNECTIONS_MAX} at most"),
            ));
        }
        if config.limits.connections_per_address == 0 {
            return Err((
                line_of(text, "[limits]", "connections_per_address"),
                "`connections_per_address` must be 1 or more".into(),
            ));
        }
        if let Some((key, reason)) = config.auth.nonsense() {
            return Err((line_of(text, "[auth]", key), format!("`{key}` {reason}")));
        }
        for (section, key, addresses) in [
            ("[smtp]", "tls_listen", &config.smtp.tls_listen),
            ("[smtp]", "submission_tls_listen", &config.smtp.submission_tls_listen),
            ("[pop3]", "tls_listen", &config.pop3.tls_listen),
        ] {
            if !addresses.is_empty() && config.tls == Tls::Off {
                return Err((
                    line_of(text, section, key),
                    format!(
                        "`{key}` needs a certificate: name one in [tls], or set `self_signed = true` there"
                    ),
                ));
            }
        }
        if let Some((key, reason)) = config.web.limits.nonsense() {
            return Err((line_of(text, "[web.limits]", key), format!("`{key}` {reason}")));
        }
        Ok(config)
    }

    /// What the bridge connects to: the configured targets, and the `proxy_listen` addresses of the same file for what is
    /// not among them.
    #[must_use]
    pub fn web_targets(&self) -> BTreeMap<String, Target> {
        let own = [("smtp", &self.smtp.proxy_listen), ("pop3", &self.pop3.proxy_listen)];
        let own = own.into_iter().filter_map(|(name, addresses)| {
            let address = *addresses.first()?;
            Some((name.to_owned(), Target { address, proxy: true }))
        });
        own.chain(self.web.targets.clone()).collect()
    }

    /// Adds the hostname to the local domains where it is missing: once, when nothing can change the hostname any more.
    #[must_use]
    pub fn with_own_domain(mut self) -> Self {
        if !self.domains.contains(&self.hostname) {
            self.domains.push(self.hostname.clone());
        }
        self
    }
}

/// The line of a key in its section; of the section, or 1, where it is written in another way.
fn line_of(text: &str, section: &str, key: &str) -> usize {
    let first = text.lines().position(|line| line.trim().starts_with(section)).unwrap_or(0);
    let within = text.lines().skip(first + 1).take_while(|line| !line.trim_start().starts_with('['));
    let place =
        within.map(|line| line.split('=').next().unwrap_or_default().trim()).position(|name| name == key);
    first + place.map_or(0, |place| place + 1) + 1
}

fn domain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Domain, D::Error> {
    let text = String::deserialize(deserializer)?;
    Domain::parse(&text).map_err(|error| D::Error::custom(format!("`{text}` is no domain name: {error}")))
}

fn domains<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Domain>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| {
            Domain::parse(text)
                .map_err(|error| D::Error::custom(format!("`{text}` is no domain name: {error}")))
        })
        .collect()
}

fn username<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Username>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Username::parse(&text)
        .map(Some)
        .map_err(|error| D::Error::custom(format!("`{text}` is no username: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_a_whole_configuration() {
        let config = Config::parse("").expect("every key is optional");
        assert_eq!(config.hostname.as_str(), "localhost");
        assert!(config.domains.is_empty());
        assert_eq!(config.with_own_domain().domains, [Domain::parse("localhost").expect("a domain")]);
        let config = Config::parse("domains = ['LOCALHOST']").expect("a good file");
        assert_eq!(config.clone().with_own_domain().domains.len(), 1);
        assert_eq!(config.smtp.listen[0].port(), 2525);
        assert_eq!(config.limits.message_size.get(), 25 * 1024 * 1024);
        assert!(!config.pop3.refuse_unknown_user);
        assert_eq!(config.tls, Tls::Off);
        assert!(config.faults.smtp.is_empty() && config.faults.pop3.is_empty());
    }

    #[test]
    fn every_key_is_read() {
        let config = Config::parse(
            "hostname = 'iitkgp.edu'\ndomains = ['iit.edu']\npostmaster = 'ag'\ndata = 'mail'\n\
             [smtp]\nlisten = ['127.0.0.1:0', '[::1]:25']\n\
             [pop3]\nlisten = []\nrefuse_unknown_user = true\n\
             [limits]\nmessage_size = '1 GiB'\nrecipients = 100\nconnections = 7\n\
             connections_per_address = 3\nmessage_memory = '1 MiB'\n\
             [process]\nuser = 'pennypost'\nconfine = false\n[metrics]\nlisten = '[::1]:9090'\n",
        )
        .expect("a good file");
        assert_eq!(config.domains.iter().map(Domain::as_str).collect::<Vec<_>>(), ["iit.edu"]);
        assert_eq!(config.postmaster.as_ref().map(Username::as_str), Some("ag"));
        assert_eq!(config.smtp.listen.len(), 2);
        assert!(config.pop3.listen.is_empty() && config.pop3.refuse_unknown_user);
        assert_eq!(config.limits.message_size.get(), 1 << 30);
        assert_eq!((config.limits.recipients, config.limits.connections), (100, 7));
        assert_eq!(config.limits.connections_per_address, 3);
        assert_eq!(config.limits.message_memory.get(), 1 << 20);
        assert_eq!((config.process.user.as_deref(), config.process.confine), (Some("pennypost"), false));
        assert!(Config::default().process.confine);
        assert_eq!(config.metrics.listen, Some(SocketAddr::from((Ipv6Addr::LOCALHOST, 9090))));
        assert!(Config::default().metrics.listen.is_none());
    }

    #[test]
    fn every_key_about_signing_in_is_read() {
        let config = Config::parse(
            "[auth]\nplain_text = true\nhash_memory = '1 MiB'\nhash_milliseconds = 2\ncache_seconds = 3\n\
             failures_per_address = 4\nfailures_per_account = 5\n[limits]\ntrusted = ['10.0.0.0/8']\n",
        )
        .expect("a good file");
        let Auth { plain_text, hash_memory, hash_milliseconds, cache_seconds, .. } = config.auth;
        assert_eq!((plain_text, hash_memory.get(), hash_milliseconds, cache_seconds), (true, 1 << 20, 2, 3));
        assert_eq!((config.auth.failures_per_address, config.auth.failures_per_account), (4, 5));
        assert!(config.limits.trusted.contains(IpAddr::from([10, 1, 2, 3])));
        assert!(!Config::default().auth.plain_text);
    }

    #[test]
    fn every_key_of_the_web_is_read() {
        let config = Config::parse(
            "[web]\nlisten = '[::1]:0'\nroot = 'page'\norigins = ['http://LOCALHOST:8081']\nnames = ['mail.iit.edu']\n\
             targets = { smtp = { address = '127.0.0.1:25', proxy = true }, echo = { address = '127.0.0.1:7' } }\n\
             [web.limits]\nconnections = 1\nconnections_per_address = 2\nidle_seconds = 3\nping_seconds = 4\n\
             frame_size = '5 KiB'\noctets_per_second = '6 MB'\n",
        )
        .expect("a good file");
        let Web { listen, root, targets, origins, names, limits } = config.web;
        assert_eq!(listen.address().map(|address| address.to_string()).as_deref(), Some("[::1]:0"));
        assert_eq!(root, Path::new("page"));
        assert!(targets["smtp"].proxy && !targets["echo"].proxy);
        assert_eq!(origins, ["http://localhost:8081"]);
        assert_eq!(names[0].as_str(), "mail.iit.edu");
        assert_eq!((limits.connections, limits.connections_per_address), (1, 2));
        assert_eq!((limits.idle_seconds, limits.ping_seconds), (3, 4));
        assert_eq!((limits.frame_size.get(), limits.octets_per_second.get()), (5 << 10, 6_000_000));
        assert_eq!(Config::parse("[web]\nlisten = 'off'").expect("a good file").web.listen, WebListen::Off);
        assert_eq!(Config::default().web.listen, WebListen::Usual);
    }

    #[test]
    fn the_page_reaches_the_proxy_listeners_and_whatever_is_named() {
        let config = Config::parse(
            "[smtp]\nproxy_listen = ['127.0.0.1:2526']\n[pop3]\nproxy_listen = ['127.0.0.1:2111']\n\
             proxy_peers = ['10.0.0.1']\n[web]\ntargets = { pop3 = { address = '10.0.0.2:110' } }",
        )
        .expect("a good file");
        let targets = config.web_targets();
        let smtp = Target { address: SocketAddr::from(([127, 0, 0, 1], 2526)), proxy: true };
        let pop3 = Target { address: SocketAddr::from(([10, 0, 0, 2], 110)), proxy: false };
        assert_eq!(targets, BTreeMap::from([("smtp".to_owned(), smtp), ("pop3".to_owned(), pop3)]));
        assert_eq!(config.pop3.proxy_peers, [IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(config.smtp.proxy_peers, local_peers());
        assert!(
            Config::default().web_targets().is_empty(),
            "the plain listeners would take a browser for local"
        );
    }

    #[test]
    fn errors_name_the_line_and_what_is_wrong() {
        for (text, line, part) in [
            ("\nhostnam = 'a'", 2, "hostnam"),
            ("hostname = 'a b'", 1, "`a b`"),
            ("[smtp]\nlisten = ['nowhere']", 2, "socket address"),
            ("[limits]\n\nmessage_size = '25 potatoes'", 3, "25 potatoes"),
            ("[limits]\nrecipients = 5", 2, "100 or more"),
            ("[limits]\nconnections = 0", 2, "`connections` must be 1 or more"),
            ("[limits]\nconnections = 1000001", 2, "1000000 at most"),
            ("[limits]\ntrusted = ['10.0.0.0/33']", 2, "`10.0.0.0/33`"),
            ("[auth]\nhash_memory = '1 KiB'", 2, "between 1 MiB and 1 GiB"),
            ("[auth]\nplain_text = false\nhash_milliseconds = 0", 3, "`hash_milliseconds` must be 1 or more"),
            ("[auth]\ncache_seconds = 86401", 2, "86400"),
            ("[auth]\nfailures_per_address = 0", 2, "`failures_per_address` must be 1 or more"),
            ("[auth]\nfailures_per_account = 1000001", 2, "1000000 at most"),
            ("[limits]\nconnections = 9\nconnections_per_address = 0", 3, "must be 1 or more"),
            ("[limits]\nconnections_per_address = 5\nconnections = 0", 3, "`connections` must be 1 or more"),
            ("[limits]\nmessage_size = 0", 2, "`message_size` must be 1 or more"),
            ("postmaster = '../x'", 1, "`../x`"),
            ("[web]\nlisten = 'here'", 2, "`here`"),
            ("[web]\norigins = ['*']", 2, "`*`"),
            ("[web]\norigins = ['http://a/']", 2, "`http://a/`"),
            ("[web]\ntargets = { smtp = { host = 'a' } }", 2, "host"),
            ("[limits]\nconnections = 1\n[web.limits]\nconnections = 0", 4, "1 or more"),
            ("[web.limits]\nframe_size = '2 GiB'", 2, "1 GiB"),
            ("[web.limits]\nidle_seconds = 86401", 2, "between 1 and 86400"),
            ("[[faults]]\nprotocol = 'smtp'\ncommand = 'MAIL'\ndelay = 'soon'", 4, "`soon`"),
            ("\n[[faults]]\nprotocol = 'smtp'\ncommand = 'MAIL'\nreply = '250 OK'", 2, "`reply`"),
            ("[tls]\ncertificate = 'cert.pem'", 1, "`certificate` without `key`"),
            ("\n[tls]\nkey = 'key.pem'", 2, "`key` without `certificate`"),
            ("[tls]\nkey = 'key.pem'\ncertificate = 'cert.pem'\nself_signed = true", 1, "only one of them"),
            ("[tls]\nself_signed = true\nselfsigned = true", 3, "selfsigned"),
            ("[smtp]\ntls_listen = ['127.0.0.1:465']", 2, "needs a certificate"),
            (
                "[smtp]\nsubmission_tls_listen = ['127.0.0.1:465']",
                2,
                "`submission_tls_listen` needs a certificate",
            ),
            ("[pop3]\nlisten = []\ntls_listen = ['127.0.0.1:995']", 3, "needs a certificate"),
            ("data = [", 1, ""),
        ] {
            let (at, reason) = Config::parse(text).expect_err(text);
            assert_eq!(at, line, "{text}: {reason}");
            assert!(reason.contains(part), "{text}: {reason}");
            assert!(!reason.contains('\n'));
        }
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("pennypost.toml");
        std::fs::write(&path, "data = 'mail'\n[tls]\ncertificate = 'cert.pem'\nkey = '/etc/key.pem'")
            .expect("written");
        let config = Config::read(&path).expect("a good file");
        assert_eq!(config.data, folder.path().join("mail"));
        let certificate = folder.path().join("cert.pem");
        assert_eq!(config.tls, Tls::Files { certificate, key: PathBuf::from("/etc/key.pem") });

        let missing = folder.path().join("none.toml");
        let error = Config::read(&missing).expect_err("there is no such file").to_string();
        assert!(error.contains("none.toml") && error.contains("--config"), "{error}");

        std::fs::write(&path, "a = 1").expect("written");
        let error = Config::read(&path).expect_err("an unknown key").to_string();
        assert!(error.contains("pennypost.toml, line 1: unknown field `a`"), "{error}");
    }
}
