//! The URL of a database: hosts, user, name and TLS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

const DEFAULT_PORT: u16 = 5432;
/// Limit of connecting to one of the hosts.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// A host that stopped answering is noticed after about this time.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);

/// A valid URL.
pub(crate) struct DatabaseUrl {
    pub(crate) config: Config,
    /// The same for each host alone.
    pub(crate) hosts: Vec<Config>,
    /// For messages: hosts and name of the database.
    pub(crate) location: String,
    /// PEM file of root certificates that replaces the system's.
    roots: Option<PathBuf>,
}

impl DatabaseUrl {
    /// Parses `postgresql://user:password@host1:port,host2/name?parameters`. The parameters are those of libpq that the library
    /// knows; `sslmode` is `disable` or `verify-full`, and `sslrootcert` a PEM file. Without `sslmode`, only connections to this
    /// host are in plain text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (address, parameters) = text.split_once('?').unwrap_or((text, ""));
        let (mut ssl_mode, mut roots, mut others) = (None, None, Vec::new());
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", mode)) => ssl_mode = Some(mode),
                Some(("sslrootcert", path)) => {
                    let path = url::form_urlencoded::parse(path.as_bytes()).next();
                    roots = path.map(|(path, _)| PathBuf::from(path.into_owned()));
                }
                _ => others.push(parameter),
            }
        }
        let invalid = |reason: &dyn std::fmt::Display| format!("the database's URL is invalid: {reason}");
        if !address.starts_with("postgresql://") && !address.starts_with("postgres://") {
            return Err(invalid(&"it does not start with postgresql://"));
        }
        let parse = |address: &str| {
            let config: Result<Config, _> = format!("{address}?{}", others.join("&")).parse();
            config.map_err(|error| invalid(&with_source(&error)))
        };
        let mut config = parse(address)?;
        if config.get_hosts().is_empty() {
            return Err(invalid(&"it names no host"));
        }
        if config.get_dbname().is_none() {
            return Err(invalid(&"it names no database"));
        }
        let ssl_mode = match ssl_mode {
            Some("disable") => SslMode::Disable,
            Some("verify-full") => SslMode::Require,
            None if config.get_hosts().iter().all(is_this_host) => SslMode::Disable,
            None => SslMode::Require,
            Some(mode) => {
                let reason = format!("sslmode={mode} is not supported; use verify-full or disable");
                return Err(invalid(&reason));
            }
        };
        let mut hosts =
            single_hosts(address).iter().map(|address| parse(address)).collect::<Result<Vec<_>, _>>()?;
        for config in hosts.iter_mut().chain([&mut config]) {
            configure(config, ssl_mode);
        }
        let location = location(&config);
        Ok(Self { config, hosts, location, roots })
    }

    /// TCP ports of the hosts.
    pub(crate) fn ports(&self) -> Vec<u16> {
        match self.config.get_ports() {
            [] => vec![DEFAULT_PORT],
            ports => ports.to_vec(),
        }
    }

    /// The TLS client, which verifies certificate and name.
    pub(crate) fn tls(&self) -> Result<MakeRustlsConnect, String> {
        let is_required = self.config.get_ssl_mode() == SslMode::Require;
        let roots = match &self.roots {
            // Without TLS, none is needed.
            None if !is_required => Arc::new(RootCertStore::empty()),
            file => root_certificates::load(file.as_deref(), "`sslrootcert` in the URL of the database")?,
        };
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(client))
    }
}

/// The URL's part before the parameters, for each of its hosts. Hosts can also be named by a parameter; the library then tries
/// them in order.
fn single_hosts(address: &str) -> Vec<String> {
    let start = address.find("://").map_or(0, |index| index + 3);
    let end = address[start..].find('/').map_or(address.len(), |index| start + index);
    let start = address[start..end].rfind('@').map_or(start, |index| start + index + 1);
    let (before, after) = (&address[..start], &address[end..]);
    address[start..end].split(',').map(|host| format!("{before}{host}{after}")).collect()
}

fn configure(config: &mut Config, ssl_mode: SslMode) {
    config.ssl_mode(ssl_mode);
    // A standby is of no use.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_LIMIT);
    }
    if config.get_application_name().is_none() {
        config.application_name("pennypost");
    }
    config.tcp_user_timeout(SILENCE_LIMIT);
    config.keepalives_idle(SILENCE_LIMIT / 2).keepalives_interval(Duration::from_secs(2));
    config.keepalives_retries(3);
}

fn is_this_host(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

fn location(config: &Config) -> String {
    let hosts: Vec<_> = config
        .get_hosts()
        .iter()
        .map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        })
        .collect();
    format!("{} at {}", config.get_dbname().unwrap_or_default(), hosts.join(", "))
}

fn with_source(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        DatabaseUrl::parse(url).map(|url| url.config.get_ssl_mode()).expect("valid")
    }

    #[test]
    fn tls_is_optional_for_this_host_only() {
        for (url, expected) in [
            ("postgresql://a@localhost/mail", SslMode::Disable),
            ("postgresql://a@%2Frun%2Fpostgresql/mail", SslMode::Disable),
            ("postgresql://a@127.0.0.1:5433,[::1]/mail?sslmode=verify-full", SslMode::Require),
            ("postgresql://a@db1,localhost/mail?target_session_attrs=read-write", SslMode::Require),
            ("postgresql://a@db1/mail?sslmode=disable", SslMode::Disable),
        ] {
            assert_eq!(mode(url), expected, "{url}");
        }
    }

    #[test]
    fn each_host_has_its_port() {
        let url = DatabaseUrl::parse("postgresql://a:x%40y@db1:6432,db2,[::1]:1/mail?connect_timeout=3")
            .expect("valid");
        let hosts = url.hosts.iter().map(|config| {
            assert_eq!((config.get_user(), config.get_password()), (Some("a"), Some(&b"x@y"[..])));
            assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(3)));
            (location(config), config.get_ports().to_vec())
        });
        let expected = [("mail at db1", vec![6432]), ("mail at db2", vec![5432]), ("mail at ::1", vec![1])];
        assert_eq!(hosts.collect::<Vec<_>>(), expected.map(|(text, ports)| (text.to_owned(), ports)));
        assert_eq!(single_hosts("postgresql:///mail"), ["postgresql:///mail"]);
    }

    #[test]
    fn invalid_url_is_refused_without_its_password() {
        for (url, reason) in [
            ("mysql://a:secret@db/mail", "postgresql://"),
            ("postgresql://a:secret@db/mail?sslmode=require", "sslmode=require"),
            ("postgresql://a:secret@db", "no database"),
            ("postgresql://a:secret@db/mail?nonsense=1", "nonsense"),
        ] {
            let sentence = DatabaseUrl::parse(url).err().expect(url);
            assert!(sentence.contains(reason) && !sentence.contains("secret"), "{sentence}");
        }
        let url = DatabaseUrl::parse("postgresql://a:secret@db1:6432,db2/mail").expect("valid");
        assert_eq!(url.location, "mail at db1, db2");
    }
}
