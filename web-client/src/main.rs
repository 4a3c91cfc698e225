//! The browser mail client. It speaks SMTP and POP3 itself; the bridge only transports bytes.
//!
//! | module | contents | may use |
//! |---|---|---|
//! | [`model`] | messages, drafts, the state and its reducers; pure data | `strings` |
//! | [`strings`] | all sentences of the page | `model` |
//! | [`session`] | SMTP and POP3 sessions over any byte stream | `model`, `strings` |
//! | [`platform`] | the browser's APIs: WebSocket, IndexedDB, URL, clipboard | `model`, `session` |
//! | [`storage`] | what is stored in the browser | `platform`, `model` |
//! | [`sanitize`] | makes HTML of messages safe | `platform` |
//! | [`control`] | jobs, timers, sending | all above |
//! | [`catch`] | the data source of a mail catcher's page, in place of `session`, `storage` and `control` | `model`, `platform` |
//! | [`ui`] | components | all above |
//!
//! `model`, `session` and parts of `control` are tested natively. Tests in modules named `in_browser` run in Chromium.

mod catch;
mod control;
mod model;
mod platform;
mod sanitize;
mod session;
mod storage;
mod strings;
mod ui;

fn main() {
    if catch::is_catcher() {
        yew::Renderer::<ui::CatchApp>::new().render();
    } else {
        yew::Renderer::<ui::App>::new().render();
    }
}
