//! Attaches files and images to a draft.

use std::rc::Rc;

use mail_core::message::draft::Attachment;
use yew::platform::spawn_local;

use super::Control;
use super::login_session::LoginSession;
use super::tabs::TabEvent;
use crate::model::draft_form::new_content_id;
use crate::model::state::{ComposeAction, Notice};
use crate::platform::blob_url::image_type;
use crate::platform::clock;

impl Control {
    /// Attaches a file to the draft that is open now, even if another draft or account is open when the file has been read.
    pub(crate) fn attach(&self, name: String, file: impl Future<Output = Option<Attachment>> + 'static) {
        let state = self.state();
        let (Some(session), Some(open)) = (self.session(), &state.compose.open) else { return };
        let (control, draft) = (self.clone(), open.form.id.clone());
        self.attach_with(name, file, move |attachment| {
            control.add_attachment(&session, &draft, Rc::new(attachment));
        });
    }

    fn attach_with(
        &self,
        name: String,
        file: impl Future<Output = Option<Attachment>> + 'static,
        attach: impl FnOnce(Attachment) + 'static,
    ) {
        let state = self.state();
        let open = state.compose.open.as_ref().filter(|open| !state.compose.is_outgoing(&open.form.id));
        let Some(open) = open else { return };
        let (control, draft) = (self.clone(), open.form.id.clone());
        self.dispatch(ComposeAction::Attaching(draft.clone()));
        spawn_local(async move {
            match file.await {
                Some(attachment) => attach(attachment),
                None => control.notify(Notice::error(format!(
                    "Cannot read {name}. Folders cannot be attached. If the file was moved, choose it again."
                ))),
            }
            control.dispatch(ComposeAction::AttachingEnded(draft));
        });
    }

    /// Attaches an image that the text shows; a file of another type is listed. `shown` shows the image in the editor of
    /// the draft, if it is still open.
    pub(crate) fn attach_image(
        &self,
        name: String,
        file: impl Future<Output = Option<Attachment>> + 'static,
        shown: impl Fn(Rc<Attachment>) + 'static,
    ) {
        let state = self.state();
        let (Some(session), Some(open)) = (self.session(), &state.compose.open) else { return };
        let (control, draft) = (self.clone(), open.form.id.clone());
        self.attach_with(name, file, move |attachment| {
            let is_open = control.state().compose.is_open(&draft);
            if !is_open || image_type(&attachment.bytes).is_none() {
                return control.add_attachment(&session, &draft, Rc::new(attachment));
            }
            let content_id = Some(new_content_id(clock::random()));
            let attachment = Rc::new(Attachment { content_id, ..attachment });
            control.add_attachment(&session, &draft, attachment.clone());
            shown(attachment);
        });
    }

    /// Attaches images of pasted HTML to the open draft, and stores them: the backup of a page that is being closed has no
    /// attachments.
    pub(crate) fn attach_pasted(&self, images: Vec<Rc<Attachment>>) {
        self.edit(|form| form.attachments.extend(images));
        self.store_open_draft();
    }

    fn add_attachment(&self, session: &Rc<LoginSession>, draft: &str, attachment: Rc<Attachment>) {
        let state = self.state();
        if state.compose.is_open(draft) {
            self.edit(|form| form.attachments.push(attachment));
            self.store_open_draft();
        } else if let (true, Some(form)) = (self.is_current(session), state.compose.draft(draft)) {
            self.store_draft(session, Rc::new(form.with_attachment(attachment, clock::now())));
        } else if !self.is_current(session) {
            // The page shows another account; the draft was stored when this one was left.
            let (control, session, draft) = (self.clone(), session.clone(), draft.to_owned());
            spawn_local(async move {
                if session.storage.add_attachment(&draft, &attachment, clock::now()).await {
                    // The page may show this account again.
                    session.post_to_tabs(&TabEvent::DraftChanged(draft));
                } else if !session.signed_out.get() {
                    let text =
                        format!("{} was not attached to the draft of {}.", attachment.name, session.username);
                    control.notify(Notice::error(text));
                }
            });
        }
    }
}
