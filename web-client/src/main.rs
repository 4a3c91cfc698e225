//! The browser mail client.
//!
//! So far it is its front door: the sign-in form and the check of what is typed there. It opens no connection and
//! reads no mail yet, and says so.

mod credentials;
mod sign_in;

use crate::sign_in::SignIn;

fn main() {
    yew::Renderer::<SignIn>::new().render();
}
