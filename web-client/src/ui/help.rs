//! The keys, as `?` shows them.

use web_sys::HtmlDialogElement;
use yew::prelude::*;

use super::keyboard::KEYS;
use crate::control::Control;
use crate::state::Action;

/// The browser keeps the focus inside, closes it at Escape, and gives the focus back to what had it.
#[component]
pub(super) fn Help() -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let node = use_node_ref();
    {
        let node = node.clone();
        use_effect_with((), move |()| {
            let dialog = node.cast::<HtmlDialogElement>();
            if let Some(dialog) = &dialog {
                // It fails for one that is open, and this one is new.
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
        Callback::from(move |_: Event| control.dispatch(Action::Help(false)))
    };
    let close = Callback::from(move |_: MouseEvent| control.dispatch(Action::Help(false)));
    html! {
        <dialog class="card" ref={node} aria-labelledby="help-title" closedby="any" onclose={closed}>
            <h2 id="help-title">{ "Keyboard" }</h2>
            <dl>
                { for KEYS.map(|(keys, does)| html! { <div><dt><kbd>{ keys }</kbd></dt><dd>{ does }</dd></div> }) }
            </dl>
            <button class="button" type="button" onclick={close}>{ "Close" }</button>
        </dialog>
    }
}
