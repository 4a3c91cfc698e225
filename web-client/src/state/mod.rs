//! All that the page shows, and how it changes: a pure function from a state and an [`Action`] to the next state.
//!
//! Nothing here knows of a browser, a clock or a connection; what has to be done besides is the
//! [`control`](crate::control)'s.

mod action;
mod item;
mod reduce;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::rc::Rc;

use chrono::{DateTime, Utc};
use mail_core::message::address::Address;

use crate::form::Form;
use crate::opened::Opened;

pub(crate) use action::Action;
pub(crate) use item::{Head, Item, Message};

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// What was typed, in lower case: the name under which things are kept locally.
    pub(crate) key: String,
    pub(crate) address: Address,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Folder {
    #[default]
    Inbox,
    Starred,
    Drafts,
    Sent,
}

impl Folder {
    pub(crate) const ALL: [Self; 4] = [Self::Inbox, Self::Starred, Self::Drafts, Self::Sent];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Inbox => "Inbox",
            Self::Starred => "Starred",
            Self::Drafts => "Drafts",
            Self::Sent => "Sent from here",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    #[default]
    Newest,
    Oldest,
    Sender,
    Subject,
    Largest,
}

impl Sort {
    pub(crate) const ALL: [Self; 5] =
        [Self::Newest, Self::Oldest, Self::Sender, Self::Subject, Self::Largest];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Newest => "Newest first",
            Self::Oldest => "Oldest first",
            Self::Sender => "By sender",
            Self::Subject => "By subject",
            Self::Largest => "Largest first",
        }
    }
}

/// How things stand with the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Connection {
    #[default]
    Idle,
    Busy,
    /// The last attempt failed, and the next comes by itself.
    Waiting {
        why: String,
        until: DateTime<Utc>,
    },
    /// The last attempt failed, and nothing will change by itself.
    Failed(String),
}

/// Headers that come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loading {
    pub(crate) done: usize,
    pub(crate) total: usize,
}

/// Messages that are on their way out. They are not listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removal {
    /// Undo is offered, and nothing has been sent.
    pub(crate) offered: BTreeSet<String>,
    /// The server is being told.
    pub(crate) sent: BTreeSet<String>,
}

/// What is read: where it lies and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) folder: Folder,
    /// Its unique-id, or its name among the copies of what was sent.
    pub(crate) id: String,
    pub(crate) content: Content,
    /// Instead of the message, its octets are shown.
    pub(crate) original: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Loading,
    Ready(Rc<Opened>),
    Failed(String),
}

/// What is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Composing {
    pub(crate) form: Rc<Form>,
    /// What a new form began with.
    pub(crate) began: Option<Rc<Form>>,
    pub(crate) refusal: Option<Refusal>,
}

impl Composing {
    /// Whether it is new and nobody has written anything: an answer that only quotes is no draft.
    pub(crate) fn is_untouched(&self) -> bool {
        self.began
            .as_ref()
            .is_some_and(|began| **began == Form { changed: began.changed, ..Form::clone(&self.form) })
    }
}

/// Why what is written was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What is wrong is said at its field.
    Incorrect,
    Failed(String),
}

/// The draft that is being sent, whatever else is looked at or written meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) draft: String,
    /// Octets that have left, and of how many.
    pub(crate) sent: u64,
    pub(crate) total: u64,
}

/// Something to tell, until it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) tone: Tone,
    pub(crate) text: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) account: Option<Account>,
    /// The sign-in page waits for the server.
    pub(crate) signing_in: bool,
    /// Why the sign-in page is back.
    pub(crate) refusal: Option<String>,
    /// In the order of the maildrop, oldest first.
    pub(crate) messages: Rc<Vec<Rc<Message>>>,
    pub(crate) sent: Rc<Vec<Rc<Message>>>,
    pub(crate) drafts: Rc<Vec<Rc<Form>>>,
    /// The maildrop has been listed since the sign-in.
    pub(crate) listed: bool,
    pub(crate) loading: Option<Loading>,
    pub(crate) connection: Connection,
    pub(crate) checked: Option<DateTime<Utc>>,
    pub(crate) folder: Folder,
    pub(crate) search: String,
    pub(crate) sort: Sort,
    /// The row that j, k and Enter are about.
    pub(crate) cursor: Option<String>,
    pub(crate) open: Option<Open>,
    pub(crate) removal: Removal,
    pub(crate) composing: Option<Composing>,
    pub(crate) outgoing: Option<Outgoing>,
    /// The draft that was thrown away last, while that can be undone.
    pub(crate) discarded: Option<Rc<Form>>,
    /// The draft of each file that is being read.
    pub(crate) attaching: Vec<String>,
    pub(crate) notice: Option<Notice>,
    pub(crate) drawer: bool,
    pub(crate) help: bool,
}

impl State {
    /// What the list shows: the folder's, as far as it holds the searched words, sorted.
    pub(crate) fn items(&self) -> Vec<Item> {
        let words: Vec<String> = self.search.split_whitespace().map(str::to_lowercase).collect();
        let mut items: Vec<Item> = match self.folder {
            Folder::Inbox => self.listed_messages().cloned().map(Item::Message).collect(),
            Folder::Starred => {
                self.listed_messages().filter(|message| message.starred).cloned().map(Item::Message).collect()
            }
            Folder::Sent => self.sent.iter().cloned().map(Item::Message).collect(),
            Folder::Drafts => self.drafts.iter().cloned().map(Item::Draft).collect(),
        };
        items.retain(|item| item.holds(&words));
        match self.sort {
            Sort::Oldest => items.sort_by_key(Item::at),
            Sort::Newest => {
                // The later of two with the same date stands first.
                items.reverse();
                items.sort_by_key(|item| std::cmp::Reverse(item.at()));
            }
            Sort::Sender => items.sort_by_cached_key(|item| item.who().to_lowercase()),
            Sort::Subject => items.sort_by_cached_key(|item| item.subject().to_lowercase()),
            Sort::Largest => items.sort_by_key(|item| std::cmp::Reverse(item.octets())),
        }
        items
    }

    pub(crate) fn message(&self, unique_id: &str) -> Option<&Rc<Message>> {
        self.messages.iter().find(|message| message.id == unique_id)
    }

    /// Every message that is not on its way out.
    fn listed_messages(&self) -> impl Iterator<Item = &Rc<Message>> {
        let leaves = |id: &str| self.removal.offered.contains(id) || self.removal.sent.contains(id);
        self.messages.iter().filter(move |message| !leaves(&message.id))
    }

    /// Whether this draft is being sent.
    pub(crate) fn is_outgoing(&self, draft: &str) -> bool {
        self.outgoing.as_ref().is_some_and(|outgoing| outgoing.draft == draft)
    }

    /// Whether a file for this draft is being read.
    pub(crate) fn is_attaching(&self, draft: &str) -> bool {
        self.attaching.iter().any(|attaching| attaching == draft)
    }

    pub(crate) fn unread(&self) -> usize {
        self.listed_messages().filter(|message| !message.read).count()
    }

    /// How many items a folder's name is followed by.
    pub(crate) fn count(&self, folder: Folder) -> usize {
        match folder {
            Folder::Inbox => self.unread(),
            Folder::Starred => self.listed_messages().filter(|message| message.starred).count(),
            Folder::Drafts => self.drafts.len(),
            Folder::Sent => 0,
        }
    }

    /// How many messages can be read without the server, and of how many.
    pub(crate) fn kept(&self) -> (usize, usize) {
        (self.messages.iter().filter(|message| message.kept).count(), self.messages.len())
    }
}
