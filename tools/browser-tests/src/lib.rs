//! Library for the end-to-end tests of the browser client: headless Chromium or Firefox, the built page and `pennypost serve`, on
//! free ports of 127.0.0.1 and in temporary folders.
//!
//! [`Fixture`] starts everything and stops it when dropped. Tests act on the [`Page`] by accessible role and label and
//! wait for visible text. [`Smtp`] and [`Pop3`] are independent clients that use none of the project's code.
//!
//! The tests are in `tests/browser`, the benchmarks in `benches/page.rs`.

mod catcher;
mod commands;
mod driver;
mod fixture;
mod image_server;
mod mail_clients;
mod page;
mod paths;
mod reserved_port;
mod servers;
mod trap_server;

pub use catcher::Catcher;
pub use driver::{Browser, Driver, Screen};
pub use fixture::Fixture;
pub use image_server::{ImageRequest, ImageServer};
pub use mail_clients::{Pop3, Smtp};
pub use page::{Page, TIMEOUT};
pub use paths::{page_folder, screenshots_folder};
pub use reserved_port::ReservedPort;
pub use servers::Servers;
pub use trap_server::TrapServer;
