//! The programs `pennypost`, `smtp-server` and `pop3-server`: configuration to running services, administration, hardening.
//!
//! The path of a message, in and out:
//!
//! ```text
//! TCP -> net::listener -> net::driver -> mail_core::smtp::server -> mail_service::smtp_session -> mail_store -> MyMailBox.txt
//! MyMailBox.txt -> mail_store -> mail_service::pop3_session -> mail_core::pop3::server -> net::driver -> TCP
//! ```

mod account;
pub mod admin;
mod alias;
mod authentication;
mod autoconfig;
mod backup;
pub mod check;
pub mod cli;
mod configured;
mod confine;
mod context;
mod copy;
mod database;
mod dkim;
mod dns;
mod metrics;
mod outbound;
mod privileges;
mod queue;
mod reload;
mod serve;
mod services;
mod sessions;
mod systemd;
mod trace;
mod transfer;
mod user_csv;
mod user_rename;
