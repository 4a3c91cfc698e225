//! A field of addresses: each becomes a chip as soon as it is finished.

use web_sys::HtmlInputElement;
use yew::prelude::*;

use super::icons;
use crate::form::{Recipients, is_address};

#[derive(Properties, PartialEq)]
pub(super) struct Props {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    pub(super) recipients: Recipients,
    pub(super) problem: Option<String>,
    pub(super) disabled: bool,
    pub(super) onchange: Callback<Recipients>,
}

#[component]
pub(super) fn Chips(props: &Props) -> Html {
    let Props { id, label, recipients, problem, disabled, onchange } = props;
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
                if typed.ends_with([',', ';']) && !typed.trim_matches([',', ';', ' ']).is_empty() {
                    recipients.settle();
                }
            });
        })
    };
    let key = {
        let (change, typed) = (change.clone(), recipients.typed.clone());
        Callback::from(move |event: KeyboardEvent| match event.key().as_str() {
            "Enter" => {
                event.prevent_default();
                change(&Recipients::settle);
            }
            " " if is_address(typed.trim()) => {
                event.prevent_default();
                change(&Recipients::settle);
            }
            "Backspace" if typed.is_empty() => {
                event.prevent_default();
                change(&Recipients::unsettle);
            }
            _ => {}
        })
    };
    let leave = {
        let change = change.clone();
        Callback::from(move |_: FocusEvent| change(&Recipients::settle))
    };
    let chip = |(at, text): (usize, &String)| {
        let change = change.clone();
        let remove = Callback::from(move |_: MouseEvent| {
            change(&|recipients| {
                recipients.chips.remove(at);
            });
        });
        html! {
            <span class={classes!("chip", (!is_address(text)).then_some("wrong"))}>
                { text }
                <button class="icon" type="button" aria-label={format!("Remove {text}")} disabled={*disabled} onclick={remove}>
                    { icons::cross() }
                </button>
            </span>
        }
    };
    let sentence = format!("{id}-problem");
    html! {
        <div class="line">
            <label for={*id}>{ label }</label>
            <div class="chips">
                { for recipients.chips.iter().enumerate().map(chip) }
                <input id={*id} type="text" inputmode="email" autocomplete="off" autocapitalize="none" spellcheck="false"
                    value={recipients.typed.clone()} disabled={*disabled} oninput={input} onkeydown={key} onblur={leave}
                    aria-invalid={problem.is_some().to_string()}
                    aria-describedby={problem.is_some().then(|| sentence.clone())} />
            </div>
            if let Some(problem) = problem {
                <p class="problem" id={sentence} role="alert">{ problem }</p>
            }
        </div>
    }
}
