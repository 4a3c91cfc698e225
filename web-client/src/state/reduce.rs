//! What every action does.

use std::collections::HashMap;
use std::rc::Rc;

use super::item::Message;
use super::{
    Action, Composing, Connection, Content, Folder, Item, Loading, Notice, Open, Refusal, Removal, Sort,
    State, Tone,
};
use crate::form::Form;
use crate::session::pop3::Listing;
use crate::session::smtp::Unsent;

impl State {
    pub(crate) fn reduce(mut self, action: Action) -> Self {
        match action {
            Action::SigningIn => self.signing_in = true,
            Action::SignInRefused(why) => {
                return Self { refusal: Some(why), drawer: self.drawer, ..Self::default() };
            }
            Action::SignedIn { account, messages, sent, drafts } => {
                return Self {
                    account: Some(account),
                    messages: Rc::new(messages),
                    sent: Rc::new(sent),
                    drafts: Rc::new(drafts),
                    connection: Connection::Busy,
                    drawer: self.drawer,
                    ..Self::default()
                };
            }
            Action::SignedOut => return Self { drawer: self.drawer, ..Self::default() },
            Action::Listed(listings) => self.list(listings),
            Action::Headers(heads) => self.add_headers(heads),
            Action::Checked(at) => {
                self.checked = Some(at);
                self.connection = Connection::Idle;
                self.loading = None;
            }
            Action::Connection(connection) => {
                if !matches!(connection, Connection::Busy) {
                    self.loading = None;
                }
                self.connection = connection;
            }
            Action::Folder(folder) => self.enter(folder),
            Action::Search(search) => self.search = search,
            Action::Sort(sort) => self.sort = sort,
            Action::Move(rows) => self.move_cursor(rows),
            Action::Drawer(open) => self.drawer = open,
            Action::Help(open) => self.help = open,
            Action::Notice(tone, text) => self.notice = Some(Notice { tone, text }),
            Action::CloseNotice => self.notice = None,
            action => self.reduce_message(action),
        }
        self
    }

    fn reduce_message(&mut self, action: Action) {
        match action {
            Action::Opening(id) => {
                self.cursor = Some(id.clone());
                let folder = if self.folder == Folder::Drafts { Folder::Inbox } else { self.folder };
                self.open = Some(Open { folder, id, content: Content::Loading, original: false });
            }
            Action::Opened { id, content } => {
                self.change(&id, |message| {
                    message.read = true;
                    message.text.get_or_insert_with(|| content.words());
                });
                self.set_content(&id, Content::Ready(content));
            }
            Action::OpenFailed { id, why } => self.set_content(&id, Content::Failed(why)),
            Action::Close => self.open = None,
            Action::Original(original) => {
                if let Some(open) = &mut self.open {
                    open.original = original;
                }
            }
            Action::Kept(id) => self.change(&id, |message| message.kept = true),
            Action::Read { id, read } => self.change(&id, |message| message.read = read),
            Action::Starred { id, starred } => self.change(&id, |message| message.starred = starred),
            Action::Remove(id) => self.remove(id),
            Action::Undo => self.removal.offered.clear(),
            Action::Removing => {
                let Removal { offered, sent } = &mut self.removal;
                sent.append(offered);
            }
            Action::Removed(ids) => {
                Rc::make_mut(&mut self.messages).retain(|message| !ids.contains(&message.id));
                self.removal.sent.retain(|id| !ids.contains(id));
            }
            Action::Restored(ids) => self.removal.sent.retain(|id| !ids.contains(id)),
            action => self.reduce_draft(action),
        }
    }

    fn reduce_draft(&mut self, action: Action) {
        match action {
            Action::Compose(form) => {
                self.composing = Some(Composing { began: Some(form.clone()), form, refusal: None });
            }
            Action::OpenDraft(form) => {
                // Of one that is being sent nothing is known to have failed yet.
                let failed = form.unsure && !self.is_outgoing(&form.id);
                let refusal = failed.then(|| Refusal::Failed(Unsent::Unknown.to_string()));
                self.composing = Some(Composing { form, began: None, refusal });
            }
            Action::Write(form) => {
                if let Some(composing) = &mut self.composing
                    && composing.form.id == form.id
                {
                    composing.form = form;
                    composing.refusal = None;
                }
            }
            Action::DraftKept(form) => {
                self.forget_draft(&form.id);
                self.discarded.take_if(|discarded| discarded.id == form.id);
                Rc::make_mut(&mut self.drafts).push(form);
            }
            Action::DraftGone(id) => self.forget_draft(&id),
            Action::Discard(form) => {
                self.forget_draft(&form.id);
                self.composing.take_if(|composing| composing.form.id == form.id);
                self.discarded = Some(form);
            }
            Action::Discarded(id) => {
                self.discarded.take_if(|discarded| discarded.id == id);
            }
            Action::CloseDraft => self.composing = None,
            Action::Attaching(draft) => self.attaching.push(draft),
            Action::Attached(draft) => {
                if let Some(at) = self.attaching.iter().position(|attaching| *attaching == draft) {
                    self.attaching.swap_remove(at);
                }
            }
            Action::Sending(outgoing) => self.outgoing = Some(outgoing),
            Action::SendFailed { draft, why } => self.fail(&draft, why),
            Action::Incorrect => {
                if let Some(composing) = &mut self.composing {
                    composing.refusal = Some(Refusal::Incorrect);
                }
            }
            Action::Sent { draft, copy, notice: (tone, text) } => {
                self.outgoing.take_if(|outgoing| outgoing.draft == draft);
                self.forget_draft(&draft);
                self.composing.take_if(|composing| composing.form.id == draft);
                Rc::make_mut(&mut self.sent).extend(copy);
                self.notice = Some(Notice { tone, text });
            }
            _ => {}
        }
    }

    /// Takes over what the server has. What is known of a message stays with it.
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
        let total = messages.iter().filter(|message| message.head.is_none()).count();
        self.messages = Rc::new(messages);
        self.listed = true;
        self.loading = (total > 0).then_some(Loading { done: 0, total });
        // Somebody else may have deleted what is to be deleted here.
        let there: Vec<_> = self.messages.iter().map(|message| message.id.as_str()).collect();
        let Removal { offered, sent } = &mut self.removal;
        for ids in [offered, sent] {
            if !ids.is_empty() {
                ids.retain(|id| there.contains(&id.as_str()));
            }
        }
    }

    fn add_headers(&mut self, heads: Vec<(String, Rc<super::item::Head>)>) {
        if let Some(loading) = &mut self.loading {
            loading.done = loading.total.min(loading.done + heads.len());
        }
        let mut heads: HashMap<_, _> = heads.into_iter().collect();
        for message in Rc::make_mut(&mut self.messages) {
            if let Some(head) = heads.remove(&message.id) {
                Rc::make_mut(message).head = Some(head);
            }
        }
    }

    fn enter(&mut self, folder: Folder) {
        self.folder = folder;
        self.search.clear();
        self.cursor = None;
        self.open = None;
        if matches!(folder, Folder::Drafts | Folder::Sent) {
            self.sort = Sort::Newest;
        }
    }

    fn move_cursor(&mut self, rows: isize) {
        let items = self.items();
        let at = self.cursor.as_ref().and_then(|cursor| items.iter().position(|item| item.id() == cursor));
        let to = match at {
            Some(at) => at.saturating_add_signed(rows).min(items.len().saturating_sub(1)),
            None => 0,
        };
        self.cursor = items.get(to).map(|item| item.id().to_owned());
    }

    /// The row goes; the cursor and what is read go to the next one.
    fn remove(&mut self, id: String) {
        let items = self.items();
        let at = items.iter().position(|item| item.id() == id);
        let next = at.and_then(|at| items.get(at + 1).or_else(|| items.get(at.checked_sub(1)?)));
        self.cursor = next.map(|item: &Item| item.id().to_owned());
        self.open.take_if(|open| open.id == id);
        self.removal.offered.insert(id);
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Message)) {
        if let Some(at) = self.messages.iter().position(|message| message.id == id) {
            change(Rc::make_mut(&mut Rc::make_mut(&mut self.messages)[at]));
        }
    }

    fn set_content(&mut self, id: &str, content: Content) {
        if let Some(open) = &mut self.open
            && open.id == id
        {
            open.content = content;
        }
    }

    /// Says why a draft was not sent: at the draft, if it is still open.
    fn fail(&mut self, draft: &str, why: String) {
        self.outgoing.take_if(|outgoing| outgoing.draft == draft);
        if let Some(composing) = &mut self.composing
            && composing.form.id == draft
        {
            composing.refusal = Some(Refusal::Failed(why));
        } else {
            let text = format!("A mail was not sent. It is among the drafts. {why}");
            self.notice = Some(Notice { tone: Tone::Bad, text });
        }
    }

    fn forget_draft(&mut self, id: &str) {
        Rc::make_mut(&mut self.drafts).retain(|form: &Rc<Form>| form.id != id);
    }
}
