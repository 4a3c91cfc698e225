//! Drafts, the draft that is open, and the message that is being sent.

use std::rc::Rc;

use chrono::{DateTime, Utc};

use crate::model::draft_form::DraftForm;
use crate::model::people::Person;
use crate::strings;

/// The draft in the compose pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenDraft {
    pub(crate) form: Rc<DraftForm>,
    /// The initial content of a new form; `None` for a stored draft. A form that the user has sent is stored.
    pub(crate) initial: Option<Rc<DraftForm>>,
    pub(crate) problem: Option<SendProblem>,
    /// When the draft was stored.
    pub(crate) stored: Option<DateTime<Utc>>,
    /// Another tab has opened it, too.
    pub(crate) is_open_elsewhere: bool,
}

impl OpenDraft {
    const fn new(form: Rc<DraftForm>) -> Self {
        Self { form, initial: None, problem: None, stored: None, is_open_elsewhere: false }
    }

    /// Whether the form is new and unchanged. An unchanged reply is not stored as a draft.
    pub(crate) fn is_untouched(&self) -> bool {
        self.initial.as_ref().is_some_and(|initial| {
            **initial == DraftForm { changed: initial.changed, ..DraftForm::clone(&self.form) }
        })
    }
}

/// The reason the open draft was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SendProblem {
    /// The fields show the errors.
    InvalidFields,
    Failed(String),
}

/// Progress of the message that is being sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Id of the draft.
    pub(crate) draft: String,
    pub(crate) octets_sent: u64,
    pub(crate) octets: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ComposeState {
    pub(crate) drafts: Rc<Vec<Rc<DraftForm>>>,
    pub(crate) open: Option<OpenDraft>,
    pub(crate) outgoing: Option<Outgoing>,
    /// The message that is held back after Send, while Undo is offered.
    pub(crate) held: Option<Rc<DraftForm>>,
    /// The last discarded draft, while Undo is offered.
    pub(crate) discarded: Option<Rc<DraftForm>>,
    /// The draft id of each file that is being read.
    pub(crate) attaching: Vec<String>,
    /// For the completion of addresses.
    pub(crate) people: Rc<Vec<Person>>,
}

#[derive(Clone, Debug)]
pub(crate) enum ComposeAction {
    /// Opens a new form.
    New(Rc<DraftForm>),
    /// Opens a stored draft. If it is held back, it is not sent.
    Open(Rc<DraftForm>),
    /// Replaces the content of the open form.
    Edit(Rc<DraftForm>),
    Close,
    /// Adds or replaces a draft of the Drafts folder.
    Save(Rc<DraftForm>),
    /// Deletes a draft. If it is held back, it is not sent.
    Delete(String),
    /// Deletes a draft and offers Undo. If it is held back, it is not sent.
    Discard(Rc<DraftForm>),
    /// The time for Undo is over.
    DiscardEnded(String),
    /// A file for this draft is being read.
    Attaching(String),
    AttachingEnded(String),
    /// A version of a draft is stored.
    Stored {
        draft: String,
        at: DateTime<Utc>,
    },
    /// Another tab has opened or closed a draft.
    OpenElsewhere {
        draft: String,
        is_open: bool,
    },
    /// Closes a draft and offers Undo before it is sent.
    Hold(Rc<DraftForm>),
    /// The time for Undo is over.
    Released,
    /// Closes a draft that is sent when there is a connection.
    Wait(Rc<DraftForm>),
    /// The form has invalid fields and is not sent.
    Invalid,
    Sending(Outgoing),
    SendFailed {
        draft: String,
        error: String,
    },
    Sent(String),
    People(Vec<Person>),
}

impl ComposeState {
    pub(super) fn new(drafts: Vec<Rc<DraftForm>>, people: Vec<Person>) -> Self {
        Self { drafts: Rc::new(drafts), people: Rc::new(people), ..Self::default() }
    }

    pub(super) fn reduce(&mut self, action: ComposeAction) {
        match action {
            ComposeAction::New(form) => {
                self.open = Some(OpenDraft { initial: Some(form.clone()), ..OpenDraft::new(form) });
            }
            ComposeAction::Open(form) => self.open_stored(form),
            ComposeAction::Edit(form) => {
                if let Some(open) = self.open_draft(&form.id.clone()) {
                    open.form = form;
                    open.problem = None;
                }
            }
            ComposeAction::Close => self.open = None,
            ComposeAction::Save(form) => {
                self.delete(&form.id);
                self.discarded.take_if(|discarded| discarded.id == form.id);
                Rc::make_mut(&mut self.drafts).push(form);
            }
            ComposeAction::Delete(id) => {
                self.delete(&id);
                self.end_hold(&id);
            }
            ComposeAction::Discard(form) => self.discard(form),
            ComposeAction::DiscardEnded(id) => {
                self.discarded.take_if(|discarded| discarded.id == id);
            }
            ComposeAction::Attaching(draft) => self.attaching.push(draft),
            ComposeAction::AttachingEnded(draft) => {
                if let Some(at) = self.attaching.iter().position(|attaching| *attaching == draft) {
                    self.attaching.swap_remove(at);
                }
            }
            ComposeAction::Stored { draft, at } => {
                if let Some(open) = self.open_draft(&draft) {
                    open.stored = Some(at);
                }
            }
            ComposeAction::OpenElsewhere { draft, is_open } => {
                if let Some(open) = self.open_draft(&draft) {
                    open.is_open_elsewhere = is_open;
                }
            }
            ComposeAction::Hold(form) => self.hold(form),
            ComposeAction::Released => self.held = None,
            ComposeAction::Wait(form) => self.wait(form),
            ComposeAction::Invalid => {
                if let Some(open) = &mut self.open {
                    open.problem = Some(SendProblem::InvalidFields);
                }
            }
            ComposeAction::Sending(outgoing) => self.sending(outgoing),
            ComposeAction::SendFailed { draft, error } => {
                self.outgoing.take_if(|outgoing| outgoing.draft == draft);
                if let Some(open) = self.open_draft(&draft) {
                    open.problem = Some(SendProblem::Failed(error));
                }
            }
            ComposeAction::People(people) => self.people = Rc::new(people),
            ComposeAction::Sent(draft) => {
                self.outgoing.take_if(|outgoing| outgoing.draft == draft);
                self.delete(&draft);
                self.open.take_if(|open| open.form.id == draft);
            }
        }
    }

    pub(crate) fn draft(&self, id: &str) -> Option<&Rc<DraftForm>> {
        self.drafts.iter().find(|form| form.id == id)
    }

    /// Number of messages that wait for a connection.
    pub(crate) fn in_outbox(&self) -> usize {
        self.drafts.iter().filter(|form| form.is_in_outbox()).count()
    }

    /// The message that is held back, if it is this draft.
    pub(crate) fn held(&self, draft: &str) -> Option<&Rc<DraftForm>> {
        self.held.as_ref().filter(|held| held.id == draft)
    }

    pub(crate) fn is_open(&self, draft: &str) -> bool {
        self.open.as_ref().is_some_and(|open| open.form.id == draft)
    }

    pub(crate) fn is_outgoing(&self, draft: &str) -> bool {
        self.outgoing.as_ref().is_some_and(|outgoing| outgoing.draft == draft)
    }

    /// Whether a file for this draft is being read.
    pub(crate) fn is_attaching(&self, draft: &str) -> bool {
        self.attaching.iter().any(|attaching| attaching == draft)
    }

    fn open_stored(&mut self, form: Rc<DraftForm>) {
        // While the draft is being sent, its outcome is pending, not unknown.
        let unknown = form.maybe_delivered && !self.is_outgoing(&form.id);
        let problem = unknown.then(|| SendProblem::Failed(strings::DELIVERY_UNKNOWN.to_owned()));
        self.end_hold(&form.id);
        self.open = Some(OpenDraft { problem, ..OpenDraft::new(form) });
    }

    fn sending(&mut self, outgoing: Outgoing) {
        if let Some(open) = self.open_draft(&outgoing.draft) {
            open.initial = None;
        }
        self.outgoing = Some(outgoing);
    }

    fn discard(&mut self, form: Rc<DraftForm>) {
        self.delete(&form.id);
        self.end_hold(&form.id);
        self.open.take_if(|open| open.form.id == form.id);
        self.discarded = Some(form);
    }

    fn hold(&mut self, form: Rc<DraftForm>) {
        self.delete(&form.id);
        Rc::make_mut(&mut self.drafts).push(form.clone());
        self.open.take_if(|open| open.form.id == form.id);
        self.held = Some(form);
    }

    fn wait(&mut self, form: Rc<DraftForm>) {
        self.outgoing.take_if(|outgoing| outgoing.draft == form.id);
        self.open.take_if(|open| open.form.id == form.id);
        self.delete(&form.id);
        Rc::make_mut(&mut self.drafts).push(form);
    }

    fn end_hold(&mut self, id: &str) {
        self.held.take_if(|held| held.id == id);
    }

    fn open_draft(&mut self, id: &str) -> Option<&mut OpenDraft> {
        self.open.as_mut().filter(|open| open.form.id == id)
    }

    fn delete(&mut self, id: &str) {
        Rc::make_mut(&mut self.drafts).retain(|form| form.id != id);
    }
}
