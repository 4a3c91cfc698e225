//! MTA-STS (RFC 8461): the policies of other domains, which name their mail servers and demand verified TLS.
//!
//! A policy is read over HTTPS from `mta-sts.DOMAIN` when the TXT record of `_mta-sts.DOMAIN` announces a new one, and once a day. It
//! stays in `data/.mta-sts/DOMAIN` until it expires, so that hiding the record does not lift it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Display;
use std::fs::{self, DirBuilder, OpenOptions};
use std::future::pending;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use config::{Networks, Outbound};
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mail_core::mta_sts::{POLICY_OCTETS_MAX, Policy, PolicyId};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::{error, info};

use crate::dns::Dns;
use crate::route;

/// The directory of policies, below the data directory.
const DIRECTORY: &str = ".mta-sts";
const PATH: &str = "/.well-known/mta-sts.txt";
/// Time for a request (RFC 8461 section 3.3).
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Octets of a response's head.
const HEAD_OCTETS_MAX: usize = 16 << 10;
/// Pause after a failed request (RFC 8461 section 3.3).
const FAILURE_PAUSE: Duration = Duration::from_secs(300);
/// Domains whose failures are remembered.
const FAILURES_MAX: usize = 10_000;
/// A policy of this age is read again (RFC 8461 section 3.3).
const REFRESH_AGE: Duration = Duration::from_secs(24 * 3_600);

/// The policies of other domains.
#[derive(Debug)]
pub(crate) struct Policies {
    tls: Arc<ClientConfig>,
    port: u16,
    private_networks: Networks,
    directory: PathBuf,
    /// The time of the last failed request for each domain.
    failures: Mutex<HashMap<Box<str>, Instant>>,
    /// The policies that are being requested, each once at a time.
    requests: Mutex<HashMap<Box<str>, Arc<tokio::sync::Mutex<()>>>>,
}

/// A policy in the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    id: PolicyId,
    fetched: DateTime<Utc>,
    policy: Policy,
}

impl Policies {
    /// Policies below the directory `data`. `tls` verifies the certificates of policy hosts.
    pub(crate) fn new(config: &Outbound, data: &Path, tls: &ClientConfig) -> Self {
        let mut tls = tls.clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            tls: Arc::new(tls),
            port: config.mta_sts_port,
            private_networks: config.private_networks.clone(),
            directory: data.join(DIRECTORY),
            failures: Mutex::default(),
            requests: Mutex::default(),
        }
    }

    /// The policy of a domain, in ASCII form.
    pub(crate) async fn find(&self, dns: &Dns, domain: &str) -> Option<Policy> {
        let records = dns.txt(&format!("_mta-sts.{domain}")).await.unwrap_or_default();
        let announced = PolicyId::from_records(records.iter().map(String::as_str));
        let stored = self.read(domain).await;
        let Some(id) = announced else { return stored.map(|stored| stored.policy) };
        if let Some(stored) = &stored
            && stored.is_current(&id)
        {
            return Some(stored.policy.clone());
        }
        let request = self.request(domain);
        let _lock = request.lock().await;
        // Another connection may have read it meanwhile.
        let stored = self.read(domain).await;
        if let Some(stored) = &stored
            && stored.is_current(&id)
        {
            return Some(stored.policy.clone());
        }
        if self.has_failed(domain) {
            return stored.map(|stored| stored.policy);
        }
        match timeout(FETCH_TIMEOUT, self.fetch(dns, domain))
            .await
            .unwrap_or_else(|_| Err("no answer".into()))
        {
            Ok(policy) => {
                self.write(domain, Stored { id, fetched: Utc::now(), policy: policy.clone() }).await;
                Some(policy)
            }
            Err(reason) => {
                info!(domain, reason, "the MTA-STS policy cannot be read");
                self.remember_failure(domain);
                stored.map(|stored| stored.policy)
            }
        }
    }

    async fn fetch(&self, dns: &Dns, domain: &str) -> Result<Policy, String> {
        let host = format!("mta-sts.{domain}");
        let stream = self.connect(dns, &host).await?;
        let request = Request::get(PATH).header(HOST, &host).body(Empty::<Bytes>::new());
        let request = request.map_err(|error| error.to_string())?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_OCTETS_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            // Redirects are not followed (RFC 8461 section 3.3).
            if response.status() != StatusCode::OK {
                return Err(format!("the response is {}", response.status()));
            }
            let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
            if !kind.trim().eq_ignore_ascii_case("text/plain") {
                return Err("the response is not text/plain".into());
            }
            let body = Limited::new(response.into_body(), POLICY_OCTETS_MAX).collect().await;
            Ok(body.map_err(|error| error.to_string())?.to_bytes())
        };
        // Moves octets while the exchange waits for them, and reports its errors there.
        let transport = async {
            let _ = connection.await;
            pending::<Infallible>().await
        };
        let body = tokio::select! {
            body = exchange => body?,
            never = transport => match never {},
        };
        Policy::parse(&body).map_err(|error| error.to_string())
    }

    /// Connects to the first address that accepts.
    async fn connect(&self, dns: &Dns, host: &str) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let found = route::addresses(dns, host, &self.private_networks, false).await;
        let mut failure = String::new();
        for address in found.map_err(|failure| failure.text)?.records {
            let connected = async {
                let stream = TcpStream::connect(SocketAddr::new(address, self.port)).await?;
                TlsConnector::from(Arc::clone(&self.tls)).connect(name.clone(), stream).await
            };
            match timeout(CONNECT_TIMEOUT, connected).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = error.to_string(),
                Err(_) => failure = "no answer".into(),
            }
        }
        Err(format!("no connection to {host}: {failure}"))
    }

    fn has_failed(&self, domain: &str) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(domain).is_some_and(|at| at.elapsed() < FAILURE_PAUSE)
    }

    fn remember_failure(&self, domain: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= FAILURES_MAX {
            failures.retain(|_, at| at.elapsed() < FAILURE_PAUSE);
        }
        if failures.len() < FAILURES_MAX {
            failures.insert(domain.into(), Instant::now());
        }
    }

    fn request(&self, domain: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.retain(|_, request| Arc::strong_count(request) > 1);
        Arc::clone(requests.entry(domain.into()).or_default())
    }

    /// The stored policy of a domain, unless it has expired.
    async fn read(&self, domain: &str) -> Option<Stored> {
        // A domain of letters, digits and hyphens is a file name.
        let path = self.directory.join(domain);
        let text = spawn_blocking(move || fs::read_to_string(path)).await.ok()?.ok()?;
        Stored::parse(&text).filter(|stored| stored.age() < stored.policy.max_age)
    }

    async fn write(&self, domain: &str, stored: Stored) {
        let (directory, name) = (self.directory.clone(), domain.to_owned());
        let written = spawn_blocking(move || write_file(&directory, &name, &stored.to_string())).await;
        let failure: &dyn Display = match &written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(error) => error,
        };
        error!(domain, error = %failure, "the MTA-STS policy cannot be stored");
    }
}

impl Stored {
    /// Whether the policy need not be read again.
    fn is_current(&self, announced: &PolicyId) -> bool {
        self.id == *announced && self.age() < REFRESH_AGE.min(self.policy.max_age / 2)
    }

    fn age(&self) -> Duration {
        // A clock that was set back makes a policy new.
        (Utc::now() - self.fetched).to_std().unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let (head, policy) = text.split_once("\n\n")?;
        let (id, fetched) = head.split_once('\n')?;
        let fetched = DateTime::parse_from_rfc3339(fetched.strip_prefix("fetched: ")?).ok()?;
        Some(Self {
            id: PolicyId::parse(id.strip_prefix("id: ")?)?,
            fetched: fetched.to_utc(),
            policy: Policy::parse(policy.as_bytes()).ok()?,
        })
    }
}

/// The content of its file.
impl Display for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fetched = self.fetched.to_rfc3339_opts(SecondsFormat::Secs, true);
        write!(f, "id: {}\nfetched: {fetched}\n\n{}", self.id, self.policy)
    }
}

/// Replaces a file. It is a cache, so it is not synced; a torn file is not a policy.
fn write_file(directory: &Path, name: &str, content: &str) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // No domain contains an underscore.
    let new = directory.join(format!("{name}_new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(content.as_bytes())?;
    fs::rename(&new, directory.join(name))
}

#[cfg(test)]
mod tests {
    use mail_core::mta_sts::Mode;

    use super::*;

    fn stored(age: i64) -> Stored {
        let policy =
            Policy::parse(b"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 172800\n").unwrap();
        let fetched = Utc::now() - chrono::TimeDelta::seconds(age);
        let id = PolicyId::parse("1").unwrap();
        Stored { id, fetched, policy }
    }

    #[test]
    fn stored_policy_is_read_again_and_a_torn_file_is_none() {
        let text = stored(0).to_string();
        let read = Stored::parse(&text).unwrap();
        assert_eq!((read.policy.mode, read.id.to_string().as_str()), (Mode::Enforce, "1"));
        for length in 0..text.len() - 2 {
            if let Some(torn) = Stored::parse(&text[..length]) {
                // A number of seconds is still one without its last digits.
                assert!(torn.policy.max_age < read.policy.max_age && torn.policy.hosts == read.policy.hosts);
            }
        }
    }

    #[test]
    fn policy_is_current_for_a_day_and_its_id() {
        let [id, other] = ["1", "2"].map(|id| PolicyId::parse(id).unwrap());
        for (age, id, is_current) in [
            (0, &id, true),
            (86_300, &id, true),
            (86_500, &id, false),
            (0, &other, false),
            (-3_600, &id, true),
        ] {
            assert_eq!(stored(age).is_current(id), is_current, "{age} {id}");
        }
    }

    #[test]
    fn policy_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join(DIRECTORY);
        for content in ["long content", "short"] {
            write_file(&directory, "example.net", content).unwrap();
            assert_eq!(fs::read_to_string(directory.join("example.net")).unwrap(), content);
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }
}
