//! News of new mail to a person who looks elsewhere.

use std::rc::Rc;

use web_sys::{Notification, NotificationOptions, NotificationPermission};

use crate::labels;
use crate::state::Head;

/// Whether the browser would still ask.
pub(crate) fn can_be_asked_for() -> bool {
    is_there() && Notification::permission() == NotificationPermission::Default
}

/// Lets the browser ask the person.
pub(crate) fn ask() {
    if is_there() {
        // The answer is looked up when it is needed.
        let _ = Notification::request_permission();
    }
}

pub(super) fn notify(arrived: &[Rc<Head>]) {
    let hidden =
        web_sys::window().and_then(|window| window.document()).is_some_and(|document| document.hidden());
    if arrived.is_empty()
        || !hidden
        || !is_there()
        || Notification::permission() != NotificationPermission::Granted
    {
        return;
    }
    let options = NotificationOptions::new();
    let lines: Vec<_> =
        arrived.iter().take(3).map(|head| format!("{}: {}", head.from, head.subject)).collect();
    options.set_body(&lines.join("\n"));
    options.set_tag("new mail");
    // Some browsers allow it from a service worker only; the title has the count all the same.
    let _ = Notification::new_with_options(&labels::count(arrived.len(), "new message"), &options);
}

/// Browsers leave it out on pages without TLS, except local ones.
fn is_there() -> bool {
    web_sys::window()
        .is_some_and(|window| js_sys::Reflect::has(&window, &"Notification".into()).unwrap_or(false))
}
