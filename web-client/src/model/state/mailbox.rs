//! Messages of the maildrop, sent copies, and pending deletions.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use mail_core::message::id::MessageId;

use crate::model::filing::Filing;
use crate::model::message::{BodyIndex, HeaderSummary, Listing, Message};
use crate::model::queued_mail::QueuedMail;

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
    /// The user's messages in the server's queue, as far as they are known.
    pub(crate) queued: Rc<Vec<QueuedMail>>,
    /// The last messages that were archived or moved back, with their earlier places, while Undo is offered.
    pub(crate) refiled: Vec<(String, Filing)>,
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
        body: BodyIndex,
    },
    /// The texts of messages, by unique-id.
    Indexed(Vec<(String, BodyIndex)>),
    /// The whole messages are in IndexedDB.
    Stored(Vec<String>),
    SetRead {
        ids: Vec<String>,
        read: bool,
    },
    SetStarred {
        ids: Vec<String>,
        starred: bool,
    },
    /// Puts messages into Archive or back, and changes their labels. `undoable` offers Undo.
    Filed {
        filings: Vec<(String, Filing)>,
        undoable: bool,
    },
    /// The time for Undo of the last [`Filed`](Self::Filed) is over.
    FilingSettled,
    /// Hides messages and offers Undo for all of them.
    Remove(Vec<String>),
    UndoRemoval,
    /// The time for Undo is over.
    StartRemoval,
    /// An earlier session has deleted these messages; the server still has them.
    ResumeRemoval(Vec<String>),
    Removed(Vec<String>),
    /// The deletion failed or the user has taken it back: the messages are listed again.
    RemovalFailed(Vec<String>),
    SentCopyStored(Rc<Message>),
    SentCopiesDeleted(Vec<String>),
    /// The server has reported its queue.
    Queued(Vec<QueuedMail>),
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
            MailboxAction::Opened { id, body } => self.update(&[id], |message| {
                message.read = true;
                message.body = Some(body.clone());
            }),
            MailboxAction::Indexed(bodies) => self.add_bodies(bodies),
            MailboxAction::Stored(ids) => self.update(&ids, |message| message.stored = true),
            MailboxAction::SetRead { ids, read } => self.update(&ids, |message| message.read = read),
            MailboxAction::SetStarred { ids, starred } => {
                self.update(&ids, |message| message.starred = starred)
            }
            MailboxAction::Filed { filings, undoable } => self.file(filings, undoable),
            MailboxAction::FilingSettled => self.refiled.clear(),
            MailboxAction::Remove(ids) => self.removal.undoable.extend(ids),
            MailboxAction::UndoRemoval => self.removal.undoable.clear(),
            MailboxAction::StartRemoval => {
                let Removal { undoable, in_progress } = &mut self.removal;
                in_progress.append(undoable);
            }
            MailboxAction::ResumeRemoval(ids) => self.removal.in_progress.extend(ids),
            MailboxAction::Removed(ids) => {
                let ids: HashSet<_> = ids.into_iter().collect();
                Rc::make_mut(&mut self.messages).retain(|message| !ids.contains(&message.id));
                self.removal.in_progress.retain(|id| !ids.contains(id));
            }
            MailboxAction::RemovalFailed(ids) => {
                for id in &ids {
                    self.removal.undoable.remove(id);
                    self.removal.in_progress.remove(id);
                }
            }
            MailboxAction::SentCopyStored(copy) => Rc::make_mut(&mut self.sent).push(copy),
            MailboxAction::SentCopiesDeleted(ids) => {
                let ids: HashSet<_> = ids.into_iter().collect();
                Rc::make_mut(&mut self.sent).retain(|copy| !ids.contains(&copy.id));
            }
            MailboxAction::Queued(queued) => self.queued = Rc::new(queued),
        }
    }

    pub(crate) fn message(&self, unique_id: &str) -> Option<&Rc<Message>> {
        self.messages.iter().find(|message| message.id == unique_id)
    }

    /// The queued message with a Message-ID.
    pub(crate) fn queued_mail(&self, id: &MessageId) -> Option<&QueuedMail> {
        self.queued.iter().find(|mail| mail.message_id == *id)
    }

    /// The messages of the maildrop that are among `ids`.
    pub(crate) fn messages_of(&self, ids: &[String]) -> Vec<Rc<Message>> {
        let ids: HashSet<_> = ids.iter().collect();
        self.messages.iter().filter(|message| ids.contains(&message.id)).cloned().collect()
    }

    /// The messages of the maildrop without those that are being deleted.
    pub(crate) fn listed_messages(&self) -> impl Iterator<Item = &Rc<Message>> {
        self.messages.iter().filter(|message| !self.is_being_removed(&message.id))
    }

    /// The listed messages that are not archived.
    pub(crate) fn inbox(&self) -> impl Iterator<Item = &Rc<Message>> {
        self.listed_messages().filter(|message| !message.filing.archived)
    }

    /// Deleted messages that the server still has.
    pub(crate) fn trash(&self) -> impl Iterator<Item = &Rc<Message>> {
        self.messages.iter().filter(|message| self.is_being_removed(&message.id))
    }

    /// Unread messages of the inbox.
    pub(crate) fn unread(&self) -> usize {
        self.inbox().filter(|message| !message.read).count()
    }

    /// The labels in use, each with its number of unread messages.
    pub(crate) fn labels(&self) -> BTreeMap<&str, usize> {
        let mut labels: BTreeMap<&str, usize> = BTreeMap::new();
        for message in self.listed_messages() {
            for label in &message.filing.labels {
                *labels.entry(label.as_str()).or_default() += usize::from(!message.read);
            }
        }
        labels
    }

    /// The number of messages that are archived or have a label.
    pub(crate) fn filed(&self) -> usize {
        self.messages.iter().filter(|message| !message.filing.is_default()).count()
    }

    /// The messages to fetch in the background, the newest first: those without a text, as long as all stored messages
    /// have at most `octets_max` octets. A message with a text has been fetched and is stored or being stored.
    pub(crate) fn missing(&self, octets_max: u64, message_octets_max: u64) -> Vec<String> {
        let is_small = |message: &Message| message.octets <= message_octets_max;
        let is_stored = |message: &Message| message.stored || message.body.is_some() && is_small(message);
        let stored = self.messages.iter().filter(|message| is_stored(message));
        let mut octets: u64 = stored.map(|message| message.octets).sum();
        let is_missing = |message: &&Rc<Message>| {
            message.body.is_none() && is_small(message) && !self.is_being_removed(&message.id)
        };
        let missing = self.messages.iter().rev().filter(is_missing).take_while(|message| {
            octets += message.octets;
            octets <= octets_max
        });
        missing.map(|message| message.id.clone()).collect()
    }

    /// The number of messages that can be opened offline.
    pub(crate) fn stored(&self) -> usize {
        self.messages.iter().filter(|message| message.stored).count()
    }

    pub(crate) fn is_being_removed(&self, id: &str) -> bool {
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
                let existing: HashSet<_> = self.messages.iter().map(|message| message.id.as_str()).collect();
                ids.retain(|id| existing.contains(id.as_str()));
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

    fn add_bodies(&mut self, bodies: Vec<(String, BodyIndex)>) {
        let mut bodies: HashMap<_, _> = bodies.into_iter().collect();
        for message in Rc::make_mut(&mut self.messages) {
            if let Some(body) = bodies.remove(&message.id) {
                Rc::make_mut(message).body = Some(body);
            }
        }
    }

    fn file(&mut self, filings: Vec<(String, Filing)>, undoable: bool) {
        let mut filings: HashMap<_, _> = filings.into_iter().collect();
        let mut previous = Vec::new();
        for message in Rc::make_mut(&mut self.messages) {
            if let Some(filing) = filings.remove(&message.id) {
                let filing = std::mem::replace(&mut Rc::make_mut(message).filing, filing);
                previous.push((message.id.clone(), filing));
            }
        }
        self.refiled = if undoable { previous } else { Vec::new() };
    }

    fn update(&mut self, ids: &[String], update: impl Fn(&mut Message)) {
        let ids: HashSet<_> = ids.iter().collect();
        for message in Rc::make_mut(&mut self.messages) {
            if ids.contains(&message.id) {
                update(Rc::make_mut(message));
            }
        }
    }
}
