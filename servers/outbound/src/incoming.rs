//! A message on its way into the queue.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use mail_core::mailbox::Trace;
use mail_core::message::address::{Address, ReversePath};
use mail_core::message::complete::complete_header;
use mail_core::message::header::{self, HeaderBounds, HeaderScanner};
use mail_core::message::id::MessageId;
use mail_core::message::srs::Srs;
use mail_core::queue::{Entry, QueueId, Recipient};
use mail_core::smtp::dsn::Ret;
use mail_core::smtp::parameter::RcptParameters;
use mail_store::disk::{Disk, DiskFile};
use mail_store::offload::Offload;
use mail_store::spool::{SpillFiles, Spool, Spooled};
use mail_store::{DeliveryTarget, Destination, Envelope, IncomingMessage, Origin, StoreError};

use tracing::info;

use crate::queue::{ENVELOPE_OCTETS_MAX, Queue};
use crate::schedule::SharedSchedule;

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

/// A type without a lifetime, so that it can move to another thread in the middle of an async function.
#[derive(Debug, Clone)]
struct SharedSigner(Arc<dyn Signer>);

impl SharedSigner {
    /// The signature fields of a message.
    fn sign(
        &self,
        reverse_path: &ReversePath,
        header: &[u8],
        body: &Spooled<impl DiskFile>,
    ) -> Result<Vec<u8>, StoreError> {
        let Self(signer) = self;
        let fields = signer.sign(reverse_path, header, &|put| body.read(put));
        fields.map_err(|error| StoreError::Failed(format!("cannot sign the message: {error}")))
    }
}

/// Accepts messages for other hosts.
#[derive(Debug, Clone)]
pub struct OutboundQueue<D: Disk, O: Offload> {
    pub(crate) queue: Arc<Queue<D>>,
    pub(crate) schedule: Arc<SharedSchedule>,
    pub(crate) offload: O,
    srs: Srs,
    spill_files: Arc<SpillFiles<D>>,
    signer: Option<SharedSigner>,
}

impl<D: Disk, O: Offload> OutboundQueue<D, O> {
    /// Opens the queue below the directory of `disk`. `srs` rewrites the senders of forwarded mail.
    ///
    /// # Errors
    /// Another process delivers the queue, or its directory cannot be used.
    pub fn open(disk: &D, offload: O, schedule: SharedSchedule, srs: Srs) -> Result<Self, StoreError> {
        Ok(Self {
            srs,
            queue: Arc::new(Queue::open(disk.clone())?),
            schedule: Arc::new(schedule),
            offload,
            spill_files: Arc::new(SpillFiles::open(disk)?),
            signer: None,
        })
    }

    /// Signs submitted messages.
    #[must_use]
    pub fn with_signer(mut self, signer: Arc<dyn Signer>) -> Self {
        self.signer = Some(SharedSigner(signer));
        self
    }
}

impl<D: Disk, O: Offload> OutboundQueue<D, O> {
    /// The reverse-path of forwarded mail: an address of this host, as SPF requires. One that would be too long is unchanged.
    fn forwarded(&self, sender: Address, now: DateTime<Utc>) -> ReversePath {
        let rewritten = self.srs.forward(&sender, now);
        let rewritten =
            rewritten.inspect_err(|error| info!(%sender, %error, "forwarded with the original sender"));
        ReversePath::Address(rewritten.unwrap_or(sender))
    }
}

impl<D: Disk, O: Offload> DeliveryTarget for OutboundQueue<D, O> {
    type Incoming = OutboundIncoming<D, O>;

    async fn begin(&self, envelope: &Envelope) -> Result<Self::Incoming, StoreError> {
        let recipient = |destination: &Destination| match destination {
            Destination::Remote(address) => {
                // Another host's sender may be forged, so it gets no more than the default reports.
                let parameters = match envelope.origin {
                    Origin::OtherHost => RcptParameters::default(),
                    _ => envelope.dsn.parameters(address),
                };
                Ok(Recipient { address: address.clone(), parameters })
            }
            Destination::Mailbox { address, .. } => {
                Err(StoreError::Failed(format!("{address} has a mailbox on this host")))
            }
        };
        Ok(OutboundIncoming {
            target: self.clone(),
            envelope: envelope.clone(),
            recipients: envelope.recipients.iter().map(recipient).collect::<Result<_, _>>()?,
            header: Header::default(),
            body: Spool::new(Arc::clone(&self.spill_files), self.offload.clone()),
            eight_bit: false,
            error: None,
        })
    }
}

/// A message that the queue receives.
#[derive(Debug)]
pub struct OutboundIncoming<D: Disk, O: Offload> {
    target: OutboundQueue<D, O>,
    envelope: Envelope,
    recipients: Vec<Recipient>,
    header: Header,
    /// The message after the header.
    body: Spool<D, O>,
    eight_bit: bool,
    /// The reason the message cannot be committed.
    error: Option<StoreError>,
}

/// The header, buffered because a submitted message is completed. Its caller bounds its size.
#[derive(Debug, Default)]
struct Header {
    octets: Vec<u8>,
    scanner: HeaderScanner,
    is_complete: bool,
}

impl Header {
    /// Reads up to the end of the header. Returns the beginning of the body.
    fn read(&mut self, chunk: &Bytes) -> Bytes {
        if self.is_complete {
            return chunk.clone();
        }
        self.octets.extend_from_slice(chunk);
        match self.scanner.push(chunk) {
            Some(bounds) => self.end_at(bounds),
            None => Bytes::new(),
        }
    }

    /// Ends the header. Returns the octets after it: an empty line, which is added if it is missing, and the body.
    fn end_at(&mut self, HeaderBounds { header_end, body_start }: HeaderBounds) -> Bytes {
        self.is_complete = true;
        let rest = self.octets.split_off(header_end);
        if header_end > 0 && !self.octets.ends_with(b"\n") {
            self.octets.extend_from_slice(b"\r\n");
        }
        if header_end == body_start { [b"\r\n", &rest[..]].concat().into() } else { rest.into() }
    }

    /// The octets after the header of a message that ends here.
    fn finish(&mut self) -> Bytes {
        if self.is_complete { Bytes::new() } else { self.end_at(self.scanner.finish()) }
    }
}

impl<D: Disk, O: Offload> OutboundIncoming<D, O> {
    /// A failed write makes the message incomplete for good.
    fn remember(&mut self, written: Result<(), StoreError>) -> Result<(), StoreError> {
        self.error = written.as_ref().err().cloned();
        written
    }

    fn check(&self) -> Result<(), StoreError> {
        self.error.clone().map_or(Ok(()), Err)
    }
}

impl<D: Disk, O: Offload> IncomingMessage for OutboundIncoming<D, O> {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.check()?;
        self.eight_bit |= !chunk.is_ascii();
        let body = self.header.read(&chunk);
        self.body.end().extend_from_slice(&body);
        let spilled = self.body.spill_if_large().await;
        self.remember(spilled)
    }

    fn memory(&self) -> usize {
        self.header.octets.capacity() + self.body.memory()
    }

    async fn release_memory(&mut self) -> Result<(), StoreError> {
        self.check()?;
        let spilled = self.body.spill_all().await;
        self.remember(spilled)
    }

    async fn commit(mut self, trace: &Trace) -> Result<(), StoreError> {
        self.check()?;
        let body = self.header.finish();
        self.body.end().extend_from_slice(&body);
        let Self { target, envelope, recipients, header, body, eight_bit, .. } = self;
        let id: QueueId =
            trace.id.parse().map_err(|error| StoreError::Failed(format!("{error}: {}", trace.id)))?;
        let header = header.octets;
        let reverse_path = match envelope.reverse_path {
            // An alias forwards the message.
            ReversePath::Address(sender) if envelope.origin == Origin::OtherHost => {
                target.forwarded(sender, trace.time)
            }
            path => path,
        };
        let entry = Entry {
            received: trace.time,
            reverse_path: reverse_path.clone(),
            // Its content must not return over an unencrypted connection (RFC 8689 section 5).
            ret: if envelope.require_tls { Some(Ret::Headers) } else { envelope.dsn.ret },
            envid: envelope.dsn.envid,
            recipients,
            eight_bit,
            // Much forwarded mail has UTF-8 in its header and was sent without SMTPUTF8.
            utf8: (envelope.origin != Origin::OtherHost || trace.with.starts_with("UTF8"))
                && !header.is_ascii()
                && str::from_utf8(&header).is_ok(),
            require_tls: envelope.require_tls,
            tls_optional: header::first(&header, "TLS-Required")
                .is_some_and(|field| field.value.trim_ascii().eq_ignore_ascii_case(b"no")),
        };
        let mut head = entry.format().into_bytes();
        if head.len() as u64 > ENVELOPE_OCTETS_MAX {
            return Err(StoreError::Failed("the envelope has too many recipients".into()));
        }
        head.extend_from_slice(trace.received(&[]).as_bytes());
        head.extend_from_slice(trace.authentication_results.as_deref().unwrap_or_default().as_bytes());
        let (header, signer) = match envelope.origin {
            Origin::ThisHost | Origin::RelayClient => {
                let mut completed = Vec::with_capacity(header.len());
                complete_header(&header, &trace.time.fixed_offset(), &message_id(trace), &mut completed);
                let signer = target.signer.clone().filter(|_| envelope.origin == Origin::ThisHost);
                (completed, signer)
            }
            Origin::OtherHost => (header, None),
        };
        let (body, queue) = (body.finish().await?, Arc::clone(&target.queue));
        let entry_id = id.clone();
        let insert = move || {
            if let Some(signer) = signer {
                head.extend_from_slice(&signer.sign(&reverse_path, &header, &body)?);
            }
            head.extend_from_slice(&header);
            queue.insert(&entry_id, &head, |put| body.read(|piece| -> io::Result<()> { put(piece) }))
        };
        target.offload.run(insert).await?;
        target.schedule.add(id, &entry);
        Ok(())
    }
}

/// The Message-ID of a submitted message without one.
fn message_id(trace: &Trace) -> MessageId {
    let at = |host: &str| MessageId::parse(&format!("{}@{host}", trace.id));
    // The longest host names do not fit.
    at(&trace.by).or_else(|| at("localhost")).expect("the id of a trace is printable ASCII")
}
