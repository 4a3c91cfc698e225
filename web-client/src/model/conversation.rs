//! The messages of a conversation, found by Message-ID, In-Reply-To and References (RFC 5322 section 3.6.4).

use std::collections::HashSet;
use std::rc::Rc;

use mail_core::message::id::MessageId;

use super::message::Message;
use super::state::MailboxState;

/// More messages than this are not shown.
const MESSAGES_MAX: usize = 100;

/// All messages of the conversation of a message, including sent copies, the oldest first. The message alone if there are
/// no others.
pub(crate) fn conversation(mailbox: &MailboxState, id: &str) -> Vec<Rc<Message>> {
    let all: Vec<&Rc<Message>> = mailbox.listed_messages().chain(&*mailbox.sent).collect();
    let Some(open) = all.iter().find(|message| message.id == id) else { return Vec::new() };
    let mut ids: HashSet<&MessageId> = HashSet::new();
    let mut found: Vec<&Rc<Message>> = vec![open];
    ids.extend(thread_ids(open));
    // A message may connect others that were passed already.
    let mut rest: Vec<_> = all.iter().filter(|message| message.id != id).collect();
    loop {
        let count = found.len();
        rest.retain(|message| {
            let is_related = thread_ids(message).any(|id| ids.contains(id)) && found.len() < MESSAGES_MAX;
            if is_related {
                ids.extend(thread_ids(message));
                found.push(message);
            }
            !is_related
        });
        if found.len() == count {
            break;
        }
    }
    // A message to oneself exists twice.
    let mut seen: HashSet<&MessageId> = HashSet::new();
    found.retain(|message| message.message_id().is_none_or(|id| seen.insert(id)));
    found.sort_by_key(|message| message.header.as_ref().and_then(|header| header.date));
    found.into_iter().cloned().collect()
}

/// The Message-IDs of the message and of those that it answers.
fn thread_ids(message: &Message) -> impl Iterator<Item = &MessageId> {
    message.header.iter().flat_map(|header| header.message_id.iter().chain(&header.references))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::message::{HeaderSummary, Listing};
    use crate::model::state::{MailboxAction, State};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn header(second: i64, id: &str, references: &[&str]) -> Rc<HeaderSummary> {
        let id_of = |id: &&str| MessageId::parse(&format!("<{id}@iit.edu>"));
        Rc::new(HeaderSummary {
            date: DateTime::from_timestamp(second, 0),
            message_id: id_of(&id),
            references: references.iter().filter_map(id_of).collect(),
            ..HeaderSummary::default()
        })
    }

    #[test]
    fn conversation_contains_related_messages_and_sent_copies_in_order() {
        let headers = [
            ("a", header(1, "1", &[])),
            ("b", header(5, "4", &["1", "2", "3"])),
            ("c", header(2, "9", &[])),
            ("d", header(4, "3", &["2"])),
            ("e", header(9, "", &[])),
            ("f", header(3, "2", &["1"])),
        ]
        .map(|(id, header)| (id.to_owned(), header));
        let listings = headers.iter().zip(1..);
        let listings =
            listings.map(|((id, _), number)| Listing { unique_id: id.clone(), number, octets: 1 }).collect();
        let copy = |id: &str, header| {
            MailboxAction::SentCopyStored(Rc::new(Message {
                id: id.to_owned(),
                header: Some(header),
                ..Message::default()
            }))
        };
        let state = State::default()
            .reduce(MailboxAction::Listed(listings))
            .reduce(MailboxAction::Headers(headers.into()))
            // The copy of f, which came back, and an answer.
            .reduce(copy("g", header(3, "2", &["1"])))
            .reduce(copy("h", header(6, "5", &["4"])));
        let found = |id: &str| {
            let found = conversation(&state.mailbox, id);
            found.iter().map(|message| message.id.as_str()).collect::<String>()
        };
        for id in ["a", "b", "d", "f", "h"] {
            assert_eq!(found(id), "afdbh", "{id}");
        }
        assert_eq!((found("c").as_str(), found("e").as_str(), found("x").as_str()), ("c", "e", ""));
    }
}
