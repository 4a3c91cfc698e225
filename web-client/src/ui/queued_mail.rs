//! Sent messages that wait in the server's queue.

use std::rc::Rc;

use mail_core::time::Duration;
use yew::platform::spawn_local;
use yew::platform::time::sleep;
use yew::prelude::*;

use crate::control::Control;
use crate::model::format;
use crate::model::queued_mail::QueuedMail;
use crate::platform::{clock, dom};

/// Interval of the requests while sent messages are shown.
const INTERVAL: Duration = Duration::from_secs(20);
/// Interval until the server has admitted the user.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);

/// Asks the server for the queued messages as long as it is part of the page.
#[component]
pub(super) fn QueueWatch() -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    use_effect_with((), move |()| {
        let mounted = Rc::new(());
        let watched = Rc::downgrade(&mounted);
        spawn_local(async move {
            while watched.upgrade().is_some() {
                let has_asked = !dom::is_hidden() && control.update_queue().await;
                sleep(if has_asked { INTERVAL } else { FIRST_INTERVAL }).await;
            }
        });
        move || drop(mounted)
    });
    html! {}
}

/// A sentence for each recipient that has not received the message.
pub(super) fn queued_mail(mail: &QueuedMail) -> Html {
    let QueuedMail { recipients, more_recipients, .. } = mail;
    let now = clock::now();
    html! {
        <section class="delivery-report" aria-label="Not sent yet" aria-live="polite">
            { for recipients.iter().map(|recipient| html! {
                <p class="warning"><bdi>{ recipient.sentence(now, clock::local) }</bdi></p>
            }) }
            if *more_recipients > 0 {
                <p>{ format!("And {}.", format::count(*more_recipients, "more recipient")) }</p>
            }
        </section>
    }
}
