//! The header fields of a draft.

use std::rc::Rc;

use web_sys::{HtmlInputElement, HtmlSelectElement};
use yew::prelude::*;

use super::element_ids::{BCC_ID, CC_ID, SUBJECT_ID, TO_ID};
use super::recipients_field::RecipientsField;
use crate::control::Control;
use crate::model::draft_form::{DraftForm, Recipients};
use crate::model::people::Person;
use crate::strings;

const FROM_ID: &str = "compose-from";
/// The counter appears when this many characters are left.
const COUNTER_FROM: isize = 30;

#[derive(Properties, PartialEq)]
pub(super) struct ComposeFieldsProps {
    pub(super) form: Rc<DraftForm>,
    pub(super) from: String,
    /// The addresses to choose from, and the position of the current one.
    pub(super) senders: Vec<String>,
    pub(super) sender: Option<usize>,
    pub(super) people: Rc<Vec<Person>>,
    /// The user has pressed Send: missing fields are reported as well.
    pub(super) submitted: bool,
    pub(super) disabled: bool,
}

#[component]
pub(super) fn ComposeFields(props: &ComposeFieldsProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let ComposeFieldsProps { form, from, senders, sender, people, submitted, disabled } = props;
    // The draft for which the user has asked for Cc and Bcc.
    let expanded = use_state_eq(|| None::<String>);
    let problems = form.problems(*submitted);
    let recipients = |id,
                      label,
                      recipients: &Recipients,
                      problem,
                      field: fn(&mut DraftForm) -> &mut Recipients| {
        let control = control.clone();
        let change = Callback::from(move |changed| control.edit(|form| *field(form) = changed));
        html! {
            <RecipientsField {id} {label} recipients={recipients.clone()} people={people.clone()} {problem}
                disabled={*disabled} onchange={change} />
        }
    };
    let show_copies = expanded.as_ref() == Some(&form.id)
        || form.cc != Recipients::default()
        || form.bcc != Recipients::default();
    let expand = {
        let id = form.id.clone();
        Callback::from(move |_: MouseEvent| expanded.set(Some(id.clone())))
    };
    html! {
        <>
            <div class="field-line">
                if senders.len() > 1 {
                    <label for={FROM_ID}>{ strings::FROM }</label>
                    { from_select(&control, senders, *sender, *disabled) }
                } else {
                    <span class="label">{ strings::FROM }</span><span class="from">{ from }</span>
                }
                if !show_copies {
                    <button class="link" type="button" onclick={expand}>{ strings::CC_BCC }</button>
                }
            </div>
            { recipients(TO_ID, strings::TO, &form.to, problems.to, |form| &mut form.to) }
            if show_copies {
                { recipients(CC_ID, strings::CC, &form.cc, problems.cc, |form| &mut form.cc) }
                { recipients(BCC_ID, strings::BCC, &form.bcc, problems.bcc, |form| &mut form.bcc) }
            }
            { subject(&control, form, problems.subject, *disabled) }
        </>
    }
}

fn from_select(control: &Control, senders: &[String], sender: Option<usize>, disabled: bool) -> Html {
    let control = control.clone();
    let onchange = Callback::from(move |event: Event| {
        let select = event.target_unchecked_into::<HtmlSelectElement>();
        if let Ok(at) = usize::try_from(select.selected_index()) {
            control.choose_address(at);
        }
    });
    let option =
        |(at, label): (usize, &String)| html! { <option selected={Some(at) == sender}>{ label }</option> };
    html! {
        <select id={FROM_ID} class="from" {onchange} {disabled}>{ for senders.iter().enumerate().map(option) }</select>
    }
}

fn subject(control: &Control, form: &DraftForm, problem: Option<String>, disabled: bool) -> Html {
    let control = control.clone();
    let change = Callback::from(move |event: InputEvent| {
        let subject = event.target_unchecked_into::<HtmlInputElement>().value();
        control.edit(|form| form.subject = subject);
    });
    let left = form.subject_chars_left();
    html! {
        <div class="field-line">
            <label for={SUBJECT_ID}>{ strings::SUBJECT }</label>
            <input id={SUBJECT_ID} type="text" dir="auto" value={form.subject.clone()} oninput={change} {disabled}
                aria-invalid={problem.is_some().to_string()} aria-describedby="subject-left subject-problem" />
            <span class={classes!("remaining", (left < 0).then_some("over"))} id="subject-left">
                if left <= COUNTER_FROM { { left } }
                <span class="visually-hidden">{ strings::CHARACTERS_LEFT_SUFFIX }</span>
            </span>
            if let Some(problem) = problem {
                <p class="problem" id="subject-problem" role="alert">{ problem }</p>
            }
        </div>
    }
}
