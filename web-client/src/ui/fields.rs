//! The head of a draft: from whom, to whom, what about.

use std::rc::Rc;

use web_sys::HtmlInputElement;
use yew::prelude::*;

use super::chips::Chips;
use crate::control::Control;
use crate::form::{Form, Recipients};

/// From here on the characters that are left are counted down.
const SUBJECT_COUNTED_FROM: isize = 30;

#[derive(Properties, PartialEq)]
pub(super) struct Props {
    pub(super) form: Rc<Form>,
    pub(super) from: String,
    /// What is missing is wrong, too.
    pub(super) forced: bool,
    pub(super) disabled: bool,
}

#[component]
pub(super) fn Fields(Props { form, from, forced, disabled }: &Props) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let copies = use_state_eq(|| None::<String>);
    let problems = form.problems(*forced);
    let recipients = |id,
                      label,
                      recipients: &Recipients,
                      problem,
                      field: fn(&mut Form) -> &mut Recipients| {
        let control = control.clone();
        let change = Callback::from(move |changed| control.edit(|form| *field(form) = changed));
        html! {
            <Chips {id} {label} recipients={recipients.clone()} {problem} disabled={*disabled} onchange={change} />
        }
    };
    // Asked for, for this draft.
    let asked = copies.as_ref() == Some(&form.id);
    let with_copies = asked || form.cc != Recipients::default() || form.bcc != Recipients::default();
    let ask = {
        let id = form.id.clone();
        Callback::from(move |_: MouseEvent| copies.set(Some(id.clone())))
    };
    html! {
        <>
            <div class="line">
                <span class="label">{ "From" }</span><span class="from">{ from }</span>
                if !with_copies {
                    <button class="link" type="button" onclick={ask}>{ "Cc, Bcc" }</button>
                }
            </div>
            { recipients("to", "To", &form.to, problems.to, |form| &mut form.to) }
            if with_copies {
                { recipients("cc", "Cc", &form.cc, problems.cc, |form| &mut form.cc) }
                { recipients("bcc", "Bcc", &form.bcc, problems.bcc, |form| &mut form.bcc) }
            }
            { subject(&control, form, problems.subject, *disabled) }
        </>
    }
}

fn subject(control: &Control, form: &Form, problem: Option<String>, disabled: bool) -> Html {
    let control = control.clone();
    let change = Callback::from(move |event: InputEvent| {
        let subject = event.target_unchecked_into::<HtmlInputElement>().value();
        control.edit(|form| form.subject = subject);
    });
    let left = form.subject_left();
    html! {
        <div class="line">
            <label for="subject">{ "Subject" }</label>
            <input id="subject" type="text" value={form.subject.clone()} oninput={change} {disabled}
                aria-invalid={problem.is_some().to_string()} aria-describedby="subject-left subject-problem" />
            <span class={classes!("left", (left < 0).then_some("over"))} id="subject-left">
                if left <= SUBJECT_COUNTED_FROM { { left } }
                <span class="aside">{ " characters left" }</span>
            </span>
            if let Some(problem) = problem {
                <p class="problem" id="subject-problem" role="alert">{ problem }</p>
            }
        </div>
    }
}
