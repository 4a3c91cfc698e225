//! What is needed now and then.

use web_sys::HtmlElement;
use yew::prelude::*;

use crate::control::{Control, notify};
use crate::state::Action;

#[derive(Properties, PartialEq)]
pub(super) struct Props {
    pub(super) address: String,
    pub(super) drawer: bool,
}

#[component]
pub(super) fn Menu(Props { address, drawer }: &Props) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let node = use_node_ref();
    let item = |label: &'static str, act: Callback<Control>| {
        let (control, node) = (control.clone(), node.clone());
        let click = Callback::from(move |_: MouseEvent| {
            if let Some(menu) = node.cast::<HtmlElement>() {
                // A menu that was open has the attribute.
                let _ = menu.remove_attribute("open");
            }
            act.emit(control.clone());
        });
        html! { <button type="button" onclick={click}>{ label }</button> }
    };
    let drawer = *drawer;
    html! {
        <details class="menu" ref={node.clone()}>
            <summary aria-label="Menu">{ "⋯" }</summary>
            <div class="items">
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
            </div>
        </details>
    }
}
