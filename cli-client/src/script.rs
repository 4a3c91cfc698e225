//! The scriptable face: one command, its answer on standard output, the exit code.

use std::path::Path;

use mail_core::message::address::{Address, ReversePath};
use mail_core::message::draft::{self, Attachment, Draft, DraftError, Subject};
use mail_core::message::view::{Person, View};
use mail_core::sasl::Credentials;
use serde_json::{Value, json};

use crate::arguments::{Command, Common, Options, SendOptions};
use crate::error::Error;
use crate::link::Server;
use crate::maildrop::Maildrop;
use crate::submit::Mail;
use crate::{input, manage, output, send};

/// Runs one command.
///
/// # Errors
/// Something was refused or failed; the error says what, and its exit code how.
pub(crate) fn run(command: &Command, common: &Common) -> Result<(), Error> {
    let (smtp, pop3) = common.servers()?;
    let open = |options: &Options| -> Result<Maildrop, Error> {
        Ok(Maildrop::open(&pop3, &required_credentials(common, options)?)??)
    };
    match command {
        Command::List { options } => list(open(options)?, options.json),
        Command::Read { number, raw, options } => read(open(options)?, *number, *raw, options.json),
        Command::Send(options) => send(&smtp, common, options),
        Command::Delete { numbers, options } => delete(open(options)?, numbers, options.json),
        Command::Stat { options } => stat(open(options)?, options.json),
    }
}

fn required_credentials(common: &Common, options: &Options) -> Result<Credentials, Error> {
    credentials(common, options)?.ok_or_else(|| Error::Usage("name the account with --user NAME".to_owned()))
}

fn credentials(common: &Common, options: &Options) -> Result<Option<Credentials>, Error> {
    let Some(user) = &common.user else { return Ok(None) };
    let password = options.password.read()?;
    Ok(Some(Credentials::new(user, password.expose())))
}

fn list(mut maildrop: Maildrop, as_json: bool) -> Result<(), Error> {
    let list = maildrop.list()??;
    let entries = maildrop.entries(&list)?;
    if !as_json {
        output::list(&entries)?;
    } else {
        // The numbers of both listings ascend, and a server without UIDL leaves the second one empty.
        let mut ids = maildrop.unique_ids()?.into_iter().peekable();
        let rows = entries.iter().map(|entry| {
            let summary = &entry.summary;
            let id = ids.next_if(|(number, _)| *number == entry.number).map(|(_, id)| id);
            json!({
                "number": entry.number,
                "octets": entry.octets,
                "unique_id": id,
                "from": summary.from.first().map(|person| &person.address),
                "subject": summary.subject,
                "received": summary.received.map(|date| date.to_rfc3339()),
            })
        });
        output::json(&rows.collect::<Value>())?;
    }
    maildrop.quit()??;
    Ok(())
}

fn read(mut maildrop: Maildrop, number: u64, raw: bool, as_json: bool) -> Result<(), Error> {
    let octets = maildrop.octets(number)??;
    if raw {
        manage::show_raw(&mut maildrop, number, octets)??;
    } else {
        let view = View::parse(&maildrop.message(number, octets)??);
        if as_json {
            let unique_id = maildrop.unique_id(number)?;
            output::json(&message_as_json(number, octets, unique_id, &view))?;
        } else {
            output::message(&view)?;
        }
    }
    maildrop.quit()??;
    Ok(())
}

fn message_as_json(number: u64, octets: u64, unique_id: Option<String>, view: &View) -> Value {
    let people = |people: &[Person]| -> Value {
        people.iter().map(|person| json!({ "name": person.name, "address": person.address })).collect()
    };
    let attachments = view.attachments.iter().map(|attachment| {
        json!({ "name": attachment.name, "type": attachment.mime, "octets": attachment.bytes.len() })
    });
    json!({
        "number": number,
        "octets": octets,
        "unique_id": unique_id,
        "from": people(&view.from),
        "to": people(&view.to),
        "cc": people(&view.cc),
        "subject": view.subject,
        "date": view.date.map(|date| date.to_rfc3339()),
        "received": view.received.map(|date| date.to_rfc3339()),
        "text": view.readable(),
        "attachments": attachments.collect::<Value>(),
    })
}

/// Marks all of them, or takes the marks back: a wrong number must not remove half of what was meant.
fn delete(mut maildrop: Maildrop, numbers: &[u64], as_json: bool) -> Result<(), Error> {
    for &number in numbers {
        if let Err(refusal) = maildrop.delete(number)? {
            maildrop.reset()??;
            maildrop.quit()??;
            return Err(Error::Failed(format!("message {number}: {}; nothing was deleted", refusal.words)));
        }
    }
    maildrop.quit()??;
    if as_json { output::json(&json!({ "deleted": numbers })) } else { Ok(()) }
}

fn stat(mut maildrop: Maildrop, as_json: bool) -> Result<(), Error> {
    let stat = maildrop.stat()??;
    maildrop.quit()??;
    if as_json {
        output::json(&json!({ "count": stat.count, "octets": stat.octets }))
    } else {
        output::stat(stat)
    }
}

fn send(smtp: &Server, common: &Common, options: &SendOptions) -> Result<(), Error> {
    // The password first: it may be the first line of standard input, and the text the others.
    let credentials = credentials(common, &options.options)?;
    let (mail, keep) = match &options.raw {
        // A file is still there when the server refuses it.
        Some(path) => (on_disk(path, options)?, path == Path::new("-")),
        None => (send::composed(&written(options)?), true),
    };
    let drafts = common.drafts();
    let receipt = send::deliver(smtp, credentials, &mail, keep.then_some(drafts.as_path()))?;
    if options.options.json {
        let refused = receipt.refused.iter().map(
            |(recipient, reply)| json!({ "recipient": recipient.to_string(), "reply": reply.to_string() }),
        );
        output::json(&json!({ "reply": receipt.reply.to_string(), "refused": refused.collect::<Value>() }))?;
    } else {
        output::line(&receipt.reply.to_string())?;
    }
    if receipt.refused.is_empty() {
        return Ok(());
    }
    let each = receipt.refused.iter().map(|(recipient, reply)| format!("{recipient}: {reply}"));
    Err(Error::Failed(format!("sent, but not to everybody: {}", each.collect::<Vec<_>>().join("; "))))
}

/// The message that the flags describe.
fn written(options: &SendOptions) -> Result<Draft, Error> {
    let addresses = |field, texts: &[String]| -> Result<Vec<Address>, Error> {
        let mut all = Vec::new();
        for text in texts {
            all.extend(draft::parse_addresses(field, text).map_err(wrong)?);
        }
        Ok(all)
    };
    let from = draft::parse_address("From", options.from.as_deref().unwrap_or_default()).map_err(wrong)?;
    let subject = Subject::parse(&options.subject).map_err(wrong)?;
    let body = match &options.body_file {
        Some(path) => String::from_utf8(content(path)?)
            .map_err(|_| Error::Usage(format!("{} is not UTF-8 text; attach it instead", path.display())))?,
        None => String::new(),
    };
    let mut draft = Draft::new(from, addresses("To", &options.to)?, subject, body);
    draft.cc = addresses("Cc", &options.cc)?;
    draft.bcc = addresses("Bcc", &options.bcc)?;
    draft.attachments = options.attach.iter().map(|path| attachment(path)).collect::<Result<_, _>>()?;
    draft.check().map_err(wrong)?;
    Ok(draft)
}

/// A message that was written elsewhere.
fn on_disk(path: &Path, options: &SendOptions) -> Result<Mail, Error> {
    let message = content(path)?;
    let from = match &options.from {
        // The null reverse-path, as a notification has it (RFC 5321 section 4.5.5).
        Some(from) if from.trim() == "<>" => ReversePath::Null,
        Some(from) => ReversePath::Address(draft::parse_address("From", from).map_err(wrong)?),
        None => ReversePath::Address(send::sender(&message).ok_or_else(|| {
            Error::Usage(format!("{} has no From with an address; name it with --from", path.display()))
        })?),
    };
    let mut recipients = Vec::new();
    for to in &options.to {
        recipients.extend(draft::parse_addresses("To", to).map_err(wrong)?);
    }
    if recipients.is_empty() {
        return Err(wrong(DraftError::NoRecipient));
    }
    Ok(Mail { reverse_path: from, recipients, message })
}

fn wrong(error: DraftError) -> Error {
    Error::Usage(error.to_string())
}

fn content(path: &Path) -> Result<Vec<u8>, Error> {
    if path == Path::new("-") {
        return input::rest();
    }
    std::fs::read(path).map_err(|error| Error::Usage(format!("cannot read {}: {error}", path.display())))
}

fn attachment(path: &Path) -> Result<Attachment, Error> {
    let bytes = content(path)?;
    let name =
        path.file_name().map_or_else(|| "attachment".to_owned(), |name| name.to_string_lossy().into_owned());
    Ok(Attachment { mime: media_type(path).to_owned(), name, content_id: None, bytes })
}

/// The media types that a mail program does better to know; everything else is bytes.
fn media_type(path: &Path) -> &'static str {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension.as_str() {
        "txt" | "md" | "log" | "rs" | "c" | "h" | "toml" => "text/plain",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}
