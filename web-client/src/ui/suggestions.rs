//! The people that complete a recipient, below its field: the list of a combobox.

use yew::prelude::*;

use crate::model::people::Person;
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct SuggestionsProps {
    /// Id of the list.
    pub(super) id: String,
    pub(super) people: Vec<Person>,
    /// Index of the person that Enter chooses.
    pub(super) active: usize,
    /// Receives the address.
    pub(super) onchoose: Callback<String>,
}

#[component]
pub(super) fn Suggestions(SuggestionsProps { id, people, active, onchoose }: &SuggestionsProps) -> Html {
    let option = |(at, person): (usize, &Person)| {
        let choose = {
            let (onchoose, address) = (onchoose.clone(), person.address.clone());
            Callback::from(move |_: MouseEvent| onchoose.emit(address.clone()))
        };
        html! {
            <li role="option" id={option_id(id, at)} aria-selected={(at == *active).to_string()} onclick={choose}>
                if !person.name.is_empty() { <span>{ &person.name }</span> }
                <span class="secondary">{ &person.address }</span>
            </li>
        }
    };
    // The field keeps the focus.
    let keep_focus = Callback::from(|event: MouseEvent| event.prevent_default());
    html! {
        <ul class="suggestions" role="listbox" id={id.clone()} aria-label={strings::SUGGESTIONS} onmousedown={keep_focus}>
            { for people.iter().enumerate().map(option) }
        </ul>
    }
}

pub(super) fn option_id(list: &str, at: usize) -> String {
    format!("{list}-{at}")
}
