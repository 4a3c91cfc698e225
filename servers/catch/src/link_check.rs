//! Status of the links in a message. Requests are sent only for a call of the API.
//!
//! A link gets a HEAD request without cookies, because GET could use up a confirmation link. Requests go to public addresses; to
//! loopback addresses if the link itself names one, such as `http://localhost:3000/`, and the API is on a loopback address; and to
//! permitted networks. The connection uses the address that was checked, so that a second DNS answer cannot replace it.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{HOST, LOCATION, USER_AGENT};
use axum::http::{Method, Request, Response, StatusCode};
use bytes::Bytes;
use config::Networks;
use futures::StreamExt as _;
use futures::stream;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mail_core::message::printable::Excerpt;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// Links of a message that are checked, as in Mailpit.
pub(crate) const LINKS_MAX: usize = 100;
/// Links of a message that are checked at the same time.
const LINKS_AT_ONCE: usize = 8;
/// Links of all messages that are checked at the same time.
const REQUESTS_MAX: usize = 32;
/// Timeout of a link, redirects included.
const LINK_TIMEOUT: Duration = Duration::from_secs(10);
const REDIRECTS_MAX: usize = 3;
/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 4;
/// Octets of a response's head. Its body is not read.
const HEAD_OCTETS_MAX: usize = 64 << 10;
/// The catcher refuses requests with this field, so that a link to the check itself cannot repeat it.
pub(crate) const AGENT: &str = concat!("pennypost-link-check/", env!("CARGO_PKG_VERSION"));

/// Mailpit's `LinkCheckResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LinkCheck {
    /// Links without an answer, or with a status of 400 or more.
    errors: usize,
    links: Vec<LinkStatus>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LinkStatus {
    #[serde(rename = "URL")]
    url: String,
    /// 0 without an answer, 451 for an address that is not permitted.
    status_code: u16,
    /// Reason phrase of the status, or the error.
    status: String,
}

/// Checks links. All requests share it.
#[derive(Debug)]
pub(crate) struct LinkChecker {
    /// Whether links to loopback addresses are permitted.
    permits_loopback: bool,
    /// Permitted private and loopback networks.
    networks: Networks,
    requests: Semaphore,
    /// The system's root certificates, read when they are needed.
    tls: OnceCell<TlsConfig>,
}

#[derive(Clone)]
struct TlsConfig(TlsConnector);

impl std::fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TlsConfig").finish_non_exhaustive()
    }
}

/// A link without a status.
#[derive(Debug)]
enum Failure {
    Forbidden,
    Other(String),
}

impl Failure {
    fn new(reason: impl Display) -> Self {
        Self::Other(Excerpt(&reason.to_string()).to_string())
    }
}

impl LinkChecker {
    pub(crate) fn new(permits_loopback: bool, networks: Networks) -> Self {
        Self { permits_loopback, networks, requests: Semaphore::new(REQUESTS_MAX), tls: OnceCell::new() }
    }

    /// Checks the first links. `follows` redirects, or reports them.
    pub(crate) async fn check(&self, links: Vec<String>, follows: bool) -> LinkCheck {
        let checks = links.into_iter().take(LINKS_MAX).map(|url| self.status(url, follows));
        let links: Vec<_> = stream::iter(checks).buffered(LINKS_AT_ONCE).collect().await;
        let errors = links.iter().filter(|link| link.status_code == 0 || link.status_code >= 400).count();
        LinkCheck { errors, links }
    }

    async fn status(&self, url: String, follows: bool) -> LinkStatus {
        let _permit = self.requests.acquire().await;
        let checked = timeout(LINK_TIMEOUT, self.request_all(&url, follows)).await;
        let (status_code, status) = match checked.unwrap_or_else(|_| Err(Failure::new("no answer in time"))) {
            Ok(status) => (status.as_u16(), status.canonical_reason().unwrap_or_default().to_owned()),
            // As in Mailpit.
            Err(Failure::Forbidden) => (451, "Blocked private/reserved address".to_owned()),
            Err(Failure::Other(reason)) => (0, reason),
        };
        LinkStatus { url, status_code, status }
    }

    async fn request_all(&self, url: &str, follows: bool) -> Result<StatusCode, Failure> {
        let mut url = Url::parse(url).map_err(Failure::new)?;
        for _ in 0..=REDIRECTS_MAX {
            let response = self.request(&url).await?;
            let location = response.headers().get(LOCATION).filter(|_| response.status().is_redirection());
            let Some(location) = location.filter(|_| follows) else { return Ok(response.status()) };
            let location = location.to_str().map_err(Failure::new)?;
            url = url.join(location).map_err(Failure::new)?;
        }
        Err(Failure::new("too many redirects"))
    }

    async fn request(&self, url: &Url) -> Result<Response<Incoming>, Failure> {
        let is_tls = match url.scheme() {
            "http" => false,
            "https" => true,
            scheme => return Err(Failure::new(format!("`{scheme}` is not checked"))),
        };
        let host = url.host().ok_or_else(|| Failure::new("the link has no host"))?;
        let port = url.port_or_known_default().unwrap_or_default();
        let stream = connect(&self.permitted_addresses(&host, port).await?, port).await?;
        if !is_tls {
            return exchange(stream, url).await;
        }
        let name = match &host {
            Host::Domain(name) => ServerName::try_from((*name).to_owned()).map_err(Failure::new)?,
            Host::Ipv4(address) => ServerName::from(IpAddr::V4(*address)),
            Host::Ipv6(address) => ServerName::from(IpAddr::V6(*address)),
        };
        let TlsConfig(tls) = self.tls.get_or_try_init(load_roots).await?;
        let stream = tls.connect(name, stream).await.map_err(Failure::new)?;
        exchange(stream, url).await
    }

    async fn permitted_addresses(&self, host: &Host<&str>, port: u16) -> Result<Vec<IpAddr>, Failure> {
        let is_local_name = |name: &str| {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        };
        let (addresses, names_loopback): (Vec<IpAddr>, bool) = match host {
            Host::Ipv4(address) => (vec![IpAddr::V4(*address)], true),
            Host::Ipv6(address) => (vec![IpAddr::V6(*address)], true),
            // Resolved without DNS (RFC 6761 section 6.3).
            Host::Domain(name) if is_local_name(name) => {
                (vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)], true)
            }
            Host::Domain(name) => {
                let found = lookup_host((*name, port)).await.map_err(Failure::new)?;
                (found.map(|address| address.ip()).collect(), false)
            }
        };
        let is_permitted = |address: &IpAddr| {
            let address = address.to_canonical();
            mail_outbound::is_public(address)
                || self.networks.contains(address)
                || (self.permits_loopback && names_loopback && address.is_loopback())
        };
        let permitted: Vec<_> = addresses.into_iter().filter(is_permitted).take(ADDRESSES_MAX).collect();
        if permitted.is_empty() { Err(Failure::Forbidden) } else { Ok(permitted) }
    }
}

/// Connects to the first address that accepts.
async fn connect(addresses: &[IpAddr], port: u16) -> Result<TcpStream, Failure> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect(SocketAddr::new(*address, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(Failure::new(last))
}

async fn load_roots() -> Result<TlsConfig, Failure> {
    let load = || root_certificates::load(None, "SSL_CERT_FILE");
    let roots = tokio::task::spawn_blocking(load).await.map_err(Failure::new)?.map_err(Failure::new)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConfig(TlsConnector::from(Arc::new(config))))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    url: &Url,
) -> Result<Response<Incoming>, Failure> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_OCTETS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Failure::new)?;
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let request = Request::builder().method(Method::HEAD).uri(target);
    let request = request.header(HOST, authority).header(USER_AGENT, AGENT).body(Empty::<Bytes>::new());
    let response = sender.send_request(request.map_err(Failure::new)?);
    // Drives the connection. Its errors are reported by the response.
    let transport = async {
        let _ = connection.await;
        pending::<Infallible>().await
    };
    tokio::select! {
        response = response => response.map_err(Failure::new),
        never = transport => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn permitted(checker: &LinkChecker, url: &str) -> Option<Vec<String>> {
        let url = Url::parse(url).expect("a URL");
        let addresses = checker.permitted_addresses(&url.host().expect("a host"), 80).await.ok()?;
        Some(addresses.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn private_addresses_are_refused_unless_permitted() {
        let local = LinkChecker::new(true, Networks::default());
        for (url, addresses) in [
            ("http://localhost:3000/", Some(&["127.0.0.1", "::1"][..])),
            ("http://APP.localhost./", Some(&["127.0.0.1", "::1"])),
            ("http://127.0.0.2/", Some(&["127.0.0.2"])),
            ("http://0x7f.1/", Some(&["127.0.0.1"])),
            ("http://[::1]/", Some(&["::1"])),
            ("http://[::ffff:127.0.0.1]/", Some(&["::ffff:127.0.0.1"])),
            ("http://8.8.8.8/", Some(&["8.8.8.8"])),
            ("http://10.0.0.1/", None),
            ("http://192.168.1.1/", None),
            ("http://169.254.169.254/latest/meta-data/", None),
            ("http://[fe80::1]/", None),
            ("http://0.0.0.0/", None),
        ] {
            let addresses = addresses.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(permitted(&local, url).await, addresses, "{url}");
        }
        let public = LinkChecker::new(false, Networks::parse(&["10.0.0.0/8"]).expect("a network"));
        assert_eq!(permitted(&public, "http://localhost/").await, None);
        assert_eq!(permitted(&public, "http://127.0.0.1/").await, None);
        assert_eq!(permitted(&public, "http://10.0.0.1/").await, Some(vec!["10.0.0.1".to_owned()]));
    }

    #[tokio::test]
    async fn unusable_links_have_a_reason() {
        let checker = LinkChecker::new(true, Networks::default());
        let links = ["http://", "ftp://a.example/", "http://10.0.0.1/", "http://localhost:1/"];
        let check = checker.check(links.map(str::to_owned).into(), true).await;
        let codes: Vec<_> = check.links.iter().map(|link| link.status_code).collect();
        assert_eq!((check.errors, codes), (4, vec![0, 0, 451, 0]), "{check:?}");
        assert!(check.links.iter().all(|link| !link.status.is_empty()), "{check:?}");
        let many = checker.check(vec!["ftp://a.example/".to_owned(); 2 * LINKS_MAX], true).await;
        assert_eq!(many.links.len(), LINKS_MAX);
    }
}
