//! The dialog that releases a message to real addresses.

use std::rc::Rc;

use web_sys::{HtmlInputElement, SubmitEvent};
use yew::prelude::*;

use crate::catch::control::CatchControl;
use crate::strings;
use crate::ui::modal::Modal;

const TITLE_ID: &str = "release-title";
const FIELD_ID: &str = "release-to";

#[derive(Properties, PartialEq)]
pub(super) struct ReleaseDialogProps {
    /// The proposed addresses.
    pub(super) to: String,
    /// Permitted addresses and patterns.
    pub(super) allowed: Rc<str>,
    pub(super) problem: Option<String>,
    pub(super) is_sending: bool,
}

#[component]
pub(super) fn ReleaseDialog(
    ReleaseDialogProps { to, allowed, problem, is_sending }: &ReleaseDialogProps,
) -> Html {
    let control = use_context::<CatchControl>().expect("the app provides the control");
    let field = use_node_ref();
    let close = {
        let control = control.clone();
        Callback::from(move |()| control.close_dialog())
    };
    let submit = {
        let field = field.clone();
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            let text = field.cast::<HtmlInputElement>().map(|field| field.value()).unwrap_or_default();
            control.release(&text);
        })
    };
    // The field keeps what was typed, because its first value does not change.
    let first = use_memo((), |()| to.clone());
    html! {
        <Modal labelled_by={TITLE_ID} onclose={close.clone()}>
            <form onsubmit={submit}>
                <h2 id={TITLE_ID}>{ strings::RELEASE_THIS_MESSAGE }</h2>
                <p>{ strings::RELEASE_EXPLANATION }</p>
                <p class="field">
                    <label for={FIELD_ID}>{ strings::TO }</label>
                    <input id={FIELD_ID} ref={field} type="text" value={(*first).clone()} autocomplete="off" />
                </p>
                <p class="explanation">{ strings::permitted(&allowed) }</p>
                if let Some(problem) = problem { <p class="problem" role="alert">{ problem }</p> }
                <div class="answers">
                    <button class="button" type="button" onclick={close.reform(|_: MouseEvent| ())}>{ strings::CANCEL }</button>
                    <button class="button primary" type="submit" disabled={*is_sending}>{ strings::RELEASE }</button>
                </div>
            </form>
        </Modal>
    }
}
