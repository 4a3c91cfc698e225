//! The browser mail client.

mod credentials;
mod session;
mod sign_in;
mod transcript;

use crate::sign_in::SignIn;

fn main() {
    yew::Renderer::<SignIn>::new().render();
}
