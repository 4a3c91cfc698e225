//! The state of the page in four slices, each with its own actions and one exhaustive reducer.
//!
//! | slice | contents |
//! |---|---|
//! | [`SessionState`] | the account, sign-in, the connection |
//! | [`MailboxState`] | messages, sent copies, pending deletions |
//! | [`ComposeState`] | drafts, the open draft, the message being sent |
//! | [`UiState`] | folder, search, open message, panels, notices |
//!
//! Reducers are pure. Side effects are in `control`.

mod compose;
mod mailbox;
mod session;
#[cfg(test)]
mod tests;
mod ui;

use std::collections::HashSet;
use std::rc::Rc;

use super::draft_form::DraftForm;
use super::message::{ListItem, Message};
use super::people::Person;
use super::settings::Settings;

pub(crate) use compose::{ComposeAction, ComposeState, OpenDraft, Outgoing, SendProblem};
pub(crate) use mailbox::{MailboxAction, MailboxState};
pub(crate) use session::{Account, ConnectionStatus, SessionAction, SessionState, own_or_current};
pub(crate) use ui::{Content, Folder, LocalDeletion, Notice, OpenMessage, Severity, Sort, UiAction, UiState};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) session: Rc<SessionState>,
    pub(crate) mailbox: Rc<MailboxState>,
    pub(crate) compose: Rc<ComposeState>,
    pub(crate) ui: Rc<UiState>,
}

/// The data of an account in IndexedDB, loaded at sign-in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) messages: Vec<Rc<Message>>,
    pub(crate) sent: Vec<Rc<Message>>,
    pub(crate) drafts: Vec<Rc<DraftForm>>,
    pub(crate) settings: Settings,
    pub(crate) people: Vec<Person>,
    /// Messages whose text was stored by an earlier version and has to be stored again.
    pub(crate) outdated: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// The server accepted the credentials. Replaces all slices.
    SignedIn {
        account: Account,
        snapshot: Box<Snapshot>,
    },
    /// The session is over. Clears all slices; the sign-in form shows `error` and contains `username`.
    SignedOut {
        error: Option<String>,
        username: String,
    },
    Session(SessionAction),
    Mailbox(MailboxAction),
    Compose(ComposeAction),
    Ui(UiAction),
}

impl From<SessionAction> for Action {
    fn from(action: SessionAction) -> Self {
        Self::Session(action)
    }
}

impl From<MailboxAction> for Action {
    fn from(action: MailboxAction) -> Self {
        Self::Mailbox(action)
    }
}

impl From<ComposeAction> for Action {
    fn from(action: ComposeAction) -> Self {
        Self::Compose(action)
    }
}

impl From<UiAction> for Action {
    fn from(action: UiAction) -> Self {
        Self::Ui(action)
    }
}

impl Action {
    /// Whether the user goes on to something else, which ends the time for Undo.
    pub(crate) fn ends_undo(&self) -> bool {
        match self {
            Self::SignedIn { .. } | Self::SignedOut { .. } | Self::Session(_) => false,
            Self::Mailbox(action) => matches!(
                action,
                MailboxAction::Remove(_)
                    | MailboxAction::SetRead { .. }
                    | MailboxAction::SetStarred { .. }
                    | MailboxAction::Filed { .. }
            ),
            Self::Compose(action) => {
                matches!(
                    action,
                    ComposeAction::New(_)
                        | ComposeAction::Open(_)
                        | ComposeAction::Discard(_)
                        | ComposeAction::Hold(_)
                )
            }
            Self::Ui(action) => match action {
                // The user may look for what was just deleted.
                UiAction::Folder(folder) | UiAction::Opening { folder, .. } => *folder != Folder::Trash,
                UiAction::Search(_) => true,
                _ => false,
            },
        }
    }
}

impl State {
    pub(crate) fn reduce(mut self, action: impl Into<Action>) -> Self {
        match action.into() {
            Action::SignedIn { account, snapshot } => {
                let Snapshot { messages, sent, drafts, settings, people, outdated: _ } = *snapshot;
                return Self {
                    session: Rc::new(SessionState::signed_in(account, settings)),
                    mailbox: Rc::new(MailboxState::new(messages, sent)),
                    compose: Rc::new(ComposeState::new(drafts, people)),
                    ui: Rc::new(self.ui.reset()),
                };
            }
            Action::SignedOut { error, username } => {
                return Self {
                    session: Rc::new(SessionState {
                        sign_in_error: error,
                        username,
                        ..SessionState::default()
                    }),
                    ui: Rc::new(self.ui.reset()),
                    ..Self::default()
                };
            }
            Action::Session(action) => Rc::make_mut(&mut self.session).reduce(action),
            Action::Mailbox(action) => Rc::make_mut(&mut self.mailbox).reduce(action),
            Action::Compose(action) => Rc::make_mut(&mut self.compose).reduce(action),
            Action::Ui(action) => Rc::make_mut(&mut self.ui).reduce(action),
        }
        self
    }

    /// The rows of the list: the folder's items that match the search, sorted.
    pub(crate) fn items(&self) -> Vec<ListItem> {
        list_items(&self.mailbox, &self.compose.drafts, &self.ui)
    }

    /// The cursor moved by `rows`, within the list. Without a cursor, the first row.
    pub(crate) fn cursor_after(&self, rows: isize) -> Option<String> {
        let items = self.items();
        let cursor = self.ui.cursor.as_ref();
        let at = cursor.and_then(|cursor| items.iter().position(|item| item.id() == cursor));
        let target = match at {
            Some(at) => at.saturating_add_signed(rows).min(items.len().saturating_sub(1)),
            None => 0,
        };
        items.get(target).map(|item| item.id().to_owned())
    }

    /// The first or the last row.
    pub(crate) fn outermost_row(&self, last: bool) -> Option<String> {
        let items = self.items();
        let item = if last { items.last() } else { items.first() };
        item.map(|item| item.id().to_owned())
    }

    /// The row below the first of `ids` that is none of them, or the one above if there is none.
    pub(crate) fn neighbour(&self, ids: &[String]) -> Option<String> {
        let items = self.items();
        let ids: HashSet<_> = ids.iter().map(String::as_str).collect();
        let is_other = |item: &&ListItem| !ids.contains(item.id());
        let at = items.iter().position(|item| !is_other(&item))?;
        let next = items[at..].iter().find(is_other).or_else(|| items[..at].iter().rev().find(is_other))?;
        Some(next.id().to_owned())
    }

    /// The selected rows, in the order of the list. Rows that are not listed any more are not selected.
    pub(crate) fn selected_ids(&self) -> Vec<String> {
        if self.ui.selected.is_empty() {
            return Vec::new();
        }
        let items = self.items();
        items
            .iter()
            .map(ListItem::id)
            .filter(|id| self.ui.selected.contains(*id))
            .map(str::to_owned)
            .collect()
    }

    /// The rows from the anchor of the selection, or else the cursor, to `id`.
    pub(crate) fn rows_to(&self, id: &str) -> Vec<String> {
        let items = self.items();
        let position = |id: &str| items.iter().position(|item| item.id() == id);
        let start = self.ui.anchor.as_ref().or(self.ui.cursor.as_ref()).and_then(|id| position(id));
        let Some(end) = position(id) else { return Vec::new() };
        let start = start.unwrap_or(end);
        items[start.min(end)..=start.max(end)].iter().map(|item| item.id().to_owned()).collect()
    }
}

/// Not generic, to keep the page small.
fn of_messages(messages: &mut dyn Iterator<Item = &Rc<Message>>) -> Vec<ListItem> {
    messages.cloned().map(ListItem::Message).collect()
}

/// The rows of the list. A search covers all folders.
pub(crate) fn list_items(mailbox: &MailboxState, drafts: &[Rc<DraftForm>], ui: &UiState) -> Vec<ListItem> {
    let mut items: Vec<ListItem> = match &ui.folder {
        _ if !ui.search.is_empty() => {
            let messages = mailbox.listed_messages().chain(&*mailbox.sent).cloned().map(ListItem::Message);
            messages.chain(drafts.iter().cloned().map(ListItem::Draft)).collect()
        }
        Folder::Inbox => of_messages(&mut mailbox.inbox()),
        Folder::Starred => of_messages(&mut mailbox.listed_messages().filter(|message| message.starred)),
        Folder::Archive => {
            of_messages(&mut mailbox.listed_messages().filter(|message| message.filing.archived))
        }
        Folder::Label(label) => {
            let has_label = |message: &&Rc<Message>| message.filing.labels.contains(&**label);
            of_messages(&mut mailbox.listed_messages().filter(has_label))
        }
        Folder::Trash => of_messages(&mut mailbox.trash()),
        Folder::Sent => of_messages(&mut mailbox.sent.iter()),
        Folder::Drafts => drafts.iter().cloned().map(ListItem::Draft).collect(),
    };
    if !ui.search.is_empty() {
        items.retain(|item| item.matches(&ui.search));
    }
    match ui.sort {
        Sort::Oldest => sort_by_number(&mut items, milliseconds),
        Sort::Newest => {
            // The later of two messages with the same date comes first.
            sort_by_number(&mut items, milliseconds);
            items.reverse();
        }
        Sort::Largest => sort_by_number(&mut items, |item| item.octets().cast_signed().saturating_neg()),
        Sort::Sender => sort_by_text(&mut items, |item| item.correspondent().to_lowercase()),
        Sort::Subject => sort_by_text(&mut items, |item| item.subject().to_lowercase()),
    }
    items
}

/// Not generic: each instance of a sort is several kilobytes of the page.
fn sort_by_number(items: &mut [ListItem], key: fn(&ListItem) -> i64) {
    items.sort_by_key(key);
}

fn sort_by_text(items: &mut [ListItem], key: fn(&ListItem) -> String) {
    items.sort_by_cached_key(key);
}

/// Items without a date sort before all others.
fn milliseconds(item: &ListItem) -> i64 {
    item.date().map_or(i64::MIN, |date| date.timestamp_millis())
}

/// The folder that has a message, a sent copy or a draft. In the results of a search it differs from the open folder.
pub(crate) fn folder_of(mailbox: &MailboxState, drafts: &[Rc<DraftForm>], id: &str) -> Folder {
    if drafts.iter().any(|form| form.id == id) {
        Folder::Drafts
    } else if mailbox.sent.iter().any(|copy| copy.id == id) {
        Folder::Sent
    } else if mailbox.is_being_removed(id) {
        Folder::Trash
    } else if mailbox.message(id).is_some_and(|message| message.filing.archived) {
        Folder::Archive
    } else {
        Folder::Inbox
    }
}

/// All folders, each with its count: the fixed ones, then the labels in alphabetical order.
pub(crate) fn counted_folders(mailbox: &MailboxState, drafts: &[Rc<DraftForm>]) -> Vec<(Folder, usize)> {
    let mut labels: Vec<_> = mailbox.labels().into_iter().collect();
    labels.sort_by_cached_key(|(label, _)| label.to_lowercase());
    let fixed = Folder::FIXED.into_iter().map(|folder| {
        let count = folder_count(mailbox, drafts, &folder);
        (folder, count)
    });
    fixed.chain(labels.into_iter().map(|(label, unread)| (Folder::Label(label.into()), unread))).collect()
}

/// The number of messages whose text can be searched, and of all messages.
pub(crate) fn search_coverage(mailbox: &MailboxState) -> (usize, usize) {
    let messages = || mailbox.listed_messages().chain(&*mailbox.sent);
    (messages().filter(|message| message.body.is_some()).count(), messages().count())
}

/// Unread messages; starred messages, drafts or deleted messages; 0 for Archive and Sent.
fn folder_count(mailbox: &MailboxState, drafts: &[Rc<DraftForm>], folder: &Folder) -> usize {
    match folder {
        Folder::Inbox => mailbox.unread(),
        Folder::Starred => mailbox.listed_messages().filter(|message| message.starred).count(),
        Folder::Drafts => drafts.len(),
        Folder::Trash => mailbox.trash().count(),
        Folder::Label(label) => mailbox.labels().get(&**label).copied().unwrap_or_default(),
        Folder::Archive | Folder::Sent => 0,
    }
}
