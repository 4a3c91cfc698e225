//! The dialog for the address of a link.

use std::rc::Rc;

use web_sys::HtmlInputElement;
use yew::prelude::*;

use super::editor::Editor;
use crate::model::rich_text::builder::link;
use crate::model::rich_text::history::Change;
use crate::model::rich_text::{Range, Run, Style};
use crate::strings;
use crate::ui::modal::Modal;

const TITLE_ID: &str = "link-title";

#[derive(Properties, PartialEq)]
pub(super) struct LinkDialogProps {
    pub(super) editor: Rc<Editor>,
    pub(super) onclose: Callback<()>,
}

/// Links the selected text. Without a selection, changes the link at the caret or inserts the address.
#[component]
pub(super) fn LinkDialog(LinkDialogProps { editor, onclose }: &LinkDialogProps) -> Html {
    let field = use_node_ref();
    let is_invalid = use_state_eq(|| false);
    // The selection when the dialog was opened.
    let target = use_memo((), |()| {
        let document = editor.document();
        let selection = editor.selection();
        let selection = Range { start: document.clamp(selection.start), end: document.clamp(selection.end) };
        let existing = document.link_at(selection.start).filter(|(range, _)| selection.end <= range.end);
        match existing {
            Some((range, address)) => (if selection.is_empty() { range } else { selection }, Some(address)),
            None => (selection, None),
        }
    });
    let (range, existing) = (target.0, target.1.clone());
    {
        let (field, existing) = (field.clone(), existing.clone());
        use_effect_with((), move |()| {
            if let (Some(field), Some(address)) = (field.cast::<HtmlInputElement>(), existing) {
                field.set_value(&address);
                field.select();
            }
        });
    }
    let apply = {
        let (field, editor, onclose) = (field.clone(), editor.clone(), onclose.clone());
        let is_invalid = is_invalid.setter();
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            let typed = field.cast::<HtmlInputElement>().map(|field| field.value()).unwrap_or_default();
            let Some(address) = address(&typed) else { return is_invalid.set(true) };
            onclose.emit(());
            set_link(&editor, range, &address, typed.trim());
        })
    };
    let remove = {
        let (editor, onclose) = (editor.clone(), onclose.clone());
        Callback::from(move |_: MouseEvent| {
            onclose.emit(());
            editor.edit(Change::Other, |document, selection| {
                document.set_link(range, None);
                selection
            });
        })
    };
    html! {
        <Modal labelled_by={TITLE_ID} onclose={onclose.clone()}>
            <h2 id={TITLE_ID}>{ strings::LINK }</h2>
            <form class="settings" onsubmit={apply}>
                <div class="field">
                    <label for="link-address">{ strings::ADDRESS }</label>
                    <input id="link-address" type="text" inputmode="url" autocapitalize="none" spellcheck="false" ref={field}
                        placeholder="https://example.org" aria-invalid={is_invalid.to_string()} aria-describedby="link-problem" />
                    if *is_invalid {
                        <p class="problem" id="link-problem" role="alert">{ strings::ENTER_LINK_ADDRESS }</p>
                    }
                </div>
                <div class="answers">
                    if existing.is_some() {
                        <button class="button" type="button" onclick={remove}>{ strings::REMOVE_LINK }</button>
                    }
                    <button class="button" type="button" onclick={onclose.reform(|_: MouseEvent| ())}>{ strings::CANCEL }</button>
                    <button class="button primary" type="submit">{ strings::APPLY }</button>
                </div>
            </form>
        </Modal>
    }
}

fn set_link(editor: &Editor, range: Range, address: &str, typed: &str) {
    editor.edit(Change::Other, |document, _| {
        let range = Range { start: document.clamp(range.start), end: document.clamp(range.end) };
        if !range.is_empty() {
            document.set_link(range, Some(address.into()));
            return Range::at(range.end);
        }
        let style = Style { link: Some(address.into()), ..document.style_at(range.start) };
        Range::at(document.insert(range.start, Run::text(typed, style)))
    });
}

/// The address for what was typed: `example.org` and `name@example.org` get a scheme.
fn address(typed: &str) -> Option<String> {
    let typed = typed.trim();
    if typed.is_empty() || typed.contains(char::is_whitespace) {
        return None;
    }
    if let Some(address) = link(typed) {
        return Some(address.to_owned());
    }
    // A port is no scheme.
    let has_scheme =
        typed.split_once(':').is_some_and(|(_, rest)| !rest.starts_with(|c: char| c.is_ascii_digit()));
    match typed.split_once('@') {
        _ if has_scheme => None,
        Some((name, domain)) if !name.is_empty() && domain.contains('.') && !name.contains('/') => {
            Some(format!("mailto:{typed}"))
        }
        _ if typed.contains('.') || typed.starts_with("localhost") => Some(format!("https://{typed}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn addresses_get_a_scheme() {
        for (typed, expected) in [
            (" https://x.example/a ", Some("https://x.example/a")),
            ("x.example:8080/a", Some("https://x.example:8080/a")),
            ("www.x.example/@me", Some("https://www.x.example/@me")),
            ("a@b.example", Some("mailto:a@b.example")),
            ("mailto:a@b.example", Some("mailto:a@b.example")),
            ("javascript:alert(1)", None),
            ("two words", None),
            ("word", None),
            ("", None),
        ] {
            assert_eq!(address(typed).as_deref(), expected, "{typed}");
        }
    }
}
