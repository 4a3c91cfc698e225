//! `pennypost export`.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use mail_core::message::address::ReversePath;
use mail_core::message::mime::Received;
use mail_core::message::{header, mbox};
use mail_core::users::Username;
use mail_store::{Body, Extent, Maildrop, MaildropStore};

use super::{Format, TransferArgs};
use crate::admin::print;

pub(super) async fn export<S: MaildropStore>(
    args: &TransferArgs,
    store: &S,
    account: &Username,
) -> Result<(), String> {
    let mut maildrop = store.open(account).await.map_err(|error| format!("{account}: {error}"))?;
    let path = &args.path;
    let fail = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => format!("{} exists; name a path that does not", path.display()),
        _ => format!("cannot write {}: {error}", path.display()),
    };
    let mut output = Output::create(args.format, path).map_err(fail)?;
    for number in 1..=maildrop.count() {
        let message = read_message(&mut maildrop, number)
            .await
            .map_err(|error| format!("message {number}: {error}"))?;
        output.write(number, &message).map_err(fail)?;
    }
    output.finish().map_err(fail)?;
    let count = maildrop.count();
    maildrop.release().await;
    print(&format!("exported {count} messages"))
}

/// The whole message, without dot-stuffing.
pub(crate) async fn read_message<M: Maildrop>(
    maildrop: &mut M,
    number: u64,
) -> Result<Vec<u8>, mail_store::StoreError> {
    let mut body = maildrop.body(number, Extent::Whole).await?;
    let mut text = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        text.extend_from_slice(&chunk);
    }
    if !body.is_dot_stuffed() {
        return Ok(text);
    }
    let mut message = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    Ok(message)
}

/// The destination of an export. Its files are accessible to their owner only.
enum Output<'a> {
    Mbox(BufWriter<File>),
    Maildir(&'a Path),
    Eml(&'a Path),
}

impl<'a> Output<'a> {
    fn create(format: Format, path: &'a Path) -> io::Result<Self> {
        if format == Format::Mbox {
            return Ok(Self::Mbox(BufWriter::new(create_file(path)?)));
        }
        fs::create_dir(path)?;
        if format == Format::Eml {
            return Ok(Self::Eml(path));
        }
        for folder in ["tmp", "new", "cur"] {
            fs::create_dir(path.join(folder))?;
        }
        Ok(Self::Maildir(path))
    }

    fn write(&mut self, number: u64, message: &[u8]) -> io::Result<()> {
        let time = received_time(message);
        match self {
            Self::Mbox(file) => {
                let mut record = Vec::with_capacity(message.len() + 80);
                mbox::write(message, &return_path(message), time, &mut record);
                file.write_all(&record)
            }
            Self::Maildir(path) => {
                let name = format!("{}.{number:09}.pennypost", time.timestamp());
                write_file(&path.join("new").join(name), &with_lf(message), time)
            }
            Self::Eml(path) => write_file(&path.join(format!("{number:09}.eml")), message, time),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Mbox(file) => file.into_inner()?.sync_all(),
            Self::Maildir(path) => File::open(path.join("new"))?.sync_all(),
            Self::Eml(path) => File::open(path)?.sync_all(),
        }
    }
}

fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a file with the time of delivery as its modification time.
fn write_file(path: &Path, text: &[u8], time: DateTime<Utc>) -> io::Result<()> {
    let mut file = create_file(path)?;
    file.write_all(text)?;
    file.set_times(FileTimes::new().set_modified(SystemTime::from(time)))?;
    file.sync_all()
}

/// The lines of a maildir file end with LF.
fn with_lf(message: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(message.len());
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                text.extend_from_slice(line);
                text.push(b'\n');
            }
            None => text.extend_from_slice(line),
        }
    }
    text
}

fn received_time(message: &[u8]) -> DateTime<Utc> {
    let (header, _) = header::split(message);
    let received = header::first(header, "Received").and_then(|field| Received::parse(field.value).date);
    received.map_or_else(|| DateTime::<Utc>::from(SystemTime::now()), |date| date.to_utc())
}

fn return_path(message: &[u8]) -> ReversePath {
    let (header, _) = header::split(message);
    let field = header::first(header, "Return-Path");
    let path = field.and_then(|field| ReversePath::parse(field.value.trim_ascii()).ok());
    path.map_or(ReversePath::Null, |(path, _)| path)
}
