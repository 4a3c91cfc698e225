//! Attaches files that are chosen, dropped or pasted.

use mail_core::message::draft::Attachment;
use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;
use web_sys::{ClipboardEvent, DataTransfer, DragEvent, Element, File, FileList, HtmlInputElement, Node};
use yew::prelude::*;

use crate::control::Control;
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct AttachButtonProps {
    pub(super) disabled: bool,
}

#[component]
pub(super) fn AttachButton(AttachButtonProps { disabled }: &AttachButtonProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let node = use_node_ref();
    let choose = {
        let node = node.clone();
        Callback::from(move |_: MouseEvent| {
            if let Some(field) = node.cast::<HtmlInputElement>() {
                field.click();
            }
        })
    };
    let chosen = Callback::from(move |event: Event| {
        let field: HtmlInputElement = event.target_unchecked_into();
        attach(&control, field.files());
        // Without this, choosing the same file again causes no event.
        field.set_value("");
    });
    html! {
        <>
            <input class="visually-hidden" type="file" multiple=true ref={node} onchange={chosen} tabindex="-1" aria-label={strings::FILES_TO_ATTACH} />
            <button class="button" type="button" onclick={choose} disabled={*disabled}>{ strings::ATTACH }</button>
        </>
    }
}

pub(super) fn on_drop(control: &Control) -> Callback<DragEvent> {
    let control = control.clone();
    Callback::from(move |event: DragEvent| {
        if let Some(files) = event.data_transfer().and_then(|data| files(&data))
            && !is_for_editor(&event, &files)
        {
            event.prevent_default();
            attach(&control, Some(files));
        }
    })
}

pub(super) fn on_drag_over() -> Callback<DragEvent> {
    Callback::from(|event: DragEvent| event.prevent_default())
}

pub(super) fn on_paste(control: &Control) -> Callback<Event> {
    let control = control.clone();
    Callback::from(move |event: Event| {
        let data = event.dyn_ref::<ClipboardEvent>().and_then(ClipboardEvent::clipboard_data);
        // Office programs add an image of copied text; the text is pasted.
        let has_text = |data: &DataTransfer| data.get_data("text/plain").is_ok_and(|text| !text.is_empty());
        if let Some(files) = data.filter(|data| !has_text(data)).and_then(|data| files(&data))
            && !is_for_editor(&event, &files)
        {
            event.prevent_default();
            attach(&control, Some(files));
        }
    })
}

/// Images in the text become part of it.
fn is_for_editor(event: &Event, files: &FileList) -> bool {
    let target = event.target().and_then(|target| target.dyn_into::<Node>().ok());
    let element =
        target.and_then(|node| node.dyn_ref::<Element>().cloned().or_else(|| node.parent_element()));
    let is_image = |at| files.get(at).is_some_and(|file: File| file.type_().starts_with("image/"));
    element.is_some_and(|element| matches!(element.closest(".rich-text"), Ok(Some(_))))
        && (0..files.length()).all(is_image)
}

fn files(data: &DataTransfer) -> Option<FileList> {
    data.files().filter(|files| files.length() > 0)
}

fn attach(control: &Control, files: Option<FileList>) {
    let Some(files) = files else { return };
    for file in (0..files.length()).filter_map(|at| files.get(at)) {
        control.attach(file.name(), async move { read(&file).await });
    }
}

pub(super) async fn read(file: &File) -> Option<Attachment> {
    let buffer = JsFuture::from(file.array_buffer()).await.ok()?;
    let bytes = js_sys::Uint8Array::new(&buffer).to_vec();
    let mime = Some(file.type_()).filter(|mime| !mime.is_empty());
    let mime = mime.unwrap_or_else(|| "application/octet-stream".to_owned());
    Some(Attachment { name: file.name(), mime, content_id: None, content_location: None, bytes })
}
