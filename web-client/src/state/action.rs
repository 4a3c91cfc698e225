//! Everything that can happen to the page.

use std::rc::Rc;

use chrono::{DateTime, Utc};

use super::item::{Head, Message};
use super::{Account, Connection, Folder, Outgoing, Sort, Tone};
use crate::form::Form;
use crate::opened::Opened;
use crate::session::pop3::Listing;

#[derive(Clone, Debug)]
pub(crate) enum Action {
    SigningIn,
    SignInRefused(String),
    /// With what is kept locally: messages, copies of what was sent, drafts.
    SignedIn {
        account: Account,
        messages: Vec<Rc<Message>>,
        sent: Vec<Rc<Message>>,
        drafts: Vec<Rc<Form>>,
    },
    SignedOut,

    /// What is in the maildrop.
    Listed(Vec<Listing>),
    /// Headers, by unique-id.
    Headers(Vec<(String, Rc<Head>)>),
    Checked(DateTime<Utc>),
    Connection(Connection),

    Folder(Folder),
    Search(String),
    Sort(Sort),
    /// The cursor goes so many rows down, or up.
    Move(isize),

    /// A message of the folder is opened; its content is on its way.
    Opening(String),
    /// The octets of a message have come.
    Opened {
        id: String,
        content: Rc<Opened>,
    },
    OpenFailed {
        id: String,
        why: String,
    },
    Close,
    Original(bool),
    /// All of the message is kept locally now.
    Kept(String),
    Read {
        id: String,
        read: bool,
    },
    Starred {
        id: String,
        starred: bool,
    },

    /// Undo is offered.
    Remove(String),
    Undo,
    /// Undo is over: the server is being told of all that were offered.
    Removing,
    /// All of these are gone from the server.
    Removed(Vec<String>),
    /// These stay.
    Restored(Vec<String>),

    /// A new form, with what it begins with.
    Compose(Rc<Form>),
    /// A draft is opened again.
    OpenDraft(Rc<Form>),
    /// The draft was changed.
    Write(Rc<Form>),
    /// The draft is kept in the folder of drafts.
    DraftKept(Rc<Form>),
    DraftGone(String),
    /// A draft is thrown away, and can be had back.
    Discard(Rc<Form>),
    /// It cannot be had back any more.
    Discarded(String),
    CloseDraft,
    /// A file for the draft of this name is being read.
    Attaching(String),
    /// One was read, or could not be.
    Attached(String),
    Sending(Outgoing),
    SendFailed {
        draft: String,
        why: String,
    },
    /// What is written breaks the rules; its fields say which.
    Incorrect,
    /// The message is sent, and a copy kept, if it could be.
    Sent {
        draft: String,
        copy: Option<Rc<Message>>,
        notice: (Tone, String),
    },

    Notice(Tone, String),
    CloseNotice,
    Drawer(bool),
    Help(bool),
}
