//! The accounts that are signed in, to switch between them.

use yew::platform::spawn_local;
use yew::prelude::*;

use crate::control::Control;
use crate::storage::stored_sign_in::{self, SignIn};

#[derive(Properties, PartialEq)]
pub(super) struct SignedInAccountsProps {
    /// The first words of each button.
    pub(super) verb: &'static str,
    /// The account that the page shows, which is not listed.
    #[prop_or_default]
    pub(super) current: String,
}

/// A button for each account.
#[component]
pub(super) fn SignedInAccounts(SignedInAccountsProps { verb, current }: &SignedInAccountsProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let accounts = use_state_eq(Vec::new);
    {
        let accounts = accounts.setter();
        use_effect_with(current.clone(), move |_| {
            spawn_local(async move { accounts.set(stored_sign_in::load_all().await) });
        });
    }
    let button = |sign_in: &SignIn| {
        let (control, account) = (control.clone(), sign_in.account());
        let label = if sign_in.server.is_empty() {
            format!("{verb} {}", sign_in.username)
        } else {
            format!("{verb} {} ({})", sign_in.username, sign_in.server)
        };
        let onclick = Callback::from({
            let account = account.clone();
            move |_: MouseEvent| control.switch_account(&account)
        });
        html! { <button key={account} class="button switch-account" type="button" {onclick}>{ label }</button> }
    };
    let others = accounts.iter().filter(|sign_in| sign_in.account() != *current);
    html! { <>{ for others.map(button) }</> }
}
