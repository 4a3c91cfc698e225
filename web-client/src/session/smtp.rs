//! Submits one message to the SMTP server.

use std::pin::pin;

use futures::future::{Either, select};
use mail_core::message::address::{Address, Domain, ForwardPath, ReversePath};
use mail_core::message::draft::{Draft, DraftError};
use mail_core::sasl::Credentials;
use mail_core::smtp::client::{
    BodyError, Envelope, Event, MissingCapability, Stage, Submission, SubmissionConfig, Tls,
};
use mail_core::smtp::command::HelloName;
use mail_core::smtp::reply::Reply;
use mail_core::time::Instant;

use super::{Connection, ConnectionLost, Driver, SessionError};
use crate::model::transcript::TranscriptRecorder;
use crate::strings::{self, DELIVERY_UNKNOWN};

/// Size of a body chunk. The progress bar advances by it.
const CHUNK_OCTETS: usize = 32 * 1_024;

/// A composed message with its envelope.
#[derive(Debug)]
pub(crate) struct OutgoingMessage {
    envelope: Envelope,
    message: Vec<u8>,
}

/// The outcome of an accepted message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The server's reply to the message.
    pub(crate) reply: String,
    /// Rejected recipients, with the server's reply.
    pub(crate) rejected: Vec<(Address, String)>,
}

/// The reason a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    #[error("{0}")]
    Session(#[from] SessionError),
    /// The server did not answer; another attempt may succeed.
    #[error("{0}")]
    NotConnected(SessionError),
    /// The final dot was sent and no definite reply arrived.
    #[error("{DELIVERY_UNKNOWN}")]
    DeliveryUnknown,
    /// Nothing was sent.
    #[error("{0}. The message was not sent.")]
    InvalidDraft(#[from] DraftError),
    /// The user cancelled before the final dot was sent.
    #[error("Sending was cancelled. The message was not sent.")]
    Cancelled,
}

impl From<ConnectionLost> for SendError {
    fn from(error: ConnectionLost) -> Self {
        Self::NotConnected(error.into())
    }
}

impl SendError {
    /// An error before the server's greeting.
    pub(crate) const fn before_greeting(error: SessionError) -> Self {
        if error.is_temporary() { Self::NotConnected(error) } else { Self::Session(error) }
    }
}

impl OutgoingMessage {
    pub(crate) fn new(draft: &Draft, message: Vec<u8>) -> Self {
        let recipients = draft.recipients().into_iter().cloned().map(ForwardPath::Address).collect();
        let reverse_path = ReversePath::Address(draft.from.clone());
        let envelope = Envelope::for_message(reverse_path, recipients, &message);
        // Bcc addresses are not in the header.
        let utf8 = envelope.utf8 || draft.needs_smtputf8();
        Self { envelope: Envelope { utf8, ..envelope }, message }
    }

    pub(crate) fn octets(&self) -> u64 {
        self.message.len() as u64
    }
}

/// Sends a message. `progress` receives the number of octets that have left the browser. The caller has to
/// [close](Driver::close) the driver.
pub(crate) async fn submit<C: Connection>(
    connection: C,
    recorder: TranscriptRecorder,
    hello: HelloName,
    credentials: &Credentials,
    message: &OutgoingMessage,
    progress: impl Fn(u64),
    cancelled: impl Future<Output = ()>,
) -> (Result<Receipt, SendError>, Driver<C, Submission>) {
    let config = SubmissionConfig {
        hello,
        tls: Tls::Never,
        credentials: Some(credentials.clone()),
        auth_required: false,
    };
    let mut submission = Submission::new(config, Instant::now());
    submission.send(message.envelope.clone()).expect("a valid draft has a recipient");
    let mut sender = Sender {
        driver: Driver::new(connection, submission, recorder),
        rejected: Vec::new(),
        greeted: false,
        final_dot_sent: false,
    };
    let result = match select(pin!(sender.run(message, &progress)), pin!(cancelled)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(SendError::Cancelled),
    };
    let result = match result {
        Ok(reply) => Ok(Receipt { reply, rejected: sender.rejected }),
        Err(SendError::Session(refused @ SessionError::Refused(_))) => Err(refused.into()),
        // After the final dot, only a negative reply proves that the message was not delivered.
        Err(_) if sender.final_dot_sent => Err(SendError::DeliveryUnknown),
        Err(SendError::Session(error)) if !sender.greeted => Err(SendError::before_greeting(error)),
        Err(error) => Err(error),
    };
    match result {
        // QUIT would become part of the message.
        Err(SendError::Cancelled | SendError::DeliveryUnknown) => sender.driver.machine.cancel(),
        _ => sender.driver.machine.quit(),
    }
    (result, sender.driver)
}

/// The server's domain, from its greeting (RFC 5321 section 4.2). `None` if the greeting does not start with one.
pub(crate) async fn server_domain<C: Connection>(
    connection: C,
    recorder: TranscriptRecorder,
    hello: HelloName,
) -> Result<Option<Domain>, SessionError> {
    let config = SubmissionConfig { hello, tls: Tls::Never, credentials: None, auth_required: false };
    let mut driver = Driver::new(connection, Submission::new(config, Instant::now()), recorder);
    let mut domain = None;
    driver.machine.quit();
    while let Some(event) = driver.next_event().await? {
        if let Event::Greeting(reply) = event {
            let first = reply.text().split_whitespace().next().unwrap_or_default();
            domain = Domain::parse(first.trim_start_matches('<').trim_end_matches('>')).ok();
        }
    }
    Ok(domain)
}

struct Sender<C> {
    driver: Driver<C, Submission>,
    rejected: Vec<(Address, String)>,
    /// The server has answered.
    greeted: bool,
    final_dot_sent: bool,
}

impl<C: Connection> Sender<C> {
    /// Returns the reply to the message.
    async fn run(&mut self, message: &OutgoingMessage, progress: &impl Fn(u64)) -> Result<String, SendError> {
        while let Some(event) = self.driver.next_event().await? {
            self.greeted = true;
            match event {
                Event::RecipientRefused { index, reply } => {
                    let recipient = message.envelope.recipients.get(index);
                    if let Some(address) = recipient.and_then(|recipient| recipient.path.address()) {
                        self.rejected.push((address.clone(), reply_text(&reply)));
                    }
                }
                Event::SendBody => self.send_body(&message.message, progress).await?,
                Event::Sent(reply) => return Ok(reply.to_string()),
                Event::Refused { stage: Stage::Recipients, .. } => {
                    let each = |(address, error): &(Address, String)| format!("{address}: {error}");
                    let all: Vec<_> = self.rejected.iter().map(each).collect();
                    return Err(SessionError::Refused(all.join(" ")).into());
                }
                Event::Refused { reply, .. } | Event::Rejected { reply, .. } => {
                    return Err(SessionError::Refused(reply_text(&reply)).into());
                }
                Event::LoginRefused(reply) => {
                    return Err(SessionError::WrongCredentials(reply_text(&reply)).into());
                }
                Event::MissingCapability(missing) => {
                    return Err(missing_capability(missing, message.octets()).into());
                }
                _ => {}
            }
        }
        Err(SessionError::ConnectionLost.into())
    }

    /// Sends the body as fast as the connection accepts it. Stops early if the server replies during the body.
    async fn send_body(&mut self, message: &[u8], progress: &impl Fn(u64)) -> Result<(), SendError> {
        let mut octets = 0;
        for chunk in message.chunks(CHUNK_OCTETS) {
            match self.driver.machine.body(chunk) {
                Ok(()) => {}
                Err(error @ BodyError::Nul) => {
                    self.driver.machine.cancel();
                    return Err(SessionError::Refused(format!("Not sent: {error}.")).into());
                }
                // The server has ended the transaction; the next event has its reply.
                Err(BodyError::Order(_)) => return Ok(()),
            }
            octets += chunk.len() as u64;
            let sent = self.driver.flush().await;
            progress(octets.saturating_sub(self.driver.connection.unsent_octets()));
            self.driver.read_available();
            if sent.is_err() || self.driver.has_input() {
                return Ok(());
            }
        }
        self.driver.machine.body_end().expect("the machine asked for the body and has not ended it");
        // From here on the server may deliver the message even if the connection is lost.
        self.final_dot_sent = true;
        Ok(self.driver.flush().await?)
    }
}

fn missing_capability(missing: MissingCapability, octets: u64) -> SessionError {
    SessionError::Refused(match missing {
        MissingCapability::Size(octets_max) => strings::message_too_large(octets_max, octets),
        missing => format!("Not sent: {missing}."),
    })
}

/// The server's reply as part of a sentence.
fn reply_text(reply: &Reply) -> String {
    format!("the server replied: {reply}")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::{pending, ready};

    use mail_core::message::draft::Subject;

    use super::*;
    use crate::session::testing::{AfterScript, Script, SmtpHost, now, recorder};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn outgoing(to: &[&str], message: &[u8]) -> OutgoingMessage {
        let to = to.iter().map(|to| address(to)).collect();
        let draft = Draft::new(address("ag@iit.edu"), to, Subject::default(), String::new());
        OutgoingMessage::new(&draft, message.to_vec())
    }

    fn hello() -> HelloName {
        HelloName::parse("localhost").unwrap()
    }

    fn send(host: &SmtpHost, cut: Option<usize>, message: &OutgoingMessage) -> Result<Receipt, SendError> {
        let connection = host.connect_for(cut.unwrap_or(usize::MAX));
        now(submit(
            connection,
            recorder(),
            hello(),
            &Credentials::new("ag", "arrow"),
            message,
            |_| {},
            pending(),
        ))
        .0
    }

    #[test]
    fn large_message_arrives_with_progress() {
        let host = SmtpHost::new();
        let message = b"Subject: x\r\n\r\n.dot\r\n".repeat(100_000);
        let outgoing = outgoing(&["gb@iit.edu"], &message);
        let progress = RefCell::new(Vec::new());
        let connection = host.connect();
        let credentials = Credentials::new("ag", "arrow");
        let sent = now(submit(
            connection,
            recorder(),
            hello(),
            &credentials,
            &outgoing,
            |n| progress.borrow_mut().push(n),
            pending(),
        ));
        assert!(sent.0.unwrap().reply.starts_with("250"));
        assert_eq!(host.delivered(), [message]);
        let progress = progress.into_inner();
        assert!(progress.is_sorted() && progress.len() > 10 && progress.last() == Some(&outgoing.octets()));
    }

    #[test]
    fn rejected_recipient_is_reported_and_others_receive_the_message() {
        let host = SmtpHost::new();
        let receipt = send(&host, None, &outgoing(&["nobody@iit.edu", "gb@iit.edu"], b"x\r\n")).unwrap();
        assert_eq!(receipt.rejected.len(), 1);
        assert_eq!(receipt.rejected[0].0, address("nobody@iit.edu"));
        assert_eq!(host.delivered().len(), 1);
        let none = send(&host, None, &outgoing(&["nobody@iit.edu"], b"x\r\n"));
        let Err(SendError::Session(SessionError::Refused(error))) = none else { panic!("{none:?}") };
        assert!(error.contains("nobody@iit.edu") && error.contains("550"), "{error}");
        assert_eq!(host.delivered().len(), 1);
    }

    #[test]
    fn refused_message_reports_the_reason() {
        let host = SmtpHost::new();
        let large = send(&host, None, &outgoing(&["gb@iit.edu"], &vec![b'x'; 5_000_000]));
        assert!(
            matches!(&large, Err(SendError::Session(SessionError::Refused(error))) if error.contains("The server accepts up to 3.8 MB. Yours is 4.8 MB.")),
            "{large:?}"
        );
        let nul = send(&host, None, &outgoing(&["gb@iit.edu"], b"a\0b"));
        assert!(
            matches!(&nul, Err(SendError::Session(SessionError::Refused(error))) if error.contains("NUL")),
            "{nul:?}"
        );
        assert!(host.delivered().is_empty());
    }

    #[test]
    fn connection_lost_at_any_octet_reports_what_is_known() {
        let outgoing = outgoing(&["gb@iit.edu"], b"Subject: x\r\n\r\nbody\r\n");
        let whole = {
            let host = SmtpHost::new();
            send(&host, None, &outgoing).unwrap();
            host.octets_sent()
        };
        let mut unknown = 0;
        for cut in 0..whole {
            let host = SmtpHost::new();
            match send(&host, Some(cut), &outgoing) {
                Ok(_) => assert_eq!(host.delivered().len(), 1),
                Err(SendError::DeliveryUnknown) => unknown += 1,
                Err(error) => {
                    assert_eq!(error, SendError::Session(SessionError::ConnectionLost));
                    assert!(host.delivered().is_empty(), "{cut}");
                }
            }
        }
        assert!(unknown > 0);
    }

    /// A dialogue up to DATA, then this reply to the message.
    fn replying(last: &'static str) -> Script {
        let ok = "250 ok\r\n";
        Script::new(&["220 iit.edu\r\n", "250 iit.edu\r\n", ok, ok, "354 go\r\n", last], AfterScript::Panic)
    }

    fn send_over(connection: Script, cancelled: impl Future<Output = ()>) -> Result<Receipt, SendError> {
        let outgoing = outgoing(&["gb@iit.edu"], b"Subject: x\r\n\r\nbody\r\n");
        let credentials = Credentials::new("ag", "arrow");
        now(submit(connection, recorder(), hello(), &credentials, &outgoing, |_| {}, cancelled)).0
    }

    #[test]
    fn submit_does_not_wait_for_the_quit_reply() {
        // The script panics if the client waits for a reply to QUIT.
        assert!(send_over(replying("250 accepted\r\n"), pending()).is_ok());
    }

    #[test]
    fn close_waits_briefly_for_the_quit_reply() {
        let connection = Script { then: AfterScript::TimeOut, ..replying("250 accepted\r\n") };
        let outgoing = outgoing(&["gb@iit.edu"], b"x\r\n");
        let credentials = Credentials::new("ag", "arrow");
        let (sent, driver) =
            now(submit(connection, recorder(), hello(), &credentials, &outgoing, |_| {}, pending()));
        assert!(sent.is_ok());
        now(driver.close());
    }

    #[test]
    fn malformed_reply_to_the_message_means_delivery_unknown() {
        assert_eq!(send_over(replying("hello\r\n"), pending()), Err(SendError::DeliveryUnknown));
        let refused = send_over(replying("554 no\r\n"), pending());
        assert!(matches!(refused, Err(SendError::Session(SessionError::Refused(_)))), "{refused:?}");
        let before = send_over(Script::new(&["220 iit.edu\r\n", "hello\r\n"], AfterScript::Panic), pending());
        assert!(matches!(before, Err(SendError::Session(SessionError::Protocol(_)))), "{before:?}");
    }

    #[test]
    fn cancelled_message_is_unsent_before_the_final_dot_and_unknown_after() {
        let silent = |replies: &[&'static str]| Script::new(replies, AfterScript::Silence);
        let early = silent(&["220 iit.edu\r\n", "250 iit.edu\r\n"]);
        assert_eq!(send_over(early, ready(())), Err(SendError::Cancelled));
        let ok = "250 ok\r\n";
        let late = silent(&["220 iit.edu\r\n", "250 iit.edu\r\n", ok, ok, "354 go\r\n"]);
        assert_eq!(send_over(late, ready(())), Err(SendError::DeliveryUnknown));
    }

    #[test]
    fn reason_of_a_closed_connection_is_reported_unless_the_delivery_is_unknown() {
        let closing = |replies: &[&'static str]| Script {
            close_reason: Some("the mail server cannot be reached"),
            ..Script::new(replies, AfterScript::Close)
        };
        let unreachable = send_over(closing(&[]), pending());
        let Err(SendError::NotConnected(error)) = unreachable else { panic!("{unreachable:?}") };
        assert_eq!(error.to_string(), "The connection was closed: the mail server cannot be reached.");
        assert!(error.is_temporary());
        let ok = "250 ok\r\n";
        let late = closing(&["220 iit.edu\r\n", "250 iit.edu\r\n", ok, ok, "354 go\r\n"]);
        assert_eq!(send_over(late, pending()), Err(SendError::DeliveryUnknown));
        // A reason does not matter after the session.
        let domain = server_domain(closing(&["220 iit.edu\r\n", "250 iit.edu\r\n"]), recorder(), hello());
        assert_eq!(now(domain), Ok(Domain::parse("iit.edu").ok()));
    }

    #[test]
    fn server_domain_comes_from_the_greeting() {
        let domain = now(server_domain(SmtpHost::new().connect(), recorder(), hello())).unwrap();
        assert_eq!(domain, Some(Domain::parse("iitkgp.edu").unwrap()));
    }
}
