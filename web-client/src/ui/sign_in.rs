//! The sign-in page.

use std::rc::Rc;

use web_sys::HtmlInputElement;
use yew::prelude::*;

use super::drawer::Drawer;
use super::icons;
use crate::control::Control;
use crate::credentials::{Problems, check};
use crate::state::{Action, Connection, State};

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub(crate) state: Rc<State>,
}

/// The fields keep their own text: a password need not lie in the page's state as well.
#[component]
pub(crate) fn SignIn(Props { state }: &Props) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let (username, password) = (use_node_ref(), use_node_ref());
    let problems = use_state_eq(Problems::default);
    {
        let (username, password) = (username.clone(), password.clone());
        use_effect_with(state.refusal.clone(), move |refusal| {
            if let Some(field) = input(if refusal.is_some() { &password } else { &username }) {
                // An element that cannot take the focus is no reason to stop.
                let _ = field.focus();
                field.select();
            }
        });
    }
    let submit = {
        let (username, password, problems) = (username.clone(), password.clone(), problems.clone());
        let control = control.clone();
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            let (Some(username), Some(password)) = (input(&username), input(&password)) else { return };
            let found = check(&username.value(), &password.value());
            let wrong = [(&found.username, &username), (&found.password, &password)];
            match wrong.into_iter().find(|(problem, _)| problem.is_some()) {
                Some((_, field)) => drop(field.focus()),
                None => control.sign_in(username.value().trim(), &password.value()),
            }
            problems.set(found);
        })
    };
    let cancel = {
        let control = control.clone();
        Callback::from(move |_: MouseEvent| control.sign_out(false))
    };
    let drawer = {
        let open = !state.drawer;
        Callback::from(move |_: MouseEvent| control.dispatch(Action::Drawer(open)))
    };
    let waiting = match &state.connection {
        Connection::Waiting { why, .. } if state.signing_in => {
            Some(format!("{why} Trying again in a moment."))
        }
        _ => None,
    };
    html! {
        <div class="front">
            <main class="sign-in">
                <div class="card">
                    <div class="brand">{ icons::envelope() }{ "Pennypost" }</div>
                    <h1>{ "Sign in" }</h1>
                    <form onsubmit={submit} novalidate=true>
                        if let Some(refusal) = &state.refusal {
                            <p class="refusal" role="alert">{ refusal }</p>
                        }
                        { field("username", "Username", "text", &username, problems.username.as_deref()) }
                        { field("password", "Password", "password", &password, problems.password.as_deref()) }
                        <button class="button go" type="submit" disabled={state.signing_in}>
                            { if state.signing_in { "Signing in…" } else { "Sign in" } }
                        </button>
                    </form>
                    <div role="status">
                        if let Some(waiting) = waiting {
                            <p class="note">{ waiting }</p>
                            <button class="button" type="button" onclick={cancel}>{ "Cancel" }</button>
                        }
                    </div>
                    <p class="small">
                        { "This page speaks SMTP and POP3 itself. " }
                        <button class="link" type="button" aria-expanded={state.drawer.to_string()} onclick={drawer}>
                            { if state.drawer { "Hide the dialogue" } else { "Watch the dialogue" } }
                        </button>
                    </p>
                </div>
            </main>
            if state.drawer { <Drawer /> }
        </div>
    }
}

fn field(id: &'static str, label: &str, kind: &'static str, node: &NodeRef, problem: Option<&str>) -> Html {
    let complete = if kind == "password" { "current-password" } else { id };
    let sentence = format!("{id}-problem");
    html! {
        <div class="field">
            <label for={id}>{ label }</label>
            <input {id} name={id} type={kind} ref={node} autocomplete={complete} autocapitalize="none" spellcheck="false"
                aria-invalid={problem.is_some().to_string()} aria-describedby={problem.map(|_| sentence.clone())} />
            if let Some(problem) = problem {
                <p class="problem" id={sentence} role="alert">{ problem }</p>
            }
        </div>
    }
}

fn input(node: &NodeRef) -> Option<HtmlInputElement> {
    node.cast()
}
