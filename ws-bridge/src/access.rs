//! Who may use the bridge: the Host and Origin rules.
//!
//! A WebSocket is not held back by the same-origin policy: any page that a person looks at could open one to this
//! machine, and its browser says in Origin which page it is (RFC 6455 section 10.2). The Host rule keeps out a page
//! that has its own name point here (DNS rebinding), whose Origin and Host agree.

use std::fmt;
use std::net::IpAddr;

use axum::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use axum::http::uri::{Authority, Uri};
use config::Web;
use mail_core::message::address::Domain;

/// What a request may carry in Host and Origin.
#[derive(Debug)]
pub(crate) struct Access {
    names: Vec<String>,
    origins: Vec<String>,
}

/// Why a request is refused; for the person who configures the bridge, as a page never sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Host(String),
    NoOrigin,
    Origin(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => {
                write!(f, "this host is not called `{host}`; if it is, add the name to `names` in [web]")
            }
            Self::NoOrigin => f.write_str("the request has no Origin; only a page's WebSocket is taken"),
            Self::Origin(origin) => {
                write!(f, "pages of `{origin}` may not connect; if they may, add it to `origins` in [web]")
            }
        }
    }
}

impl Access {
    pub(crate) fn new(hostname: &Domain, web: &Web) -> Self {
        let names = web.names.iter().chain([hostname]).map(|name| name.as_str().to_owned());
        Self {
            names: names.chain(["localhost".to_owned()]).collect(),
            origins: web.origins.iter().map(|origin| origin.to_ascii_lowercase()).collect(),
        }
    }

    /// `scheme` is how the request came.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap, scheme: &str) -> Result<(), Refusal> {
        let refused = |host: &str| Err(Refusal::Host(host.to_owned()));
        let Some(host) = self.own_host(headers) else {
            return refused(single(headers, &HOST).unwrap_or_default());
        };
        // A target that names a host (RFC 9112 section 3.2.2) names the same one.
        if let Some(authority) = uri.authority()
            && authority.as_str() != host
        {
            return refused(authority.as_str());
        }
        let Some(origin) = single(headers, &ORIGIN) else { return Err(Refusal::NoOrigin) };
        let origin = origin.to_ascii_lowercase();
        let is_the_page_s = origin == format!("{scheme}://{}", host.to_ascii_lowercase());
        if is_the_page_s || self.origins.contains(&origin) { Ok(()) } else { Err(Refusal::Origin(origin)) }
    }

    /// The request's Host, if it is one of ours.
    pub(crate) fn own_host<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        single(headers, &HOST).filter(|host| self.is_own(host))
    }

    /// An IP address, which no name of another's can point to, or a name of ours.
    fn is_own(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let name = authority.host();
        // What stands behind it can only be a port.
        if authority.as_str().len() > name.len() && authority.port_u16().is_none() {
            return false;
        }
        let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        literal.parse::<IpAddr>().is_ok() || self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// A header's value if it stands there exactly once, as text.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: &str) -> Result<(), Refusal> {
        let web = Web {
            origins: vec!["http://127.0.0.1:8081".to_owned()],
            names: vec![Domain::parse("mail.iit.edu").expect("a domain")],
            ..Web::default()
        };
        let access = Access::new(&Domain::parse("iitkgp.edu").expect("a domain"), &web);
        let lines = [(HOST, host), (ORIGIN, origin)].into_iter().filter(|(_, value)| !value.is_empty());
        access.check(
            &Uri::from_static("/ws/target"),
            &lines.map(|(name, value)| (name, value.parse().expect("a header value"))).collect(),
            "http",
        )
    }

    #[test]
    fn a_page_of_this_host_may_connect() {
        for host in
            ["127.0.0.1:8080", "[::1]:8080", "localhost", "LOCALHOST:80", "iitkgp.edu", "mail.iit.edu:8080"]
        {
            assert_eq!(check(host, &format!("http://{host}")), Ok(()), "{host}");
            assert_eq!(check(host, "http://127.0.0.1:8081"), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_page_of_another_origin_may_not() {
        for origin in [
            "http://evil.example",
            "https://127.0.0.1:8080",
            "http://127.0.0.1",
            "http://127.0.0.1:8080.evil.example",
            "http://127.0.0.1:8080/",
            "null",
        ] {
            assert_eq!(check("127.0.0.1:8080", origin), Err(Refusal::Origin(origin.to_owned())));
        }
        assert_eq!(check("127.0.0.1:8080", ""), Err(Refusal::NoOrigin));
    }

    #[test]
    fn another_host_s_name_is_refused_whatever_the_origin() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "a@localhost",
            "iit.edu:1",
            "[",
        ] {
            for origin in [format!("http://{host}"), "http://127.0.0.1:8081".to_owned()] {
                assert_eq!(check(host, &origin), Err(Refusal::Host(host.to_owned())));
            }
        }
        assert_eq!(check("", "http://localhost"), Err(Refusal::Host(String::new())));
    }

    #[test]
    fn a_header_that_stands_twice_is_no_header() {
        let access = Access::new(&Domain::parse("localhost").expect("a domain"), &Web::default());
        let (uri, mut headers) = (Uri::from_static("/ws/target"), HeaderMap::new());
        headers.append(HOST, "localhost".parse().expect("a value"));
        headers.append(ORIGIN, "http://localhost".parse().expect("a value"));
        assert_eq!(access.check(&uri, &headers, "http"), Ok(()));
        assert_eq!(
            access.check(&uri, &headers, "https"),
            Err(Refusal::Origin("http://localhost".to_owned()))
        );
        headers.append(ORIGIN, "http://localhost".parse().expect("a value"));
        assert_eq!(access.check(&uri, &headers, "http"), Err(Refusal::NoOrigin));
        headers.append(HOST, "localhost".parse().expect("a value"));
        assert_eq!(access.check(&uri, &headers, "http"), Err(Refusal::Host(String::new())));
    }
}
