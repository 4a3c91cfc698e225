//! The sign-in page.

use web_sys::HtmlInputElement;
use yew::prelude::*;

use crate::credentials::{Problems, check};

/// What has come of the last attempt.
#[derive(Clone, Debug, Default, PartialEq)]
struct Attempt {
    problems: Problems,
    was_made: bool,
}

/// The fields keep their own text: a password need not lie in the page's state as well.
#[component]
pub(crate) fn SignIn() -> Html {
    let (username, password) = (use_node_ref(), use_node_ref());
    let attempt = use_state_eq(Attempt::default);
    let submit = {
        let (username, password, attempt) = (username.clone(), password.clone(), attempt.clone());
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            let (Some(username), Some(password)) = (input(&username), input(&password)) else { return };
            let problems = check(&username.value(), &password.value());
            let wrong = [(&problems.username, &username), (&problems.password, &password)];
            if let Some((_, field)) = wrong.into_iter().find(|(problem, _)| problem.is_some()) {
                // An element that cannot take the focus is no reason to stop.
                let _ = field.focus();
            }
            attempt.set(Attempt { problems, was_made: true });
        })
    };
    let Attempt { problems, was_made } = &*attempt;
    let nothing_sent = *was_made && problems.none();
    html! {
        <main class="sign-in">
            <div class="card">
                <div class="brand">{ envelope() }{ "Pennypost" }</div>
                <h1>{ "Sign in" }</h1>
                <form onsubmit={submit} novalidate=true>
                    { field("username", "Username", "text", &username, problems.username.as_deref()) }
                    { field("password", "Password", "password", &password, problems.password.as_deref()) }
                    <button class="button go" type="submit">{ "Sign in" }</button>
                </form>
                <p class="note" role="status">
                    if nothing_sent { { "Nothing was sent. " } }
                    { "Reading mail in the browser is not there yet. Until then use the terminal client, " }
                    <code>{ "mail-client" }</code>
                    { ", or any mail program." }
                </p>
            </div>
        </main>
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

fn envelope() -> Html {
    html! {
        <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" aria-hidden="true">
            <rect x="3" y="5" width="18" height="14" rx="2" />
            <path d="m3 8 9 6 9-6" />
        </svg>
    }
}

fn input(node: &NodeRef) -> Option<HtmlInputElement> {
    node.cast()
}
