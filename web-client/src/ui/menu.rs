//! What is needed now and then: a button that opens a list of more.

use wasm_bindgen::JsCast as _;
use web_sys::{HtmlElement, Node};
use yew::prelude::*;

use crate::control::{Control, notify};
use crate::state::Action;

#[derive(Properties, PartialEq)]
pub(super) struct DropdownProps {
    pub(super) label: &'static str,
    #[prop_or_default]
    pub(super) class: Classes,
    pub(super) children: Html,
}

/// It closes when something in it is pressed, at Escape, and when the focus goes elsewhere.
#[component]
pub(super) fn Dropdown(DropdownProps { label, class, children }: &DropdownProps) -> Html {
    let node = use_node_ref();
    let close = {
        let node = node.clone();
        move || {
            if let Some(menu) = node.cast::<HtmlElement>() {
                // One that is closed has no such attribute, and that is no failure.
                let _ = menu.remove_attribute("open");
            }
        }
    };
    // What was pressed is gone, and with it the focus.
    let leave_by_hand = {
        let (close, node) = (close.clone(), node.clone());
        move || {
            close();
            if let Some(button) = node.cast::<HtmlElement>().and_then(|menu| menu.first_element_child())
                && let Some(button) = button.dyn_ref::<HtmlElement>()
            {
                // What cannot take the focus does without.
                let _ = button.focus();
            }
        }
    };
    let press = {
        let leave_by_hand = leave_by_hand.clone();
        Callback::from(move |_: MouseEvent| leave_by_hand())
    };
    let key = {
        let node = node.clone();
        Callback::from(move |event: KeyboardEvent| {
            let is_open = node.cast::<HtmlElement>().is_some_and(|menu| menu.has_attribute("open"));
            if is_open && event.key() == "Escape" {
                event.stop_propagation();
                leave_by_hand();
            }
        })
    };
    let leave = {
        let node = node.clone();
        Callback::from(move |event: FocusEvent| {
            let goes_to = event.related_target().and_then(|target| target.dyn_into::<Node>().ok());
            if !node.get().is_some_and(|menu| menu.contains(goes_to.as_ref())) {
                close();
            }
        })
    };
    html! {
        <details class={classes!("menu", class.clone())} ref={node} onkeydown={key} onfocusout={leave}>
            <summary aria-label={*label} title={*label}>{ "⋯" }</summary>
            // It can have the focus, so that a press between its buttons does not close it.
            <div class="items" tabindex="-1" onclick={press}>{ children.clone() }</div>
        </details>
    }
}

#[derive(Properties, PartialEq)]
pub(super) struct Props {
    pub(super) address: String,
    pub(super) drawer: bool,
}

#[component]
pub(super) fn Menu(Props { address, drawer }: &Props) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let item = |label: &'static str, act: Callback<Control>| {
        let control = control.clone();
        let click = Callback::from(move |_: MouseEvent| act.emit(control.clone()));
        html! { <button type="button" onclick={click}>{ label }</button> }
    };
    let drawer = *drawer;
    html! {
        <Dropdown label="Menu">
            <p>{ address }</p>
            { item(
                if drawer { "Hide transcript" } else { "Transcript" },
                Callback::from(move |control: Control| control.dispatch(Action::Drawer(!drawer))),
            ) }
            { item("Keyboard", Callback::from(|control: Control| control.dispatch(Action::Help(true)))) }
            if notify::can_be_asked_for() {
                { item("Notify me of new mail", Callback::from(|_: Control| notify::ask())) }
            }
            <hr />
            { item("Sign out", Callback::from(|control: Control| control.sign_out(false))) }
            { item("Sign out and forget all on this device", Callback::from(|control: Control| control.sign_out(true))) }
        </Dropdown>
    }
}
