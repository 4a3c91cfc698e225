//! The page of a catcher: all caught mail, and everything that is known about a message.

mod app;
mod list;
mod reader;
mod recipients;
mod release_dialog;
mod top_bar;
mod views;

pub(crate) use app::CatchApp;
