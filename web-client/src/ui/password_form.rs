//! The change of the password, in the settings.

use web_sys::HtmlInputElement;
use yew::prelude::*;

use crate::control::Control;

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
            <summary>{ "Password" }</summary>
            { field("settings-password", "Current password", "current-password", &current) }
            { field("settings-new-password", "New password", "new-password", &new) }
            { field("settings-new-password-again", "Repeat the new password", "new-password", &again) }
            if let Some(problem) = *problem {
                <p class="problem" role="alert">{ problem }</p>
            }
            <button class="button" type="button" onclick={change}>{ "Change password" }</button>
        </details>
    }
}

fn problem_of(current: &str, new: &str, again: &str) -> Option<&'static str> {
    if current.is_empty() {
        Some("Enter your current password.")
    } else if new.is_empty() {
        Some("Enter a new password.")
    } else if new != again {
        Some("The two new passwords differ.")
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
