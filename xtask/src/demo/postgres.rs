//! The database of `cargo xtask demo --postgres`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use postgres_testing::{Durability, PostgresServer};
use xtask::setup;
use xtask::shell::{self, Result, command, print, profile_dir};

use super::Event;

/// Starts a server, names its database in the configuration, and copies the demo's accounts into it.
pub(super) fn start(folder: &Path) -> Result<PostgresServer> {
    setup::postgresql()?;
    print("Starting PostgreSQL");
    let server = PostgresServer::start(Durability::Synced);
    let url = server.create_database();
    let config = folder.join("pennypost.toml");
    let opened = OpenOptions::new().append(true).open(&config);
    opened
        .and_then(|mut file| write!(file, "\n[store]\nkind = \"postgres\"\nurl  = \"{url}\"\n"))
        .map_err(|error| format!("{}: {error}", config.display()))?;
    let pennypost = profile_dir()?.join("pennypost");
    let run = |arguments: &[&str]| {
        shell::run(command(&pennypost.to_string_lossy()).args(arguments).arg("--config").arg(&config))
    };
    run(&["migrate"])?;
    run(&["copy", "--from", &folder.join("data").to_string_lossy(), "--to", &url])?;
    Ok(server)
}

/// Prints the addresses of the second node when it listens.
pub(super) fn print_addresses() -> Sender<Event> {
    let (sender, events) = channel();
    thread::spawn(move || {
        for event in events {
            if let Event::Listening { protocol, address } = event {
                print(&format!("  second node: {protocol} {address}"));
            }
        }
    });
    sender
}
