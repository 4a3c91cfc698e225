//! Hands one message to the SMTP server.

use std::pin::pin;

use futures::future::{Either, select};
use mail_core::message::address::{Address, Domain, ForwardPath, ReversePath};
use mail_core::message::draft::Draft;
use mail_core::sasl::Credentials;
use mail_core::smtp::client::{BodyError, Envelope, Event, Stage, Submission, SubmissionConfig, Tls};
use mail_core::smtp::command::HelloName;
use mail_core::smtp::reply::Reply;
use mail_core::time::Instant;

use super::{Broken, Dialogue, Link, Trouble};
use crate::transcript::Scribe;

/// A stretch of the body: small enough that its progress is seen, large enough to be quick.
const STRETCH_OCTETS: usize = 32 * 1_024;

/// A message and where it goes.
#[derive(Debug)]
pub(crate) struct Parcel {
    envelope: Envelope,
    message: Vec<u8>,
}

/// What became of a message that the server took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The server's words.
    pub(crate) reply: String,
    /// Who will not get it, and why not.
    pub(crate) refused: Vec<(Address, String)>,
}

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsent {
    #[error("{0}")]
    Trouble(#[from] Trouble),
    /// All of the message had left, and no answer came that says what became of it.
    #[error(
        "This message was on its way, and what the server has answered is not known: it may have been delivered. Ask \
         whom it is for before you send it again."
    )]
    Unknown,
    /// By the person, before all of it had left.
    #[error("Sending was cancelled: the message was not sent.")]
    Cancelled,
}

impl From<Broken> for Unsent {
    fn from(broken: Broken) -> Self {
        Self::Trouble(broken.into())
    }
}

impl Parcel {
    pub(crate) fn new(draft: &Draft, message: Vec<u8>) -> Self {
        let recipients = draft.recipients().into_iter().cloned().map(ForwardPath::Address).collect();
        let envelope = Envelope {
            reverse_path: ReversePath::Address(draft.from.clone()),
            recipients,
            size: Some(message.len() as u64),
            eight_bit: !message.is_ascii(),
            utf8: draft.needs_smtputf8(),
        };
        Self { envelope, message }
    }

    pub(crate) fn octets(&self) -> u64 {
        self.message.len() as u64
    }
}

/// Sends a message; `progress` hears how many octets of it have left. The dialogue has to be
/// [parted](Dialogue::part) from.
pub(crate) async fn submit<L: Link>(
    link: L,
    scribe: Scribe,
    hello: HelloName,
    credentials: &Credentials,
    parcel: &Parcel,
    progress: impl Fn(u64),
    cancelled: impl Future<Output = ()>,
) -> (Result<Receipt, Unsent>, Dialogue<L, Submission>) {
    let config = SubmissionConfig {
        hello,
        tls: Tls::Never,
        credentials: Some(credentials.clone()),
        auth_required: false,
    };
    let mut submission = Submission::new(config, Instant::now());
    submission.send(parcel.envelope.clone()).expect("a draft without a recipient is not sent");
    let mut sender =
        Sender { dialogue: Dialogue::new(link, submission, scribe), refused: Vec::new(), whole: false };
    let result = match select(pin!(sender.converse(parcel, &progress)), pin!(cancelled)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(Unsent::Cancelled),
    };
    let result = match result {
        Ok(reply) => Ok(Receipt { reply, refused: sender.refused }),
        Err(Unsent::Trouble(refused @ Trouble::Refused(_))) => Err(refused.into()),
        // Nothing but the server's own no says that it has not taken the message over.
        Err(_) if sender.whole => Err(Unsent::Unknown),
        Err(unsent) => Err(unsent),
    };
    match result {
        // Here QUIT would stand behind the message.
        Err(Unsent::Cancelled | Unsent::Unknown) => sender.dialogue.machine.cancel(),
        _ => sender.dialogue.machine.quit(),
    }
    (result, sender.dialogue)
}

/// Asks the server for its name, which stands first in its greeting (RFC 5321 section 4.2).
pub(crate) async fn introduce<L: Link>(
    link: L,
    scribe: Scribe,
    hello: HelloName,
) -> Result<Option<Domain>, Trouble> {
    let config = SubmissionConfig { hello, tls: Tls::Never, credentials: None, auth_required: false };
    let mut dialogue = Dialogue::new(link, Submission::new(config, Instant::now()), scribe);
    let mut name = None;
    dialogue.machine.quit();
    while let Some(event) = dialogue.next().await? {
        if let Event::Greeting(reply) = event {
            let first = reply.text().split_whitespace().next().unwrap_or_default();
            name = Domain::parse(first.trim_start_matches('<').trim_end_matches('>')).ok();
        }
    }
    Ok(name)
}

struct Sender<L> {
    dialogue: Dialogue<L, Submission>,
    refused: Vec<(Address, String)>,
    /// The final dot has left.
    whole: bool,
}

impl<L: Link> Sender<L> {
    async fn converse(&mut self, parcel: &Parcel, progress: &impl Fn(u64)) -> Result<String, Unsent> {
        while let Some(event) = self.dialogue.next().await? {
            match event {
                Event::RecipientRefused { index, reply } => {
                    if let Some(ForwardPath::Address(address)) = parcel.envelope.recipients.get(index) {
                        self.refused.push((address.clone(), said(&reply)));
                    }
                }
                Event::SendBody => self.send_body(&parcel.message, progress).await?,
                Event::Sent(reply) => return Ok(reply.to_string()),
                Event::Refused { stage: Stage::Recipients, .. } => {
                    let each = |(address, why): &(Address, String)| format!("{address}: {why}");
                    let all: Vec<_> = self.refused.iter().map(each).collect();
                    return Err(Trouble::Refused(all.join(" ")).into());
                }
                Event::Refused { reply, .. } | Event::Rejected { reply, .. } => {
                    return Err(Trouble::Refused(said(&reply)).into());
                }
                Event::LoginRefused(reply) => return Err(Trouble::Credentials(said(&reply)).into()),
                Event::Lacking(lack) => return Err(Trouble::Refused(format!("Not sent: {lack}.")).into()),
                _ => {}
            }
        }
        Err(Trouble::Lost.into())
    }

    /// Brings the body, no faster than it leaves, and stops when the server says no in the middle of it.
    async fn send_body(&mut self, message: &[u8], progress: &impl Fn(u64)) -> Result<(), Unsent> {
        let mut octets = 0;
        for stretch in message.chunks(STRETCH_OCTETS) {
            match self.dialogue.machine.body(stretch) {
                Ok(()) => {}
                Err(error @ BodyError::Nul) => {
                    self.dialogue.machine.cancel();
                    return Err(Trouble::Refused(format!("Not sent: {error}.")).into());
                }
                // The server has ended it; what it said comes as the next event.
                Err(BodyError::Order(_)) => return Ok(()),
            }
            octets += stretch.len() as u64;
            let sent = self.dialogue.flush().await;
            progress(octets.saturating_sub(self.dialogue.link.waiting()));
            self.dialogue.gather();
            if sent.is_err() || self.dialogue.has_input() {
                return Ok(());
            }
        }
        self.dialogue.machine.body_end().expect("the body was asked for and has not ended");
        // From here on the server may have it, even if nothing more is heard.
        self.whole = true;
        Ok(self.dialogue.flush().await?)
    }
}

/// The server's own words.
fn said(reply: &Reply) -> String {
    format!("the server said: {reply}")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::{pending, ready};

    use mail_core::message::draft::Subject;

    use super::*;
    use crate::session::testing::{Script, SmtpHost, Then, now, scribe};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn parcel(to: &[&str], message: &[u8]) -> Parcel {
        let to = to.iter().map(|to| address(to)).collect();
        let draft = Draft::new(address("ag@iit.edu"), to, Subject::default(), String::new());
        Parcel::new(&draft, message.to_vec())
    }

    fn hello() -> HelloName {
        HelloName::parse("localhost").unwrap()
    }

    fn send(host: &SmtpHost, cut: Option<usize>, parcel: &Parcel) -> Result<Receipt, Unsent> {
        let link = host.connect_for(cut.unwrap_or(usize::MAX));
        now(submit(link, scribe(), hello(), &Credentials::new("ag", "arrow"), parcel, |_| {}, pending())).0
    }

    #[test]
    fn a_large_message_arrives_whole_and_its_progress_is_told() {
        let host = SmtpHost::new();
        let message = b"Subject: x\r\n\r\n.dot\r\n".repeat(100_000);
        let parcel = parcel(&["gb@iit.edu"], &message);
        let heard = RefCell::new(Vec::new());
        let link = host.connect();
        let credentials = Credentials::new("ag", "arrow");
        let sent = now(submit(
            link,
            scribe(),
            hello(),
            &credentials,
            &parcel,
            |n| heard.borrow_mut().push(n),
            pending(),
        ));
        assert!(sent.0.unwrap().reply.starts_with("250"));
        assert_eq!(host.delivered(), [message]);
        let heard = heard.into_inner();
        assert!(heard.is_sorted() && heard.len() > 10 && heard.last() == Some(&parcel.octets()));
    }

    #[test]
    fn a_refused_recipient_is_named_and_the_others_get_it() {
        let host = SmtpHost::new();
        let receipt = send(&host, None, &parcel(&["nobody@iit.edu", "gb@iit.edu"], b"x\r\n")).unwrap();
        assert_eq!(receipt.refused.len(), 1);
        assert_eq!(receipt.refused[0].0, address("nobody@iit.edu"));
        assert_eq!(host.delivered().len(), 1);
        let none = send(&host, None, &parcel(&["nobody@iit.edu"], b"x\r\n"));
        let Err(Unsent::Trouble(Trouble::Refused(why))) = none else { panic!("{none:?}") };
        assert!(why.contains("nobody@iit.edu") && why.contains("550"), "{why}");
        assert_eq!(host.delivered().len(), 1);
    }

    #[test]
    fn a_refused_message_says_why() {
        let host = SmtpHost::new();
        let large = send(&host, None, &parcel(&["gb@iit.edu"], &vec![b'x'; 5_000_000]));
        assert!(
            matches!(&large, Err(Unsent::Trouble(Trouble::Refused(why))) if why.contains("too large")),
            "{large:?}"
        );
        let nul = send(&host, None, &parcel(&["gb@iit.edu"], b"a\0b"));
        assert!(
            matches!(&nul, Err(Unsent::Trouble(Trouble::Refused(why))) if why.contains("NUL")),
            "{nul:?}"
        );
        assert!(host.delivered().is_empty());
    }

    #[test]
    fn a_cut_at_any_octet_delivers_it_or_does_not_and_never_claims_to_know_more() {
        let parcel = parcel(&["gb@iit.edu"], b"Subject: x\r\n\r\nbody\r\n");
        let whole = {
            let host = SmtpHost::new();
            send(&host, None, &parcel).unwrap();
            host.octets_sent()
        };
        let mut unknown = 0;
        for cut in 0..whole {
            let host = SmtpHost::new();
            match send(&host, Some(cut), &parcel) {
                Ok(_) => assert_eq!(host.delivered().len(), 1),
                Err(Unsent::Unknown) => unknown += 1,
                Err(error) => {
                    assert_eq!(error, Unsent::Trouble(Trouble::Lost));
                    assert!(host.delivered().is_empty(), "{cut}");
                }
            }
        }
        assert!(unknown > 0);
    }

    /// What stands on the wire before the answer to the message, and that answer.
    fn answered(last: &'static str) -> Script {
        let yes = "250 ok\r\n";
        Script::new(&["220 iit.edu\r\n", "250 iit.edu\r\n", yes, yes, "354 go\r\n", last], Then::Failure)
    }

    fn send_over(link: Script, cancelled: impl Future<Output = ()>) -> Result<Receipt, Unsent> {
        let parcel = parcel(&["gb@iit.edu"], b"Subject: x\r\n\r\nbody\r\n");
        let credentials = Credentials::new("ag", "arrow");
        now(submit(link, scribe(), hello(), &credentials, &parcel, |_| {}, cancelled)).0
    }

    #[test]
    fn nobody_waits_for_the_goodbye() {
        // The script has no answer to QUIT, and ends the test if one is waited for.
        assert!(send_over(answered("250 taken\r\n"), pending()).is_ok());
    }

    #[test]
    fn a_goodbye_is_waited_for_a_moment_and_no_longer() {
        let link = Script { then: Then::Impatience, ..answered("250 taken\r\n") };
        let parcel = parcel(&["gb@iit.edu"], b"x\r\n");
        let credentials = Credentials::new("ag", "arrow");
        let (sent, dialogue) = now(submit(link, scribe(), hello(), &credentials, &parcel, |_| {}, pending()));
        assert!(sent.is_ok());
        now(dialogue.part());
    }

    #[test]
    fn an_answer_to_the_message_that_nobody_understands_is_no_refusal() {
        assert_eq!(send_over(answered("hello\r\n"), pending()), Err(Unsent::Unknown));
        let refused = send_over(answered("554 no\r\n"), pending());
        assert!(matches!(refused, Err(Unsent::Trouble(Trouble::Refused(_)))), "{refused:?}");
        let before = send_over(Script::new(&["220 iit.edu\r\n", "hello\r\n"], Then::Failure), pending());
        assert!(matches!(before, Err(Unsent::Trouble(Trouble::Protocol(_)))), "{before:?}");
    }

    #[test]
    fn whoever_cancels_hears_what_is_known() {
        let silent = |said: &[&'static str]| Script::new(said, Then::Silence);
        let early = silent(&["220 iit.edu\r\n", "250 iit.edu\r\n"]);
        assert_eq!(send_over(early, ready(())), Err(Unsent::Cancelled));
        let yes = "250 ok\r\n";
        let late = silent(&["220 iit.edu\r\n", "250 iit.edu\r\n", yes, yes, "354 go\r\n"]);
        assert_eq!(send_over(late, ready(())), Err(Unsent::Unknown));
    }

    #[test]
    fn the_server_says_its_name() {
        let name = now(introduce(SmtpHost::new().connect(), scribe(), hello())).unwrap();
        assert_eq!(name, Some(Domain::parse("iitkgp.edu").unwrap()));
    }
}
