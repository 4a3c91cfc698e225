//! Exports mail of this browser as files in the mbox format.

use js_sys::{Array, Uint8Array};
use mail_core::message::address::{Address, ReversePath};
use mail_core::message::compose;
use mail_core::message::draft::{Draft, Subject};
use mail_core::message::header;
use mail_core::message::id::MessageId;
use mail_core::message::mbox;
use mail_core::message::parsed::{NamedAddress, Summary};
use yew::platform::spawn_local;

use super::Control;
use super::own_address::placeholder;
use crate::model::draft_form::{DraftForm, Recipients};
use crate::model::format;
use crate::model::state::Notice;
use crate::platform::{charset, clock, download};
use crate::storage::ObjectStore;

/// The messages of an exported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Export {
    Sent,
    Drafts,
    /// The messages of the maildrop that are available offline.
    Offline,
}

impl Control {
    /// Saves a file with the messages. The messages are read one by one, to bound the memory.
    pub(crate) fn export(&self, export: Export) {
        let (Some(session), state) = (self.session(), self.state()) else { return };
        let control = self.clone();
        spawn_local(async move {
            let (name, store, ids) = match export {
                Export::Sent => {
                    let ids = state.mailbox.sent.iter().map(|copy| copy.id.clone()).collect();
                    ("sent.mbox", ObjectStore::Sent, ids)
                }
                Export::Offline => {
                    let stored = state.mailbox.messages.iter().filter(|message| message.stored);
                    let ids = stored.map(|message| message.id.clone()).collect();
                    ("inbox.mbox", ObjectStore::Messages, ids)
                }
                Export::Drafts => ("drafts.mbox", ObjectStore::Drafts, Vec::new()),
            };
            let parts = Array::new();
            let add = |message: &[u8]| parts.push(&Uint8Array::from(mbox_entry(message).as_slice()));
            for id in ids {
                if let Some(message) = session.storage.message(store, &id).await {
                    add(&message);
                }
            }
            let account = state.session.account.as_ref().filter(|_| export == Export::Drafts);
            if let Some(account) = account {
                for form in &*state.compose.drafts {
                    let from = account.from(form.from.as_ref()).cloned().or_else(|| placeholder(account));
                    if let Some(from) = from {
                        add(&draft_message(form, &from));
                    }
                }
            }
            if !control.is_current(&session) {
                return;
            }
            let count = format::count(parts.length() as usize, "message");
            if parts.length() == 0 {
                control.notify(Notice::info("There is nothing to export."));
            } else if download::save(name, &parts) {
                control.notify(Notice::info(format!("Exported {count} to {name}.")));
            } else {
                control.notify(Notice::error("This browser cannot save the file."));
            }
        });
    }
}

/// The message in the mbox format.
fn mbox_entry(message: &[u8]) -> Vec<u8> {
    let (header, _) = header::split(message);
    let summary = Summary::parse_with(header, charset::decode);
    let sender = summary.from.first().and_then(NamedAddress::parsed_address);
    let sender = sender.map_or(ReversePath::Null, ReversePath::Address);
    let date = summary.received.or(summary.date).map_or_else(clock::now, |date| date.to_utc());
    let mut entry = Vec::with_capacity(message.len() + 100);
    mbox::write(message, &sender, date, &mut entry);
    entry
}

/// A draft as a message. Recipients that are not valid addresses are omitted, and a long subject is cut.
fn draft_message(form: &DraftForm, from: &Address) -> Vec<u8> {
    let addresses = |field: &Recipients| -> Vec<Address> {
        field.addresses_as_text().iter().filter_map(|address| Address::parse(address).ok()).collect()
    };
    let subject = Subject::truncated(&form.subject);
    let mut draft = Draft::new(from.clone(), addresses(&form.to), subject, String::new());
    form.fill_content(&mut draft);
    draft.cc = addresses(&form.cc);
    draft.in_reply_to.clone_from(&form.in_reply_to);
    draft.references.clone_from(&form.references);
    let id = MessageId::unique(form.number(), &from.host);
    let message = compose::compose(&draft, &clock::local(form.changed), &id);
    // A message that is sent has no Bcc field.
    let bcc = addresses(&form.bcc).iter().map(ToString::to_string).collect::<Vec<_>>();
    if bcc.is_empty() {
        message
    } else {
        [format!("Bcc: {}\r\n", bcc.join(",\r\n ")).as_bytes(), &message].concat()
    }
}
