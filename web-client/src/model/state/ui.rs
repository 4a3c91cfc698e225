//! The folder, the search, the open message, panels and notices.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::model::draft_form::Reminder;
use crate::model::fetched_message::FetchedMessage;
use crate::model::search::Search;
use crate::strings;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Folder {
    /// Messages of the maildrop that are not archived.
    #[default]
    Inbox,
    Starred,
    Archive,
    Drafts,
    Sent,
    /// Deleted messages that the server still has.
    Trash,
    /// Messages with this label.
    Label(Rc<str>),
}

impl Folder {
    /// All folders without the labels.
    pub(crate) const FIXED: [Self; 6] =
        [Self::Inbox, Self::Starred, Self::Archive, Self::Drafts, Self::Sent, Self::Trash];

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Inbox => strings::INBOX,
            Self::Starred => strings::STARRED,
            Self::Archive => strings::ARCHIVE,
            Self::Drafts => strings::DRAFTS,
            Self::Sent => strings::SENT,
            Self::Trash => strings::TRASH,
            Self::Label(label) => label,
        }
    }

    /// Whether the messages exist only in this browser.
    pub(crate) const fn is_local(&self) -> bool {
        matches!(self, Self::Drafts | Self::Sent)
    }

    /// Whether the server has the messages, and this browser their place.
    pub(crate) const fn is_filed_here(&self) -> bool {
        matches!(self, Self::Archive | Self::Label(_))
    }

    /// Whether the messages can be marked, archived and labelled.
    pub(crate) const fn has_marks(&self) -> bool {
        !matches!(self, Self::Drafts | Self::Sent | Self::Trash)
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
            Self::Newest => strings::NEWEST_FIRST,
            Self::Oldest => strings::OLDEST_FIRST,
            Self::Sender => strings::BY_SENDER,
            Self::Subject => strings::BY_SUBJECT,
            Self::Largest => strings::LARGEST_FIRST,
        }
    }
}

/// The message in the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenMessage {
    pub(crate) folder: Folder,
    /// Unique-id, or id of a sent copy.
    pub(crate) id: String,
    pub(crate) content: Content,
    /// The octets that have arrived while the content is loading, and their announced number.
    pub(crate) progress: Option<(u64, u64)>,
    /// The HTML is shown, if the message has any, instead of the plain text.
    pub(crate) shows_html: bool,
    /// The source is shown instead of the message.
    pub(crate) source: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Loading,
    Ready(Rc<FetchedMessage>),
    Failed(String),
}

/// The oldest notices over this number are dropped.
const NOTICES_MAX: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Disappears after some seconds.
    Info,
    /// Stays until the next notice.
    Progress,
    /// Stays until it is closed.
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) severity: Severity,
    pub(crate) text: String,
}

impl Notice {
    pub(crate) fn info(text: impl Into<String>) -> Self {
        Self { severity: Severity::Info, text: text.into() }
    }

    pub(crate) fn progress(text: impl Into<String>) -> Self {
        Self { severity: Severity::Progress, text: text.into() }
    }

    pub(crate) fn error(text: impl Into<String>) -> Self {
        Self { severity: Severity::Error, text: text.into() }
    }
}

/// A deletion of data that exists only in this browser. It needs a confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LocalDeletion {
    Draft {
        id: String,
        subject: String,
    },
    SentCopy {
        id: String,
        subject: String,
    },
    Several {
        drafts: Vec<String>,
        sent: Vec<String>,
    },
    /// Sign-out that deletes everything.
    Account {
        name: String,
        drafts: usize,
        sent: usize,
        /// Messages that are archived or have a label.
        filed: usize,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UiState {
    pub(crate) folder: Folder,
    pub(crate) search: Search,
    pub(crate) sort: Sort,
    /// Id of the current row.
    pub(crate) cursor: Option<String>,
    /// Ids of the selected rows.
    pub(crate) selected: Rc<BTreeSet<String>>,
    /// The row from which Shift extends the selection.
    pub(crate) anchor: Option<String>,
    pub(crate) open: Option<OpenMessage>,
    pub(crate) protocol_log: bool,
    pub(crate) shortcuts: bool,
    pub(crate) settings: bool,
    /// The messages whose labels are being chosen.
    pub(crate) labelling: Option<Rc<[String]>>,
    /// The deletion that waits for a confirmation.
    pub(crate) deletion: Option<LocalDeletion>,
    /// The question before a draft is sent.
    pub(crate) reminder: Option<Reminder>,
    /// The notices that have not been closed, the oldest first.
    pub(crate) notices: Rc<Vec<Notice>>,
    /// The notice that the user has seen, or sees.
    pub(crate) seen: Option<Notice>,
    /// The folders are shown above the list, on a narrow screen.
    pub(crate) folders: bool,
    /// The server has a new version of the page.
    pub(crate) update: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum UiAction {
    Folder(Folder),
    Search(Search),
    Sort(Sort),
    Cursor(Option<String>),
    /// Selects a row, or ends its selection.
    ToggleSelected(String),
    /// Selects these rows in addition.
    Select(Vec<String>),
    ClearSelection,
    /// Opens a message of a folder; its content follows.
    Opening {
        folder: Folder,
        id: String,
    },
    /// A part of the open message has arrived.
    Fetching {
        id: String,
        octets: u64,
        announced: u64,
    },
    Opened {
        id: String,
        content: Rc<FetchedMessage>,
    },
    OpenFailed {
        id: String,
        error: String,
    },
    CloseMessage,
    /// Shows the HTML of the open message, or its plain text.
    ShowHtml(bool),
    /// Shows the source of the open message, or the message.
    Source(bool),
    ProtocolLog(bool),
    Shortcuts(bool),
    Settings(bool),
    /// Opens the dialog for the labels of these messages, or closes it.
    Labelling(Option<Rc<[String]>>),
    /// Asks for a confirmation.
    ConfirmDeletion(LocalDeletion),
    Remind(Reminder),
    /// The question is answered.
    CloseConfirmation,
    Notice(Notice),
    /// The notice has appeared.
    NoticeSeen(Notice),
    CloseNotice(Notice),
    /// Opens or closes the folders on a narrow screen.
    Folders(bool),
    /// The server has a new version of the page.
    UpdateAvailable,
}

impl UiState {
    /// The initial state. The protocol log stays open across sign-in and sign-out.
    pub(super) fn reset(&self) -> Self {
        Self { protocol_log: self.protocol_log, update: self.update, ..Self::default() }
    }

    pub(super) fn reduce(&mut self, action: UiAction) {
        match action {
            UiAction::Folder(folder) => self.enter(folder),
            UiAction::Search(search) => {
                self.search = search;
                self.clear_selection();
            }
            UiAction::Sort(sort) => self.sort = sort,
            UiAction::Cursor(cursor) => self.cursor = cursor,
            UiAction::ToggleSelected(id) => {
                self.anchor = Some(id.clone());
                let selected = Rc::make_mut(&mut self.selected);
                if !selected.remove(&id) {
                    selected.insert(id);
                }
            }
            UiAction::Select(ids) => {
                if self.anchor.is_none() {
                    self.anchor.clone_from(&self.cursor);
                }
                Rc::make_mut(&mut self.selected).extend(ids);
            }
            UiAction::ClearSelection => self.clear_selection(),
            UiAction::Opening { folder, id } => {
                self.cursor = Some(id.clone());
                let content = Content::Loading;
                let progress = None;
                self.open =
                    Some(OpenMessage { folder, id, content, progress, shows_html: true, source: false });
            }
            UiAction::Fetching { id, octets, announced } => {
                if let Some(open) = self.open.as_mut().filter(|open| open.id == id) {
                    open.progress = Some((octets, announced));
                }
            }
            UiAction::Opened { id, content } => self.set_content(&id, Content::Ready(content)),
            UiAction::OpenFailed { id, error } => self.set_content(&id, Content::Failed(error)),
            UiAction::CloseMessage => self.open = None,
            UiAction::ShowHtml(shows_html) => {
                if let Some(open) = &mut self.open {
                    open.shows_html = shows_html;
                }
            }
            UiAction::Source(source) => {
                if let Some(open) = &mut self.open {
                    open.source = source;
                }
            }
            UiAction::ProtocolLog(open) => self.protocol_log = open,
            UiAction::Shortcuts(open) => self.shortcuts = open,
            UiAction::Settings(open) => self.settings = open,
            UiAction::Labelling(ids) => self.labelling = ids,
            UiAction::ConfirmDeletion(deletion) => self.deletion = Some(deletion),
            UiAction::Remind(reminder) => self.reminder = Some(reminder),
            UiAction::CloseConfirmation => {
                self.deletion = None;
                self.reminder = None;
            }
            UiAction::Notice(notice) => self.add_notice(notice),
            UiAction::NoticeSeen(notice) => self.seen = Some(notice),
            UiAction::CloseNotice(notice) => Rc::make_mut(&mut self.notices).retain(|other| *other != notice),
            UiAction::Folders(open) => self.folders = open,
            UiAction::UpdateAvailable => self.update = true,
        }
    }

    /// Whether a modal dialog is open.
    pub(crate) const fn has_dialog(&self) -> bool {
        self.shortcuts
            || self.settings
            || self.folders
            || self.labelling.is_some()
            || self.deletion.is_some()
            || self.reminder.is_some()
    }

    /// The notice to show: the first one that disappears by itself, else the last error.
    pub(crate) fn notice(&self) -> Option<&Notice> {
        let passing = self.notices.iter().find(|notice| notice.severity != Severity::Error);
        passing.or(self.notices.last())
    }

    pub(crate) fn is_open(&self, id: &str) -> bool {
        self.open.as_ref().is_some_and(|open| open.id == id)
    }

    /// A notice that disappears by itself gives way to the next one once it was seen. An error that is repeated becomes the last one.
    fn add_notice(&mut self, notice: Notice) {
        let notices = Rc::make_mut(&mut self.notices);
        let seen = self.seen.take();
        notices.retain(|other| match other.severity {
            Severity::Info => *other != notice && Some(other) != seen.as_ref(),
            Severity::Progress => false,
            Severity::Error => *other != notice,
        });
        if notices.len() == NOTICES_MAX {
            notices.remove(0);
        }
        notices.push(notice);
    }

    fn enter(&mut self, folder: Folder) {
        self.folders = false;
        if folder.is_local() {
            self.sort = Sort::Newest;
        }
        self.folder = folder;
        self.search = Search::default();
        self.cursor = None;
        self.clear_selection();
        self.open = None;
    }

    fn clear_selection(&mut self) {
        self.selected = Rc::default();
        self.anchor = None;
    }

    /// Ignores content that arrives after another message was opened.
    fn set_content(&mut self, id: &str, content: Content) {
        if let Some(open) = &mut self.open
            && open.id == id
        {
            open.content = content;
        }
    }
}
