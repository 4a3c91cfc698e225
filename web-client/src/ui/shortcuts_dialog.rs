//! The dialog with the keyboard shortcuts.

use yew::prelude::*;

use super::keyboard::SHORTCUTS;
use super::modal::Modal;
use crate::control::Control;
use crate::model::state::UiAction;
use crate::strings;

const TITLE_ID: &str = "shortcuts-title";

#[component]
pub(super) fn ShortcutsDialog() -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let close = Callback::from(move |()| control.dispatch(UiAction::Shortcuts(false)));
    let shortcut = |(keys, action)| html! { <div><dt><kbd>{ keys }</kbd></dt><dd>{ action }</dd></div> };
    html! {
        <Modal labelled_by={TITLE_ID} onclose={close.clone()}>
            <h2 id={TITLE_ID}>{ strings::KEYBOARD_SHORTCUTS }</h2>
            <dl>{ for SHORTCUTS.map(shortcut) }</dl>
            <button class="button" type="button" onclick={close.reform(|_: MouseEvent| ())}>{ strings::CLOSE }</button>
        </Modal>
    }
}
