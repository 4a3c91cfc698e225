//! HTTPS requests to the directory: one connection each, bounded in time and size. Root certificates and the configuration of the
//! DNS are read once.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::future::{Future, pending};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use config::{DirectoryUrl, NameServer};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use http::header::{HOST, RETRY_AFTER};
use http::uri::Scheme;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use mail_core::message::printable::Excerpt;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, version};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of the directory that are tried for a request.
const ADDRESSES_MAX: usize = 4;
/// Octets of a response's body. A chain has a few thousand.
const BODY_LENGTH_MAX: usize = 1 << 20;
/// Octets of a response's head.
const HEAD_LENGTH_MAX: usize = 64 * 1024;

/// Clones share one state.
#[derive(Clone)]
pub(crate) struct HttpsClient {
    tls: TlsConnector,
    dns: TokioResolver,
    /// The last Retry-After of a directory that refused a request.
    retry_after: Arc<Mutex<Option<Duration>>>,
}

/// The directory could not be reached, or its response not be read.
#[derive(Debug)]
pub(crate) struct HttpError(String);

impl HttpError {
    fn new(problem: &str, host: &str, cause: &dyn Display) -> Self {
        Self(format!("{problem} {} ({})", Excerpt(host), Excerpt(&cause.to_string())))
    }
}

impl Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HttpError {}

impl HttpsClient {
    /// `ca` replaces the system's root certificates.
    ///
    /// # Errors
    /// A sentence that names the file and the remedy.
    pub(crate) fn new(ca: Option<&Path>, resolver: &[NameServer]) -> Result<Self, String> {
        let roots = root_certificates::load(ca, "`ca` of `acme` in [tls]")?;
        let mut tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .expect("the provider has cipher suites for both versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let dns = dns(resolver).map_err(|error| {
            format!(
                "cannot use the DNS servers: {error}; correct `resolver` in [outbound] or /etc/resolv.conf"
            )
        })?;
        Ok(Self { tls: TlsConnector::from(Arc::new(tls)), dns, retry_after: Arc::default() })
    }

    /// The delay that the directory has requested since the last call.
    pub(crate) fn take_retry_after(&self) -> Option<Duration> {
        self.retry_after.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn send(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, HttpError> {
        let (mut parts, body) = request.into_parts();
        let host = parts.uri.host().unwrap_or_default().to_owned();
        let failed = |error: hyper::Error| HttpError::new("no response from", &host, &error);
        let stream = self.connect(&parts.uri, &host).await?;
        let authority = parts.uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let authority = HeaderValue::from_str(authority)
            .map_err(|error| HttpError::new("invalid host name", &host, &error))?;
        parts.headers.insert(HOST, authority);
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        parts.uri = path.parse().map_err(|error| HttpError::new("invalid URL of", &host, &error))?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_LENGTH_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        let exchange = async {
            let response = sender.send_request(Request::from_parts(parts, body)).await.map_err(failed)?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, BODY_LENGTH_MAX)
                .collect()
                .await
                .map_err(|error| HttpError::new("no response from", &host, &error))?;
            Ok(BytesResponse { parts, body: Box::new(body.to_bytes()) })
        };
        // Drives the connection; `send_request` returns its errors.
        let transport = async {
            let _ = connection.await;
            pending::<Infallible>().await
        };
        let response: BytesResponse = tokio::select! {
            response = exchange => response?,
            never = transport => match never {},
        };
        self.record_retry_after(&response);
        Ok(response)
    }

    /// Connects to the first address that accepts.
    async fn connect(&self, url: &Uri, host: &str) -> Result<TlsStream<TcpStream>, HttpError> {
        if url.scheme() != Some(&Scheme::HTTPS) {
            return Err(HttpError::new("not an https URL:", host, &url));
        }
        // An IPv6 address is in brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| HttpError::new("invalid host name", host, &error))?;
        let mut failure = HttpError::new("cannot resolve", host, &"no A or AAAA record");
        for address in self.addresses(host).await? {
            let address = SocketAddr::new(address, DirectoryUrl::port_of(url));
            let connected =
                async { self.tls.connect(name.clone(), TcpStream::connect(address).await?).await };
            match timeout(CONNECT_TIMEOUT, connected).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = HttpError::new("cannot connect to", host, &error),
                Err(error) => failure = HttpError::new("cannot connect to", host, &error),
            }
        }
        Err(failure)
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, HttpError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let name = format!("{}.", host.trim_end_matches('.'));
        let found = self.dns.lookup_ip(name).await;
        let found = found.map_err(|error| HttpError::new("cannot resolve", host, &error))?;
        Ok(found.iter().take(ADDRESSES_MAX).collect())
    }

    fn record_retry_after(&self, response: &BytesResponse) {
        let is_refusal =
            matches!(response.parts.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let value = response.parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        if is_refusal && let Some(pause) = value.and_then(parse_retry_after) {
            *self.retry_after.lock().unwrap_or_else(PoisonError::into_inner) = Some(pause);
        }
    }
}

impl HttpClient for HttpsClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            let response = timeout(REQUEST_TIMEOUT, client.send(request)).await;
            let timed_out = |error| Err(HttpError::new("no response from", &host, &error));
            response.unwrap_or_else(timed_out).map_err(|error| Error::Other(Box::new(error)))
        })
    }
}

/// Retry-After (RFC 9110 section 10.2.3): seconds or a date.
fn parse_retry_after(value: &str) -> Option<Duration> {
    match value.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value.trim()).ok()?.duration_since(SystemTime::now()).ok(),
    }
}

fn dns(resolver: &[NameServer]) -> Result<TokioResolver, NetError> {
    let builder = if resolver.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = resolver.iter().map(|server| {
            let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = server.0.port();
            }
            NameServerConfig::new(server.0.ip(), true, connections.into())
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(parse_retry_after(" 120 "), Some(Duration::from_secs(120)));
        let later = SystemTime::now() + Duration::from_hours(1);
        let pause = parse_retry_after(&httpdate::fmt_http_date(later)).expect("a later date");
        assert!((3_590..=3_600).contains(&pause.as_secs()), "{pause:?}");
        for value in ["", "-1", "soon", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(parse_retry_after(value), None, "{value}");
        }
    }

    #[test]
    fn unusable_root_certificates_are_reported_with_the_file() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("ca.pem");
        for content in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")] {
            if let Some(content) = content {
                std::fs::write(&path, content).expect("written");
            }
            let sentence = HttpsClient::new(Some(&path), &[]).err().expect("unusable");
            assert!(sentence.contains("ca.pem") && sentence.contains("`ca` of `acme`"), "{sentence}");
        }
    }
}
