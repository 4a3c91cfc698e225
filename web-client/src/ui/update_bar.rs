//! The bar that offers a new version of the page.

use yew::prelude::*;

use crate::control::Control;
use crate::platform::service_worker;
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct UpdateBarProps {
    /// A new version is available.
    pub(super) update: bool,
}

#[component]
pub(super) fn UpdateBar(UpdateBarProps { update }: &UpdateBarProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let reload = Callback::from(move |_: MouseEvent| {
        control.back_up_open_draft();
        service_worker::reload();
    });
    html! {
        <div class="update-bar">
            <span role="status">if *update { { strings::NEW_VERSION } }</span>
            if *update {
                <button class="button" type="button" onclick={reload}>{ strings::RELOAD }</button>
            }
        </div>
    }
}
