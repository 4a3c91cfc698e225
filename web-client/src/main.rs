//! The browser mail client: it speaks SMTP and POP3 itself, through a bridge that only carries bytes.
//!
//! | module | what it holds |
//! |---|---|
//! | [`state`], [`form`] | all that the page shows, and a pure function from one state to the next |
//! | [`session`], [`transcript`] | the core's client machines over any stream of bytes, and what they say |
//! | [`control`] | what is done besides: sessions, keeping, timers |
//! | [`socket`], [`local`], [`clock`], [`blob`], [`html`], [`charset`] | the browser: WebSocket, IndexedDB, time, files, its HTML parser, its charsets |
//! | [`ui`] | components that only draw |
//!
//! Everything but the browser's own modules runs and is tested natively.

mod blob;
mod charset;
mod clock;
mod control;
mod credentials;
mod form;
mod html;
mod keeping;
mod labels;
mod last_words;
mod local;
mod opened;
mod session;
mod socket;
mod state;
mod style;
mod transcript;
mod ui;

fn main() {
    yew::Renderer::<ui::App>::new().render();
}
