//! `pennypost check`: reads the configuration, the certificate, User.txt and every mailbox, and says what is wrong.

use std::io::{self, Write};

use config::{Config, Tls};
use tls::Certificate;

use mail_store::accounts::Accounts;
use mail_store::disk::RealDisk;
use mail_store::text;

use crate::privileges;
use crate::serve::open_accounts;

/// Prints one line for each account and one for each thing that is wrong; whether all is well.
///
/// # Errors
/// The configuration or User.txt cannot be read at all, or is one that no server starts on; said as a sentence.
pub fn check(config: &Config) -> Result<bool, String> {
    if config.data.is_dir() {
        privileges::become_owner_of(&config.data)?;
    }
    let accounts = open_accounts(config)?;
    let disk = RealDisk::new(&config.data);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let names = runtime.block_on(accounts.names(None)).map_err(|error| error.to_string())?;
    let mut is_well = true;
    let mut out = io::stdout().lock();
    let mut say = |line: String| {
        writeln!(out, "{line}").map_err(|error| format!("cannot write to standard output: {error}"))
    };
    for name in accounts.plain_passwords() {
        say(format!(
            "User.txt: the password of {name} stands in plain text; `pennypost user hash` hashes it"
        ))?;
    }
    for name in accounts.broken_hashes() {
        is_well = false;
        say(format!(
            "User.txt: the hash of {name} is broken; `pennypost user passwd {name}` sets a new password"
        ))?;
    }
    if matches!(config.tls, Tls::Files { .. })
        && let Err(sentence) = Certificate::open(&config.tls, &config.data, config.hostname.as_str())
    {
        is_well = false;
        say(sentence)?;
    }
    for name in names {
        let mailbox = config.data.join(name.as_str()).join("MyMailBox.txt");
        match text::check(&disk, &name, config.hostname.as_str()) {
            Ok(report) => {
                say(format!("{name}: {} messages, {} octets", report.messages, report.octets))?;
                for finding in report.findings {
                    is_well = false;
                    let text::Finding { offset, what, remedy } = finding;
                    say(format!("{}, octet {offset}: {what}; {remedy}", mailbox.display()))?;
                }
            }
            Err(error) => {
                is_well = false;
                say(format!("{}: cannot be read: {error}", mailbox.display()))?;
            }
        }
    }
    Ok(is_well)
}
