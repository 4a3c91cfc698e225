//! Messages of the maildrop, sent copies, and pending deletions.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use crate::model::message::{HeaderSummary, Listing, Message};

/// Progress of fetching headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loading {
    pub(crate) done: usize,
    pub(crate) total: usize,
}

/// Messages that are being deleted, by id. They are hidden from the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removal {
    /// Undo is still offered.
    pub(crate) undoable: BTreeSet<String>,
    pub(crate) in_progress: BTreeSet<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MailboxState {
    /// In the order of the scan listing, oldest first.
    pub(crate) messages: Rc<Vec<Rc<Message>>>,
    /// Copies of sent messages; they exist only in this browser.
    pub(crate) sent: Rc<Vec<Rc<Message>>>,
    /// The maildrop was listed at least once.
    pub(crate) listed: bool,
    pub(crate) loading: Option<Loading>,
    pub(crate) removal: Removal,
}

#[derive(Clone, Debug)]
pub(crate) enum MailboxAction {
    /// The complete scan listing.
    Listed(Vec<Listing>),
    /// Fetched headers, by unique-id.
    Headers(Vec<(String, Rc<HeaderSummary>)>),
    /// No more headers are being fetched.
    LoadingEnded,
    /// A message was opened: it is read, and its text can be searched.
    Opened {
        id: String,
        search_text: Rc<str>,
    },
    /// The whole message is in IndexedDB.
    Stored(String),
    SetRead {
        id: String,
        read: bool,
    },
    SetStarred {
        id: String,
        starred: bool,
    },
    /// Hides a message and offers Undo.
    Remove(String),
    UndoRemoval,
    /// The time for Undo is over.
    StartRemoval,
    /// An earlier session has deleted these messages; the server still has them.
    ResumeRemoval(Vec<String>),
    Removed(Vec<String>),
    /// The deletion failed: the messages are listed again.
    RemovalFailed(Vec<String>),
    SentCopyStored(Rc<Message>),
    SentCopyDeleted(String),
}

impl MailboxState {
    pub(super) fn new(messages: Vec<Rc<Message>>, sent: Vec<Rc<Message>>) -> Self {
        Self { messages: Rc::new(messages), sent: Rc::new(sent), ..Self::default() }
    }

    pub(super) fn reduce(&mut self, action: MailboxAction) {
        match action {
            MailboxAction::Listed(listings) => self.list(listings),
            MailboxAction::Headers(headers) => self.add_headers(headers),
            MailboxAction::LoadingEnded => self.loading = None,
            MailboxAction::Opened { id, search_text } => self.update(&id, |message| {
                message.read = true;
                message.text.get_or_insert(search_text);
            }),
            MailboxAction::Stored(id) => self.update(&id, |message| message.stored = true),
            MailboxAction::SetRead { id, read } => self.update(&id, |message| message.read = read),
            MailboxAction::SetStarred { id, starred } => {
                self.update(&id, |message| message.starred = starred)
            }
            MailboxAction::Remove(id) => {
                self.removal.undoable.insert(id);
            }
            MailboxAction::UndoRemoval => self.removal.undoable.clear(),
            MailboxAction::StartRemoval => {
                let Removal { undoable, in_progress } = &mut self.removal;
                in_progress.append(undoable);
            }
            MailboxAction::ResumeRemoval(ids) => self.removal.in_progress.extend(ids),
            MailboxAction::Removed(ids) => {
                Rc::make_mut(&mut self.messages).retain(|message| !ids.contains(&message.id));
                self.removal.in_progress.retain(|id| !ids.contains(id));
            }
            MailboxAction::RemovalFailed(ids) => self.removal.in_progress.retain(|id| !ids.contains(id)),
            MailboxAction::SentCopyStored(copy) => Rc::make_mut(&mut self.sent).push(copy),
            MailboxAction::SentCopyDeleted(id) => Rc::make_mut(&mut self.sent).retain(|copy| copy.id != id),
        }
    }

    pub(crate) fn message(&self, unique_id: &str) -> Option<&Rc<Message>> {
        self.messages.iter().find(|message| message.id == unique_id)
    }

    /// The messages of the maildrop without those that are being deleted.
    pub(crate) fn listed_messages(&self) -> impl Iterator<Item = &Rc<Message>> {
        self.messages.iter().filter(|message| !self.is_being_removed(&message.id))
    }

    pub(crate) fn unread(&self) -> usize {
        self.listed_messages().filter(|message| !message.read).count()
    }

    /// The number of messages that can be opened offline.
    pub(crate) fn stored(&self) -> usize {
        self.messages.iter().filter(|message| message.stored).count()
    }

    fn is_being_removed(&self, id: &str) -> bool {
        self.removal.undoable.contains(id) || self.removal.in_progress.contains(id)
    }

    /// Replaces the messages by those that the server lists. Local data of listed messages is retained.
    fn list(&mut self, listings: Vec<Listing>) {
        let known: HashMap<_, _> =
            self.messages.iter().map(|message| (message.id.as_str(), message)).collect();
        let message = |listing: Listing| {
            let Listing { unique_id: id, number, octets } = listing;
            let number = Some(number);
            Rc::new(match known.get(id.as_str()) {
                Some(message) => Message { number, octets, ..Message::clone(message) },
                None => Message { id, number, octets, ..Message::default() },
            })
        };
        let messages: Vec<_> = listings.into_iter().map(message).collect();
        let total = messages.iter().filter(|message| message.header.is_none()).count();
        self.messages = Rc::new(messages);
        self.listed = true;
        self.loading = (total > 0).then_some(Loading { done: 0, total });
        // Another client may have deleted a message whose deletion is pending here.
        let Removal { undoable, in_progress } = &mut self.removal;
        for ids in [undoable, in_progress] {
            if !ids.is_empty() {
                let existing: Vec<_> = self.messages.iter().map(|message| message.id.as_str()).collect();
                ids.retain(|id| existing.contains(&id.as_str()));
            }
        }
    }

    fn add_headers(&mut self, headers: Vec<(String, Rc<HeaderSummary>)>) {
        if let Some(loading) = &mut self.loading {
            loading.done = loading.total.min(loading.done + headers.len());
        }
        let mut headers: HashMap<_, _> = headers.into_iter().collect();
        for message in Rc::make_mut(&mut self.messages) {
            if let Some(header) = headers.remove(&message.id) {
                Rc::make_mut(message).header = Some(header);
            }
        }
    }

    fn update(&mut self, id: &str, update: impl FnOnce(&mut Message)) {
        if let Some(at) = self.messages.iter().position(|message| message.id == id) {
            update(Rc::make_mut(&mut Rc::make_mut(&mut self.messages)[at]));
        }
    }
}
