//! Chooses the labels of messages.

use std::rc::Rc;

use web_sys::HtmlInputElement;
use yew::prelude::*;

use super::modal::Modal;
use crate::control::Control;
use crate::model::filing::LABEL_CHARS_MAX;
use crate::model::state::{MailboxState, UiAction};
use crate::strings;

const TITLE_ID: &str = "labels-title";
const NEW_ID: &str = "labels-new";

#[derive(Properties, PartialEq)]
pub(super) struct LabelDialogProps {
    pub(super) mailbox: Rc<MailboxState>,
    pub(super) ids: Rc<[String]>,
}

#[component]
pub(super) fn LabelDialog(LabelDialogProps { mailbox, ids }: &LabelDialogProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    // Each label, and whether all messages have it; `None` if some have it.
    let choices = use_state(|| choices(mailbox, ids));
    let new = use_node_ref();
    let close = {
        let control = control.clone();
        Callback::from(move |()| control.dispatch(UiAction::Labelling(None)))
    };
    let save = {
        let (choices, ids, new) = (choices.clone(), ids.clone(), new.clone());
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            let chosen = choices.iter().filter_map(|(label, has)| Some((label.clone(), (*has)?)));
            let chosen: Vec<_> = chosen.collect();
            let new = new.cast::<HtmlInputElement>().map(|field| field.value()).unwrap_or_default();
            control.dispatch(UiAction::Labelling(None));
            control.change_labels(&ids, &chosen, &new);
        })
    };
    let choice = |(at, (label, has)): (usize, &(String, Option<bool>))| {
        let choices = choices.clone();
        let onchange = Callback::from(move |has: bool| {
            let mut next = (*choices).clone();
            next[at].1 = Some(has);
            choices.set(next);
        });
        html! { <LabelChoice key={label.clone()} label={label.clone()} has={*has} {onchange} /> }
    };
    html! {
        <Modal labelled_by={TITLE_ID} onclose={close.clone()}>
            <h2 id={TITLE_ID}>{ "Labels" }</h2>
            <form class="settings" onsubmit={save}>
                { for choices.iter().enumerate().map(choice) }
                <div class="field">
                    <label for={NEW_ID}>{ "New label" }</label>
                    <input id={NEW_ID} type="text" ref={new} maxlength={LABEL_CHARS_MAX.to_string()} autocomplete="off" />
                </div>
                <p class="small">{ strings::FILED_IN_THIS_BROWSER }</p>
                <div class="answers">
                    <button class="button" type="button" onclick={close.reform(|_: MouseEvent| ())}>{ "Cancel" }</button>
                    <button class="button primary" type="submit">{ "Save" }</button>
                </div>
            </form>
        </Modal>
    }
}

#[derive(Properties, PartialEq)]
struct LabelChoiceProps {
    label: String,
    has: Option<bool>,
    onchange: Callback<bool>,
}

#[component]
fn LabelChoice(LabelChoiceProps { label, has, onchange }: &LabelChoiceProps) -> Html {
    let node = use_node_ref();
    {
        let node = node.clone();
        use_effect_with(*has, move |has| {
            if let Some(field) = node.cast::<HtmlInputElement>() {
                field.set_indeterminate(has.is_none());
                field.set_checked(*has == Some(true));
            }
        });
    }
    let onchange =
        onchange.reform(|event: Event| event.target_unchecked_into::<HtmlInputElement>().checked());
    html! { <label class="choice"><input type="checkbox" ref={node} {onchange} /><span dir="auto">{ label }</span></label> }
}

fn choices(mailbox: &MailboxState, ids: &[String]) -> Vec<(String, Option<bool>)> {
    let messages = mailbox.messages_of(ids);
    let choice = |label: &str| {
        let having = messages.iter().filter(|message| message.filing.labels.contains(label)).count();
        let has = if having == messages.len() { Some(true) } else { (having == 0).then_some(false) };
        (label.to_owned(), has)
    };
    let mut choices: Vec<_> = mailbox.labels().into_keys().map(choice).collect();
    choices.sort_by_cached_key(|(label, _)| label.to_lowercase());
    choices
}
