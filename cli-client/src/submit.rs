//! Handing a message to the SMTP server, and finding out beforehand whether it would let somebody sign in.

use std::net::SocketAddr;

use mail_core::message::address::{Address, ForwardPath, Host, ReversePath};
use mail_core::message::header;
use mail_core::sasl::Credentials;
use mail_core::smtp::client::{Envelope, Event, Stage, Submission, SubmissionConfig, Tls};
use mail_core::smtp::command::HelloName;
use mail_core::smtp::reply::Reply;

use crate::error::Error;
use crate::link::{Link, Server};
use crate::progress;

/// What is handed over at a time.
const CHUNK_OCTETS: usize = 64 * 1024;

/// A message and whom it goes to.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) reverse_path: ReversePath,
    pub(crate) recipients: Vec<Address>,
    /// As it is written; line ends become CRLF on the way.
    pub(crate) message: Vec<u8>,
}

/// The server has the message.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) reply: Reply,
    /// Who does not get it, and why.
    pub(crate) refused: Vec<(Address, Reply)>,
}

/// What the SMTP server thinks of credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Refused(String),
    /// It has no AUTH, so somebody else must be asked.
    NoAuth,
}

/// Signs in, where the server offers AUTH, and leaves.
pub(crate) fn check(server: &Server, credentials: &Credentials) -> Result<Verdict, Error> {
    let mut link = connect(server, None, Some(credentials.clone()))?;
    let verdict = loop {
        match link.expect()? {
            Event::Ready { authenticated: true, .. } => break Verdict::Accepted,
            Event::Ready { .. } => break Verdict::NoAuth,
            Event::LoginRefused(reply) => break Verdict::Refused(reply.to_string()),
            Event::Lacking(lack) => {
                leave(link);
                return Err(Error::Failed(lack.to_string()));
            }
            Event::Rejected { reply, .. } | Event::Goodbye(reply) => return Err(link.closed(reply).into()),
            _ => {}
        }
    };
    leave(link);
    Ok(verdict)
}

/// Hands over one message.
///
/// # Errors
/// It was refused for everybody, or the connection failed.
pub(crate) fn submit(
    server: &Server,
    credentials: Option<Credentials>,
    mail: &Mail,
) -> Result<Receipt, Error> {
    let hello = mail.reverse_path.address().map(|address| &address.host);
    let mut link = connect(server, hello, credentials)?;
    let (header, _) = header::split(&mail.message);
    let envelope = Envelope {
        reverse_path: mail.reverse_path.clone(),
        recipients: mail.recipients.iter().cloned().map(ForwardPath::Address).collect(),
        size: Some(octets_on_the_wire(&mail.message)),
        eight_bit: !mail.message.is_ascii(),
        // RFC 6532. Octets that are not UTF-8 either are nothing that an extension could announce.
        utf8: !header.is_ascii() && str::from_utf8(header).is_ok(),
    };
    link.machine.send(envelope).map_err(|error| Error::Failed(error.to_string()))?;
    let mut refused = Vec::new();
    let mut handed_over = false;
    loop {
        let event = link.expect().map_err(|error| match handed_over {
            true => Error::Failed(format!("{error}; it may have taken the mail all the same")),
            false => error.into(),
        })?;
        match event {
            Event::SendBody => handed_over = send_body(&mut link, &mail.message)?,
            Event::RecipientRefused { index, reply } => refused.push((mail.recipients[index].clone(), reply)),
            Event::Sent(reply) => {
                leave(link);
                return Ok(Receipt { reply, refused });
            }
            Event::Refused { stage, reply } => {
                leave(link);
                return Err(refusal(stage, &reply, &refused));
            }
            Event::Lacking(lack) => {
                leave(link);
                return Err(Error::Failed(lack.to_string()));
            }
            Event::LoginRefused(reply) => {
                leave(link);
                return Err(Error::Failed(format!("the server refused the sign-in: {reply}")));
            }
            Event::Rejected { reply, .. } | Event::Goodbye(reply) => return Err(link.closed(reply).into()),
            Event::Greeting(_) | Event::Ready { .. } | Event::LoginWanted => {}
        }
    }
}

/// Connects, calling itself after the sender's host, as the guide has it, or else after the address of this side
/// (RFC 5321 section 4.1.3).
fn connect(
    server: &Server,
    hello: Option<&Host>,
    credentials: Option<Credentials>,
) -> Result<Link<Submission>, Error> {
    let hello = hello.and_then(|host| match host {
        Host::Domain(domain) => HelloName::parse(&domain.ascii()),
        Host::Literal(_) => HelloName::parse(&host.to_string()),
    });
    let machine = |local, now| {
        let hello = hello.unwrap_or_else(|| literal(local));
        let tls = if server.asks_for_tls() { Tls::Required } else { Tls::Never };
        let config = SubmissionConfig { hello, tls, credentials, auth_required: false };
        Submission::new(config, now)
    };
    Ok(Link::connect(server, machine)?)
}

fn literal(local: SocketAddr) -> HelloName {
    let literal = match local {
        SocketAddr::V4(v4) => format!("[{}]", v4.ip()),
        SocketAddr::V6(v6) => format!("[IPv6:{}]", v6.ip()),
    };
    HelloName::parse(&literal).expect("an address literal is printable and short")
}

/// Sends the message; whether all of it, as far as this side can tell.
fn send_body(link: &mut Link<Submission>, message: &[u8]) -> Result<bool, Error> {
    let bar = progress::octets(message.len() as u64, "Sending");
    for chunk in message.chunks(CHUNK_OCTETS) {
        if let Err(error) = link.machine.body(chunk) {
            // Closing the connection is the one way to take back a message that has begun.
            link.machine.cancel();
            return Err(Error::Failed(error.to_string()));
        }
        if !link.transmit() {
            return Ok(false);
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    link.machine.body_end().map_err(|error| Error::Failed(error.to_string()))?;
    Ok(link.transmit())
}

/// QUIT. What becomes of it changes nothing.
fn leave(mut link: Link<Submission>) {
    link.machine.quit();
    while let Ok(Some(_)) = link.next() {}
}

fn refusal(stage: Stage, reply: &Reply, refused: &[(Address, Reply)]) -> Error {
    Error::Failed(match refused {
        // Each may have been refused for a reason of its own.
        [_, _, ..] if stage == Stage::Recipients => {
            let each = refused.iter().map(|(recipient, reply)| format!("{recipient}: {reply}"));
            format!("the server refused every recipient: {}", each.collect::<Vec<_>>().join("; "))
        }
        _ => format!("the server refused the mail: {reply}"),
    })
}

/// The message's octets once every line ends with CRLF (RFC 1870 section 5).
fn octets_on_the_wire(message: &[u8]) -> u64 {
    let mut previous = 0;
    let mut octets = message.len() as u64;
    for &byte in message {
        octets += u64::from((byte == b'\n') != (previous == b'\r'));
        previous = byte;
    }
    octets
        + if matches!(previous, b'\n') || message.is_empty() {
            0
        } else if previous == b'\r' {
            1
        } else {
            2
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_core::line::LineNormaliser;

    #[test]
    fn octets_are_counted_as_they_are_sent() {
        for text in ["", "a", "a\n", "a\r\n", "a\r", "\n\n", "\r\r", "a\r\rb\n\nc\r\n\r\n", "\n", "\r\n"] {
            let mut sent = Vec::new();
            LineNormaliser::default().normalise(text.as_bytes(), &mut sent);
            if !sent.is_empty() && !sent.ends_with(b"\r\n") {
                sent.extend_from_slice(b"\r\n");
            }
            assert_eq!(octets_on_the_wire(text.as_bytes()), sent.len() as u64, "{text:?}");
        }
    }
}
