//! The change of the password, in the settings.

use web_sys::HtmlInputElement;
use yew::prelude::*;

use crate::control::Control;
use crate::strings;

/// The fields are uncontrolled; the button reads them.
#[component]
pub(super) fn PasswordForm() -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let (current, new, again) = (use_node_ref(), use_node_ref(), use_node_ref());
    let problem = use_state_eq(|| None::<&'static str>);
    let change = {
        let (current, new, again, problem) = (current.clone(), new.clone(), again.clone(), problem.clone());
        Callback::from(move |_: MouseEvent| {
            let field = |node: &NodeRef| node.cast::<HtmlInputElement>();
            let (Some(current), Some(new), Some(again)) = (field(&current), field(&new), field(&again))
            else {
                return;
            };
            let found = problem_of(&current.value(), &new.value(), &again.value());
            problem.set(found);
            if found.is_none() {
                control.change_password(&current.value(), &new.value());
                [current, new, again].iter().for_each(|field| field.set_value(""));
            }
        })
    };
    let field = |id: &'static str, label: &'static str, autocomplete: &'static str, node: &NodeRef| {
        html! {
            <div class="field">
                <label for={id}>{ label }</label>
                <input {id} type="password" ref={node.clone()} {autocomplete} maxlength="1000" />
            </div>
        }
    };
    html! {
        <details class="password">
            <summary>{ strings::PASSWORD }</summary>
            { field("settings-password", strings::CURRENT_PASSWORD, "current-password", &current) }
            { field("settings-new-password", strings::NEW_PASSWORD, "new-password", &new) }
            { field("settings-new-password-again", strings::REPEAT_PASSWORD, "new-password", &again) }
            if let Some(problem) = *problem {
                <p class="problem" role="alert">{ problem }</p>
            }
            <button class="button" type="button" onclick={change}>{ strings::CHANGE_PASSWORD }</button>
        </details>
    }
}

fn problem_of(current: &str, new: &str, again: &str) -> Option<&'static str> {
    if current.is_empty() {
        Some(strings::ENTER_YOUR_CURRENT_PASSWORD)
    } else if new.is_empty() {
        Some(strings::ENTER_A_NEW_PASSWORD)
    } else if new != again {
        Some(strings::PASSWORDS_DIFFER)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn new_password_is_entered_twice() {
        assert_eq!(problem_of("old", "new", "new"), None);
        for (current, new, again) in [("", "new", "new"), ("old", "", ""), ("old", "new", "now")] {
            assert!(problem_of(current, new, again).is_some(), "{current} {new} {again}");
        }
    }
}
