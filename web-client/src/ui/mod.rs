//! The page: components that draw the state and hand on what a person does.

mod app;
mod attach;
mod back;
mod chips;
mod compose;
mod drawer;
mod fields;
mod files;
mod folders;
mod frame;
mod help;
mod icons;
mod keyboard;
mod letter;
mod list;
mod menu;
mod reader;
mod sign_in;
mod text;
mod toast;
mod top;

pub(crate) use app::App;
pub(crate) use toast::{LOOK_EVERY, is_attended};
