//! The sign-in form.

use std::rc::Rc;

use web_sys::{HtmlInputElement, HtmlSelectElement};
use yew::prelude::*;

use super::accounts::SignedInAccounts;
use super::icons;
use super::protocol_log::ProtocolLog;
use super::update_bar::UpdateBar;
use crate::control::Control;
use crate::model::sign_in_form::{Problems, check};
use crate::model::state::{ConnectionStatus, SessionState, UiAction};
use crate::platform::location;
use crate::storage::stored_sign_in;
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct SignInProps {
    pub(super) session: Rc<SessionState>,
    pub(super) protocol_log: bool,
    /// The server has a new version of the page.
    pub(super) update: bool,
}

/// The fields are uncontrolled, so that the password is not part of the state.
#[component]
pub(super) fn SignIn(SignInProps { session, protocol_log, update }: &SignInProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let (username, password, stay) = (use_node_ref(), use_node_ref(), use_node_ref());
    let server = use_node_ref();
    let problems = use_state_eq(Problems::default);
    {
        let (username, password) = (username.clone(), password.clone());
        use_effect_with((session.sign_in_error.clone(), session.username.clone()), move |(_, name)| {
            if let Some(field) = input(&username).filter(|field| field.value().is_empty()) {
                field.set_value(name);
            }
            let has_name = input(&username).is_some_and(|field| !field.value().is_empty());
            if let Some(field) = input(if has_name { &password } else { &username }) {
                let _ = field.focus();
                field.select();
            }
        });
    }
    let submit = {
        let (username, password, stay) = (username.clone(), password.clone(), stay.clone());
        let server = server.clone();
        let problems = problems.clone();
        let control = control.clone();
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            let (Some(username), Some(password)) = (input(&username), input(&password)) else { return };
            let found = check(&username.value(), &password.value());
            let fields = [(&found.username, &username), (&found.password, &password)];
            match fields.into_iter().find(|(problem, _)| problem.is_some()) {
                Some((_, field)) => drop(field.focus()),
                None => {
                    let stay = input(&stay).is_some_and(|field| field.checked());
                    let sign_in = stored_sign_in::SignIn {
                        server: chosen_server(&server),
                        username: username.value().trim().to_owned(),
                        password: password.value(),
                    };
                    control.sign_in(sign_in, stay);
                }
            }
            problems.set(found);
        })
    };
    let cancel = {
        let control = control.clone();
        Callback::from(move |_: MouseEvent| control.sign_out(false))
    };
    let open_log = *protocol_log;
    let toggle_log = Callback::from(move |_: MouseEvent| control.dispatch(UiAction::ProtocolLog(!open_log)));
    let waiting = match &session.connection {
        ConnectionStatus::Waiting { reason, .. } if session.signing_in => {
            let reason = reason.as_deref().unwrap_or(strings::OFFLINE);
            Some(strings::trying_again(&reason))
        }
        _ => None,
    };
    html! {
        <div class="sign-in-page">
            <UpdateBar update={*update} />
            <main class="sign-in">
                <div class="card">
                    <div class="brand">{ icons::envelope() }{ strings::PENNYPOST }</div>
                    <h1>{ strings::SIGN_IN }</h1>
                    <form onsubmit={submit} novalidate=true>
                        if let Some(error) = &session.sign_in_error {
                            <p class="error" role="alert">{ error }</p>
                        }
                        { server_field(&server) }
                        { field("username", strings::USERNAME, "text", &username, problems.username.as_deref()) }
                        { field("password", strings::PASSWORD, "password", &password, problems.password.as_deref()) }
                        if stored_sign_in::is_available() {
                            <label class="choice"><input type="checkbox" ref={stay} />{ strings::STAY_SIGNED_IN }</label>
                        }
                        <button class="button primary" type="submit" disabled={session.signing_in}>
                            { if session.signing_in { strings::SIGNING_IN } else { strings::SIGN_IN } }
                        </button>
                    </form>
                    if !session.signing_in { <SignedInAccounts verb={strings::CONTINUE_AS} /> }
                    <div role="status">
                        if let Some(waiting) = waiting {
                            <p class="warning">{ waiting }</p>
                            <button class="button" type="button" onclick={cancel}>{ strings::CANCEL }</button>
                        }
                    </div>
                    <p class="small">
                        { strings::ABOUT }
                        <button class="link" type="button" aria-expanded={open_log.to_string()} onclick={toggle_log}>
                            { strings::protocol_log(open_log) }
                        </button>
                    </p>
                </div>
            </main>
            if open_log { <ProtocolLog /> }
        </div>
    }
}

/// Selects the mail servers, if the bridge has more than one pair.
fn server_field(node: &NodeRef) -> Html {
    let servers = location::servers();
    if servers.is_empty() {
        return html! {};
    }
    html! {
        <div class="field">
            <label for="server">{ strings::SERVER }</label>
            <select id="server" ref={node}>
                // Yew inserts the options from the last one, which the browser would select.
                <option value="" selected=true>{ location::hostname() }</option>
                { for servers.iter().map(|name| html! { <option value={name.clone()}>{ name }</option> }) }
            </select>
        </div>
    }
}

fn chosen_server(node: &NodeRef) -> String {
    node.cast::<HtmlSelectElement>().map(|field| field.value()).unwrap_or_default()
}

fn field(id: &'static str, label: &str, kind: &'static str, node: &NodeRef, problem: Option<&str>) -> Html {
    let complete = if kind == "password" { "current-password" } else { id };
    let problem_id = format!("{id}-problem");
    html! {
        <div class="field">
            <label for={id}>{ label }</label>
            <input {id} name={id} type={kind} ref={node} autocomplete={complete} autocapitalize="none" spellcheck="false"
                aria-invalid={problem.is_some().to_string()} aria-describedby={problem.map(|_| problem_id.clone())} />
            if let Some(problem) = problem {
                <p class="problem" id={problem_id} role="alert">{ problem }</p>
            }
        </div>
    }
}

fn input(node: &NodeRef) -> Option<HtmlInputElement> {
    node.cast()
}
