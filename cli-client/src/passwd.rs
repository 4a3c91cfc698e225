//! `mail-client passwd`: changes the account's password over the HTTP side of the page's listener, since neither SMTP nor POP3 can.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mail_core::sasl::Credentials;
use mail_core::secret::Secret;
use serde_json::json;

use crate::connection::{ConnectionError, Server};
use crate::error::Error;
use crate::input::{self, Input};
use crate::output;
use crate::password::first_line_of;

const PATH: &str = "/account/password";
/// The server delays the answer to a wrong password by up to 8 seconds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// A refusal is one sentence.
const RESPONSE_OCTETS_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 64;
/// Every response starts with it.
const HTTP: &[u8] = b"HTTP/";

/// Source of the new password.
#[derive(Debug, clap::Args)]
pub(crate) struct NewPassword {
    /// Read the new password from the first line of FILE [default: the next line of standard input, or a prompt]
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

impl NewPassword {
    fn read(&self) -> Result<Secret<String>, Error> {
        if let Some(path) = &self.new_password_file {
            return first_line_of(path, "--new-password-file");
        }
        if !std::io::stdin().is_terminal() {
            return match input::plain_line() {
                Err(Error::InputEnded) => Err(Error::Usage(
                    "no new password; write it on the second line of standard input, or pass it with --new-password-file"
                        .to_owned(),
                )),
                line => Ok(Secret::new(line?)),
            };
        }
        let mut input = Input::new()?;
        let first = input.secret("New password: ")?;
        if first.expose() != input.secret("Repeat the new password: ")?.expose() {
            return Err(Error::Usage("the two new passwords differ; nothing was changed".to_owned()));
        }
        Ok(first)
    }
}

/// Changes the password.
///
/// # Errors
/// The server refuses the change, or cannot be reached; the password is then unchanged, unless the connection was lost.
pub(crate) fn run(web: &Server, credentials: &Credentials, new: &NewPassword) -> Result<(), Error> {
    let new = new.read()?;
    let body = json!({
        "user": credentials.authentication_id,
        "password": credentials.password.expose(),
        "new_password": new.expose(),
    });
    let response = post(web, PATH, &body.to_string())?;
    let text = response.body.lines().next().unwrap_or_default();
    match response.status {
        204 => output::line(&format!("changed the password of {}", credentials.authentication_id)),
        300..=399 => Err(Error::Failed(format!("{web} accepts TLS only; pass --tls implicit"))),
        404 | 405 => Err(Error::Failed(format!(
            "{web} cannot change passwords; name the page's listener of `pennypost serve` with --web"
        ))),
        status if text.is_empty() => Err(Error::Failed(format!("not changed: {web} answered {status}"))),
        _ => Err(Error::Failed(format!("not changed: {text}"))),
    }
}

struct Response {
    status: u16,
    body: String,
}

/// Sends one request (RFC 9112) and reads the response until the server closes the connection.
fn post(web: &Server, path: &str, body: &str) -> Result<Response, ConnectionError> {
    let lost = |reason: &dyn std::fmt::Display| ConnectionError::Lost {
        server: web.clone(),
        reason: reason.to_string(),
    };
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
