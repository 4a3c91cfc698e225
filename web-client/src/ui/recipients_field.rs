//! An address field. Each finished address becomes a chip.

use std::rc::Rc;

use wasm_bindgen::JsCast as _;
use web_sys::{ClipboardEvent, HtmlInputElement};
use yew::prelude::*;

use super::completion::use_completion;
use super::icons;
use super::suggestions::{Suggestions, option_id};
use crate::model::draft_form::{Recipients, is_address};
use crate::model::people::Person;
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct RecipientsFieldProps {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    pub(super) recipients: Recipients,
    /// For the completion of addresses.
    pub(super) people: Rc<Vec<Person>>,
    pub(super) problem: Option<String>,
    pub(super) disabled: bool,
    pub(super) onchange: Callback<Recipients>,
}

#[component]
pub(super) fn RecipientsField(props: &RecipientsFieldProps) -> Html {
    let RecipientsFieldProps { id, label, recipients, people, problem, disabled, onchange } = props;
    let completion = use_completion(recipients, people);
    let change = {
        let (recipients, onchange) = (recipients.clone(), onchange.clone());
        move |change: &dyn Fn(&mut Recipients)| {
            let mut changed = recipients.clone();
            change(&mut changed);
            if changed != recipients {
                onchange.emit(changed);
            }
        }
    };
    let input = {
        let change = change.clone();
        Callback::from(move |event: InputEvent| {
            let field: HtmlInputElement = event.target_unchecked_into();
            let typed = field.value();
            change(&|recipients| {
                recipients.typed.clone_from(&typed);
                if recipients.is_entry_finished() {
                    recipients.commit_typed();
                }
            });
        })
    };
    let keydown = {
        let (change, typed, completion) = (change.clone(), recipients.typed.clone(), completion.clone());
        Callback::from(move |event: KeyboardEvent| match event.key().as_str() {
            key if completion.on_key(key, &event) => {
                if let Some(address) = completion.chosen_by(key) {
                    choose(&change, &address);
                }
            }
            "Enter" => {
                event.prevent_default();
                change(&Recipients::commit_typed);
            }
            " " if is_address(typed.trim()) => {
                event.prevent_default();
                change(&Recipients::commit_typed);
            }
            "Backspace" if typed.is_empty() => {
                event.prevent_default();
                change(&Recipients::edit_last_chip);
            }
            _ => {}
        })
    };
    // The field would join pasted lines.
    let paste = {
        let change = change.clone();
        Callback::from(move |event: Event| {
            let field: HtmlInputElement = event.target_unchecked_into();
            let data = event.dyn_ref::<ClipboardEvent>().and_then(ClipboardEvent::clipboard_data);
            let pasted = data.and_then(|data| data.get_data("text/plain").ok()).unwrap_or_default();
            let is_list =
                pasted.contains('@') && pasted.contains(['\n', '\r', '\t', ',', ';', '<', ' ', '\u{a0}']);
            if !is_list {
                return;
            }
            event.prevent_default();
            // Replaces the selected text.
            let _ = field.set_range_text(&pasted.trim().replace(['\r', '\n', '\t'], ";"));
            let typed = field.value();
            change(&|recipients| {
                recipients.typed.clone_from(&typed);
                recipients.commit_typed();
            });
        })
    };
    let blur = {
        let change = change.clone();
        Callback::from(move |_: FocusEvent| change(&Recipients::commit_typed))
    };
    let chip = |(at, text): (usize, &String)| {
        let change = change.clone();
        let remove = Callback::from(move |_: MouseEvent| {
            change(&|recipients| {
                recipients.chips.remove(at);
            });
        });
        html! {
            <span class={classes!("chip", (!is_address(text)).then_some("invalid"))}>
                { text }
                <button class="icon" type="button" aria-label={strings::remove(&text)} disabled={*disabled} onclick={remove}>
                    { icons::cross() }
                </button>
            </span>
        }
    };
    let onchoose = {
        let change = change.clone();
        Callback::from(move |address: String| choose(&change, &address))
    };
    let list_id = format!("{id}-suggestions");
    let is_open = completion.is_open();
    let problem_id = format!("{id}-problem");
    html! {
        <div class="field-line">
            <label for={*id}>{ label }</label>
            <div class="chips">
                { for recipients.chips.iter().enumerate().map(chip) }
                <input id={*id} type="text" inputmode="email" autocomplete="off" autocapitalize="none" spellcheck="false"
                    value={recipients.typed.clone()} disabled={*disabled} oninput={input} onkeydown={keydown} onpaste={paste} onblur={blur}
                    role="combobox" aria-autocomplete="list" aria-expanded={is_open.to_string()}
                    aria-controls={is_open.then(|| list_id.clone())}
                    aria-activedescendant={is_open.then(|| option_id(&list_id, completion.active()))}
                    aria-invalid={problem.is_some().to_string()}
                    aria-describedby={problem.is_some().then(|| problem_id.clone())} />
            </div>
            if is_open {
                <Suggestions id={list_id} people={completion.people().to_vec()} active={completion.active()} {onchoose} />
            }
            if let Some(problem) = problem {
                <p class="problem" id={problem_id} role="alert">{ problem }</p>
            }
        </div>
    }
}

/// Replaces the typed text by a chip.
fn choose(change: &impl Fn(&dyn Fn(&mut Recipients)), address: &str) {
    change(&|recipients| {
        address.clone_into(&mut recipients.typed);
        recipients.commit_typed();
    });
}
