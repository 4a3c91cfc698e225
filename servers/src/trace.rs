//! `pennypost trace`: the history of a message, from the log.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;

use clap::Args;

/// Length of the ids of messages and queue entries, which are ULIDs.
const ID_OCTETS: usize = 26;

/// Arguments of `pennypost trace`.
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// An address, a Message-ID, or the id of a message
    text: String,
    /// The log, as text or JSON [default: standard input]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

impl TraceArgs {
    /// Prints the lines about the message.
    ///
    /// # Errors
    /// A sentence: the log cannot be read, or the output cannot be written.
    pub(crate) fn run(&self) -> Result<(), String> {
        let out = io::stdout().lock();
        let traced = match &self.log {
            Some(path) => {
                let file = File::open(path)
                    .map_err(|error| format!("cannot read the log {}: {error}", path.display()))?;
                trace(BufReader::new(file), out, &self.text)
            }
            None => trace(io::stdin().lock(), out, &self.text),
        };
        traced.map_err(|error| format!("cannot trace the message: {error}"))
    }
}

/// Copies the lines that contain `text`, ignoring case, and later lines with the id of a message in one of them.
fn trace(mut log: impl BufRead, mut out: impl Write, text: &str) -> io::Result<()> {
    let text = text.to_ascii_lowercase();
    let (mut ids, mut line) = (HashSet::new(), Vec::new());
    while log.read_until(b'\n', &mut line)? > 0 {
        let has_text = String::from_utf8_lossy(&line).to_ascii_lowercase().contains(&text);
        if has_text {
            ids.extend(message_ids(&line).map(<[u8]>::to_owned));
        }
        if has_text || message_ids(&line).any(|id| ids.contains(id)) {
            out.write_all(&line)?;
        }
        line.clear();
    }
    out.flush()
}

/// The words of a line that have the form of an id.
fn message_ids(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_id = |word: &&[u8]| {
        word.len() == ID_OCTETS
            && word.iter().all(|octet| octet.is_ascii_uppercase() || octet.is_ascii_digit())
    };
    line.split(|octet| !octet.is_ascii_alphanumeric()).filter(is_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
        1 INFO delivered id=\"01M8M74B83TGHCZ1HF0011PQD7\" message_id=<a@x> from=<ag@iitkgp.edu> to=\"x@example.net\"\n\
        2 INFO delivered id=\"01M8M74B83TGHCZ1HF0011PQD8\" message_id=<b@x> from=<ag@iitkgp.edu> to=\"y@example.net\"\n\
        3 INFO deferred id=01M8M74B83TGHCZ1HF0011PQD7 to=x@example.net\n\
        4 INFO recipient refused from=<c@x> to=<X@Example.NET>\n\
        {\"fields\":{\"message\":\"sent\",\"id\":\"01M8M74B83TGHCZ1HF0011PQD7\"}}\n\
        6 INFO stopped";

    fn traced(text: &str) -> Vec<usize> {
        let mut out = Vec::new();
        trace(LOG.as_bytes(), &mut out, text).unwrap();
        let out = String::from_utf8(out).unwrap();
        let number = |line| LOG.lines().position(|other| other == line).unwrap() + 1;
        out.lines().map(number).collect()
    }

    #[test]
    fn lines_of_the_message_are_found_by_address_message_id_and_id() {
        assert_eq!(traced("<a@x>"), [1, 3, 5]);
        assert_eq!(traced("x@example.net"), [1, 3, 4, 5]);
        assert_eq!(traced("01M8M74B83TGHCZ1HF0011PQD8"), [2]);
        assert_eq!(traced("nobody@example.net"), [0; 0]);
    }
}
