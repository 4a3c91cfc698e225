//! SMTP sessions: a login check, and the submission of one message.

use std::net::SocketAddr;

use mail_core::message::address::{Address, ForwardPath, Host, ReversePath};
use mail_core::sasl::Credentials;
use mail_core::smtp::client::{Envelope, Event, Stage, Submission, SubmissionConfig, Tls};
use mail_core::smtp::command::HelloName;
use mail_core::smtp::reply::Reply;

use crate::connection::{Connection, Server};
use crate::error::Error;
use crate::progress;

const BODY_CHUNK_BYTES: usize = 64 * 1024;

/// A message and its envelope.
#[derive(Debug)]
pub(crate) struct OutgoingMessage {
    pub(crate) reverse_path: ReversePath,
    pub(crate) recipients: Vec<Address>,
    /// Header and body, with any line ends.
    pub(crate) text: Vec<u8>,
    /// Every transfer uses verified TLS (REQUIRETLS, RFC 8689).
    pub(crate) require_tls: bool,
}

/// The server accepted the message for at least one recipient.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) reply: Reply,
    pub(crate) refused: Vec<(Address, Reply)>,
}

/// Result of a login check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoginResult {
    Accepted,
    Refused(String),
    /// The server does not offer AUTH.
    AuthUnavailable,
}

/// Logs in if the server offers AUTH, and quits.
pub(crate) fn check_login(server: &Server, credentials: &Credentials) -> Result<LoginResult, Error> {
    let mut connection = connect(server, None, Some(credentials.clone()))?;
    let result = loop {
        match connection.expect_event()? {
            Event::Ready { authenticated: true, .. } => break LoginResult::Accepted,
            Event::Ready { .. } => break LoginResult::AuthUnavailable,
            Event::LoginRefused(reply) => break LoginResult::Refused(reply.to_string()),
            Event::MissingCapability(capability) => {
                quit(connection);
                return Err(Error::Failed(format!("{server}: {capability}")));
            }
            Event::Rejected { stage: Stage::StartTls, reply } => {
                return Err(connection.tls_refused(reply).into());
            }
            Event::Rejected { reply, .. } | Event::Goodbye(reply) => {
                return Err(connection.closed(reply).into());
            }
            _ => {}
        }
    };
    quit(connection);
    Ok(result)
}

/// Sends one message.
///
/// # Errors
/// Every recipient was refused, or the connection failed.
pub(crate) fn submit(
    server: &Server,
    credentials: Option<Credentials>,
    message: &OutgoingMessage,
) -> Result<Receipt, Error> {
    let hello = message.reverse_path.address().map(|address| &address.host);
    let mut connection = connect(server, hello, credentials)?;
    let recipients = message.recipients.iter().cloned().map(ForwardPath::Address).collect();
    let mut envelope = Envelope::for_message(message.reverse_path.clone(), recipients, &message.text);
    envelope.require_tls = message.require_tls;
    connection.machine.send(envelope).map_err(|error| Error::Failed(error.to_string()))?;
    let mut refused = Vec::new();
    let mut body_sent = false;
    loop {
        let event = connection.expect_event().map_err(|error| match body_sent {
            true => Error::Failed(format!("{error}; the server may have accepted the mail")),
            false => error.into(),
        })?;
        match event {
            Event::SendBody => body_sent = send_body(&mut connection, &message.text)?,
            Event::RecipientRefused { index, reply } => {
                refused.push((message.recipients[index].clone(), reply));
            }
            Event::Sent(reply) => {
                quit(connection);
                return Ok(Receipt { reply, refused });
            }
            Event::Refused { stage, reply } => {
                quit(connection);
                return Err(refusal_error(stage, &reply, &refused));
            }
            Event::MissingCapability(capability) => {
                quit(connection);
                return Err(Error::Failed(format!("{server}: {capability}")));
            }
            Event::LoginRefused(reply) => {
                quit(connection);
                return Err(Error::Failed(format!(
                    "{server} refused the login: {reply}; check --user and the password"
                )));
            }
            Event::Rejected { stage: Stage::StartTls, reply } => {
                return Err(connection.tls_refused(reply).into());
            }
            Event::Rejected { reply, .. } | Event::Goodbye(reply) => {
                return Err(connection.closed(reply).into());
            }
            Event::Greeting(_) | Event::Ready { .. } | Event::LoginRequired => {}
        }
    }
}

/// Connects. The EHLO name is the sender's host, as in the guide, or else the local address (RFC 5321 section 4.1.3).
fn connect(
    server: &Server,
    hello: Option<&Host>,
    credentials: Option<Credentials>,
) -> Result<Connection<Submission>, Error> {
    let hello = hello.and_then(|host| match host {
        Host::Domain(domain) => HelloName::parse(&domain.ascii()),
        Host::Literal(_) => HelloName::parse(&host.to_string()),
    });
    let machine = |local, now| {
        let hello = hello.unwrap_or_else(|| address_literal(local));
        let tls = if server.requires_starttls() { Tls::Required } else { Tls::Never };
        let config = SubmissionConfig { hello, tls, credentials, auth_required: false };
        Submission::new(config, now)
    };
    Ok(Connection::connect(server, machine)?)
}

fn address_literal(local: SocketAddr) -> HelloName {
    let literal = match local {
        SocketAddr::V4(v4) => format!("[{}]", v4.ip()),
        SocketAddr::V6(v6) => format!("[IPv6:{}]", v6.ip()),
    };
    HelloName::parse(&literal).expect("an address literal is printable and short")
}

/// Sends the message. Returns whether all of it was written.
fn send_body(connection: &mut Connection<Submission>, text: &[u8]) -> Result<bool, Error> {
    let bar = progress::bytes(text.len() as u64, "Sending");
    for chunk in text.chunks(BODY_CHUNK_BYTES) {
        if let Err(error) = connection.machine.body(chunk) {
            // Only closing the connection aborts a message after DATA.
            connection.machine.cancel();
            return Err(Error::Failed(error.to_string()));
        }
        if !connection.flush() {
            return Ok(false);
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    connection.machine.body_end().map_err(|error| Error::Failed(error.to_string()))?;
    Ok(connection.flush())
}

/// Sends QUIT. The result of the session is known already, so errors are ignored.
fn quit(mut connection: Connection<Submission>) {
    connection.machine.quit();
    while let Ok(Some(_)) = connection.next_event() {}
}

fn refusal_error(stage: Stage, reply: &Reply, refused: &[(Address, Reply)]) -> Error {
    Error::Failed(match refused {
        // Recipients may be refused for different reasons.
        [_, _, ..] if stage == Stage::Recipients => {
            let recipients = refused.iter().map(|(recipient, reply)| format!("{recipient}: {reply}"));
            format!("the server refused every recipient: {}", recipients.collect::<Vec<_>>().join("; "))
        }
        _ => format!("the server refused the mail: {reply}"),
    })
}
