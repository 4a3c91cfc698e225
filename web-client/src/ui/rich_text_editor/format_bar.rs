//! The buttons of the editor.

use std::rc::Rc;

use yew::prelude::*;

use super::editor::Editor;
use crate::model::rich_text::Kind;
use crate::model::rich_text::edit::Formats;
use crate::model::rich_text::history::Change;
use crate::strings;
use crate::ui::icons;

#[derive(Properties, PartialEq)]
pub(super) struct FormatBarProps {
    pub(super) editor: Rc<Editor>,
    pub(super) formats: Formats,
    pub(super) disabled: bool,
    pub(super) onlink: Callback<()>,
    pub(super) onplain: Callback<()>,
}

#[component]
pub(super) fn FormatBar(props: &FormatBarProps) -> Html {
    let FormatBarProps { editor, formats, disabled, onlink, onplain } = props;
    let button = |label: &'static str, title: &'static str, icon: Html, pressed: bool, act: fn(&Editor)| {
        let editor = editor.clone();
        let onclick = Callback::from(move |_: MouseEvent| act(&editor));
        html! {
            <button class="format" type="button" aria-label={label} {title} aria-pressed={pressed.to_string()}
                disabled={*disabled} {onclick}>{ icon }</button>
        }
    };
    // A press leaves the focus in the text.
    let keep_focus = Callback::from(|event: MouseEvent| event.prevent_default());
    html! {
        <div class="format-bar" role="toolbar" aria-label={strings::FORMATTING} onmousedown={keep_focus}>
            { button(strings::BOLD, strings::BOLD_TITLE, icons::bold(), formats.style.bold, Editor::toggle_bold) }
            { button(strings::ITALIC, strings::ITALIC_TITLE, icons::italic(), formats.style.italic, Editor::toggle_italic) }
            { button(strings::BULLETED_LIST, strings::BULLETED_LIST_TITLE, icons::bullets(), formats.kind == Kind::Bullet,
                |editor| toggle_list(editor, Kind::Bullet)) }
            { button(strings::NUMBERED_LIST, strings::NUMBERED_LIST_TITLE, icons::numbers(), formats.kind == Kind::Number,
                |editor| toggle_list(editor, Kind::Number)) }
            { button(strings::QUOTE, strings::QUOTE_TITLE, icons::quote(), formats.is_quoted, toggle_quote) }
            <button class="format" type="button" aria-label={strings::LINK} title={strings::LINK_TITLE}
                aria-pressed={formats.style.link.is_some().to_string()} disabled={*disabled}
                onclick={onlink.reform(|_: MouseEvent| ())}>{ icons::link() }</button>
            <button class="format text" type="button" title={strings::PLAIN_TEXT_EXPLANATION}
                disabled={*disabled} onclick={onplain.reform(|_: MouseEvent| ())}>{ strings::PLAIN_TEXT }</button>
        </div>
    }
}

pub(super) fn toggle_list(editor: &Editor, kind: Kind) {
    editor.edit(Change::Other, |document, selection| {
        document.toggle_list(selection, kind);
        selection
    });
}

pub(super) fn toggle_quote(editor: &Editor) {
    editor.edit(Change::Other, |document, selection| {
        document.toggle_quote(selection);
        selection
    });
}

/// Moves list items one list deeper, or back.
pub(super) fn indent(editor: &Editor, deeper: bool) {
    editor.edit(Change::Other, |document, selection| {
        document.indent(selection, deeper);
        selection
    });
}
