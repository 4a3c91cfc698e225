//! The keys, as `?` shows them.

use yew::prelude::*;

use super::keyboard::{KEYS, focus};
use crate::control::Control;
use crate::state::Action;

const CLOSE_ID: &str = "help-close";

#[component]
pub(super) fn Help() -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let close = Callback::from(move |_: MouseEvent| control.dispatch(Action::Help(false)));
    use_effect_with((), |()| focus(CLOSE_ID));
    html! {
        <div class="veil" onclick={close.clone()}>
            <div class="card" role="dialog" aria-modal="true" aria-labelledby="help-title">
                <h2 id="help-title">{ "Keyboard" }</h2>
                <dl>
                    { for KEYS.map(|(keys, does)| html! { <div><dt><kbd>{ keys }</kbd></dt><dd>{ does }</dd></div> }) }
                </dl>
                <button class="button" type="button" id={CLOSE_ID} onclick={close}>{ "Close" }</button>
            </div>
        </div>
    }
}
