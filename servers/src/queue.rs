//! `pennypost queue`: the messages that wait for delivery to other hosts.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use config::Config;
use mail_core::message::printable::{printable, printable_line};
use mail_core::queue::{QueueId, RecipientProgress, Status};
use mail_outbound::queue::{DIRECTORY, QueueError, QueueFiles, Queued};
use mail_outbound::{Request, request};
use mail_store::disk::{DiskFile, read_range};
use serde::Serialize;

use crate::admin::print;
use crate::configured::{self, ConfiguredDisk};
use crate::privileges;

/// A subcommand of `pennypost queue`.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List the messages, oldest first, with the state of each recipient
    List {
        /// Print a JSON array instead of text
        #[arg(long)]
        json: bool,
    },
    /// Print a message: envelope, log of attempts, content
    Show { id: QueueId },
    /// Attempt the delivery of a message now, or of all messages
    Retry {
        /// The message [default: all]
        id: Option<QueueId>,
    },
    /// Suspend the delivery of a message
    Hold { id: QueueId },
    /// Resume the delivery of a message
    Release { id: QueueId },
    /// Remove a message without a report to its sender
    Drop { id: QueueId },
}

/// A message in the output of `list --json`.
#[derive(Debug, Serialize)]
struct Listed {
    id: String,
    received: String,
    octets: u64,
    /// Empty for the null reverse-path.
    from: String,
    held: bool,
    recipients: Vec<ListedRecipient>,
}

#[derive(Debug, Serialize)]
struct ListedRecipient {
    address: String,
    /// `waiting`, `undeliverable` or `done`.
    state: &'static str,
    attempts: u32,
    last_attempt: Option<String>,
    /// The remote host and its reply, or the reason of the failure.
    detail: String,
}

impl QueueCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// A sentence with the cause and the remedy.
    pub(crate) fn run(self, config: &Config) -> Result<(), String> {
        if config.data.is_dir() {
            privileges::become_owner_of(&config.data)?;
        }
        let files = QueueFiles::new(configured::disk(config));
        let send = |sent: Request| request(&directory(config), &sent).map_err(|error| error.to_string());
        match self {
            Self::List { json: true } => print_json(&files),
            Self::List { json: false } => print_list(&files),
            Self::Show { id } => show(&files, &id),
            Self::Retry { id } => send(Request::Retry(id)),
            Self::Hold { id } => send(Request::Hold(id)),
            Self::Release { id } => send(Request::Release(id)),
            Self::Drop { id } => send(Request::Drop(id)),
        }
    }
}

fn directory(config: &Config) -> PathBuf {
    config.data.join(DIRECTORY)
}

/// Passes each message to `put`. Messages that are delivered meanwhile are left out. Fails at the end if a message is unreadable.
fn for_each(
    files: &QueueFiles<ConfiguredDisk>,
    mut put: impl FnMut(Listed) -> Result<(), String>,
) -> Result<(), String> {
    let mut unreadable = Vec::new();
    for id in files.ids().map_err(|error| error.to_string())? {
        match files.read(&id) {
            Ok(queued) => put(Listed::new(&id, &queued))?,
            Err(QueueError::NotFound(_)) => {}
            Err(error) => unreadable.push(error.to_string()),
        }
    }
    if unreadable.is_empty() { Ok(()) } else { Err(unreadable.join("\n")) }
}

fn print_json(files: &QueueFiles<ConfiguredDisk>) -> Result<(), String> {
    let mut listed = Vec::new();
    for_each(files, |message| {
        listed.push(message);
        Ok(())
    })?;
    print(&serde_json::to_string_pretty(&listed).expect("plain values are always JSON"))
}

fn print_list(files: &QueueFiles<ConfiguredDisk>) -> Result<(), String> {
    let mut messages = 0;
    let listed = for_each(files, |Listed { id, received, octets, from, held, recipients }| {
        messages += 1;
        let held = if held { "  on hold" } else { "" };
        print(&format!("{id}  {received}  {octets} octets  from <{}>{held}", printable_line(&from)))?;
        recipients.iter().try_for_each(|ListedRecipient { address, state, attempts, detail, .. }| {
            let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
            let plural = if *attempts == 1 { "" } else { "s" };
            print(&format!("    <{}>  {state}, {attempts} attempt{plural}{detail}", printable_line(address)))
        })
    });
    listed?;
    print(&match messages {
        0 => "the queue is empty".to_owned(),
        1 => "1 message".to_owned(),
        _ => format!("{messages} messages"),
    })
}

fn show(files: &QueueFiles<ConfiguredDisk>, id: &QueueId) -> Result<(), String> {
    let Queued { entry, file, message, .. } = files.read(id).map_err(|error| error.to_string())?;
    let log = files.log(id).map_err(|error| error.to_string())?;
    let written = write(entry.format().trim_end().as_bytes(), &log, &*file, message);
    written.map_err(|error| format!("cannot print the message: {error}"))
}

fn write(envelope: &[u8], log: &[u8], file: &impl DiskFile, message: std::ops::Range<u64>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for part in [envelope, b"\n\n", log, b"\n"] {
        out.write_all(part)?;
    }
    let is_terminal = out.is_terminal();
    read_range(file, message, |piece| match is_terminal {
        // No escape sequences of the sender.
        true => out.write_all(printable(&String::from_utf8_lossy(piece)).as_bytes()),
        false => out.write_all(piece),
    })?;
    out.flush()
}

impl Listed {
    fn new<F>(id: &QueueId, queued: &Queued<F>) -> Self {
        let Queued { entry, progress, .. } = queued;
        let recipients = entry.recipients.iter().zip(&progress.recipients);
        Self {
            id: id.to_string(),
            received: format_time(entry.received),
            octets: queued.octets(),
            from: entry.reverse_path.address().map(ToString::to_string).unwrap_or_default(),
            held: progress.is_held,
            recipients: recipients
                .map(|(recipient, progress)| ListedRecipient::new(recipient.address.to_string(), progress))
                .collect(),
        }
    }
}

impl ListedRecipient {
    fn new(address: String, progress: &RecipientProgress) -> Self {
        Self {
            address,
            state: match progress.status {
                Status::Pending => "waiting",
                Status::Unreported => "undeliverable",
                Status::Done => "done",
            },
            attempts: progress.attempts,
            last_attempt: progress.last_attempt.map(format_time),
            detail: progress.detail.clone(),
        }
    }
}

fn format_time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
