//! Formatted text in the compose pane.

mod clipboard;
mod editor;
mod format_bar;
mod link_dialog;
mod original;

use std::rc::Rc;

use mail_core::message::draft::Attachment;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{DragEvent, Event, EventTarget, HtmlElement, InputEvent, KeyboardEvent};
use yew::prelude::*;

use self::editor::Editor;
use self::format_bar::FormatBar;
use self::link_dialog::LinkDialog;
use self::original::OriginalView;
use super::element_ids::BODY_ID;
use crate::control::Control;
use crate::model::rich_text::edit::Formats;
use crate::model::rich_text::{Kind, Position, RichText};
use crate::platform::dom;
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct RichTextEditorProps {
    pub(super) document: Rc<RichText>,
    /// Those with a Content-ID may be shown in the text.
    pub(super) attachments: Vec<Rc<Attachment>>,
    pub(super) disabled: bool,
    pub(super) onplain: Callback<()>,
}

/// The component of one draft; its key must be the draft's id.
#[component]
pub(super) fn RichTextEditor(props: &RichTextEditorProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let node = use_node_ref();
    let editor = use_state_eq(|| None::<Rc<Editor>>);
    let formats = use_state_eq(Formats::default);
    let asks_for_link = use_state_eq(|| false);
    {
        let (node, editor, formats) = (node.clone(), editor.setter(), formats.setter());
        let (document, attachments) = (props.document.clone(), props.attachments.clone());
        let (control, asks_for_link) = (control.clone(), asks_for_link.setter());
        use_effect_with((), move |()| {
            let root = node.cast::<HtmlElement>();
            let onchange = {
                let control = control.clone();
                Callback::from(move |document| control.edit(|form| form.set_rich(document)))
            };
            let created = root.map(|root| {
                let created = Rc::new(Editor::new(root, document, onchange, formats.into()));
                created.set_images(&attachments);
                created.draw();
                if dom::is_focused(created.root()) {
                    created.focus_at(Position::default());
                }
                created
            });
            let listeners = created.as_ref().map(|created| listen(created, &control, asks_for_link.into()));
            editor.set(created);
            move || drop(listeners)
        });
    }
    {
        let content = (editor.clone(), props.document.clone(), props.attachments.clone());
        use_effect_with(content, |(editor, document, attachments)| {
            if let Some(editor) = &**editor {
                editor.set_images(attachments);
                editor.replace(document);
            }
        });
    }
    let ask_for_link = {
        let asks_for_link = asks_for_link.setter();
        Callback::from(move |()| asks_for_link.set(true))
    };
    let close_dialog = {
        let (asks_for_link, editor) = (asks_for_link.setter(), editor.clone());
        Callback::from(move |()| {
            asks_for_link.set(false);
            if let Some(editor) = &*editor {
                let _ = editor.root().focus();
            }
        })
    };
    html! {
        <>
            if let Some(editor) = &*editor {
                <FormatBar editor={editor.clone()} formats={(*formats).clone()} disabled={props.disabled}
                    onlink={ask_for_link} onplain={props.onplain.clone()} />
            }
            <div id={BODY_ID} class="rich-text" ref={node} dir="auto" role="textbox" aria-multiline="true" aria-label={strings::TEXT}
                contenteditable={(!props.disabled).to_string()} spellcheck="true"></div>
            if let (Some(editor), Some(original)) = (&*editor, &props.document.original) {
                <OriginalView editor={editor.clone()} original={original.clone()} attachments={props.attachments.clone()}
                    disabled={props.disabled} />
            }
            if let Some(editor) = editor.as_ref().filter(|_| *asks_for_link) {
                <LinkDialog editor={editor.clone()} onclose={close_dialog} />
            }
        </>
    }
}

/// Event listeners, removed on drop.
struct Listeners(Vec<Listener>);

/// The target, the name of the event, and the function.
type Listener = (EventTarget, &'static str, Closure<dyn Fn(Event)>);

impl Listeners {
    fn add(&mut self, target: &EventTarget, name: &'static str, act: impl Fn(Event) + 'static) {
        let closure = Closure::<dyn Fn(Event)>::new(act);
        let _ = target.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
        self.0.push((target.clone(), name, closure));
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for (target, name, closure) in &self.0 {
            let _ = target.remove_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
        }
    }
}

fn listen(editor: &Rc<Editor>, control: &Control, asks_for_link: Callback<bool>) -> Listeners {
    let mut listeners = Listeners(Vec::new());
    let root: EventTarget = editor.root().clone().into();
    let mut on = |name: &'static str, act: fn(&Rc<Editor>, &Event)| {
        let editor = editor.clone();
        listeners.add(&root, name, move |event| act(&editor, &event));
    };
    on("beforeinput", |editor, event| {
        if let Some(input) = event.dyn_ref::<InputEvent>()
            && editor.before_input(input)
        {
            event.prevent_default();
        }
    });
    on("input", |editor, event| {
        if let Some(input) = event.dyn_ref::<InputEvent>() {
            editor.input(input);
        }
    });
    on("compositionstart", |editor, _| editor.composition_started());
    on("compositionend", |editor, _| editor.composition_ended());
    on("dragstart", |editor, _| editor.begin_drag());
    on("dragend", |editor, _| _ = editor.ends_drag());
    on("copy", |editor, event| clipboard::copy(editor, event, false));
    on("cut", |editor, event| clipboard::copy(editor, event, true));
    {
        let (editor, control) = (editor.clone(), control.clone());
        listeners.add(&root, "paste", move |event| clipboard::paste(&editor, &control, &event));
    }
    {
        let (editor, control) = (editor.clone(), control.clone());
        listeners.add(&root, "drop", move |event| {
            if let Some(drop) = event.dyn_ref::<DragEvent>() {
                clipboard::drop(&editor, &control, drop);
            }
        });
    }
    {
        let editor = editor.clone();
        listeners.add(&root, "keydown", move |event| {
            if let Some(key) = event.dyn_ref::<KeyboardEvent>()
                && on_key(&editor, key, &asks_for_link)
            {
                event.prevent_default();
                event.stop_propagation();
            }
        });
    }
    if let Some(document) = dom::document() {
        let editor = editor.clone();
        // The event of the document has no target inside the editor.
        listeners.add(&document, "selectionchange", move |_| editor.selection_changed());
    }
    listeners
}

/// The shortcuts of the editor. Returns whether the key is one.
fn on_key(editor: &Rc<Editor>, event: &KeyboardEvent, asks_for_link: &Callback<bool>) -> bool {
    if !(event.ctrl_key() || event.meta_key()) || event.alt_key() {
        return false;
    }
    // With Shift, the key of a digit depends on the layout.
    let key = if event.shift_key() { event.code() } else { event.key().to_lowercase() };
    match key.as_str() {
        "b" => editor.toggle_bold(),
        "i" => editor.toggle_italic(),
        "k" => asks_for_link.emit(true),
        "z" => editor.undo(false),
        "y" | "KeyZ" => editor.undo(true),
        "]" => format_bar::indent(editor, true),
        "[" => format_bar::indent(editor, false),
        "Digit7" => format_bar::toggle_list(editor, Kind::Number),
        "Digit8" => format_bar::toggle_list(editor, Kind::Bullet),
        "Digit9" => format_bar::toggle_quote(editor),
        _ => return false,
    }
    true
}
