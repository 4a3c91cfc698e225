//! The components. They draw slices of the state and pass user actions to [`control`](crate::control).

mod app;
mod attach;
mod attachments;
mod completion;
mod compose;
mod compose_fields;
mod confirmation_dialog;
mod connection_bar;
mod conversation;
mod element_ids;
mod folders;
mod history;
mod icons;
mod keyboard;
mod list_bar;
mod list_layout;
mod menu;
mod message_frame;
mod message_list;
mod message_row;
mod message_view;
mod modal;
mod overlays;
mod plain_text;
mod protocol_log;
mod reader;
mod recipients_field;
mod selection_bar;
mod settings_dialog;
mod shortcuts_dialog;
mod sign_in;
mod source;
mod suggestions;
mod toast;
mod top_bar;

pub(crate) use app::App;
