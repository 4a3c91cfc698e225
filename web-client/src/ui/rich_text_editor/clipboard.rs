//! Copy, paste and drop. Pasted HTML passes the sanitizer; images become part of the text.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_core::message::draft::Attachment;
use wasm_bindgen::JsCast as _;
use web_sys::{ClipboardEvent, DataTransfer, DragEvent, Element, Event, File};

use super::editor::Editor;
use crate::control::Control;
use crate::model::draft_form::new_content_id;
use crate::model::rich_text::history::Change;
use crate::model::rich_text::{Block, Image, Range, RichText};
use crate::model::state::Notice;
use crate::platform::blob_url::image_type;
use crate::platform::{clock, rich_dom};
use crate::sanitize::sanitize_fragment;
use crate::ui::attach;

pub(super) fn copy(editor: &Editor, event: &Event, cut: bool) {
    let data = event.dyn_ref::<ClipboardEvent>().and_then(ClipboardEvent::clipboard_data);
    let Some(data) = data.filter(|_| !editor.selection().is_empty()) else { return };
    let part = editor.document().part(editor.selection());
    // A browser may refuse access to the clipboard; its own copy is used then.
    if data.set_data("text/html", &part.mail_html()).is_err()
        || data.set_data("text/plain", &part.plain_text()).is_err()
    {
        return;
    }
    event.prevent_default();
    if cut {
        editor.edit(Change::Other, |document, selection| Range::at(document.delete(selection)));
    }
}

pub(super) fn paste(editor: &Rc<Editor>, control: &Control, event: &Event) {
    let data = event.dyn_ref::<ClipboardEvent>().and_then(ClipboardEvent::clipboard_data);
    if let Some(data) = data
        && insert(editor, control, &data)
    {
        event.prevent_default();
        event.stop_propagation();
    }
}

pub(super) fn drop(editor: &Rc<Editor>, control: &Control, event: &DragEvent) {
    let at = rich_dom::position_at(editor.root(), event.client_x(), event.client_y());
    if editor.ends_drag() {
        event.prevent_default();
        if let Some(at) = at {
            editor.move_selection(at);
        }
        return;
    }
    if let Some(at) = at {
        editor.focus_at(at);
    }
    if let Some(data) = event.data_transfer()
        && insert(editor, control, &data)
    {
        event.prevent_default();
        event.stop_propagation();
    }
}

/// Inserts the data. Returns false for files that are not images: they are attached.
fn insert(editor: &Rc<Editor>, control: &Control, data: &DataTransfer) -> bool {
    let text = |kind: &str| data.get_data(kind).unwrap_or_default();
    let (html, plain) = (text("text/html"), text("text/plain"));
    let files = data.files();
    let files: Vec<File> =
        files.iter().flat_map(|files| (0..files.length()).filter_map(|at| files.get(at))).collect();
    // Office programs add an image of copied text; the text is pasted.
    if !files.is_empty() && plain.is_empty() {
        return insert_images(editor, control, files);
    }
    if !html.is_empty() && insert_html(editor, control, &html) {
        return true;
    }
    if plain.is_empty() {
        return false;
    }
    let plain = plain.replace("\r\n", "\n").replace('\r', "\n");
    editor.insert_blocks(RichText::from_lines(&plain));
    true
}

fn insert_images(editor: &Rc<Editor>, control: &Control, files: Vec<File>) -> bool {
    let is_image = |file: &File| file.type_().starts_with("image/");
    if !files.iter().all(is_image) {
        return false;
    }
    for file in files {
        let editor = editor.clone();
        let shown = move |file: Rc<Attachment>| editor.insert_image(&file);
        control.attach_image(file.name(), async move { attach::read(&file).await }, shown);
    }
    true
}

/// Returns false if the HTML has no content.
fn insert_html(editor: &Editor, control: &Control, html: &str) -> bool {
    let Some(fragment) = sanitize_fragment(html) else { return false };
    let mut images = Vec::new();
    let read = rich_dom::read_pasted(&fragment, |element| image(element, editor, &mut images));
    if read.is_cut {
        control.notify(Notice::error("The text was too long: only its beginning was pasted."));
    }
    if read.blocks.iter().all(Block::is_empty) {
        return false;
    }
    if !images.is_empty() {
        editor.set_images(&images);
        control.attach_pasted(images);
    }
    editor.insert_blocks(read.blocks);
    true
}

/// An image of the draft, or one inside the HTML, which is added to `images`.
fn image(element: &Element, editor: &Editor, images: &mut Vec<Rc<Attachment>>) -> Option<Image> {
    let source = element.get_attribute("src")?;
    let alt = element.get_attribute("alt").unwrap_or_default();
    if let Some(content_id) = source.strip_prefix("cid:") {
        return editor.has_image(content_id).then(|| Image { content_id: content_id.to_owned(), alt });
    }
    let bytes = STANDARD.decode(source.strip_prefix("data:")?.split_once(";base64,")?.1).ok()?;
    let mime = image_type(&bytes)?;
    let content_id = new_content_id(clock::random());
    let name = format!("image.{}", mime.trim_start_matches("image/"));
    images.push(Rc::new(Attachment {
        name,
        mime: mime.to_owned(),
        content_id: Some(content_id.clone()),
        content_location: None,
        bytes,
    }));
    Some(Image { content_id, alt })
}
