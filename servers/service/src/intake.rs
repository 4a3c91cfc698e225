//! Passes the message of a transaction to a delivery target: begin, write, commit. Dropping it aborts the delivery.
//!
//! The intake applies the rules that need to see the message: size of the header, number of hops, memory in use. If mail is
//! authenticated, it passes the message to the check, and removes Authentication-Results fields in the name of this server, and
//! the fields of a spam filter. Messages of users lose their Bcc.

use std::sync::Arc;

use bytes::Bytes;
use mail_core::mailbox::{HEADER_SEARCH_OCTETS_MAX, Trace};
use mail_core::message::header::{self, HeaderBounds, HeaderScanner};
use mail_core::message::printable::Excerpt;
use mail_core::message::{authentication_results, complete};
use mail_store::{DeliveryTarget, Envelope, IncomingMessage, StoreError};

use crate::authentication::{MessageCheck, Verdict};
use crate::budget::{Budget, Reservation};

/// Received fields above which a message is considered to loop (RFC 5321 section 6.3: at least 100).
pub const HOPS_MAX: usize = 100;

/// A message that is being received.
#[derive(Debug)]
pub struct MessageIntake<I> {
    state: Result<Receiving<I>, IntakeError>,
    memory: Reservation,
}

#[derive(Debug)]
struct Receiving<I> {
    incoming: I,
    header: Header,
    filter: Option<HeaderFilter>,
}

/// Removes fields that must not be passed on, and checks the message.
#[derive(Debug, Default)]
pub struct HeaderFilter {
    /// The name of this server, whose Authentication-Results fields are forged.
    pub authserv_id: Option<String>,
    /// Names of further fields to remove.
    pub removed_fields: Vec<&'static str>,
    /// `None`: the client is authenticated.
    pub check: Option<Box<dyn MessageCheck>>,
}

impl HeaderFilter {
    fn apply(&self, header: Vec<u8>) -> Vec<u8> {
        let (mut kept, mut filtered) = (header, Vec::new());
        if let Some(authserv_id) = &self.authserv_id {
            filtered.reserve(kept.len());
            authentication_results::remove(authserv_id, &kept, &mut filtered);
            kept = std::mem::take(&mut filtered);
        }
        if !self.removed_fields.is_empty() {
            complete::remove_fields(&self.removed_fields, &kept, &mut filtered);
            kept = filtered;
        }
        kept
    }
}

/// A header that is complete, and the octets after it.
#[derive(Debug)]
struct SplitHeader {
    header: Vec<u8>,
    /// The empty line and the beginning of the body.
    rest: Bytes,
    empty_line: usize,
}

/// The message's header, buffered until it is complete.
#[derive(Debug)]
enum Header {
    Partial { octets: Vec<u8>, end: HeaderScanner },
    Complete(HeaderSummary),
}

#[derive(Debug, Default)]
struct HeaderSummary {
    /// Received fields (RFC 5321 section 6.3).
    hops: usize,
    /// The first Message-ID, as an [`Excerpt`].
    message_id: Option<String>,
    /// The From fields.
    from_fields: Vec<u8>,
}

impl HeaderSummary {
    fn of(header: &[u8]) -> Self {
        let mut summary = Self::default();
        for field in header::fields(header) {
            if field.is("Received") {
                summary.hops += 1;
            } else if field.is("From") {
                summary.from_fields.extend_from_slice(field.raw);
            } else if summary.message_id.is_none() && field.is("Message-ID") {
                let value = String::from_utf8_lossy(field.value.trim_ascii());
                summary.message_id = Some(Excerpt(&value).to_string());
            }
        }
        summary
    }
}

/// The reason a message was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("the message has passed through more than {HOPS_MAX} servers")]
    Loop,
    #[error("the message's header is larger than {HEADER_SEARCH_OCTETS_MAX} octets")]
    HeaderTooLarge,
    #[error("the memory for messages being received is exhausted")]
    NoMemory,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<I: IncomingMessage> MessageIntake<I> {
    /// Starts to receive a message for the recipients of `envelope`.
    ///
    /// # Errors
    /// The target cannot accept a message now.
    pub async fn begin<T: DeliveryTarget<Incoming = I>>(
        target: &T,
        envelope: &Envelope,
        memory: &Arc<Budget>,
    ) -> Result<Self, StoreError> {
        Ok(Self::new(target.begin(envelope).await?, memory))
    }

    fn new(incoming: I, memory: &Arc<Budget>) -> Self {
        let header = Header::Partial { octets: Vec::new(), end: HeaderScanner::default() };
        Self { state: Ok(Receiving { incoming, header, filter: None }), memory: memory.reserve() }
    }

    /// Applies a filter. Call it before the first [`write`](Self::write).
    #[must_use]
    pub fn with_filter(mut self, filter: Option<HeaderFilter>) -> Self {
        if let Ok(receiving) = &mut self.state {
            receiving.filter = filter;
        }
        self
    }

    /// Receives the next part. A failure is reported by [`commit`](Self::commit), since SMTP has no reply before the end of
    /// the message; the parts so far are discarded at once.
    pub async fn write(&mut self, chunk: Bytes) {
        let Ok(receiving) = &mut self.state else { return };
        if let Err(error) = receiving.write(chunk, &mut self.memory).await {
            self.state = Err(error);
            self.memory.resize(0);
        }
    }

    /// Ends the message and completes its check, if there is one.
    pub async fn authenticate(&mut self) -> Option<Verdict> {
        let receiving = self.state.as_mut().ok()?;
        if let Err(error) = receiving.end().await {
            self.state = Err(error);
            return None;
        }
        let check = receiving.filter.as_mut()?.check.take()?;
        Some(check.finish().await)
    }

    /// The From fields, once the message is [`authenticate`](Self::authenticate)d.
    #[must_use]
    pub fn from_fields(&self) -> &[u8] {
        match &self.state {
            Ok(Receiving { header: Header::Complete(summary), .. }) => &summary.from_fields,
            _ => &[],
        }
    }

    /// Commits the message to stable storage for every recipient. With a filter, call [`authenticate`](Self::authenticate) first. Returns its Message-ID for the log.
    ///
    /// # Errors
    /// The sender remains responsible for the message.
    pub async fn commit(self, trace: &Trace) -> Result<Option<String>, IntakeError> {
        let Receiving { incoming, header, .. } = self.state?;
        let HeaderSummary { hops, message_id, .. } = header.summary();
        if hops > HOPS_MAX {
            return Err(IntakeError::Loop);
        }
        incoming.commit(trace).await?;
        Ok(message_id)
    }
}

impl<I: IncomingMessage> Receiving<I> {
    async fn write(&mut self, chunk: Bytes, memory: &mut Reservation) -> Result<(), IntakeError> {
        let split = self.header.read(&chunk)?;
        match (&mut self.filter, split, &self.header) {
            (None, ..) => self.incoming.write(chunk).await?,
            (Some(_), Some(split), _) => self.filter_header(split).await?,
            // The header is written when it is complete.
            (Some(_), None, Header::Partial { .. }) => {}
            (Some(filter), None, Header::Complete(_)) => {
                if let Some(check) = &mut filter.check {
                    check.body(&chunk);
                }
                self.incoming.write(chunk).await?;
            }
        }
        if !memory.resize(self.memory()) {
            self.incoming.release_memory().await?;
            if !memory.resize(self.memory()) {
                return Err(IntakeError::NoMemory);
            }
        }
        Ok(())
    }

    /// Ends a message that may have no empty line.
    async fn end(&mut self) -> Result<(), IntakeError> {
        match self.header.end() {
            Some(split) if self.filter.is_some() => self.filter_header(split).await,
            _ => Ok(()),
        }
    }

    async fn filter_header(&mut self, split: SplitHeader) -> Result<(), IntakeError> {
        let Some(filter) = &mut self.filter else { return Ok(()) };
        let SplitHeader { header, rest, empty_line } = split;
        if let Some(check) = &mut filter.check {
            check.header(&header);
            check.body(&rest[empty_line..]);
        }
        self.incoming.write(filter.apply(header).into()).await?;
        self.incoming.write(rest).await?;
        Ok(())
    }

    fn memory(&self) -> usize {
        let check = self.filter.as_ref().and_then(|filter| filter.check.as_ref());
        self.header.memory() + self.incoming.memory() + check.map_or(0, |check| check.memory())
    }
}

impl Header {
    /// Reads the next chunk. Returns the header when it is complete.
    fn read(&mut self, chunk: &Bytes) -> Result<Option<SplitHeader>, IntakeError> {
        let Self::Partial { octets, end } = self else { return Ok(None) };
        let seen = octets.len();
        let room = HEADER_SEARCH_OCTETS_MAX + 1 - seen;
        let ended = end.push(chunk);
        octets.extend_from_slice(&chunk[..chunk.len().min(room)]);
        match ended {
            Some(HeaderBounds { header_end, body_start }) if header_end <= HEADER_SEARCH_OCTETS_MAX => {
                let rest = match header_end.checked_sub(seen) {
                    Some(start) => chunk.slice(start..),
                    None => [&octets[header_end..seen], &chunk[..]].concat().into(),
                };
                let mut header = std::mem::take(octets);
                header.truncate(header_end);
                *self = Self::Complete(HeaderSummary::of(&header));
                Ok(Some(SplitHeader { header, rest, empty_line: body_start - header_end }))
            }
            None if octets.len() <= HEADER_SEARCH_OCTETS_MAX => Ok(None),
            _ => Err(IntakeError::HeaderTooLarge),
        }
    }

    /// Ends the message. Returns its header if it was not complete before.
    fn end(&mut self) -> Option<SplitHeader> {
        let Self::Partial { octets, end } = self else { return None };
        let HeaderBounds { header_end, body_start } = end.finish();
        let mut header = std::mem::take(octets);
        let rest = header.split_off(header_end).into();
        *self = Self::Complete(HeaderSummary::of(&header));
        Some(SplitHeader { header, rest, empty_line: body_start - header_end })
    }

    const fn memory(&self) -> usize {
        match self {
            Self::Partial { octets, .. } => octets.capacity(),
            Self::Complete(_) => 0,
        }
    }

    fn summary(self) -> HeaderSummary {
        match self {
            Self::Partial { octets, .. } => HeaderSummary::of(&octets),
            Self::Complete(summary) => summary,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Mutex;

    use super::*;
    use crate::budget::UNCOUNTED_OCTETS;

    /// Keeps a message in memory until it must release it.
    #[derive(Debug, Default)]
    struct MemoryIncoming {
        memory: usize,
        released: Arc<Mutex<usize>>,
    }

    impl IncomingMessage for MemoryIncoming {
        async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
            self.memory += chunk.len();
            Ok(())
        }

        fn memory(&self) -> usize {
            self.memory
        }

        async fn release_memory(&mut self) -> Result<(), StoreError> {
            *self.released.lock().expect("not poisoned") += std::mem::take(&mut self.memory);
            Ok(())
        }

        async fn commit(self, _trace: &Trace) -> Result<(), StoreError> {
            Ok(())
        }
    }

    fn intake(budget: &Arc<Budget>) -> (MessageIntake<MemoryIncoming>, Arc<Mutex<usize>>) {
        let incoming = MemoryIncoming::default();
        let released = Arc::clone(&incoming.released);
        (MessageIntake::new(incoming, budget), released)
    }

    const CHUNK: usize = 32 << 10;

    #[tokio::test]
    async fn body_over_the_budget_leaves_memory_and_is_accepted() {
        let budget = Budget::new(UNCOUNTED_OCTETS);
        let (mut first, first_released) = intake(&budget);
        let (mut second, second_released) = intake(&budget);
        for intake in [&mut first, &mut second] {
            intake.write(Bytes::from_static(b"Subject: large\r\n\r\n")).await;
            for _ in 0..4 {
                intake.write(vec![b'x'; CHUNK].into()).await;
            }
            assert!(budget.used() <= UNCOUNTED_OCTETS);
        }
        // The first had the budget to itself.
        assert_eq!(*first_released.lock().expect("not poisoned"), 4 * CHUNK + 18);
        assert!(*second_released.lock().expect("not poisoned") >= 3 * CHUNK);
        assert!(first.state.is_ok() && second.state.is_ok());
        drop((first, second));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn header_summary_has_the_first_message_id_bounded_and_escaped() {
        let long = "x".repeat(2_000);
        for (header, message_id) in [
            ("Subject: a\r\nMESSAGE-ID:\r\n <1@iit.edu>\r\nMessage-ID: <2@iit.edu>\r\n", Some("<1@iit.edu>")),
            ("Message-ID: <a\x1b[2J\"@iit.edu>\r\n", Some(r#"<a\u{1b}[2J\"@iit.edu>"#)),
            ("Message-IDs: <1@iit.edu>\r\n", None),
        ] {
            assert_eq!(HeaderSummary::of(header.as_bytes()).message_id.as_deref(), message_id, "{header}");
        }
        let summary =
            HeaderSummary::of(format!("Message-ID: {long}\r\nReceived: b\r\nReceived: a\r\n").as_bytes());
        assert_eq!((summary.hops, summary.message_id.map(|id| id.chars().count())), (2, Some(257)));
    }

    #[tokio::test]
    async fn only_a_large_header_over_the_budget_is_refused() {
        let budget = Budget::new(4 * UNCOUNTED_OCTETS);
        let (mut endless, _) = intake(&budget);
        let mut held = 0;
        while endless.state.is_ok() {
            held = budget.used();
            endless.write(b"X-Field: x\r\n".repeat(1_000).into()).await;
        }
        assert!(matches!(endless.state, Err(IntakeError::NoMemory)), "{endless:?}");
        assert!(held > 0 && budget.used() == 0, "{held}, {}", budget.used());

        let mut other = budget.reserve();
        assert!(
            other.resize(usize::try_from(5 * UNCOUNTED_OCTETS).expect("small")),
            "it takes the whole budget"
        );
        let (mut ordinary, _) = intake(&budget);
        ordinary.write(b"X-Field: x\r\n".repeat(1_000).into()).await;
        ordinary.write(Bytes::from_static(b"\r\nbody\r\n")).await;
        assert!(ordinary.state.is_ok(), "{ordinary:?}");
    }

    /// Remembers what is written.
    #[derive(Debug, Default)]
    struct RecordingIncoming(Arc<Mutex<Vec<u8>>>);

    impl IncomingMessage for RecordingIncoming {
        async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
            self.0.lock().expect("not poisoned").extend_from_slice(&chunk);
            Ok(())
        }

        fn memory(&self) -> usize {
            0
        }

        async fn release_memory(&mut self) -> Result<(), StoreError> {
            Ok(())
        }

        async fn commit(self, _trace: &Trace) -> Result<(), StoreError> {
            Ok(())
        }
    }

    /// Returns the header and the body that it has seen, with a bar between them.
    #[derive(Debug, Default)]
    struct RecordingCheck(Vec<u8>);

    impl MessageCheck for RecordingCheck {
        fn header(&mut self, header: &[u8]) {
            assert!(self.0.is_empty(), "the header is complete and comes first");
            self.0 = [header, b"|"].concat();
        }

        fn body(&mut self, chunk: &[u8]) {
            self.0.extend_from_slice(chunk);
        }

        fn memory(&self) -> usize {
            self.0.len()
        }

        fn finish(self: Box<Self>) -> Pin<Box<dyn Future<Output = Verdict> + Send>> {
            let field = String::from_utf8(self.0).expect("text");
            Box::pin(async { Verdict { field, rejection: None } })
        }
    }

    #[tokio::test]
    async fn filter_removes_forged_results_for_any_chunk_size() {
        let forged = "Authentication-Results: mx.iit.edu; spf=pass\r\n";
        for (message, header, body) in [
            (format!("A: b\r\n{forged}C: d\r\n\r\nbody\r\n{forged}"), "A: b\r\n{}C: d\r\n", "body\r\n{}"),
            (format!("{forged}\r\n"), "{}", ""),
            ("A: b\r\nBcc: c@d\r\n\r\nBcc: e\r\n".to_owned(), "A: b\r\nBcc: c@d\r\n", "Bcc: e\r\n"),
            (forged.to_owned(), "{}", ""),
            ("no header\r\n".to_owned(), "", "no header\r\n"),
            ("\r\nbody".to_owned(), "", "body"),
            (String::new(), "", ""),
        ] {
            for step in 1..=message.len().max(1) {
                let budget = Budget::new(UNCOUNTED_OCTETS);
                let incoming = RecordingIncoming::default();
                let written = Arc::clone(&incoming.0);
                let check: Box<dyn MessageCheck> = Box::<RecordingCheck>::default();
                let authserv_id = Some("mx.iit.edu".into());
                let filter = HeaderFilter {
                    authserv_id,
                    removed_fields: complete::BCC_FIELDS.to_vec(),
                    check: Some(check),
                };
                let mut intake = MessageIntake::new(incoming, &budget).with_filter(Some(filter));
                for chunk in message.as_bytes().chunks(step) {
                    intake.write(Bytes::copy_from_slice(chunk)).await;
                }
                let verdict = intake.authenticate().await.expect("a check");
                assert_eq!(verdict.field, format!("{header}|{body}").replace("{}", forged), "{step}");
                let written = String::from_utf8(written.lock().expect("not poisoned").clone()).expect("text");
                let kept = message.replacen(forged, "", 1).replacen("Bcc: c@d\r\n", "", 1);
                assert_eq!(written, kept, "{step}");
            }
        }
    }
}
