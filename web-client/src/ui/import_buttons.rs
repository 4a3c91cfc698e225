//! Import of messages and contacts, and export of contacts, in the settings.

use web_sys::HtmlInputElement;
use yew::prelude::*;

use super::attach;
use crate::control::Control;

const LABEL_ID: &str = "settings-import";

#[component]
pub(super) fn ImportButtons() -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let node = use_node_ref();
    let choose = {
        let node = node.clone();
        Callback::from(move |_: MouseEvent| {
            if let Some(field) = node.cast::<HtmlInputElement>() {
                field.click();
            }
        })
    };
    let chosen = {
        let control = control.clone();
        Callback::from(move |event: Event| {
            let field: HtmlInputElement = event.target_unchecked_into();
            let files = field.files();
            let files = files.iter().flat_map(|files| (0..files.length()).filter_map(|at| files.get(at)));
            for file in files {
                control.import(file.name(), async move { Some(attach::read(&file).await?.bytes) });
            }
            field.set_value("");
        })
    };
    let export = {
        let control = control.clone();
        Callback::from(move |_: MouseEvent| control.export_people())
    };
    let export_labels = Callback::from(move |_: MouseEvent| control.export_labels());
    html! {
        <div class="field" role="group" aria-labelledby={LABEL_ID}>
            <span id={LABEL_ID}>{ "Import mail (mbox, eml), contacts (vcf) and labels (json)" }</span>
            <p class="small">{ "Messages are sent to yourself and keep their dates." }</p>
            <div class="exports">
                <input class="visually-hidden" type="file" multiple=true accept=".mbox,.eml,.vcf,.json,text/vcard,message/rfc822,application/mbox"
                    ref={node} onchange={chosen} tabindex="-1" aria-label="Files to import" />
                <button class="button" type="button" onclick={choose}>{ "Import…" }</button>
                <button class="button" type="button" onclick={export} aria-label="Export contacts">{ "Export contacts" }</button>
                <button class="button" type="button" onclick={export_labels}>{ "Export labels and stars" }</button>
            </div>
        </div>
    }
}
