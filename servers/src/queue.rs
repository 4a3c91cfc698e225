//! `pennypost queue`: the messages that wait for delivery to other hosts.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use config::{Config, StoreKind};
use mail_core::message::printable::{printable, printable_line};
use mail_core::queue::{Entry, QueueId, RecipientProgress, Status};
use mail_outbound::queue::{DIRECTORY, QueueFiles};
use mail_outbound::store::{MessageBody as _, QueueError, QueueStore as _, Queued};
use mail_outbound::{Request, request};
use mail_postgres::PostgresQueue;
use mail_store::disk::read_range;
use serde::Serialize;

use crate::admin::{print, run_blocking};
use crate::configured::{self, ConfiguredDisk, Storage};
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

/// The configured queue.
enum Place {
    Files(QueueFiles<ConfiguredDisk>, PathBuf),
    Database(PostgresQueue),
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
        if config.store.kind == StoreKind::Text {
            let files = QueueFiles::new(configured::disk(config));
            return run_blocking(self.run_in(&Place::Files(files, config.data.join(DIRECTORY))));
        }
        let storage = Storage::new(config)?;
        run_blocking(async {
            storage.check().await?;
            let queue = storage.database_queue().expect("the store is a database");
            self.run_in(&Place::Database(queue)).await
        })
    }

    async fn run_in(self, place: &Place) -> Result<(), String> {
        match self {
            Self::List { json: true } => print_json(place).await,
            Self::List { json: false } => print_list(place).await,
            Self::Show { id } => show(place, &id).await,
            Self::Retry { id } => place.send(Request::Retry(id)).await,
            Self::Hold { id } => place.send(Request::Hold(id)).await,
            Self::Release { id } => place.send(Request::Release(id)).await,
            Self::Drop { id } => place.send(Request::Drop(id)).await,
        }
    }
}

impl Place {
    async fn send(&self, sent: Request) -> Result<(), String> {
        match self {
            Self::Files(_, directory) => request(directory, &sent).map_err(|error| error.to_string()),
            Self::Database(queue) => queue.request(&sent).await.map_err(|error| error.to_string()),
        }
    }

    /// Passes each message to `put`. Messages that are delivered meanwhile are left out. Fails at the end if a message is unreadable.
    async fn for_each(&self, mut put: impl FnMut(Listed) -> Result<(), String>) -> Result<(), String> {
        let mut unreadable = Vec::new();
        match self {
            Self::Files(files, _) => {
                for id in files.ids().map_err(|error| error.to_string())? {
                    list(&id, files.read(&id), &mut put, &mut unreadable)?;
                }
            }
            Self::Database(queue) => {
                let mut after = None;
                loop {
                    let entries = queue.entries(after.as_ref()).await.map_err(|error| error.to_string())?;
                    let Some((last, _)) = entries.last() else { break };
                    after = Some(last.clone());
                    for (id, queued) in entries {
                        list(&id, queued, &mut put, &mut unreadable)?;
                    }
                }
            }
        }
        if unreadable.is_empty() { Ok(()) } else { Err(unreadable.join("\n")) }
    }
}

fn list<C>(
    id: &QueueId,
    queued: Result<Queued<C>, QueueError>,
    put: &mut impl FnMut(Listed) -> Result<(), String>,
    unreadable: &mut Vec<String>,
) -> Result<(), String> {
    match queued {
        Ok(queued) => put(Listed::new(id, &queued))?,
        Err(QueueError::NotFound(_)) => {}
        Err(error) => unreadable.push(error.to_string()),
    }
    Ok(())
}

async fn print_json(place: &Place) -> Result<(), String> {
    let mut listed = Vec::new();
    let each = place.for_each(|message| {
        listed.push(message);
        Ok(())
    });
    each.await?;
    print(&serde_json::to_string_pretty(&listed).expect("plain values are always JSON"))
}

async fn print_list(place: &Place) -> Result<(), String> {
    let mut messages = 0;
    let listed = place.for_each(|Listed { id, received, octets, from, held, recipients }| {
        messages += 1;
        let held = if held { "  on hold" } else { "" };
        print(&format!("{id}  {received}  {octets} octets  from <{}>{held}", printable_line(&from)))?;
        recipients.iter().try_for_each(|ListedRecipient { address, state, attempts, detail, .. }| {
            let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
            let plural = if *attempts == 1 { "" } else { "s" };
            print(&format!("    <{}>  {state}, {attempts} attempt{plural}{detail}", printable_line(address)))
        })
    });
    listed.await?;
    print(&match messages {
        0 => "the queue is empty".to_owned(),
        1 => "1 message".to_owned(),
        _ => format!("{messages} messages"),
    })
}

async fn show(place: &Place, id: &QueueId) -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot print the message: {error}");
    match place {
        Place::Files(files, _) => {
            let Queued { entry, content, .. } = files.read(id).map_err(|error| error.to_string())?;
            let log = files.log(id).map_err(|error| error.to_string())?;
            write_front(&entry, &log).map_err(failed)?;
            let (file, range) = content.parts();
            read_range(file, range, write_piece).map_err(failed)?;
        }
        Place::Database(queue) => {
            let Queued { entry, content, .. } = queue.read(id).await.map_err(|error| error.to_string())?;
            let log = queue.log(id).await.map_err(|error| error.to_string())?;
            write_front(&entry, log.as_bytes()).map_err(failed)?;
            let mut body = queue.body(&content);
            while let Some(piece) = body.next().await.map_err(failed)? {
                write_piece(&piece).map_err(failed)?;
            }
        }
    }
    io::stdout().flush().map_err(failed)
}

fn write_front(entry: &Entry, log: &[u8]) -> io::Result<()> {
    let (mut out, envelope) = (io::stdout().lock(), entry.format());
    [envelope.trim_end().as_bytes(), b"\n\n", log, b"\n"].iter().try_for_each(|part| out.write_all(part))
}

fn write_piece(piece: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.is_terminal() {
        // No escape sequences of the sender.
        true => out.write_all(printable(&String::from_utf8_lossy(piece)).as_bytes()),
        false => out.write_all(piece),
    }
}

impl Listed {
    fn new<C>(id: &QueueId, queued: &Queued<C>) -> Self {
        let Queued { entry, progress, .. } = queued;
        let recipients = entry.recipients.iter().zip(&progress.recipients);
        Self {
            id: id.to_string(),
            received: format_time(entry.received),
            octets: queued.octets,
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
