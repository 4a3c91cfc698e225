//! The state of a catcher's page.

use std::rc::Rc;

use chrono::{DateTime, Utc};

use super::compatibility::Gap;
use crate::model::fetched_message::FetchedMessage;

/// Messages of the list, until more are asked for.
pub(crate) const PAGE_MESSAGES: usize = 200;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CatchState {
    pub(crate) connection: Connection,
    pub(crate) filter: Filter,
    /// The list as last loaded.
    pub(crate) list: Rc<List>,
    /// The list was loaded once.
    pub(crate) is_loaded: bool,
    /// The reason why the last load or action failed.
    pub(crate) error: Option<String>,
    /// Messages that are loaded at most.
    pub(crate) limit: usize,
    pub(crate) open: Option<OpenMessage>,
    pub(crate) dialog: Option<Dialog>,
    /// The success of the last action, until another message is opened.
    pub(crate) notice: Option<String>,
    /// Addresses that messages may be released to, as a text; `None` if the catcher releases none.
    pub(crate) release_to: Option<Rc<str>>,
}

/// An open dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dialog {
    /// Asks whether to delete messages.
    Deletion {
        /// Selects the messages.
        filter: Filter,
        count: usize,
        /// All of the messages; empty if there are too many.
        ids: Vec<String>,
    },
    /// Asks for the addresses that a message is released to.
    Release {
        id: String,
        /// Recipients of the envelope.
        to: String,
        problem: Option<String>,
        is_sending: bool,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Connection {
    #[default]
    Connecting,
    Live,
    Lost,
}

/// The selection of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// In the API's search syntax.
    pub(crate) search: String,
    /// A whole address.
    pub(crate) recipient: Option<String>,
}

impl Filter {
    pub(crate) fn is_empty(&self) -> bool {
        self.search.trim().is_empty() && self.recipient.is_none()
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct List {
    /// Messages that the filter selects.
    pub(crate) count: usize,
    /// Messages without the filter.
    pub(crate) total: usize,
    pub(crate) unread: usize,
    /// The newest of them, newest first.
    pub(crate) messages: Vec<Rc<CaughtMessage>>,
    pub(crate) recipients: Vec<Recipient>,
    /// Recipients, including those that are not in `recipients`.
    pub(crate) recipient_count: usize,
    pub(crate) tags: Vec<String>,
}

/// A row of the list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CaughtMessage {
    pub(crate) id: String,
    pub(crate) received: Option<DateTime<Utc>>,
    pub(crate) size: u64,
    pub(crate) is_read: bool,
    pub(crate) tags: Vec<String>,
    /// Name or address of the author, else the reverse-path.
    pub(crate) from: String,
    /// Recipients of the envelope.
    pub(crate) to: Vec<String>,
    pub(crate) subject: String,
    pub(crate) snippet: String,
    pub(crate) attachments: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipient {
    pub(crate) address: String,
    pub(crate) messages: usize,
    pub(crate) unread: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OpenMessage {
    pub(crate) id: String,
    pub(crate) content: Content,
    pub(crate) link_check: LinkCheck,
}

/// The check of a message's links, which is made on request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum LinkCheck {
    #[default]
    None,
    Running,
    Done(Rc<Vec<LinkStatus>>),
    Failed(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkStatus {
    pub(crate) url: String,
    /// Without an answer, 0.
    pub(crate) code: usize,
    /// The status in words, or the reason why there is none.
    pub(crate) text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Loading,
    Failed(String),
    Ready(Rc<Details>),
}

/// Everything about a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Details {
    pub(crate) summary: CaughtMessage,
    pub(crate) envelope_from: String,
    pub(crate) links: Vec<String>,
    pub(crate) codes: Vec<String>,
    /// Features of the HTML that mail programs do not support, or the reason why they are not known.
    pub(crate) gaps: Result<Vec<Gap>, String>,
    pub(crate) session: Vec<(&'static str, String)>,
    pub(crate) dialogue: Vec<DialogueLine>,
    pub(crate) lint: Vec<Finding>,
    pub(crate) faults: Vec<String>,
    pub(crate) message: Rc<FetchedMessage>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DialogueLine {
    /// Milliseconds since the connection was opened.
    pub(crate) at: f64,
    pub(crate) text: DialogueText,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DialogueText {
    Client(String),
    Server(String),
    /// Octets of a message.
    Octets(u64),
}

/// A defect of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule: String,
    pub(crate) is_error: bool,
    pub(crate) text: String,
    pub(crate) line: Option<usize>,
}
