//! The bar above a message whose remote images are blocked, and the senders whose images are always shown.

use std::rc::Rc;

use mail_core::message::parsed::ParsedMessage;
use yew::prelude::*;

use crate::control::Control;
use crate::model::format;
use crate::model::settings::Settings;
use crate::strings;

/// The address that decides whether images are shown.
pub(super) fn image_sender(parsed: &ParsedMessage) -> Option<String> {
    parsed.from.first().map(|person| person.address.to_lowercase()).filter(|address| address.contains('@'))
}

#[derive(Properties, PartialEq)]
pub(super) struct ImageBarProps {
    /// Number of blocked images.
    pub(super) blocked: usize,
    pub(super) sender: Option<String>,
    pub(super) onshow: Callback<MouseEvent>,
}

#[component]
pub(super) fn ImageBar(ImageBarProps { blocked, sender, onshow }: &ImageBarProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let verb = if *blocked == 1 { "is" } else { "are" };
    let always = sender.clone().map(|sender| {
        let label = strings::always_show_from(&sender);
        let onclick = Callback::from(move |_: MouseEvent| control.always_show_images(&sender));
        html! { <button class="link" type="button" {onclick}>{ label }</button> }
    });
    html! {
        <div class="warning image-bar">
            <span>{ strings::blocked_images(&format::count(*blocked, "image"), &verb) }</span>
            <button class="link" type="button" onclick={onshow}>{ strings::SHOW_IMAGES }</button>
            { always }
        </div>
    }
}

#[derive(Properties, PartialEq)]
pub(super) struct ImageSendersProps {
    pub(super) settings: Rc<Settings>,
}

/// The list in the settings. A removal takes effect at once.
#[component]
pub(super) fn ImageSenders(ImageSendersProps { settings }: &ImageSendersProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    if settings.images_from.is_empty() {
        return html! {};
    }
    let entry = |sender: &String| {
        let remove = {
            let (control, sender) = (control.clone(), sender.clone());
            Callback::from(move |_: MouseEvent| control.block_images(&sender))
        };
        html! {
            <li key={sender.clone()}>
                <bdi>{ sender }</bdi>
                <button class="link" type="button" aria-label={strings::remove(&sender)} onclick={remove}>{ strings::REMOVE }</button>
            </li>
        }
    };
    html! {
        <div class="field" role="group" aria-labelledby="settings-images">
            <span id="settings-images">{ strings::ALWAYS_SHOW_IMAGES_FROM }</span>
            <ul class="image-senders">{ for settings.images_from.iter().map(entry) }</ul>
        </div>
    }
}
