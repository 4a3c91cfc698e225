//! All replies of the server, with their RFC sections.
//!
//! Reply codes: RFC 5321 section 4.2.3. Enhanced codes: RFC 3463 and its registry (RFC 5248). The connection omits
//! enhanced codes before EHLO and after HELO.

use crate::message::address::{ForwardPath, ReversePath};
use crate::sasl::SaslError;
use crate::smtp::command::CommandError;
use crate::smtp::parameter::ParameterError;
use crate::smtp::reply::{EnhancedCode, Reply};

type Code = Option<(u8, u16, u16)>;

const DONE: Code = Some((2, 0, 0));
const ORDER: Code = Some((5, 5, 1));
const SYNTAX: Code = Some((5, 5, 2));

// Success.
pub(super) const OK: Reply = Reply::fixed(250, DONE, "OK");
/// RFC 5321 section 7.3 allows a server not to reveal which users exist.
pub(super) const VRFY: Reply =
    Reply::fixed(252, DONE, "Cannot VRFY user, but will accept message and attempt delivery");
/// Omits STARTTLS and AUTH, which are not always available.
pub(super) const HELP: Reply =
    Reply::fixed(214, DONE, "Commands: HELO EHLO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP; see RFC 5321");
pub(super) const SEND_MESSAGE: Reply =
    Reply::fixed(354, None, "Enter mail, end with \".\" on a line by itself");
pub(super) const ACCEPTED: Reply = Reply::fixed(250, DONE, "OK Message accepted for delivery");
/// RFC 3207 section 4.
pub(super) const READY_FOR_TLS: Reply = Reply::fixed(220, DONE, "Ready to start TLS");
/// RFC 4954 section 6.
pub(super) const AUTHENTICATED: Reply = Reply::fixed(235, Some((2, 7, 0)), "Authentication successful");

// Command order: RFC 5321 section 4.1.4.
pub(super) const HELLO_FIRST: Reply = Reply::fixed(503, ORDER, "Send HELO or EHLO first");
pub(super) const NESTED_MAIL: Reply =
    Reply::fixed(503, ORDER, "Sender already specified; send RSET to start over");
pub(super) const MAIL_FIRST: Reply = Reply::fixed(503, ORDER, "Send MAIL first");
pub(super) const NO_RECIPIENT: Reply = Reply::fixed(503, ORDER, "No valid recipients; send RCPT first");
/// RFC 3030 section 2: no DATA or RCPT between chunks.
pub(super) const BDAT_IN_PROGRESS: Reply =
    Reply::fixed(503, ORDER, "Message transfer with BDAT in progress; send the next BDAT");
pub(super) const CHUNK_REJECTED: Reply =
    Reply::fixed(503, ORDER, "An earlier chunk was rejected; send RSET to start over");
/// RFC 4954 section 4, RFC 3207 section 4.
pub(super) const TRANSACTION_IN_PROGRESS: Reply =
    Reply::fixed(503, ORDER, "Not during a mail transaction; send RSET first");

// Syntax: RFC 5321 section 4.3.2 and 4.5.3.1.
pub(super) const LINE_TOO_LONG: Reply = Reply::fixed(500, SYNTAX, "Line too long");
/// RFC 5321 section 2.3.8.
pub(super) const BARE_LF: Reply = Reply::fixed(500, SYNTAX, "End each line with CRLF, not with a bare LF");
/// The chunk after it is skipped; if its size is unknown, the connection closes.
pub(super) const MALFORMED_BDAT: Reply = Reply::fixed(501, Some((5, 5, 4)), "Syntax: BDAT octets [LAST]");
/// RFC 4954 section 4.
pub(super) const AUTH_LINE_TOO_LONG: Reply =
    Reply::fixed(500, Some((5, 5, 6)), "Authentication line too long");

// Parameters: RFC 5321 section 4.1.1.11.
pub(super) const UNKNOWN_PARAMETER: Reply =
    Reply::fixed(555, Some((5, 5, 4)), "Parameter not recognized or not implemented");
/// RFC 6531 section 3.5.
pub(super) const NEEDS_UTF8: Reply =
    Reply::fixed(553, Some((5, 6, 7)), "Non-ASCII address requires SMTPUTF8 with MAIL");

// Limits.
/// RFC 5321 section 4.5.3.1.10.
pub(super) const TOO_MANY_RECIPIENTS: Reply = Reply::fixed(452, Some((4, 5, 3)), "Too many recipients");
/// RFC 5321 section 2.3.8; for NUL, RFC 5322 section 4.
pub(super) const MALFORMED_MESSAGE: Reply = Reply::fixed(
    554,
    Some((5, 6, 0)),
    "Message contains a bare CR, a bare LF or a NUL; lines must end with CRLF",
);

// STARTTLS and AUTH.
pub(super) const TLS_UNAVAILABLE: Reply = Reply::fixed(454, Some((4, 7, 0)), "TLS is not available");
pub(super) const TLS_ALREADY: Reply = Reply::fixed(503, ORDER, "TLS is already active");
/// RFC 4954 section 6; 5.7.11 is from section 4.
pub(super) const ENCRYPTION_REQUIRED: Reply =
    Reply::fixed(538, Some((5, 7, 11)), "Encryption required for authentication; send STARTTLS first");
pub(super) const ENCRYPTION_UNAVAILABLE: Reply = Reply::fixed(
    538,
    Some((5, 7, 11)),
    "Encryption required for authentication; connect over TLS, or from the server's own machine",
);
/// RFC 6409 section 4.3, RFC 4954 section 6.
pub(super) const AUTH_FIRST: Reply =
    Reply::fixed(530, Some((5, 7, 0)), "Authentication required; send AUTH first");
/// RFC 3207 section 4.
pub(super) const TLS_FIRST: Reply =
    Reply::fixed(530, Some((5, 7, 0)), "Must issue a STARTTLS command first, then AUTH");
pub(super) const AUTH_UNAVAILABLE: Reply = Reply::fixed(502, ORDER, "Authentication is not available");
pub(super) const AUTH_ALREADY: Reply = Reply::fixed(503, ORDER, "Already authenticated");

// Replies that close the connection: RFC 5321 section 3.8.
pub(super) const SHUTTING_DOWN: Reply =
    Reply::fixed(421, Some((4, 3, 2)), "Service shutting down, try again later");
pub(super) const TIMED_OUT: Reply = Reply::fixed(421, Some((4, 4, 2)), "Idle timeout, closing connection");
pub(super) const TOO_MANY_ERRORS: Reply =
    Reply::fixed(421, Some((4, 7, 0)), "Too many errors, closing connection");
/// RFC 5321 section 7.8.
pub(super) const TOO_MANY_COMMANDS: Reply =
    Reply::fixed(421, Some((4, 7, 0)), "Too many commands without a message, closing connection");
pub(super) const TOO_SLOW: Reply =
    Reply::fixed(421, Some((4, 4, 2)), "Message transfer too slow, closing connection");
/// RFC 3207 section 6.
pub(super) const INJECTED: Reply =
    Reply::fixed(421, Some((4, 7, 0)), "Data after STARTTLS before the TLS handshake, closing connection");
pub(super) const NOT_HTTP: Reply =
    Reply::fixed(421, Some((4, 7, 0)), "This is a mail server, not a web server, closing connection");

// Replies of the policy, for `Server::reject`.
/// RFC 4954 section 6.
pub const WRONG_CREDENTIALS: Reply =
    Reply::fixed(535, Some((5, 7, 8)), "Authentication failed: wrong username or password");
/// RFC 4954 section 6.
pub const TOO_MANY_FAILURES: Reply =
    Reply::fixed(454, Some((4, 7, 0)), "Too many failed logins; try again later");
/// RFC 4954 section 6.
pub const CANNOT_AUTHENTICATE: Reply =
    Reply::fixed(454, Some((4, 7, 0)), "Temporary authentication failure; try again later");
/// RFC 6409 section 6.1.
pub const FOREIGN_SENDER: Reply =
    Reply::fixed(550, Some((5, 7, 1)), "Sender address does not belong to the authenticated account");
/// RFC 6409 section 4.3, applied to senders of local domains.
pub const SIGN_IN_TO_SEND: Reply =
    Reply::fixed(550, Some((5, 7, 1)), "Sign in to send mail from an address of this domain");
/// RFC 5321 section 3.3.
pub const UNKNOWN_USER: Reply = Reply::fixed(550, Some((5, 1, 1)), "No such user here");
/// RFC 5321 section 3.6.2.
pub const RELAYING_DENIED: Reply =
    Reply::fixed(550, Some((5, 7, 1)), "Relaying denied: only mail for local domains is accepted");
/// RFC 5321 section 6.3.
pub const MAIL_LOOP: Reply =
    Reply::fixed(554, Some((5, 4, 6)), "Too many Received fields: mail loop detected");
/// RFC 5321 section 4.5.3.1.9, applied to the header.
pub const HEADER_TOO_LARGE: Reply = Reply::fixed(552, Some((5, 3, 4)), "Message header too large");
/// RFC 5321 section 4.2.3, RFC 3463 section 3.3.
pub const MAILBOX_FULL: Reply = Reply::fixed(452, Some((4, 2, 2)), "Mailbox full; try again later");
/// RFC 5321 section 4.2.3, RFC 3463 section 3.3.
pub const MAILBOX_TOO_FULL: Reply =
    Reply::fixed(552, Some((5, 2, 2)), "Message would exceed the quota of the mailbox");
/// RFC 5321 section 4.2.2.
pub const STORAGE_FULL: Reply =
    Reply::fixed(452, Some((4, 3, 1)), "Insufficient system storage; try again later");
/// RFC 5321 section 4.2.2.
pub const LOCAL_ERROR: Reply =
    Reply::fixed(451, Some((4, 3, 0)), "Cannot store the message now; try again later");

/// The DMARC policy of a domain (RFC 7489 section 10.3) rejects the message.
#[must_use]
pub fn rejected_by_dmarc(domain: &str) -> Reply {
    let text = format!("Rejected by the DMARC policy of {domain}: neither SPF nor DKIM passes for it");
    Reply::new(550, EnhancedCode::new(5, 7, 1), text)
}

/// RFC 7489 section 6.6.1: no policy applies to authors of several domains, or to none.
pub const AUTHORS_UNCLEAR: Reply =
    Reply::fixed(550, Some((5, 7, 1)), "The message must have one From field, with addresses of one domain");
/// RFC 6409 section 6.1, applied to the header.
pub const FOREIGN_AUTHOR: Reply = Reply::fixed(
    550,
    Some((5, 7, 1)),
    "Address in the From field does not belong to the authenticated account",
);
/// The spam filter rejects the message.
pub const REJECTED_AS_SPAM: Reply = Reply::fixed(550, Some((5, 7, 1)), "Rejected as spam");
/// The spam filter asks for another attempt (greylisting).
pub const DEFERRED_AS_SPAM: Reply = Reply::fixed(451, Some((4, 7, 1)), "Try again later");

/// Whether the reply may be the mere consequence of an earlier rejection.
pub(super) fn may_follow_rejection(reply: &Reply) -> bool {
    [MAIL_FIRST, NO_RECIPIENT, CHUNK_REJECTED].contains(reply)
}

/// Sent instead of the greeting: RFC 5321 section 3.1.
pub fn too_busy(hostname: &str) -> Reply {
    Reply::new(421, None, format!("{hostname} Too many connections, try again later"))
}

/// Sent instead of the greeting if the limit per address is reached.
pub fn too_many_connections(hostname: &str) -> Reply {
    Reply::new(421, None, format!("{hostname} Too many connections from your address, try again later"))
}

pub(super) fn greeting(hostname: &str) -> Reply {
    Reply::new(220, None, format!("<{hostname}> Service ready"))
}

pub(super) fn helo(name: &str) -> Reply {
    Reply::new(250, None, format!("OK Hello {name}"))
}

pub(super) fn sender_ok(path: &ReversePath) -> Reply {
    Reply::new(250, EnhancedCode::new(2, 1, 0), format!("{path}... Sender ok"))
}

/// The guide's reply names root for every recipient. It is sent after HELO only; after EHLO, the reply names the
/// recipient.
pub(super) fn recipient_ok(path: &ForwardPath, extended: bool) -> Reply {
    let code = EnhancedCode::new(2, 1, 5);
    if extended {
        Reply::new(250, code, format!("{path}... Recipient ok"))
    } else {
        Reply::new(250, code, "root... Recipient ok")
    }
}

/// RFC 3030 section 2.
pub(super) fn chunk_ok(octets: u64) -> Reply {
    Reply::new(250, EnhancedCode::new(2, 0, 0), format!("{octets} octets"))
}

/// RFC 4954 section 4.
pub(super) fn challenge(base64: &'static str) -> Reply {
    Reply::new(334, None, base64)
}

/// RFC 1870 section 6.
pub(super) fn too_large(message_size_max: u64) -> Reply {
    let text = format!("Message size exceeds the maximum of {message_size_max} octets");
    Reply::new(552, EnhancedCode::new(5, 3, 4), text)
}

pub(super) fn closing(hostname: &str) -> Reply {
    Reply::new(221, EnhancedCode::new(2, 0, 0), format!("{hostname} closing connection"))
}

/// RFC 5321 section 4.2.4: 500 for an unknown command, 501 for an invalid argument, 502 for a command that is not
/// implemented. Section 4.1.1.11: 555 for an unknown parameter.
pub(super) fn command_error(error: CommandError) -> Reply {
    let (code, (class, subject, detail)) = match error {
        CommandError::Control | CommandError::Unknown => (500, (5, 5, 2)),
        CommandError::NotImplemented => (502, (5, 5, 1)),
        CommandError::Parameter(ParameterError::Unknown) => return UNKNOWN_PARAMETER,
        CommandError::Argument(_) | CommandError::Parameter(_) => (501, (5, 5, 4)),
        CommandError::Sender(_) => (501, (5, 1, 7)),
        CommandError::Recipient(_) => (501, (5, 1, 3)),
        CommandError::UnknownMechanism => (504, (5, 5, 4)),
        CommandError::Sasl(error) => return sasl_error(error),
    };
    Reply::new(code, EnhancedCode::new(class, subject, detail), sentence(&error.to_string()))
}

/// RFC 4954 section 4: 501 for a cancelled exchange and for an invalid response.
pub(super) fn sasl_error(error: SaslError) -> Reply {
    let code = match error {
        SaslError::Cancelled => EnhancedCode::new(5, 7, 0),
        SaslError::NotBase64 | SaslError::Malformed => EnhancedCode::new(5, 5, 2),
    };
    Reply::new(501, code, sentence(&error.to_string()))
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}", first.to_ascii_uppercase(), letters.as_str()))
}
