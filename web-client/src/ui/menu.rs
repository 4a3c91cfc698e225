//! Drop-down menus.

use wasm_bindgen::JsCast as _;
use web_sys::{HtmlElement, Node};
use yew::prelude::*;

use super::accounts::SignedInAccounts;
use crate::control::Control;
use crate::model::state::UiAction;
use crate::platform::notification;
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct DropdownProps {
    pub(super) label: &'static str,
    #[prop_or_default]
    pub(super) class: Classes,
    pub(super) children: Html,
}

/// Closes when an item is pressed, at Escape, and when it loses the focus.
#[component]
pub(super) fn Dropdown(DropdownProps { label, class, children }: &DropdownProps) -> Html {
    let node = use_node_ref();
    let close = {
        let node = node.clone();
        move || {
            if let Some(menu) = node.cast::<HtmlElement>() {
                let _ = menu.remove_attribute("open");
            }
        }
    };
    let close_and_refocus = {
        let (close, node) = (close.clone(), node.clone());
        move || {
            close();
            if let Some(button) = node.cast::<HtmlElement>().and_then(|menu| menu.first_element_child())
                && let Some(button) = button.dyn_ref::<HtmlElement>()
            {
                let _ = button.focus();
            }
        }
    };
    let click = {
        let close_and_refocus = close_and_refocus.clone();
        Callback::from(move |_: MouseEvent| close_and_refocus())
    };
    let keydown = {
        let node = node.clone();
        Callback::from(move |event: KeyboardEvent| {
            let is_open = node.cast::<HtmlElement>().is_some_and(|menu| menu.has_attribute("open"));
            if is_open && event.key() == "Escape" {
                event.stop_propagation();
                close_and_refocus();
            }
        })
    };
    let focusout = {
        let node = node.clone();
        Callback::from(move |event: FocusEvent| {
            let target = event.related_target().and_then(|target| target.dyn_into::<Node>().ok());
            if !node.get().is_some_and(|menu| menu.contains(target.as_ref())) {
                close();
            }
        })
    };
    html! {
        <details class={classes!("menu", class.clone())} ref={node} onkeydown={keydown} onfocusout={focusout}>
            <summary aria-label={*label} title={*label}>{ "⋯" }</summary>
            // Focusable, so that a press between its items does not close it.
            <div class="items" tabindex="-1" onclick={click}>{ children.clone() }</div>
        </details>
    }
}

#[derive(Properties, PartialEq)]
pub(super) struct MainMenuProps {
    pub(super) account: String,
    /// Identifies the account in this browser.
    pub(super) account_id: String,
    pub(super) protocol_log: bool,
}

#[component]
pub(super) fn MainMenu(MainMenuProps { account, account_id, protocol_log }: &MainMenuProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let item = |label: &'static str, act: Callback<Control>| {
        let control = control.clone();
        let click = Callback::from(move |_: MouseEvent| act.emit(control.clone()));
        html! { <button type="button" onclick={click}>{ label }</button> }
    };
    let open = *protocol_log;
    html! {
        <Dropdown label={strings::MENU}>
            <p>{ account }</p>
            { item(
                strings::protocol_log(open),
                Callback::from(move |control: Control| control.dispatch(UiAction::ProtocolLog(!open))),
            ) }
            { item(strings::SETTINGS, Callback::from(|control: Control| control.dispatch(UiAction::Settings(true)))) }
            { item(strings::KEYBOARD_SHORTCUTS, Callback::from(|control: Control| control.dispatch(UiAction::Shortcuts(true)))) }
            if notification::can_ask() {
                { item(strings::NOTIFY_OF_NEW_MAIL, Callback::from(|control: Control| control.notify_of_new_mail())) }
            }
            <hr />
            <SignedInAccounts verb={strings::SWITCH_TO} current={account_id.clone()} />
            { item(strings::ADD_ACCOUNT, Callback::from(|control: Control| control.add_account())) }
            <hr />
            { item(strings::SIGN_OUT, Callback::from(|control: Control| control.sign_out(false))) }
            { item(strings::SIGN_OUT_AND_DELETE, Callback::from(|control: Control| control.sign_out_and_wipe())) }
        </Dropdown>
    }
}
