//! `pennypost copy`: accounts, aliases, quotas and mail from a data directory to a database, or back.
//!
//! A copy that was interrupted continues where it stopped. Nothing in the source is changed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::Args;
use config::Config;
use mail_core::aliases::{self, AliasFile};
use mail_core::mailbox::WireRecord;
use mail_core::message::{date, header};
use mail_core::users::{self, UserFile, Username};
use mail_outbound::queue::QueueFiles;
use mail_outbound::store::QueueStore as _;
use mail_postgres::{CopiedMessage, Database, PostgresDirectory, PostgresMailboxes, PostgresQueue};
use mail_store::directory::{AliasAdmin, DirectoryError};
use mail_store::disk::RealDisk;
use mail_store::offload::Threads;
use mail_store::text::{TextMailboxes, TextStore};
use mail_store::{Entry, MailboxAdmin, Maildrop, MaildropStore, QuotaFile};
use tokio::sync::mpsc;

use crate::admin::{print, run_blocking, to_sentence};
use crate::privileges;
use crate::transfer::read_message;

/// Messages of one transaction.
const MESSAGES_AT_ONCE: usize = 200;
const OCTETS_AT_ONCE: usize = 4 << 20;
const CONNECTIONS: usize = 2;

/// Source and target. One is a directory, the other a database with tables (`pennypost migrate`).
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// A data directory, or the URL of a database. No server should use it meanwhile.
    #[arg(long, value_name = "DIR or URL", value_parser = parse_place)]
    from: Place,
    /// A data directory, or the URL of a database.
    #[arg(long, value_name = "DIR or URL", value_parser = parse_place)]
    to: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Directory(PathBuf),
    Database(String),
}

#[allow(clippy::unnecessary_wraps, reason = "for clap")]
fn parse_place(text: &str) -> Result<Place, String> {
    Ok(match text.starts_with("postgresql://") || text.starts_with("postgres://") {
        true => Place::Database(text.to_owned()),
        false => Place::Directory(text.into()),
    })
}

impl CopyArgs {
    /// # Errors
    /// A sentence with the cause. The copy is incomplete; the same command continues it.
    pub(crate) fn run(&self, config: &Config) -> Result<(), String> {
        match (&self.from, &self.to) {
            (Place::Directory(from), Place::Database(to)) => {
                privileges::become_owner_of(from)?;
                let database = Database::new(to, CONNECTIONS)?;
                run_blocking(ToDatabase { config, data: from, database }.run())
            }
            (Place::Database(from), Place::Directory(to)) => {
                if to.is_dir() {
                    privileges::become_owner_of(to)?;
                }
                let database = Database::new(from, CONNECTIONS)?;
                run_blocking(ToDirectory { config, database, data: to }.run())
            }
            _ => Err("one of --from and --to must be a directory, and the other a URL that starts with postgresql://".into()),
        }
    }
}

struct ToDatabase<'a> {
    config: &'a Config,
    data: &'a Path,
    database: Database,
}

impl ToDatabase<'_> {
    async fn run(self) -> Result<(), String> {
        let accounts = users::parse(&read_text(&self.data.join("User.txt"))?)
            .map_err(|error| format!("{}, {error}", self.data.join("User.txt").display()))?;
        let aliases = aliases::parse(&read_text(&self.data.join("Aliases.txt"))?, &self.config.domains)
            .map_err(|error| format!("{}, {error}", self.data.join("Aliases.txt").display()))?;
        let quotas: Vec<_> = QuotaFile::read(self.data)?.entries().cloned().collect();
        let queued = QueueFiles::new(RealDisk::new(self.data)).ids().map_err(|error| error.to_string())?;
        check_queue_is_empty(!queued.is_empty())?;
        self.database.check_schema().await?;
        let directory =
            PostgresDirectory::new(self.database.clone(), &self.config.auth, &self.config.domains);
        for account in accounts.accounts() {
            match directory.add_with_password(&account.name, account.password.as_str()).await {
                Ok(()) | Err(DirectoryError::Exists(_)) => {}
                Err(error) => return Err(to_sentence(error)),
            }
        }
        let aliases: Vec<_> = aliases.aliases().cloned().collect();
        directory.set_aliases(&aliases).await.map_err(to_sentence)?;
        directory.set_quotas(&quotas).await.map_err(to_sentence)?;
        let disk = RealDisk::new(self.data);
        let hostname = self.config.hostname.as_str();
        let store = TextStore::open(disk.clone(), Threads, hostname).map_err(|error| error.to_string())?;
        let source = TextMailboxes::new(disk, hostname);
        let target = PostgresMailboxes::new(self.database.clone());
        let (mut count, mut messages) = (0_u64, 0);
        for account in accounts.accounts() {
            let copied = copy_mail(&store, &source, &target, &account.name).await;
            messages += copied.map_err(|error| format!("{}: {error}", account.name))?;
            count += 1;
        }
        print(&format!("copied {count} accounts, {} aliases and {messages} messages", aliases.len()))
    }
}

/// Copies the messages that the target lacks. Returns the number of messages.
async fn copy_mail(
    store: &TextStore<RealDisk, Threads>,
    source: &TextMailboxes<RealDisk>,
    target: &PostgresMailboxes,
    name: &Username,
) -> Result<u64, String> {
    let text = |error: mail_store::StoreError| error.to_string();
    let mut maildrop = store.open(name).await.map_err(text)?;
    let entries = all_entries(&mut maildrop).await.map_err(text)?;
    let done = target.unique_ids(name).await.map_err(text)?;
    let is_start = done.len() <= entries.len()
        && done.iter().zip(&entries).all(|(unique_id, entry)| *unique_id == entry.unique_id);
    if !is_start {
        return Err("the database has other mail of this account; remove it with `pennypost user remove --purge`, or copy into an empty database".into());
    }
    let mut records = read_records(source.clone(), name.clone());
    let (mut batch, mut octets) = (Vec::new(), 0);
    for (index, entry) in entries.iter().enumerate() {
        let (lengths, record) =
            records.recv().await.ok_or("the mailbox was changed during the copy")?.map_err(text)?;
        if index < done.len() {
            continue;
        }
        let content = read_message(&mut maildrop, entry.number).await.map_err(text)?;
        octets += content.len() + record.len();
        batch.push(copied_message(entry, lengths, record, content));
        if batch.len() >= MESSAGES_AT_ONCE || octets >= OCTETS_AT_ONCE {
            target.append(name, &std::mem::take(&mut batch)).await.map_err(text)?;
            octets = 0;
        }
    }
    if !batch.is_empty() {
        target.append(name, &batch).await.map_err(text)?;
    }
    Ok(entries.len() as u64)
}

async fn all_entries<M: Maildrop>(maildrop: &mut M) -> Result<Vec<Entry>, mail_store::StoreError> {
    let mut entries = Vec::new();
    loop {
        let batch = maildrop.entries(entries.len() as u64 + 1).await?;
        if batch.is_empty() {
            return Ok(entries);
        }
        entries.extend(batch);
    }
}

/// Lengths of the trace fields and of From, To and Subject in a server's record, and the record.
type RecordOctets = (Option<(usize, usize)>, Vec<u8>);

/// Reads the records on another thread, one ahead.
fn read_records(
    source: TextMailboxes<RealDisk>,
    name: Username,
) -> mpsc::Receiver<Result<RecordOctets, mail_store::StoreError>> {
    let (sender, records) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        let read = source.each_message(&name, |record, octets| {
            let sent = sender.blocking_send(Ok((record.front_lengths(), octets)));
            sent.map_err(|_| mail_store::StoreError::Failed("the copy has ended".into()))
        });
        if let Err(error) = read {
            // Nobody waits if the copy has ended.
            let _ = sender.blocking_send(Err(error));
        }
    });
    records
}

fn copied_message(
    entry: &Entry,
    lengths: Option<(usize, usize)>,
    mut record: Vec<u8>,
    content: Vec<u8>,
) -> CopiedMessage {
    // Editors remove the line end at the end of a file.
    match record.last() {
        Some(b'\n') => {}
        Some(b'\r') => record.push(b'\n'),
        _ => record.extend_from_slice(b"\r\n"),
    }
    let (trace_length, front_length) = lengths.unwrap_or_default();
    let fields: Vec<_> = header::fields(&record).take(4).collect();
    let front_end: usize = fields.iter().take(3).map(|field| field.raw.len()).sum();
    let received =
        fields.get(3).and_then(|field| date::parse_short(std::str::from_utf8(field.value).ok()?.trim()));
    let front = (front_end != front_length).then(|| record[..front_end].to_vec());
    let mut message = CopiedMessage {
        unique_id: entry.unique_id.clone(),
        received: received.unwrap_or_default(),
        front,
        trace_length,
        front_length,
        content,
        record: None,
    };
    // A person wrote or edited it.
    if lengths.is_none() || record_of(&message) != record {
        message.record = Some(record);
    }
    message
}

/// The record that the message becomes in a text store.
fn record_of(message: &CopiedMessage) -> Vec<u8> {
    let head_length = (message.trace_length + message.front_length).min(message.content.len());
    let (head, text) = message.content.split_at(head_length);
    let (received, mut record): (&DateTime<Utc>, _) = (&message.received, Vec::new());
    let mut writer =
        WireRecord::begin(head, message.trace_length, message.front.as_deref(), received, &mut record);
    writer.write(text, &mut record);
    writer.finish(&mut record);
    record
}

struct ToDirectory<'a> {
    config: &'a Config,
    database: Database,
    data: &'a Path,
}

impl ToDirectory<'_> {
    /// User.txt is written last, so that no server starts with an incomplete copy.
    async fn run(self) -> Result<(), String> {
        let users = self.data.join("User.txt");
        if users.exists() {
            return Err(format!(
                "{} exists: the copy is complete, or name another directory",
                users.display()
            ));
        }
        self.database.check_schema().await?;
        let queue = PostgresQueue::new(self.database.clone());
        let queued = queue.newest(1).await.map_err(|error| error.to_string())?;
        check_queue_is_empty(!queued.is_empty())?;
        let fail = |path: &Path, error: io::Error| format!("cannot write {}: {error}", path.display());
        create_directory(self.data).map_err(|error| fail(self.data, error))?;
        let directory =
            PostgresDirectory::new(self.database.clone(), &self.config.auth, &self.config.domains);
        let source = PostgresMailboxes::new(self.database.clone());
        let (mut accounts, mut after, mut count) = (UserFile::default(), None, 0_u64);
        loop {
            let batch = directory.accounts(after.as_ref()).await.map_err(to_sentence)?;
            let Some(last) = batch.last() else { break };
            after = Some(last.name.clone());
            for account in batch {
                let folder = self.data.join(account.name.as_str());
                write_mailbox(&source, &account.name, &folder)
                    .await
                    .map_err(|error| format!("{}: {error}", account.name))?;
                accounts.set(account);
                count += 1;
            }
        }
        let mut aliases = AliasFile::default();
        let found = directory.aliases().await.map_err(to_sentence)?;
        found.iter().for_each(|alias| aliases.add(&alias.key, alias.targets.clone()));
        let mut quotas = QuotaFile::default();
        let limits = directory.quotas().await.map_err(to_sentence)?;
        limits.iter().for_each(|(name, quota)| quotas.set(name.as_ref(), Some(*quota)));
        for (path, text) in [
            (self.data.join("Aliases.txt"), aliases.to_string()),
            (self.data.join("Quotas.txt"), quotas.to_string()),
            (users, accounts.to_string()),
        ] {
            write_file(&path, |file| file.write_all(text.as_bytes())).map_err(|error| fail(&path, error))?;
        }
        File::open(self.data).and_then(|data| data.sync_all()).map_err(|error| fail(self.data, error))?;
        print(&format!("copied {count} accounts with their mail, and {} aliases", found.len()))
    }
}

/// A copied message of the queue would be sent from both places.
fn check_queue_is_empty(has_messages: bool) -> Result<(), String> {
    if !has_messages {
        return Ok(());
    }
    Err("the outbound queue of the source has messages, which are not copied; run its servers until `pennypost queue list` shows none, \
         or remove messages with `pennypost queue drop`"
        .into())
}

/// Writes an account's MyMailBox.txt, unless it exists.
async fn write_mailbox(source: &PostgresMailboxes, name: &Username, folder: &Path) -> Result<(), String> {
    let path = folder.join("MyMailBox.txt");
    if path.exists() {
        return Ok(());
    }
    let fail = |error: io::Error| format!("cannot write {}: {error}", path.display());
    create_directory(folder).map_err(fail)?;
    let part = folder.join(".MyMailBox.copy");
    let mut out = BufWriter::new(create_file(&part).map_err(fail)?);
    source.copy(name, &mut out).await.map_err(|error| error.to_string())?;
    let file = out.into_inner().map_err(|error| fail(error.into_error()))?;
    let written = file.sync_all().and_then(|()| fs::rename(&part, &path));
    written.and_then(|()| File::open(folder)?.sync_all()).map_err(fail)
}

/// Writes a file that appears complete or not at all.
fn write_file(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let part = path.with_extension("copy");
    let mut file = create_file(&part)?;
    write(&mut file)?;
    file.sync_all()?;
    fs::rename(part, path)
}

fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A missing file is empty.
fn read_text(path: &Path) -> Result<String, String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|error| format!("cannot read {}: {error}", path.display())),
    }
}
