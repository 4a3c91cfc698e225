//! Host and Origin rules of WebSocket requests.
//!
//! The same-origin policy does not cover WebSockets: any page that a browser shows could open one to this host. Its browser
//! sends the page's origin in Origin (RFC 6455 section 10.2), which must be the bridge's own or a configured one. The Host rule
//! blocks DNS rebinding, where a foreign name resolves to this host and Origin and Host agree.

use std::fmt;
use std::net::IpAddr;

use axum::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use axum::http::uri::{Authority, Uri};
use config::Web;
use mail_core::message::address::Domain;
use mail_core::message::printable::Excerpt;

/// Permitted hosts and origins.
#[derive(Debug)]
pub struct AccessPolicy {
    names: Vec<String>,
    origins: Vec<String>,
}

/// Reason for a 403.
#[derive(Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The Host header names another host, or is missing or repeated.
    Host(String),
    /// There is no Origin header, or more than one.
    NoOrigin,
    /// The request comes from a page of another origin.
    Origin(String),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => {
                write!(
                    f,
                    "unknown host `{}`; if this server has that name, add it to `names` in [web]",
                    Excerpt(host)
                )
            }
            Self::NoOrigin => f.write_str("the request has no Origin header; only browsers may connect"),
            Self::Origin(origin) => {
                write!(
                    f,
                    "origin `{}` is not allowed; to allow it, add it to `origins` in [web]",
                    Excerpt(origin)
                )
            }
        }
    }
}

impl AccessPolicy {
    /// Permits IP addresses, `localhost` and `names` as hosts, and the origins of these hosts and `origins`.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>, origins: &[String]) -> Self {
        Self {
            names: names.into_iter().chain(["localhost".to_owned()]).collect(),
            origins: origins.iter().map(|origin| origin.to_ascii_lowercase()).collect(),
        }
    }

    /// The policy of the bridge: the host name, and the names and origins of the configuration.
    #[must_use]
    pub fn for_bridge(hostname: &Domain, web: &Web) -> Self {
        let names = web.names.iter().chain([hostname]).map(|name| name.as_str().to_owned());
        Self::new(names, &web.origins)
    }

    /// Checks a WebSocket request. `scheme` is `https` if it came over TLS, else `http`.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap, scheme: &str) -> Result<(), Rejection> {
        let host = self.check_host(uri, headers)?;
        let origin = single(headers, &ORIGIN).ok_or(Rejection::NoOrigin)?;
        self.check_origin(origin, host, scheme)
    }

    /// Checks a request that programs other than browsers may send: they have no Origin header.
    ///
    /// # Errors
    /// The host is unknown, or the request comes from a page of another origin.
    pub fn check_request(&self, uri: &Uri, headers: &HeaderMap, scheme: &str) -> Result<(), Rejection> {
        let host = self.check_host(uri, headers)?;
        if !headers.contains_key(ORIGIN) {
            return Ok(());
        }
        let origin = single(headers, &ORIGIN).ok_or(Rejection::NoOrigin)?;
        self.check_origin(origin, host, scheme)
    }

    fn check_host<'a>(&self, uri: &Uri, headers: &'a HeaderMap) -> Result<&'a str, Rejection> {
        let wrong_host = |host: &str| Err(Rejection::Host(host.to_owned()));
        let Some(host) = self.allowed_host(headers) else {
            return wrong_host(single(headers, &HOST).unwrap_or_default());
        };
        // An absolute request target (RFC 9112 section 3.2.2) must name the same host.
        match uri.authority() {
            Some(authority) if authority.as_str() != host => wrong_host(authority.as_str()),
            _ => Ok(host),
        }
    }

    fn check_origin(&self, origin: &str, host: &str, scheme: &str) -> Result<(), Rejection> {
        let origin = origin.to_ascii_lowercase();
        let is_same_origin = origin == format!("{scheme}://{}", host.to_ascii_lowercase());
        if is_same_origin || self.origins.contains(&origin) { Ok(()) } else { Err(Rejection::Origin(origin)) }
    }

    /// The request's Host header, if it names this host.
    pub(crate) fn allowed_host<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        single(headers, &HOST).filter(|host| self.is_allowed(host))
    }

    /// An IP address cannot be rebound, so every one is allowed.
    fn is_allowed(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let name = authority.host();
        // Only a port may follow the name.
        if authority.as_str().len() > name.len() && authority.port_u16().is_none() {
            return false;
        }
        let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        literal.parse::<IpAddr>().is_ok() || self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// The value of a header that occurs exactly once and is ASCII.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: &str) -> Result<(), Rejection> {
        let web = Web {
            origins: vec!["http://127.0.0.1:8081".to_owned()],
            names: vec![Domain::parse("mail.iit.edu").expect("a domain")],
            ..Web::default()
        };
        let access = AccessPolicy::for_bridge(&Domain::parse("iitkgp.edu").expect("a domain"), &web);
        let lines = [(HOST, host), (ORIGIN, origin)].into_iter().filter(|(_, value)| !value.is_empty());
        access.check(
            &Uri::from_static("/ws/target"),
            &lines.map(|(name, value)| (name, value.parse().expect("a header value"))).collect(),
            "http",
        )
    }

    #[test]
    fn same_origin_and_configured_origin_are_allowed() {
        for host in
            ["127.0.0.1:8080", "[::1]:8080", "localhost", "LOCALHOST:80", "iitkgp.edu", "mail.iit.edu:8080"]
        {
            assert_eq!(check(host, &format!("http://{host}")), Ok(()), "{host}");
            assert_eq!(check(host, "http://127.0.0.1:8081"), Ok(()), "{host}");
        }
    }

    #[test]
    fn foreign_origin_is_rejected() {
        for origin in [
            "http://evil.example",
            "https://127.0.0.1:8080",
            "http://127.0.0.1",
            "http://127.0.0.1:8080.evil.example",
            "http://127.0.0.1:8080/",
            "null",
        ] {
            assert_eq!(check("127.0.0.1:8080", origin), Err(Rejection::Origin(origin.to_owned())));
        }
        assert_eq!(check("127.0.0.1:8080", ""), Err(Rejection::NoOrigin));
    }

    #[test]
    fn foreign_host_is_rejected_whatever_the_origin() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "a@localhost",
            "iit.edu:1",
            "[",
        ] {
            for origin in [format!("http://{host}"), "http://127.0.0.1:8081".to_owned()] {
                assert_eq!(check(host, &origin), Err(Rejection::Host(host.to_owned())));
            }
        }
        assert_eq!(check("", "http://localhost"), Err(Rejection::Host(String::new())));
    }

    #[test]
    fn repeated_host_or_origin_is_rejected() {
        let access =
            AccessPolicy::for_bridge(&Domain::parse("localhost").expect("a domain"), &Web::default());
        let (uri, mut headers) = (Uri::from_static("/ws/target"), HeaderMap::new());
        headers.append(HOST, "localhost".parse().expect("a value"));
        headers.append(ORIGIN, "http://localhost".parse().expect("a value"));
        assert_eq!(access.check(&uri, &headers, "http"), Ok(()));
        assert_eq!(
            access.check(&uri, &headers, "https"),
            Err(Rejection::Origin("http://localhost".to_owned()))
        );
        headers.append(ORIGIN, "http://localhost".parse().expect("a value"));
        assert_eq!(access.check(&uri, &headers, "http"), Err(Rejection::NoOrigin));
        headers.append(HOST, "localhost".parse().expect("a value"));
        assert_eq!(access.check(&uri, &headers, "http"), Err(Rejection::Host(String::new())));
    }
}
