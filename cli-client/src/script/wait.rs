//! `mail-client wait`: polls the maildrop, one session per attempt, because a session sees no message that arrives later.

use std::thread;
use std::time::{Duration, Instant};

use mail_core::message::parsed::{NamedAddress, Summary};
use mail_core::sasl::Credentials;

use super::show;
use crate::arguments::WaitOptions;
use crate::connection::Server;
use crate::error::Error;
use crate::maildrop::{Entry, Maildrop};

/// Interval of the first attempts; it doubles up to the maximum.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Shows the first message that matches. Another session's lease of the maildrop is waited for, too.
pub(super) fn wait(pop3: &Server, credentials: &Credentials, options: &WaitOptions) -> Result<(), Error> {
    let deadline = Instant::now() + options.timeout;
    let mut interval = INTERVAL_MIN;
    loop {
        let missed = match Maildrop::open(pop3, credentials)? {
            Ok(maildrop) => match attempt(maildrop, options)? {
                Ok(()) => return Ok(()),
                Err(others) => describe(&others),
            },
            Err(refusal) if refusal.is_temporary() => refusal.text,
            Err(refusal) => return Err(refusal.into()),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Failed(format!("no message matched within {:?}; {missed}", options.timeout)));
        }
        thread::sleep(interval.min(left));
        interval = (2 * interval).min(INTERVAL_MAX);
    }
}

/// Shows the first message that matches, or returns the messages that do not.
fn attempt(mut maildrop: Maildrop, options: &WaitOptions) -> Result<Result<(), Vec<Entry>>, Error> {
    let mut list = maildrop.list()??;
    if let Some(after) = &options.after {
        let ids = maildrop.unique_ids()?;
        let number = ids.iter().find(|(_, id)| id == after).map_or(0, |(number, _)| *number);
        list.retain(|item| item.number > number);
    }
    let entries = maildrop.entries(&list)?;
    let found = entries.iter().find(|entry| matches(&entry.summary, options));
    let shown = match found {
        Some(entry) => Ok(show(&mut maildrop, entry.number, options.options.json)?),
        None => Err(entries),
    };
    maildrop.close();
    Ok(shown)
}

fn matches(summary: &Summary, options: &WaitOptions) -> bool {
    let has = |addresses: &[NamedAddress], wanted: &Option<String>| {
        wanted
            .as_ref()
            .is_none_or(|wanted| addresses.iter().any(|address| address.address.eq_ignore_ascii_case(wanted)))
    };
    let subject = options.subject.as_ref();
    has(&summary.to, &options.to)
        && has(&summary.from, &options.from)
        && subject.is_none_or(|part| summary.subject.to_lowercase().contains(&part.to_lowercase()))
}

/// The last messages that did not match.
fn describe(others: &[Entry]) -> String {
    const SHOWN_MAX: usize = 10;
    if others.is_empty() {
        return "no message arrived".to_owned();
    }
    let shown = others.iter().rev().take(SHOWN_MAX).map(|entry| {
        let to = entry.summary.to.first().map_or("", NamedAddress::address_or_name);
        format!("`{}` to {to}", entry.summary.subject)
    });
    format!("{} others, the last ones: {}", others.len(), shown.collect::<Vec<_>>().join(", "))
}
