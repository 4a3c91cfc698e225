//! The queue entry of an accepted message: sender, recipients, completed header, signature.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use mail_core::mailbox::Trace;
use mail_core::message::address::{Address, ReversePath};
use mail_core::message::complete::complete_header;
use mail_core::message::header;
use mail_core::message::id::MessageId;
use mail_core::message::srs::Srs;
use mail_core::queue::{Entry, QueueId, Recipient};
use mail_core::smtp::dsn::Ret;
use mail_core::smtp::parameter::RcptParameters;
use mail_store::disk::DiskFile;
use mail_store::spool::Spooled;
use mail_store::{Destination, Envelope, Origin, StoreError};
use tracing::info;

use crate::queue::ENVELOPE_OCTETS_MAX;

/// Signs messages of this host.
pub trait Signer: Send + Sync + Debug {
    /// The fields to add above the header, each with its CRLF; empty if the message is not signed. `header` has CRLF line ends and
    /// does not include the empty line, `body` begins with it. Blocks while it reads the body.
    ///
    /// # Errors
    /// The body cannot be read, or the signature not be made.
    fn sign(&self, reverse_path: &ReversePath, header: &[u8], body: &ReadBody<'_>) -> io::Result<Vec<u8>>;
}

/// Passes the octets after a header to its argument, in pieces.
pub type ReadBody<'a> = dyn Fn(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> + 'a;

/// Makes queue entries.
#[derive(Debug, Clone)]
pub struct Composer {
    srs: Srs,
    signer: Option<Arc<dyn Signer>>,
}

/// An entry and the beginning of its message, except for the signature.
#[derive(Debug)]
pub struct Composed {
    pub id: QueueId,
    pub entry: Entry,
    /// [`Entry::format`]
    pub envelope: String,
    trace: String,
    header: Vec<u8>,
    signer: Option<Arc<dyn Signer>>,
}

impl Composer {
    /// `srs` rewrites the senders of forwarded mail, `signer` signs submitted messages.
    #[must_use]
    pub fn new(srs: Srs, signer: Option<Arc<dyn Signer>>) -> Self {
        Self { srs, signer }
    }

    /// Makes the entry for the recipients of `envelope` on other hosts; `None` if it has none. `header` is the message's header,
    /// `eight_bit` whether the message has octets that are not ASCII.
    ///
    /// # Errors
    /// The message has too many recipients.
    pub fn compose(
        &self,
        envelope: &Envelope,
        header: &[u8],
        eight_bit: bool,
        trace: &Trace,
    ) -> Result<Option<Composed>, StoreError> {
        let recipients: Vec<Recipient> =
            envelope.recipients.iter().filter_map(|destination| recipient(envelope, destination)).collect();
        if recipients.is_empty() {
            return Ok(None);
        }
        let id: QueueId =
            trace.id.parse().map_err(|error| StoreError::Failed(format!("{error}: {}", trace.id)))?;
        let reverse_path = match &envelope.reverse_path {
            // An alias forwards the message.
            ReversePath::Address(sender) if envelope.origin == Origin::OtherHost => {
                self.forwarded(sender.clone(), trace.time)
            }
            path => path.clone(),
        };
        let entry = Entry {
            received: trace.time,
            reverse_path,
            // Its content must not return over an unencrypted connection (RFC 8689 section 5).
            ret: if envelope.require_tls { Some(Ret::Headers) } else { envelope.dsn.ret },
            envid: envelope.dsn.envid.clone(),
            recipients,
            eight_bit,
            // Much forwarded mail has UTF-8 in its header and was sent without SMTPUTF8.
            utf8: (envelope.origin != Origin::OtherHost || trace.with.starts_with("UTF8"))
                && !header.is_ascii()
                && str::from_utf8(header).is_ok(),
            require_tls: envelope.require_tls,
            tls_optional: header::first(header, "TLS-Required")
                .is_some_and(|field| field.value.trim_ascii().eq_ignore_ascii_case(b"no")),
        };
        let text = entry.format();
        if text.len() as u64 > ENVELOPE_OCTETS_MAX {
            return Err(StoreError::Failed("the envelope has too many recipients".into()));
        }
        let (header, signer) = match envelope.origin {
            Origin::ThisHost | Origin::RelayClient => {
                let mut completed = Vec::with_capacity(header.len());
                complete_header(header, &trace.time.fixed_offset(), &message_id(trace), &mut completed);
                (completed, self.signer.clone().filter(|_| envelope.origin == Origin::ThisHost))
            }
            Origin::OtherHost => (header.to_vec(), None),
        };
        let trace = trace.received(&[]) + trace.authentication_results.as_deref().unwrap_or_default();
        Ok(Some(Composed { id, entry, envelope: text, trace, header, signer }))
    }

    /// The reverse-path of forwarded mail: an address of this host, as SPF requires. One that would be too long is unchanged.
    fn forwarded(&self, sender: Address, now: DateTime<Utc>) -> ReversePath {
        let rewritten = self.srs.forward(&sender, now);
        let rewritten =
            rewritten.inspect_err(|error| info!(%sender, %error, "forwarded with the original sender"));
        ReversePath::Address(rewritten.unwrap_or(sender))
    }
}

impl Composed {
    /// The trace fields, the signature, and the header. `body` begins with the empty line after the header. Blocks while it reads the body.
    ///
    /// # Errors
    /// The message cannot be signed.
    pub fn head(&self, body: &Spooled<impl DiskFile>) -> Result<Vec<u8>, StoreError> {
        let mut head = self.trace.clone().into_bytes();
        if let Some(signer) = &self.signer {
            let fields = signer.sign(&self.entry.reverse_path, &self.header, &|put| body.read(put));
            let fields =
                fields.map_err(|error| StoreError::Failed(format!("cannot sign the message: {error}")))?;
            head.extend_from_slice(&fields);
        }
        head.extend_from_slice(&self.header);
        Ok(head)
    }
}

fn recipient(envelope: &Envelope, destination: &Destination) -> Option<Recipient> {
    let Destination::Remote(address) = destination else { return None };
    // Another host's sender may be forged, so it gets no more than the default reports.
    let parameters = match envelope.origin {
        Origin::OtherHost => RcptParameters::default(),
        _ => envelope.dsn.parameters(address),
    };
    Some(Recipient { address: address.clone(), parameters })
}

/// The Message-ID of a submitted message without one.
fn message_id(trace: &Trace) -> MessageId {
    let at = |host: &str| MessageId::parse(&format!("{}@{host}", trace.id));
    // The longest host names do not fit.
    at(&trace.by).or_else(|| at("localhost")).expect("the id of a trace is printable ASCII")
}
