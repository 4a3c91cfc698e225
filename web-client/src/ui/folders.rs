//! The folders. Only the inbox is the server's; the others are kept on this device.

use std::rc::Rc;

use yew::prelude::*;

use crate::control::Control;
use crate::state::{Action, Folder, State};
use crate::{clock, labels};

#[derive(Properties, PartialEq)]
pub(super) struct Props {
    pub(super) state: Rc<State>,
}

#[component]
pub(super) fn Folders(Props { state }: &Props) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let compose = {
        let control = control.clone();
        Callback::from(move |_: MouseEvent| control.compose())
    };
    let folder = |folder: Folder| {
        let control = control.clone();
        let enter = Callback::from(move |_: MouseEvent| control.dispatch(Action::Folder(folder)));
        let count = state.count(folder);
        let current = (state.folder == folder).then_some("page");
        html! {
            <button type="button" aria-current={current} onclick={enter}>
                <span>{ folder.name() }</span>
                if count > 0 { <span>{ count }</span> }
            </button>
        }
    };
    let (kept, all) = state.kept();
    let drawer = {
        let (control, open) = (control.clone(), !state.drawer);
        Callback::from(move |_: MouseEvent| control.dispatch(Action::Drawer(open)))
    };
    html! {
        <>
            <nav class="nav" aria-label="Folders">
                <button class="button go" type="button" onclick={compose.clone()}>{ "Compose" }</button>
                { for Folder::ALL.into_iter().map(folder) }
                <small>
                    if let Some(checked) = state.checked {
                        { format!("Checked at {}.", labels::clock(clock::local(checked))) }<br />
                    }
                    { format!("Kept on this device, as a cache: {kept} of {}. ", labels::count(all, "message")) }<br />
                    <button class="link" type="button" aria-expanded={state.drawer.to_string()} onclick={drawer}>
                        { if state.drawer { "Hide transcript" } else { "Transcript" } }
                    </button>
                </small>
            </nav>
            <button class="button go fab" type="button" onclick={compose}>{ "Compose" }</button>
        </>
    }
}
