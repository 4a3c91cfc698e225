//! The bar that reports a failed connection.

use std::rc::Rc;

use mail_core::time::Duration;
use yew::platform::spawn_local;
use yew::platform::time::sleep;
use yew::prelude::*;

use crate::control::Control;
use crate::model::state::ConnectionStatus;
use crate::platform::clock;
use crate::strings;

/// The countdown is redrawn every second.
const TICK: Duration = Duration::from_secs(1);

#[derive(Properties, PartialEq)]
pub(super) struct ConnectionBarProps {
    pub(super) connection: ConnectionStatus,
    /// Number of messages in the outbox.
    pub(super) in_outbox: usize,
}

#[component]
pub(super) fn ConnectionBar(ConnectionBarProps { connection, in_outbox }: &ConnectionBarProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let until = match connection {
        ConnectionStatus::Waiting { until, .. } => Some(*until),
        ConnectionStatus::Idle | ConnectionStatus::Busy | ConnectionStatus::Failed(_) => None,
    };
    let redraw = use_force_update();
    use_effect_with(until, move |until| {
        let mounted = Rc::new(());
        if until.is_some() {
            let watched = Rc::downgrade(&mounted);
            spawn_local(async move {
                sleep(TICK).await;
                while watched.upgrade().is_some() {
                    redraw.force_update();
                    sleep(TICK).await;
                }
            });
        }
        move || drop(mounted)
    });
    let retry = Callback::from(move |_: MouseEvent| control.synchronize());
    let reason = match connection {
        ConnectionStatus::Idle | ConnectionStatus::Busy => None,
        ConnectionStatus::Failed(reason) | ConnectionStatus::Waiting { reason: Some(reason), .. } => {
            Some(reason.as_str())
        }
        ConnectionStatus::Waiting { reason: None, .. } => Some(strings::OFFLINE),
    };
    html! {
        <div class="connection-bar">
            <span role="status">
                { reason }
                if *in_outbox > 0 { { " " }{ strings::in_outbox(*in_outbox) } }
            </span>
            // Outside the status, so that screen readers do not read every second.
            if let Some(until) = until {
                <span>{ strings::retrying_in((until - clock::now()).num_seconds().max(0) + 1) }</span>
            }
            if reason.is_some() || *in_outbox > 0 {
                <button class="button" type="button" onclick={retry}>{ "Try now" }</button>
            }
        </div>
    }
}
