//! All output to standard output. Text passes through [`printable`], so that control characters from mail or servers never reach
//! a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use mail_core::message::date;
use mail_core::message::parsed::{NamedAddress, ParsedMessage};
use mail_core::message::printable::{printable, printable_line};
use mail_core::pop3::listing::DropListing;
use serde::Serialize;

use crate::error::Error;
use crate::maildrop::{Entry, Maildrop, PopResult};

/// Heading of the list, fixed by the guide.
const COLUMNS: [&str; 4] =
    ["Sl. No.", "Sender's email id", "When received (date : hour : minute)", "Subject"];

/// Writes a line.
///
/// # Errors
/// As for every function here: standard output is not writable.
pub(crate) fn line(text: &str) -> Result<(), Error> {
    write(format!("{}\n", printable_line(text)).as_bytes())
}

/// Writes text of several lines, with a final line end.
pub(crate) fn text(text: &str) -> Result<(), Error> {
    let text = printable(text);
    write(text.as_bytes())?;
    if text.is_empty() || text.ends_with('\n') { Ok(()) } else { write(b"\n") }
}

/// Writes a value as JSON. Escapes every control character, not only the 32 that JSON requires.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Error> {
    let json = serde_json::to_string_pretty(value).expect("names and plain values are always JSON");
    let mut text = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        let mut buffer = [0; 4];
        let encoded = &*c.encode_utf8(&mut buffer);
        if c == '\n' || printable_line(encoded) == encoded {
            text.push(c);
        } else {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        }
    }
    text.push('\n');
    write(text.as_bytes())
}

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes bytes unchanged. Call it only if standard output is not a terminal.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Error> {
    write(bytes)
}

/// Writes the list of a maildrop: a table on a terminal, else lines with ` | ` between the columns.
pub(crate) fn list(entries: &[Entry]) -> Result<(), Error> {
    let rows = entries.iter().map(row);
    if !is_terminal() {
        line(&COLUMNS.join(" | "))?;
        return rows.map(|row| row.join(" | ")).try_for_each(|row| line(&row));
    }
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(COLUMNS)
        .add_rows(rows);
    text(&table.to_string())
}

/// Writes the message count and the total size.
pub(crate) fn stat(stat: DropListing) -> Result<(), Error> {
    let plural = if stat.count == 1 { "" } else { "s" };
    line(&format!("{} message{plural}, {} octets", stat.count, stat.octets))
}

fn row(entry: &Entry) -> [String; 4] {
    let summary = &entry.summary;
    let sender = summary.from.first().map_or("", NamedAddress::address_or_name);
    [
        entry.number.to_string(),
        printable_line(sender).into_owned(),
        summary.received.as_ref().map(date::short).unwrap_or_default(),
        printable_line(&summary.subject).into_owned(),
    ]
}

/// Writes the main header fields of a message, its delivery report as sentences, its text, and the names of its attachments.
pub(crate) fn message(message: &ParsedMessage) -> Result<(), Error> {
    for (name, value) in [
        ("From", addresses(&message.from)),
        ("To", addresses(&message.to)),
        ("Cc", addresses(&message.cc)),
        ("Date", message.date.as_ref().map(date::rfc5322).unwrap_or_default()),
        ("Received", message.received.as_ref().map(date::short).unwrap_or_default()),
        ("Subject", message.subject.clone()),
    ] {
        if !value.is_empty() {
            line(&format!("{name}: {value}"))?;
        }
    }
    line("")?;
    if let Some(report) = &message.report {
        for recipient in &report.recipients {
            let quotation = recipient.quotation().map_or(String::new(), |text| format!(" {text}"));
            line(&format!("{}{quotation}", recipient.sentence()))?;
        }
        line("")?;
    }
    text(message.plain_text())?;
    for attachment in &message.attachments {
        let (name, mime, octets) = (&attachment.name, &attachment.mime, attachment.bytes.len());
        line(&format!("[attachment: {name}, {mime}, {octets} octets]"))?;
    }
    Ok(())
}

/// Addresses with their names, separated by commas.
fn addresses(addresses: &[NamedAddress]) -> String {
    addresses.iter().map(NamedAddress::to_string).collect::<Vec<_>>().join(", ")
}

/// Retrieves a message and writes it as received. On a terminal, control characters are escaped.
pub(crate) fn raw_message(maildrop: &mut Maildrop, number: u64, octets: u64) -> PopResult<()> {
    if !is_terminal() {
        return maildrop.retrieve(number, octets, bytes);
    }
    Ok(match maildrop.message(number, octets)? {
        Ok(message) => Ok(text(&String::from_utf8_lossy(&message))?),
        Err(refusal) => Err(refusal),
    })
}

fn write(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Error::Output)
}
