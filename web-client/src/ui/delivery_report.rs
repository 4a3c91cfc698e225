//! A delivery report as sentences above the message.

use mail_core::message::printable::printable_line;
use mail_core::message::report::{Action, DeliveryReport, RecipientStatus};
use yew::prelude::*;

use crate::control::Control;
use crate::model::format;
use crate::strings;

/// Recipients that are shown. The report itself names all of them.
const RECIPIENTS_SHOWN: usize = 20;

/// The outcome for each recipient, with the server's words as a quotation. A returned message can be sent again.
pub(super) fn delivery_report(control: &Control, report: &DeliveryReport, can_send_again: bool) -> Html {
    let control = control.clone();
    let send_again = Callback::from(move |_: MouseEvent| control.send_again());
    let more = report.recipients.len().saturating_sub(RECIPIENTS_SHOWN);
    html! {
        <section class="delivery-report" aria-label={strings::DELIVERY_REPORT}>
            { for report.recipients.iter().take(RECIPIENTS_SHOWN).map(outcome) }
            if more > 0 {
                <p>{ strings::and_others(&format::count(more, "more recipient")) }</p>
            }
            if can_send_again {
                <button class="button" type="button" onclick={send_again}>{ strings::SEND_AGAIN }</button>
            }
        </section>
    }
}

fn outcome(recipient: &RecipientStatus) -> Html {
    let class = match recipient.action {
        Action::Failed => "error",
        Action::Delayed => "warning",
        Action::Delivered | Action::Relayed | Action::Expanded => "secondary",
    };
    html! {
        <p {class}>
            <bdi>{ printable_line(&recipient.sentence()).into_owned() }</bdi>
            if let Some(text) = recipient.quotation() {
                { " " }<bdi>{ printable_line(&text).into_owned() }</bdi>
            }
        </p>
    }
}
