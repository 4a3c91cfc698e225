//! Requests from a trusted reverse proxy: client, scheme and host are those of the `X-Forwarded-*` headers that it adds.
//!
//! Other clients' headers are ignored, since anyone can send them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::Response;
use config::Networks;
use net::proxy::Client;

use crate::target::Browser;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Adds the middleware. The accept loop adds the [`Browser`] extension.
pub(crate) fn from_proxies(router: Router, proxies: Arc<Networks>) -> Router {
    router.layer(middleware::from_fn_with_state(proxies, forward))
}

async fn forward(State(proxies): State<Arc<Networks>>, mut request: Request, next: Next) -> Response {
    let browser = request.extensions().get::<Browser>().copied();
    if let Some(browser) = browser
        && proxies.contains(browser.client.address.ip())
    {
        let client = forwarded_client(&proxies, browser.client, request.headers());
        request.extensions_mut().insert(Browser { client, ..browser });
        if let Some(host) = last_value(request.headers(), &FORWARDED_HOST)
            && let Ok(host) = HeaderValue::from_str(host)
        {
            request.headers_mut().insert(HOST, host);
        }
    }
    next.run(request).await
}

/// The last address in `X-Forwarded-For` that is not a proxy's; the addresses before it are the client's own claims.
fn forwarded_client(proxies: &Networks, proxy: Client, headers: &HeaderMap) -> Client {
    let values = headers.get_all(&FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<_> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut address = proxy.address;
    for hop in hops.iter().rev() {
        let Some(next) = parse_address(hop) else { break };
        address = next;
        if !proxies.contains(address.ip()) {
            break;
        }
    }
    let secure =
        last_value(headers, &FORWARDED_PROTO).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    Client { address, secure, encryption: None }
}

/// An address, which may have brackets or a port.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0)).or_else(|| text.parse().ok())
}

/// The value that the nearest proxy added.
fn last_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(headers: &[(HeaderName, &str)]) -> (String, bool) {
        let proxies = Networks::parse(&["127.0.0.1", "10.0.0.0/8"]).expect("networks");
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().expect("a value"));
        }
        let proxy = Client::direct("127.0.0.1:9".parse().expect("an address"));
        let client = forwarded_client(&proxies, proxy, &map);
        (client.address.to_string(), client.secure)
    }

    #[test]
    fn last_address_that_is_no_proxy_is_the_client() {
        for (value, address) in [
            ("192.0.2.7", "192.0.2.7:0"),
            ("203.0.113.9, 192.0.2.7", "192.0.2.7:0"),
            ("203.0.113.9, 192.0.2.7, 10.1.1.1", "192.0.2.7:0"),
            ("[2001:db8::1]", "[2001:db8::1]:0"),
            ("2001:db8::1", "[2001:db8::1]:0"),
            ("192.0.2.7:1234", "192.0.2.7:1234"),
            ("[2001:db8::1]:1234", "[2001:db8::1]:1234"),
            ("10.1.1.1", "10.1.1.1:0"),
            ("192.0.2.7, unknown", "127.0.0.1:9"),
            ("", "127.0.0.1:9"),
        ] {
            assert_eq!(client(&[(FORWARDED_FOR, value)]).0, address, "{value}");
        }
        let repeated = [(FORWARDED_FOR, "203.0.113.9"), (FORWARDED_FOR, "192.0.2.7")];
        assert_eq!(client(&repeated).0, "192.0.2.7:0");
    }

    #[test]
    fn scheme_is_that_of_the_nearest_proxy() {
        for (values, secure) in [
            (&["https"][..], true),
            (&["HTTPS"], true),
            (&["https, http"], false),
            (&["https", "http"], false),
            (&[], false),
        ] {
            let headers: Vec<_> = values.iter().map(|value| (FORWARDED_PROTO, *value)).collect();
            assert_eq!(client(&headers).1, secure, "{values:?}");
        }
    }
}
