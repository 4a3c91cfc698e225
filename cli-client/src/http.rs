//! HTTP requests to the account routes on the page's listener of `pennypost serve`.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::connection::{ConnectionError, Server};

/// The server delays the answer to a wrong password by up to 8 seconds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest response lists queued messages.
const RESPONSE_OCTETS_MAX: usize = 4 << 20;
const HEADERS_MAX: usize = 64;
/// Every response starts with it.
const HTTP: &[u8] = b"HTTP/";

/// A response.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Response {
    /// The sentence in an error response.
    pub(crate) fn reason(&self) -> &str {
        self.body.lines().next().unwrap_or_default()
    }
}

/// Sends one request with a JSON body (RFC 9112), and reads the response until the server closes the connection.
///
/// # Errors
/// The server cannot be reached, or is no HTTP server.
pub(crate) fn post(web: &Server, path: &str, body: &Value) -> Result<Response, ConnectionError> {
    let lost = |reason: &dyn std::fmt::Display| ConnectionError::Lost {
        server: web.clone(),
        reason: reason.to_string(),
    };
    let body = body.to_string();
    let mut stream = web.open()?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        web.address,
        body.len()
    );
    stream.write_all(request.as_bytes()).map_err(|error| lost(&error))?;
    let deadline = Some(Instant::now() + RESPONSE_TIMEOUT);
    let mut octets = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        match stream.read(&mut buffer, deadline).map_err(|error| lost(&error))? {
            0 => break,
            count => octets.extend_from_slice(&buffer[..count]),
        }
        let start = &octets[..octets.len().min(HTTP.len())];
        if !HTTP.starts_with(start) {
            // Another protocol, whose server waits for commands.
            break;
        }
        if octets.len() > RESPONSE_OCTETS_MAX {
            return Err(lost(&"the response is too long"));
        }
    }
    parse(&octets).ok_or_else(|| lost(&"it sent no HTTP response"))
}

fn parse(octets: &[u8]) -> Option<Response> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(octets).ok()? else { return None };
    let status = response.code?;
    Some(Response { status, body: String::from_utf8_lossy(&octets[length..]).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_needs_a_complete_head() {
        let response =
            parse(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nwrong\n").expect("a response");
        assert_eq!((response.status, &*response.body), (403, "wrong\n"));
        for text in
            ["", "HTTP/1.1 403 Forbidden\r\n", "220 <iit.edu> Service ready\r\n\r\n", "HTTP/1.1 x\r\n\r\n"]
        {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
