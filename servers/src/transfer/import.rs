//! `pennypost import`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use config::Config;
use mail_core::line::LineNormaliser;
use mail_core::mailbox::Trace;
use mail_core::message::address::{Address, Host, LocalPart, ReversePath};
use mail_core::message::mbox::{Line, Reader};
use mail_core::message::mime::Received;
use mail_core::message::{date, header};
use mail_core::users::Username;
use mail_service::context::IdGenerator;
use mail_store::{DeliveryTarget, Destination, DsnRequest, Envelope, IncomingMessage, Origin};

use super::{Format, TransferArgs};
use crate::admin::print;
use crate::context::SystemClock;

pub(super) async fn import<S: DeliveryTarget>(
    args: &TransferArgs,
    config: &Config,
    store: &S,
    account: Username,
) -> Result<bool, String> {
    let local = LocalPart::parse(account.as_str()).expect("a username is a local part");
    let address = Address { local, host: Host::Domain(config.hostname.clone()) };
    let mut importer = Importer {
        store,
        envelope: Envelope {
            reverse_path: ReversePath::Null,
            recipients: vec![Destination::Mailbox { account, address }],
            origin: Origin::OtherHost,
            dsn: DsnRequest::default(),
            require_tls: false,
        },
        hostname: config.hostname.ascii().into_owned(),
        size_max: usize::try_from(config.limits.message_size.get()).unwrap_or(usize::MAX),
        imported: 0,
        skipped: 0,
    };
    let result = match args.format {
        Format::Mbox => importer.mbox(&args.path).await,
        Format::Maildir => importer.files(maildir(&args.path)?).await,
        Format::Eml => importer.files(eml(&args.path)?).await,
    };
    let Importer { imported, skipped, .. } = importer;
    result.map_err(|error| format!("{error}; {imported} messages were imported before"))?;
    print(&format!("imported {imported} messages, skipped {skipped}"))?;
    Ok(skipped == 0)
}

struct Importer<'a, S> {
    store: &'a S,
    envelope: Envelope,
    hostname: String,
    /// Octets of a message.
    size_max: usize,
    imported: u64,
    skipped: u64,
}

impl<S: DeliveryTarget> Importer<'_, S> {
    async fn mbox(&mut self, path: &Path) -> Result<(), String> {
        let fail = |error| format!("cannot read {}: {error}", path.display());
        let mut file = BufReader::new(File::open(path).map_err(fail)?);
        let mut reader = Reader::default();
        let (mut line, mut message) = (Vec::new(), Vec::new());
        let (mut number, mut date) = (0_u64, None);
        loop {
            line.clear();
            // A longer line is read in pieces: its message is over the limit and is skipped.
            let read =
                file.by_ref().take(self.size_max as u64 + 2).read_until(b'\n', &mut line).map_err(fail)?;
            let end = if read == 0 { Line::Separator(None) } else { reader.line(&line, &mut message) };
            match end {
                // One octet over the limit is enough to refuse the message.
                Line::Content => message.truncate(self.size_max + 1),
                Line::NotMbox => {
                    return Err(format!(
                        "{} is not an mbox file: it does not start with `From `",
                        path.display()
                    ));
                }
                Line::Separator(next) => {
                    if number > 0 {
                        let place = format!("{}, message {number}", path.display());
                        self.message(&place, &message, date).await?;
                        message.clear();
                    }
                    (number, date) = (number + 1, next.map(|date| date.to_utc()));
                }
            }
            if read == 0 {
                return Ok(());
            }
        }
    }

    async fn files(&mut self, paths: Vec<PathBuf>) -> Result<(), String> {
        for path in paths {
            let fail = |error| format!("cannot read {}: {error}", path.display());
            let file = File::open(&path).map_err(fail)?;
            let modified = file.metadata().and_then(|meta| meta.modified()).ok().map(DateTime::<Utc>::from);
            let mut text = Vec::new();
            file.take(self.size_max as u64 + 1).read_to_end(&mut text).map_err(fail)?;
            self.message(&path.display().to_string(), &text, modified).await?;
        }
        Ok(())
    }

    /// Stores one message, unless its content makes that impossible. `date` is that of the file.
    async fn message(&mut self, place: &str, text: &[u8], date: Option<DateTime<Utc>>) -> Result<(), String> {
        let mut message = Vec::with_capacity(text.len());
        LineNormaliser::default().normalise(text, &mut message);
        let problem = if text.len() > self.size_max {
            Some("it is larger than `message_size` in [limits]")
        } else if message.contains(&0) {
            Some("it contains a NUL")
        } else {
            None
        };
        if let Some(problem) = problem {
            self.skipped += 1;
            return print(&format!("{place}: skipped: {problem}"));
        }
        let time = received_date(&message)
            .or_else(|| own_date(&message))
            .or(date)
            .unwrap_or_else(|| DateTime::<Utc>::from(SystemTime::now()));
        let trace = Trace {
            reverse_path: self.envelope.reverse_path.clone(),
            hello: "localhost".to_owned(),
            peer: None,
            by: self.hostname.clone(),
            with: "local",
            tls: None,
            id: SystemClock.generate(time),
            time,
            authentication_results: None,
            delivered_to: false,
        };
        let fail = |error| format!("{place}: {error}");
        let mut incoming = self.store.begin(&self.envelope).await.map_err(fail)?;
        incoming.write(Bytes::from(message)).await.map_err(fail)?;
        incoming.commit(&trace).await.map_err(fail)?;
        self.imported += 1;
        Ok(())
    }
}

/// The date of the top Received field.
fn received_date(message: &[u8]) -> Option<DateTime<Utc>> {
    let (header, _) = header::split(message);
    Received::parse(header::first(header, "Received")?.value).date.map(|date| date.to_utc())
}

/// The date of the Date field.
fn own_date(message: &[u8]) -> Option<DateTime<Utc>> {
    let (header, _) = header::split(message);
    let value = String::from_utf8_lossy(header::first(header, "Date")?.value);
    date::parse_rfc5322(&value).map(|date| date.to_utc())
}

/// The files of a maildir, in the order of delivery.
fn maildir(path: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for folder in ["cur", "new"] {
        let folder = path.join(folder);
        if !folder.is_dir() {
            return Err(format!(
                "{} is not a maildir: it has no folder {}",
                path.display(),
                folder.display()
            ));
        }
        files.extend(files_in(&folder)?);
    }
    // A file name starts with the time of delivery in seconds.
    files.sort_by_key(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let seconds = name.split('.').next().and_then(|seconds| seconds.parse::<u64>().ok());
        (seconds, name)
    });
    Ok(files)
}

/// The .eml files of a directory, by name, or a single file.
fn eml(path: &Path) -> Result<Vec<PathBuf>, String> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let is_eml =
        |file: &PathBuf| file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("eml"));
    let mut files: Vec<_> = files_in(path)?.into_iter().filter(is_eml).collect();
    files.sort();
    Ok(files)
}

fn files_in(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let fail = |error| format!("cannot read {}: {error}", directory.display());
    let entries = fs::read_dir(directory).map_err(fail)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(fail));
    paths.filter(|path| path.as_ref().map_or(true, |path| path.is_file())).collect()
}
