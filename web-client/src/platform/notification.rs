//! Desktop notifications.

use web_sys::{Notification, NotificationOptions, NotificationPermission};

/// Whether the user has neither granted nor denied permission.
pub(crate) fn can_ask() -> bool {
    is_available() && Notification::permission() == NotificationPermission::Default
}

/// Whether notifications are shown.
pub(crate) fn is_granted() -> bool {
    is_available() && Notification::permission() == NotificationPermission::Granted
}

/// Whether the user cannot be asked, because the browser has no notifications or the user has denied them.
pub(crate) fn is_blocked() -> bool {
    !can_ask() && !is_granted()
}

/// Asks the user for permission. The result is read when a notification is shown.
pub(crate) fn ask() {
    if can_ask() {
        let _ = Notification::request_permission();
    }
}

/// Shows a notification if the user has granted permission. It replaces an earlier one.
pub(crate) fn show(title: &str, body: &str) {
    if !is_granted() {
        return;
    }
    let options = NotificationOptions::new();
    options.set_body(body);
    options.set_tag("new mail");
    // Some browsers allow notifications from service workers only.
    let _ = Notification::new_with_options(title, &options);
}

/// Browsers hide the API on pages without TLS, except on localhost.
fn is_available() -> bool {
    web_sys::window()
        .is_some_and(|window| js_sys::Reflect::has(&window, &"Notification".into()).unwrap_or(false))
}
