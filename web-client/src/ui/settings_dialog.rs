//! The settings of the account.

use std::rc::Rc;

use web_sys::{HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement};
use yew::platform::spawn_local;
use yew::prelude::*;

use super::image_bar::ImageSenders;
use super::import_buttons::ImportButtons;
use super::modal::Modal;
use super::password_form::PasswordForm;
use super::select::selected;
use crate::control::{Control, Export};
use crate::model::format;
use crate::model::settings::{OFFLINE_OCTETS, Settings, UNDO_SEND_SECONDS};
use crate::model::state::UiAction;
use crate::platform::persistence;

const TITLE_ID: &str = "settings-title";
const EXPORT_ID: &str = "settings-export";

/// The space that the page uses in this browser.
#[component]
fn StorageUsage() -> Html {
    let usage = use_state_eq(|| None::<u64>);
    {
        let usage = usage.setter();
        use_effect_with((), move |()| spawn_local(async move { usage.set(persistence::usage().await) }));
    }
    html! { if let Some(octets) = *usage { { format!(" This page uses {} in it.", format::size(octets)) } } }
}

#[derive(Properties, PartialEq)]
pub(super) struct SettingsDialogProps {
    pub(super) settings: Rc<Settings>,
}

/// The fields are uncontrolled; Save reads them.
#[component]
pub(super) fn SettingsDialog(SettingsDialogProps { settings }: &SettingsDialogProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let (name, signature) = (use_node_ref(), use_node_ref());
    let (offline, undo_send, conversations) = (use_node_ref(), use_node_ref(), use_node_ref());
    // Another tab may change the settings while the dialog is open.
    let before = use_memo((), |()| settings.clone());
    let density = use_node_ref();
    {
        let (name, signature, settings) = (name.clone(), signature.clone(), settings.clone());
        let conversations = conversations.clone();
        use_effect_with((), move |()| {
            if let Some(field) = name.cast::<HtmlInputElement>() {
                field.set_value(&settings.name);
            }
            if let Some(field) = signature.cast::<HtmlTextAreaElement>() {
                field.set_value(&settings.signature);
            }
            if let Some(field) = conversations.cast::<HtmlInputElement>() {
                field.set_checked(settings.conversations);
            }
        });
    }
    let close = {
        let control = control.clone();
        Callback::from(move |()| control.dispatch(UiAction::Settings(false)))
    };
    let save = {
        let (control, name, signature, settings) =
            (control.clone(), name.clone(), signature.clone(), (*before).clone());
        let (offline, undo_send, conversations) = (offline.clone(), undo_send.clone(), conversations.clone());
        let density = density.clone();
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            let (Some(name), Some(signature)) =
                (name.cast::<HtmlInputElement>(), signature.cast::<HtmlTextAreaElement>())
            else {
                return;
            };
            let select = |node: &NodeRef| node.cast::<HtmlSelectElement>();
            let after = Settings {
                name: name.value().trim().to_owned(),
                signature: signature.value().trim_end().to_owned(),
                offline_octets: select(&offline)
                    .and_then(|select| selected(&select, &OFFLINE_OCTETS))
                    .unwrap_or(settings.offline_octets),
                undo_send_seconds: select(&undo_send)
                    .and_then(|select| selected(&select, &UNDO_SEND_SECONDS))
                    .unwrap_or(settings.undo_send_seconds),
                conversations: conversations.cast::<HtmlInputElement>().is_some_and(|field| field.checked()),
                compact: select(&density)
                    .and_then(|select| selected(&select, &[false, true]))
                    .unwrap_or(settings.compact),
                ..Settings::clone(&settings)
            };
            control.change_settings(&settings, &after);
            control.dispatch(UiAction::Settings(false));
        })
    };
    let export = |label: &str, export: Export| {
        let control = control.clone();
        let onclick = Callback::from(move |_: MouseEvent| control.export(export));
        html! { <button class="button" type="button" aria-label={format!("Export {label}")} {onclick}>{ label }</button> }
    };
    let option = |label: String, selected: bool| html! { <option {selected}>{ label }</option> };
    let offline_option = |octets: u64| {
        let label = if octets == 0 { "Off".to_owned() } else { format!("Up to {}", format::size(octets)) };
        option(label, octets == settings.offline_octets)
    };
    let undo_option = |seconds: u32| {
        let label = if seconds == 0 { "Off".to_owned() } else { format!("{seconds} seconds") };
        option(label, seconds == settings.undo_send_seconds)
    };
    html! {
        <Modal labelled_by={TITLE_ID} onclose={close.clone()}>
            <h2 id={TITLE_ID}>{ "Settings" }</h2>
            <form class="settings" onsubmit={save}>
                <div class="field">
                    <label for="settings-name">{ "Your name" }</label>
                    <input id="settings-name" type="text" ref={name} autocomplete="name" maxlength="100" />
                </div>
                <div class="field">
                    <label for="settings-signature">{ "Signature" }</label>
                    <textarea id="settings-signature" ref={signature} rows="3" />
                </div>
                <div class="field">
                    <label for="settings-undo">{ "Undo send" }</label>
                    <select id="settings-undo" ref={undo_send}>{ for UNDO_SEND_SECONDS.map(undo_option) }</select>
                </div>
                <div class="field">
                    <label for="settings-offline">{ "Download messages for search and offline reading" }</label>
                    <select id="settings-offline" ref={offline}>{ for OFFLINE_OCTETS.map(offline_option) }</select>
                </div>
                <div class="field">
                    <label for="settings-density">{ "Message list" }</label>
                    <select id="settings-density" ref={density}>
                        { option("Comfortable".to_owned(), !settings.compact) }
                        { option("Compact".to_owned(), settings.compact) }
                    </select>
                </div>
                <label class="choice"><input type="checkbox" ref={conversations} />{ "Show conversations" }</label>
                <ImageSenders settings={settings.clone()} />
                <div class="field" role="group" aria-labelledby={EXPORT_ID}>
                    <span id={EXPORT_ID}>{ "Export mail of this browser as mbox files" }</span>
                    <div class="exports">
                        { export("Sent", Export::Sent) }
                        { export("Drafts", Export::Drafts) }
                        { export("Inbox (available offline)", Export::Offline) }
                    </div>
                </div>
                <ImportButtons />
                <PasswordForm />
                <p class="small">{ "Settings are stored in this browser only." }<StorageUsage /></p>
                <div class="answers">
                    <button class="button" type="button" onclick={close.reform(|_: MouseEvent| ())}>{ "Cancel" }</button>
                    <button class="button primary" type="submit">{ "Save" }</button>
                </div>
            </form>
        </Modal>
    }
}
