//! The page of a catcher: the list of caught mail, and the views of a message.

mod app;
mod list;
mod reader;
mod recipients;
mod release_dialog;
mod top_bar;
mod views;

pub(crate) use app::CatchApp;
