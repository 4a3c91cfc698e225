//! The quoted or forwarded message below the text, as its recipients will see it.

use std::rc::Rc;

use mail_core::message::draft::Attachment;
use yew::prelude::*;

use super::editor::Editor;
use crate::control::Control;
use crate::model::rich_text::Original;
use crate::model::state::Notice;
use crate::platform::rich_dom;
use crate::sanitize::{RemoteImages, sanitize_fragment, sanitize_html};
use crate::ui::message_frame::MessageFrame;

#[derive(Properties, PartialEq)]
pub(super) struct OriginalViewProps {
    pub(super) editor: Rc<Editor>,
    pub(super) original: Rc<Original>,
    pub(super) attachments: Vec<Rc<Attachment>>,
    pub(super) disabled: bool,
}

#[component]
pub(super) fn OriginalView(props: &OriginalViewProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let OriginalViewProps { editor, original, attachments, disabled } = props;
    let html = use_memo(original.clone(), |original| {
        let id = |file: &Attachment| file.content_id.as_ref().map(|id| format!("\"cid:{id}\""));
        let shown = attachments.iter().filter(|file| id(file).is_some_and(|id| original.html.contains(&id)));
        let shown: Vec<Attachment> = shown.map(|file| Attachment::clone(file)).collect();
        sanitize_html(&original.html, &shown, RemoteImages::Blocked)
    });
    let edit = {
        let (editor, original) = (editor.clone(), original.clone());
        Callback::from(move |_: MouseEvent| {
            if let Some(fragment) = sanitize_fragment(&original.html) {
                let editable = editor.clone();
                let read = rich_dom::read_pasted(&fragment, move |element| editable.image_of(element));
                if read.is_cut {
                    control.notify(Notice::error("The message is too long to be edited. It stays as it is."));
                } else {
                    editor.set_original(None, read.blocks);
                }
            }
        })
    };
    let remove = {
        let editor = editor.clone();
        Callback::from(move |_: MouseEvent| editor.set_original(None, Vec::new()))
    };
    let label = if original.is_forwarded { "Forwarded message" } else { "Quoted message" };
    html! {
        <section class="original" aria-label={label}>
            <div class="original-bar">
                <span class="secondary">{ label }</span>
                <button class="link" type="button" disabled={*disabled} onclick={edit}>{ "Edit" }</button>
                <button class="link" type="button" disabled={*disabled} onclick={remove}
                    aria-label={format!("Remove the {}", label.to_lowercase())}>{ "Remove" }</button>
            </div>
            if let Some(html) = &*html {
                <MessageFrame document={html.document.clone()} is_themed={html.is_themed} onbroken={Callback::noop()} />
            }
        </section>
    }
}
