//! The one place that writes to standard output. All text goes through [`printable`], as it may be a stranger's: no
//! control character of a mail or of a server reaches a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use mail_core::message::date;
use mail_core::message::text::{printable, printable_line};
use mail_core::message::view::{Person, View};
use mail_core::pop3::listing::DropListing;
use serde::Serialize;

use crate::error::Error;
use crate::maildrop::Entry;

/// The columns of the guide's list.
const COLUMNS: [&str; 4] =
    ["Sl. No.", "Sender's email id", "When received (date : hour : minute)", "Subject"];

/// Writes a line.
///
/// # Errors
/// It cannot be written, as for every function here.
pub(crate) fn line(text: &str) -> Result<(), Error> {
    write(format!("{}\n", printable_line(text)).as_bytes())
}

/// Writes text of several lines and ends the last one.
pub(crate) fn text(text: &str) -> Result<(), Error> {
    let text = printable(text);
    write(text.as_bytes())?;
    if text.is_empty() || text.ends_with('\n') { Ok(()) } else { write(b"\n") }
}

/// Writes a value as JSON, with every control character escaped: JSON itself asks that of the first 32 only.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Error> {
    let json = serde_json::to_string_pretty(value).expect("names and plain values are always JSON");
    let mut text = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        let mut buffer = [0; 4];
        let one = &*c.encode_utf8(&mut buffer);
        if c == '\n' || printable_line(one) == one {
            text.push(c);
        } else {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        }
    }
    text.push('\n');
    write(text.as_bytes())
}

/// Whether a person sees what is written.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes bytes as they are; only for where [`is_terminal`] says no.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Error> {
    write(bytes)
}

/// The list of a maildrop: a table on a terminal, lines with ` | ` between the columns in a pipe.
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

/// How much mail there is.
pub(crate) fn stat(stat: DropListing) -> Result<(), Error> {
    let plural = if stat.count == 1 { "" } else { "s" };
    line(&format!("{} message{plural}, {} octets", stat.count, stat.octets))
}

fn row(entry: &Entry) -> [String; 4] {
    let summary = &entry.summary;
    let sender = summary.from.first().map_or("", |person| &person.address);
    [
        entry.number.to_string(),
        printable_line(sender).into_owned(),
        summary.received.as_ref().map(date::short).unwrap_or_default(),
        printable_line(&summary.subject).into_owned(),
    ]
}

/// A message as a person reads it: the fields that matter, the text, and what is attached.
pub(crate) fn message(view: &View) -> Result<(), Error> {
    for (name, value) in [
        ("From", people(&view.from)),
        ("To", people(&view.to)),
        ("Cc", people(&view.cc)),
        ("Date", view.date.as_ref().map(date::rfc5322).unwrap_or_default()),
        ("Received", view.received.as_ref().map(date::short).unwrap_or_default()),
        ("Subject", view.subject.clone()),
    ] {
        if !value.is_empty() {
            line(&format!("{name}: {value}"))?;
        }
    }
    line("")?;
    text(&view.readable())?;
    for attachment in &view.attachments {
        let (name, mime, octets) = (&attachment.name, &attachment.mime, attachment.bytes.len());
        line(&format!("[attachment: {name}, {mime}, {octets} octets]"))?;
    }
    Ok(())
}

/// People with commas between them.
pub(crate) fn people(people: &[Person]) -> String {
    let one = |person: &Person| match &person.name {
        Some(name) => format!("{name} <{}>", person.address),
        None => person.address.clone(),
    };
    people.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn write(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Error::Output)
}
