//! The browser mail client.

mod blob;
mod clock;
mod control;
mod credentials;
mod form;
mod html;
mod keeping;
mod labels;
mod local;
mod opened;
mod session;
mod sign_in;
mod socket;
mod state;
mod style;
mod transcript;

use crate::sign_in::SignIn;

fn main() {
    yew::Renderer::<SignIn>::new().render();
}
