//! The browser mail client.

mod credentials;
mod form;
mod opened;
mod session;
mod sign_in;
mod state;
mod transcript;

use crate::sign_in::SignIn;

fn main() {
    yew::Renderer::<SignIn>::new().render();
}
