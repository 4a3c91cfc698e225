//! Messages to systemd about the state of the process (sd_notify(3)), for `Type=notify` in a unit. Without systemd they do nothing.

use sd_notify::NotifyState;
use tracing::warn;

/// All services run.
pub(crate) fn ready() {
    send(&[NotifyState::Ready]);
}

/// The configuration is read again; [`ready`] ends it.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(time) => send(&[NotifyState::Reloading, time]),
        Err(error) => warn!(%error, "systemd is not told about the reload"),
    }
}

/// The services are being stopped.
pub(crate) fn stopping() {
    send(&[NotifyState::Stopping]);
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd is not told about the state");
    }
}
