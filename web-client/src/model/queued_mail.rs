//! Sent messages that the server has not delivered to other hosts yet.

use chrono::{DateTime, FixedOffset, Utc};
use mail_core::message::id::MessageId;
use mail_core::message::printable::printable_line;

use super::format;

/// A message in the server's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueuedMail {
    pub(crate) message_id: MessageId,
    /// Recipients that have not received it.
    pub(crate) recipients: Vec<QueuedRecipient>,
    /// Number of further recipients.
    pub(crate) more_recipients: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueuedRecipient {
    pub(crate) address: String,
    pub(crate) state: QueuedState,
    /// The reply of the recipient's server, or the reason of the failure; empty before the first attempt.
    pub(crate) reply: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueuedState {
    /// Without a time, an attempt is being made or is due.
    Waiting(Option<DateTime<Utc>>),
    /// The administrator has suspended delivery.
    Held,
    /// A report follows.
    Undeliverable,
}

impl QueuedRecipient {
    /// `Waiting to be sent to x@example.net: next attempt at 14:10 (451 4.7.1 Try again later)`. `local` converts to local time.
    pub(crate) fn sentence(
        &self,
        now: DateTime<Utc>,
        local: impl Fn(DateTime<Utc>) -> DateTime<FixedOffset>,
    ) -> String {
        let Self { address, state, reply } = self;
        let state = match state {
            QueuedState::Waiting(Some(next)) => {
                let (next, now) = (local(*next), local(now));
                let is_today = next.date_naive() == now.date_naive();
                let time = if is_today { format::time(next) } else { format::date_and_time(next) };
                format!("Waiting to be sent to {address}: next attempt at {time}")
            }
            QueuedState::Waiting(None) => format!("Being sent to {address}"),
            QueuedState::Held => format!("On hold, not sent to {address}: the administrator releases it"),
            QueuedState::Undeliverable => format!("Not delivered to {address}: a report follows"),
        };
        let text = if reply.is_empty() { state } else { format!("{state} ({reply})") };
        printable_line(&text).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn sentence_names_the_next_attempt_and_the_last_reply() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let sentence = |state, reply: &str| {
            let (address, reply) = ("x@example.net".to_owned(), reply.to_owned());
            let zone = FixedOffset::east_opt(3_600).unwrap();
            QueuedRecipient { address, state, reply }
                .sentence(at("2026-11-29T12:00:00Z"), |time| time.with_timezone(&zone))
        };
        let waiting = |next: &str| QueuedState::Waiting(Some(at(next)));
        assert_eq!(
            sentence(waiting("2026-11-29T13:10:00Z"), "mx: 451 4.7.1 later\u{7}"),
            "Waiting to be sent to x@example.net: next attempt at 14:10 (mx: 451 4.7.1 later\u{2407})"
        );
        assert_eq!(
            sentence(waiting("2026-11-29T23:30:00Z"), ""),
            "Waiting to be sent to x@example.net: next attempt at 30 Nov 2026, 00:30"
        );
        assert_eq!(sentence(QueuedState::Waiting(None), ""), "Being sent to x@example.net");
        assert!(sentence(QueuedState::Held, "").starts_with("On hold, not sent to x@example.net"));
        assert!(sentence(QueuedState::Undeliverable, "550 no").ends_with("a report follows (550 no)"));
    }
}
