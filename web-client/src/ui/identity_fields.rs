//! The name and the signature of an own address, in the settings.

use web_sys::{HtmlInputElement, HtmlTextAreaElement};
use yew::prelude::*;

use crate::model::settings::Identity;
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct IdentityFieldsProps {
    pub(super) address: String,
    /// The stored identity.
    pub(super) stored: Option<Identity>,
    /// The name and the signature without an identity.
    pub(super) default: Identity,
    /// Receives every change.
    pub(super) onchange: Callback<(String, Option<Identity>)>,
}

#[component]
pub(super) fn IdentityFields(props: &IdentityFieldsProps) -> Html {
    let IdentityFieldsProps { address, stored, default, onchange } = props;
    let identity = use_state(|| stored.clone());
    let change = {
        let (identity, address, onchange) = (identity.setter(), address.clone(), onchange.clone());
        Callback::from(move |next: Option<Identity>| {
            identity.set(next.clone());
            onchange.emit((address.clone(), next));
        })
    };
    let toggle = {
        let default = default.clone();
        change.reform(move |event: Event| {
            let is_own = event.target_unchecked_into::<HtmlInputElement>().checked();
            is_own.then(|| default.clone())
        })
    };
    let fields = identity.as_ref().map(|identity| {
        let (named, signed) = (identity.clone(), identity.clone());
        let name = change.reform(move |event: InputEvent| {
            let name = event.target_unchecked_into::<HtmlInputElement>().value();
            Some(Identity { name, ..named.clone() })
        });
        let signature = change.reform(move |event: InputEvent| {
            let signature = event.target_unchecked_into::<HtmlTextAreaElement>().value();
            Some(Identity { signature, ..signed.clone() })
        });
        html! {
            <>
                <input type="text" aria-label={strings::name_for(address)} placeholder={strings::NAME} value={identity.name.clone()}
                    oninput={name} maxlength="100" />
                <textarea aria-label={strings::signature_for(address)} placeholder={strings::SIGNATURE} value={identity.signature.clone()}
                    oninput={signature} rows="3" />
            </>
        }
    });
    html! {
        <li class="field">
            <label class="choice">
                <input type="checkbox" checked={identity.is_some()} onchange={toggle} />{ strings::own_identity(address) }
            </label>
            { fields }
        </li>
    }
}
