//! The settings of the account.

use std::rc::Rc;

use mail_core::message::address::Address;
use web_sys::{HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement};
use yew::platform::spawn_local;
use yew::prelude::*;

use super::identity_fields::IdentityFields;
use super::image_bar::ImageSenders;
use super::import_buttons::ImportButtons;
use super::modal::Modal;
use super::password_form::PasswordForm;
use super::select::selected;
use crate::control::{Control, Export};
use crate::model::format;
use crate::model::settings::{Identity, OFFLINE_OCTETS, Settings, Theme, UNDO_SEND_SECONDS};
use crate::model::state::{SessionState, UiAction};
use crate::platform::{notification, persistence};
use crate::strings;

const TITLE_ID: &str = "settings-title";
const EXPORT_ID: &str = "settings-export";
const IDENTITIES_ID: &str = "settings-identities";
const BLOCKED_ID: &str = "settings-blocked";

/// The space that the page uses in this browser.
#[component]
fn StorageUsage() -> Html {
    let usage = use_state_eq(|| None::<u64>);
    {
        let usage = usage.setter();
        use_effect_with((), move |()| spawn_local(async move { usage.set(persistence::usage().await) }));
    }
    html! { if let Some(octets) = *usage { { strings::storage_usage(&format::size(octets)) } } }
}

/// The fields are uncontrolled; Save reads them.
#[derive(Clone, Default, PartialEq)]
struct Fields {
    name: NodeRef,
    signature: NodeRef,
    theme: NodeRef,
    density: NodeRef,
    undo_send: NodeRef,
    offline: NodeRef,
    conversations: NodeRef,
    notifications: NodeRef,
}

impl Fields {
    /// Shows the settings. The options of the selects are selected when they are drawn.
    fn fill(&self, settings: &Settings) {
        if let Some(field) = self.name.cast::<HtmlInputElement>() {
            field.set_value(&settings.name);
        }
        if let Some(field) = self.signature.cast::<HtmlTextAreaElement>() {
            field.set_value(&settings.signature);
        }
        for (field, is_checked) in
            [(&self.conversations, settings.conversations), (&self.notifications, notifies(settings))]
        {
            if let Some(field) = field.cast::<HtmlInputElement>() {
                field.set_checked(is_checked);
            }
        }
    }

    /// The settings `before` with the changes of the user.
    fn read(&self, before: &Settings, identities: &[Identity]) -> Settings {
        let name = self.name.cast::<HtmlInputElement>().map(|field| field.value().trim().to_owned());
        let signature =
            self.signature.cast::<HtmlTextAreaElement>().map(|field| field.value().trim_end().to_owned());
        let is_checked = |node: &NodeRef, before: bool| {
            node.cast::<HtmlInputElement>().map_or(before, |field| field.checked())
        };
        let (shown, notifications) = (notifies(before), is_checked(&self.notifications, notifies(before)));
        Settings {
            name: name.unwrap_or_else(|| before.name.clone()),
            signature: signature.unwrap_or_else(|| before.signature.clone()),
            identities: identities.iter().map(trimmed).collect(),
            theme: choice(&self.theme, &Theme::ALL, before.theme),
            compact: choice(&self.density, &[false, true], before.compact),
            undo_send_seconds: choice(&self.undo_send, &UNDO_SEND_SECONDS, before.undo_send_seconds),
            offline_octets: choice(&self.offline, &OFFLINE_OCTETS, before.offline_octets),
            conversations: is_checked(&self.conversations, before.conversations),
            // Without the browser's permission the box is not checked, which is no choice of the user.
            notifications: if notifications == shown { before.notifications } else { notifications },
            ..before.clone()
        }
    }
}

fn choice<T: Copy>(node: &NodeRef, choices: &[T], before: T) -> T {
    node.cast::<HtmlSelectElement>().and_then(|select| selected(&select, choices)).unwrap_or(before)
}

/// Whether notifications appear.
fn notifies(settings: &Settings) -> bool {
    settings.notifications && notification::is_granted()
}

fn trimmed(identity: &Identity) -> Identity {
    Identity {
        address: identity.address.clone(),
        name: identity.name.trim().to_owned(),
        signature: identity.signature.trim_end().to_owned(),
    }
}

#[derive(Properties, PartialEq)]
pub(super) struct SettingsDialogProps {
    pub(super) session: Rc<SessionState>,
}

#[component]
pub(super) fn SettingsDialog(SettingsDialogProps { session }: &SettingsDialogProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let settings = &session.settings;
    // Another tab may change the settings while the dialog is open.
    let before = use_memo((), |()| settings.clone());
    let fields = use_memo((), |()| Fields::default());
    let edited = use_mut_ref(|| Settings::clone(settings));
    {
        let (fields, settings) = (fields.clone(), settings.clone());
        use_effect_with((), move |()| fields.fill(&settings));
    }
    let close = {
        let control = control.clone();
        Callback::from(move |()| control.dispatch(UiAction::Settings(false)))
    };
    let save = {
        let (control, before) = (control.clone(), before.clone());
        let (fields, edited) = (fields.clone(), edited.clone());
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            let after = fields.read(&before, &edited.borrow().identities);
            control.change_settings(&before, &after);
            if fields.notifications.cast::<HtmlInputElement>().is_some_and(|field| field.checked()) {
                control.notify_of_new_mail();
            }
            control.dispatch(UiAction::Settings(false));
        })
    };
    let edit_identity = Callback::from(move |(address, identity): (String, Option<Identity>)| {
        edited.borrow_mut().set_identity(&address, identity);
    });
    let addresses = session.account.as_ref().map(|account| &*account.addresses).unwrap_or_default();
    html! {
        <Modal labelled_by={TITLE_ID} onclose={close.clone()}>
            <h2 id={TITLE_ID}>{ strings::SETTINGS }</h2>
            <form class="settings" onsubmit={save}>
                { own_fields(&fields) }
                { identities(addresses, settings, &edit_identity) }
                { appearance_fields(&fields, settings) }
                { mail_fields(&fields, settings) }
                <ImageSenders settings={settings.clone()} />
                { exports(&control) }
                <ImportButtons />
                <PasswordForm />
                <p class="small">{ strings::SETTINGS_ARE_LOCAL }<StorageUsage /></p>
                <div class="answers">
                    <button class="button" type="button" onclick={close.reform(|_: MouseEvent| ())}>{ strings::CANCEL }</button>
                    <button class="button primary" type="submit">{ strings::SAVE }</button>
                </div>
            </form>
        </Modal>
    }
}

fn own_fields(fields: &Fields) -> Html {
    html! {
        <>
            <div class="field">
                <label for="settings-name">{ strings::YOUR_NAME }</label>
                <input id="settings-name" type="text" ref={&fields.name} autocomplete="name" maxlength="100" />
            </div>
            <div class="field">
                <label for="settings-signature">{ strings::SIGNATURE }</label>
                <textarea id="settings-signature" ref={&fields.signature} rows="3" />
            </div>
        </>
    }
}

/// Only a user with several addresses needs them.
fn identities(
    addresses: &[Address],
    settings: &Settings,
    onchange: &Callback<(String, Option<Identity>)>,
) -> Html {
    if addresses.len() < 2 {
        return html! {};
    }
    let fields = |address: &Address| {
        let address = address.to_string();
        let default = Identity {
            address: address.to_lowercase(),
            name: settings.name.clone(),
            signature: settings.signature.clone(),
        };
        let stored = settings.identity(&address).cloned();
        let key = address.clone();
        html! { <IdentityFields {key} {address} {stored} {default} onchange={onchange.clone()} /> }
    };
    html! {
        <div class="field" role="group" aria-labelledby={IDENTITIES_ID}>
            <span id={IDENTITIES_ID}>{ strings::IDENTITIES }</span>
            <ul class="identities">{ for addresses.iter().map(fields) }</ul>
        </div>
    }
}

fn option(label: impl Into<AttrValue>, selected: bool) -> Html {
    html! { <option {selected}>{ label.into() }</option> }
}

fn appearance_fields(fields: &Fields, settings: &Settings) -> Html {
    let theme_option = |theme: Theme| option(strings::theme(theme), theme == settings.theme);
    html! {
        <>
            <div class="field">
                <label for="settings-theme">{ strings::THEME }</label>
                <select id="settings-theme" ref={&fields.theme}>{ for Theme::ALL.map(theme_option) }</select>
            </div>
            <div class="field">
                <label for="settings-density">{ strings::MESSAGE_LIST }</label>
                <select id="settings-density" ref={&fields.density}>
                    { option(strings::COMFORTABLE, !settings.compact) }
                    { option(strings::COMPACT, settings.compact) }
                </select>
            </div>
            <label class="choice"><input type="checkbox" ref={&fields.conversations} />{ strings::SHOW_CONVERSATIONS }</label>
        </>
    }
}

fn mail_fields(fields: &Fields, settings: &Settings) -> Html {
    let offline_option = |octets: u64| {
        let label = if octets == 0 { strings::OFF.to_owned() } else { strings::up_to(&format::size(octets)) };
        option(label, octets == settings.offline_octets)
    };
    let undo_option = |seconds: u32| {
        let label = if seconds == 0 { strings::OFF.to_owned() } else { format!("{seconds} seconds") };
        option(label, seconds == settings.undo_send_seconds)
    };
    let is_blocked = notification::is_blocked();
    html! {
        <>
            <label class="choice">
                <input type="checkbox" ref={&fields.notifications} disabled={is_blocked} aria-describedby={is_blocked.then_some(BLOCKED_ID)} />
                { strings::NOTIFY_OF_NEW_MAIL }
            </label>
            if is_blocked { <p class="small" id={BLOCKED_ID}>{ strings::NOTIFICATIONS_BLOCKED }</p> }
            <div class="field">
                <label for="settings-undo">{ strings::UNDO_SEND }</label>
                <select id="settings-undo" ref={&fields.undo_send}>{ for UNDO_SEND_SECONDS.map(undo_option) }</select>
            </div>
            <div class="field">
                <label for="settings-offline">{ strings::DOWNLOAD_MESSAGES }</label>
                <select id="settings-offline" ref={&fields.offline}>{ for OFFLINE_OCTETS.map(offline_option) }</select>
            </div>
        </>
    }
}

fn exports(control: &Control) -> Html {
    let export = |label: &'static str, export: Export| {
        let control = control.clone();
        let onclick = Callback::from(move |_: MouseEvent| control.export(export));
        html! { <button class="button" type="button" aria-label={strings::export(&label)} {onclick}>{ label }</button> }
    };
    html! {
        <div class="field" role="group" aria-labelledby={EXPORT_ID}>
            <span id={EXPORT_ID}>{ strings::EXPORT_MAIL }</span>
            <div class="exports">
                { export(strings::SENT, Export::Sent) }
                { export(strings::DRAFTS, Export::Drafts) }
                { export(strings::INBOX_AVAILABLE_OFFLINE, Export::Offline) }
            </div>
        </div>
    }
}
