//! The dialog with the keyboard shortcuts.

use web_sys::HtmlDialogElement;
use yew::prelude::*;

use super::keyboard::SHORTCUTS;
use crate::control::Control;
use crate::model::state::UiAction;

/// A modal `dialog`: the browser traps the focus, closes it at Escape and restores the focus.
#[component]
pub(super) fn ShortcutsDialog() -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let node = use_node_ref();
    {
        let node = node.clone();
        use_effect_with((), move |()| {
            let dialog = node.cast::<HtmlDialogElement>();
            if let Some(dialog) = &dialog {
                let _ = dialog.show_modal();
            }
            move || {
                if let Some(dialog) = dialog {
                    dialog.close();
                }
            }
        });
    }
    let closed = {
        let control = control.clone();
        Callback::from(move |_: Event| control.dispatch(UiAction::Shortcuts(false)))
    };
    let close = Callback::from(move |_: MouseEvent| control.dispatch(UiAction::Shortcuts(false)));
    let shortcut = |(keys, action)| html! { <div><dt><kbd>{ keys }</kbd></dt><dd>{ action }</dd></div> };
    html! {
        <dialog class="card" ref={node} aria-labelledby="shortcuts-title" closedby="any" onclose={closed}>
            <h2 id="shortcuts-title">{ "Keyboard shortcuts" }</h2>
            <dl>{ for SHORTCUTS.map(shortcut) }</dl>
            <button class="button" type="button" onclick={close}>{ "Close" }</button>
        </dialog>
    }
}
