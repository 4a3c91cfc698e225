//! Commands for scripts: one command per run, with its result on standard output and in the exit code.

mod resend;
mod wait;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use mail_core::message::address::{Address, ReversePath};
use mail_core::message::draft::{self, Attachment, Draft, DraftError, Subject};
use mail_core::message::header;
use mail_core::message::mime::unfold_text;
use mail_core::message::parsed::{NamedAddress, ParsedMessage, Summary};
use mail_core::message::report::DeliveryReport;
use mail_core::sasl::Credentials;
use serde_json::{Value, json};

use crate::arguments::{Command, Common, Options, SendOptions};
use crate::connection::Server;
use crate::error::Error;
use crate::maildrop::Maildrop;
use crate::password::PasswordSource;
use crate::platform::PLATFORM;
use crate::submission::{OutgoingMessage, Receipt};
use crate::tls::TlsMode;
use crate::{delivery, input, output, passwd, queue};

/// Runs one command.
///
/// # Errors
/// A server refused the command, or it failed.
pub(crate) fn run(command: &Command, common: &Common) -> Result<(), Error> {
    match command {
        Command::Passwd { new, password } => {
            return passwd::run(&common.web()?, &required_credentials(common, password)?, new);
        }
        Command::Queue { options } => {
            let credentials = required_credentials(common, &options.password)?;
            return queue::run(&common.web()?, &credentials, options.json);
        }
        _ => {}
    }
    let (smtp, pop3) = common.servers()?;
    let open = |options: &Options| -> Result<Maildrop, Error> {
        Ok(Maildrop::open(&pop3, &required_credentials(common, &options.password)?)??)
    };
    match command {
        Command::List { options } => list(open(options)?, options.json),
        Command::Read { number, raw, options } => read(open(options)?, *number, *raw, options.json),
        Command::Send(options) => send(&smtp, common, options),
        Command::Resend(options) => resend::resend(&smtp, &pop3, common, options),
        Command::Delete { numbers, options } => delete(open(options)?, numbers, options.json),
        Command::Save { number, attachment, output, password } => {
            let maildrop = Maildrop::open(&pop3, &required_credentials(common, password)?)??;
            save(maildrop, *number, attachment, output.as_deref())
        }
        Command::Wait(options) => {
            wait::wait(&pop3, &required_credentials(common, &options.options.password)?, options)
        }
        Command::Stat { options } => stat(open(options)?, options.json),
        Command::Passwd { .. } | Command::Queue { .. } => unreachable!("they need neither server"),
    }
}

fn required_credentials(common: &Common, password: &PasswordSource) -> Result<Credentials, Error> {
    credentials(common, password)?
        .ok_or_else(|| Error::Usage("no account; pass it with --user NAME".to_owned()))
}

fn credentials(common: &Common, password: &PasswordSource) -> Result<Option<Credentials>, Error> {
    let Some(user) = &common.user else { return Ok(None) };
    Ok(Some(Credentials::new(user, password.read()?.expose())))
}

fn list(mut maildrop: Maildrop, as_json: bool) -> Result<(), Error> {
    let list = maildrop.list()??;
    let entries = maildrop.entries(&list)?;
    if !as_json {
        output::list(&entries)?;
    } else {
        // Both listings are in ascending order; the second is empty without UIDL.
        let mut ids = maildrop.unique_ids()?.into_iter().peekable();
        let rows = entries.iter().map(|entry| {
            let summary = &entry.summary;
            let id = ids.next_if(|(number, _)| *number == entry.number).map(|(_, id)| id);
            json!({
                "number": entry.number,
                "octets": entry.octets,
                "unique_id": id,
                "from": summary.from.first().map(NamedAddress::address_or_name),
                "subject": summary.subject,
                "received": summary.received.map(|date| date.to_rfc3339()),
            })
        });
        output::json(&rows.collect::<Value>())?;
    }
    maildrop.close();
    Ok(())
}

fn read(mut maildrop: Maildrop, number: u64, raw: bool, as_json: bool) -> Result<(), Error> {
    if raw {
        let octets = maildrop.octets(number)??;
        output::raw_message(&mut maildrop, number, octets)??;
    } else {
        show(&mut maildrop, number, as_json)?;
    }
    maildrop.close();
    Ok(())
}

/// Retrieves and decodes a message, and writes it.
fn show(maildrop: &mut Maildrop, number: u64, as_json: bool) -> Result<(), Error> {
    let octets = maildrop.octets(number)??;
    let source = maildrop.message(number, octets)??;
    let message = ParsedMessage::parse_with(&source, PLATFORM);
    if !as_json {
        return output::message(&message);
    }
    let unique_id = maildrop.unique_id(number)?;
    output::json(&message_json(number, &source, unique_id, &message))
}

/// Creates a file with the content of an attachment.
fn save(mut maildrop: Maildrop, number: u64, wanted: &str, path: Option<&Path>) -> Result<(), Error> {
    let octets = maildrop.octets(number)??;
    let message = ParsedMessage::parse_with(&maildrop.message(number, octets)??, PLATFORM);
    maildrop.close();
    let position = wanted.parse::<usize>().ok().and_then(|position| position.checked_sub(1));
    let by_name = message.attachments.iter().find(|attachment| attachment.name == wanted);
    let Some(attachment) = by_name.or_else(|| message.attachments.get(position?)) else {
        let names: Vec<_> = message.attachments.iter().map(|attachment| attachment.name.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Error::Failed(format!(
            "message {number} has no attachment `{wanted}`; its attachments: {names}"
        )));
    };
    if path == Some(Path::new("-")) {
        return output::bytes(&attachment.bytes);
    }
    // The parser removes slashes from names; a leading dot would hide the file.
    let default = format!("./{}", attachment.name.trim_start_matches('.'));
    let path = path.unwrap_or(Path::new(&default));
    let written = File::create_new(path).and_then(|mut file| file.write_all(&attachment.bytes));
    written.map_err(|error| {
        Error::Failed(format!("cannot create {}: {error}; name another file with --output", path.display()))
    })?;
    output::line(&path.display().to_string())
}

fn message_json(number: u64, source: &[u8], unique_id: Option<String>, message: &ParsedMessage) -> Value {
    let addresses = |addresses: &[NamedAddress]| -> Value {
        addresses.iter().map(|address| json!({ "name": address.name, "address": address.address })).collect()
    };
    let attachments = message.attachments.iter().map(|attachment| {
        json!({ "name": attachment.name, "type": attachment.mime, "octets": attachment.bytes.len() })
    });
    let headers = header::fields(header::split(source).0).filter_map(|field| {
        let name = String::from_utf8_lossy(field.name?);
        let value = unfold_text(field.value);
        Some(json!({ "name": name, "value": String::from_utf8_lossy(&value).trim() }))
    });
    json!({
        "number": number,
        "octets": source.len(),
        "unique_id": unique_id,
        "from": addresses(&message.from),
        "to": addresses(&message.to),
        "cc": addresses(&message.cc),
        "subject": message.subject,
        "message_id": message.message_id.as_ref().map(ToString::to_string),
        "date": message.date.map(|date| date.to_rfc3339()),
        "received": message.received.map(|date| date.to_rfc3339()),
        "headers": headers.collect::<Value>(),
        "html": message.html,
        "text": message.plain_text(),
        "attachments": attachments.collect::<Value>(),
        "report": message.report.as_ref().map(report_json),
    })
}

fn report_json(report: &DeliveryReport) -> Value {
    let recipients = report.recipients.iter().map(|recipient| {
        json!({
            "recipient": recipient.address(),
            "action": recipient.action.keyword(),
            "status": recipient.status.to_string(),
            "diagnostic": recipient.diagnostic(),
            "sentence": recipient.sentence(),
        })
    });
    json!({ "reporting_mta": report.reporting_mta, "recipients": recipients.collect::<Value>() })
}

/// Deletes all messages, or none if one is refused.
fn delete(mut maildrop: Maildrop, numbers: &[u64], as_json: bool) -> Result<(), Error> {
    for &number in numbers {
        if let Err(refusal) = maildrop.delete(number)? {
            maildrop.reset()??;
            maildrop.quit()??;
            return Err(Error::Failed(format!("message {number}: {}; no message was deleted", refusal.text)));
        }
    }
    maildrop.quit()??;
    if as_json { output::json(&json!({ "deleted": numbers })) } else { Ok(()) }
}

fn stat(mut maildrop: Maildrop, as_json: bool) -> Result<(), Error> {
    let stat = maildrop.stat()??;
    maildrop.close();
    if as_json {
        output::json(&json!({ "count": stat.count, "octets": stat.octets }))
    } else {
        output::stat(stat)
    }
}

fn send(smtp: &Server, common: &Common, options: &SendOptions) -> Result<(), Error> {
    if options.require_tls && smtp.tls == TlsMode::Never {
        let reason = "--require-tls needs an encrypted connection to the server; pass --tls starttls or --tls implicit";
        return Err(Error::Usage(reason.to_owned()));
    }
    // The password is read first: it may be the first line of standard input, before the text.
    let credentials = credentials(common, &options.options.password)?;
    let (mut message, needs_draft) = match &options.raw {
        // A file needs no second copy.
        Some(path) => (read_raw_message(path, options)?, path == Path::new("-")),
        None => (delivery::compose(&parse_draft(options)?), true),
    };
    message.require_tls = options.require_tls;
    let drafts = common.drafts();
    let receipt = delivery::deliver(smtp, credentials, &message, needs_draft.then_some(drafts.as_path()))?;
    print_receipt(&receipt, options.options.json)
}

/// Writes the server's reply. Refused recipients are an error.
fn print_receipt(receipt: &Receipt, as_json: bool) -> Result<(), Error> {
    if as_json {
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
    let refused = receipt.refused.iter().map(|(recipient, reply)| format!("{recipient}: {reply}"));
    let refused = refused.collect::<Vec<_>>().join("; ");
    Err(Error::Failed(format!("sent, but the server refused some recipients: {refused}")))
}

/// Builds a draft from the flags.
fn parse_draft(options: &SendOptions) -> Result<Draft, Error> {
    let addresses = |field, texts: &[String]| -> Result<Vec<Address>, Error> {
        let mut all = Vec::new();
        for text in texts {
            all.extend(draft::parse_addresses(field, text).map_err(usage_error)?);
        }
        Ok(all)
    };
    let from =
        draft::parse_address("From", options.from.as_deref().unwrap_or_default()).map_err(usage_error)?;
    let subject = Subject::parse(&options.subject).map_err(usage_error)?;
    let body = match &options.body_file {
        Some(path) => String::from_utf8(read_file(path)?).map_err(|_| {
            Error::Usage(format!("{} is not UTF-8 text; pass it with --attach instead", path.display()))
        })?,
        None => String::new(),
    };
    let mut draft = Draft::new(from, addresses("To", &options.to)?, subject, body);
    draft.cc = addresses("Cc", &options.cc)?;
    draft.bcc = addresses("Bcc", &options.bcc)?;
    draft.attachments = options.attach.iter().map(|path| attachment(path)).collect::<Result<_, _>>()?;
    draft.check().map_err(usage_error)?;
    Ok(draft)
}

/// Reads a complete message for `--raw`.
fn read_raw_message(path: &Path, options: &SendOptions) -> Result<OutgoingMessage, Error> {
    let text = read_file(path)?;
    let from = match &options.from {
        // The null reverse-path of notifications (RFC 5321 section 4.5.5).
        Some(from) if from.trim() == "<>" => ReversePath::Null,
        Some(from) => ReversePath::Address(draft::parse_address("From", from).map_err(usage_error)?),
        None => ReversePath::Address(sender(&text).ok_or_else(|| {
            Error::Usage(format!("{} has no From field with an address; pass it with --from", path.display()))
        })?),
    };
    let mut recipients = Vec::new();
    for to in &options.to {
        recipients.extend(draft::parse_addresses("To", to).map_err(usage_error)?);
    }
    if recipients.is_empty() {
        return Err(usage_error(DraftError::NoRecipient));
    }
    Ok(OutgoingMessage { reverse_path: from, recipients, text, require_tls: false })
}

/// The address of the From field.
fn sender(message: &[u8]) -> Option<Address> {
    Summary::parse(message).from.first()?.parsed_address()
}

fn usage_error(error: DraftError) -> Error {
    Error::Usage(error.to_string())
}

fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    if path == Path::new("-") {
        return input::read_to_end();
    }
    std::fs::read(path).map_err(|error| {
        Error::Usage(format!("cannot read {}: {error}; name a readable file", path.display()))
    })
}

fn attachment(path: &Path) -> Result<Attachment, Error> {
    let bytes = read_file(path)?;
    let name =
        path.file_name().map_or_else(|| "attachment".to_owned(), |name| name.to_string_lossy().into_owned());
    Ok(Attachment {
        mime: media_type(path).to_owned(),
        name,
        content_id: None,
        content_location: None,
        bytes,
    })
}

/// Guesses the media type from the extension of the file.
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
