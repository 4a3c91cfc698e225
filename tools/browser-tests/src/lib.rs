//! The stage for the end-to-end tests of the browser client: a real headless Chromium, the built page, and the real
//! `pennypost serve`, all on free ports of 127.0.0.1 and in a folder of their own.
//!
//! [`Stage`] starts everything and ends exactly what it has started, when a test panics too. A test acts on the
//! [`Page`] as a person would: it names what it presses and fills in by role and by label, and waits until it can read
//! what it expects. [`Smtp`] and [`Pop3`] are the other side, and use none of the project's code.
//!
//! The tests are in `tests/browser`; the measurements of the page in `benches/page.rs`.

mod driver;
mod lure;
mod page;
mod places;
mod port;
mod servers;
mod stage;
mod wire;

pub use driver::{Driver, Screen};
pub use lure::Lure;
pub use page::{PATIENCE, Page};
pub use places::pictures;
pub use port::Port;
pub use servers::Servers;
pub use stage::Stage;
pub use wire::{Pop3, Smtp};
