//! `mail-client wait`: polls the maildrop, one session per attempt, because a session sees no message that arrives later.

use std::collections::{HashMap, HashSet, VecDeque};
use std::thread;
use std::time::{Duration, Instant};

use mail_core::message::parsed::{NamedAddress, Summary};
use mail_core::pop3::listing::ScanListing;
use mail_core::sasl::Credentials;

use super::show;
use crate::arguments::WaitOptions;
use crate::connection::Server;
use crate::error::Error;
use crate::maildrop::{Entry, Maildrop};

/// Interval of the first attempts; it doubles up to the maximum.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(1);
/// Messages that the error at the timeout describes.
const OTHERS_MAX: usize = 10;

/// Shows the first message that matches. If another session has the maildrop open, tries again.
pub(super) fn wait(pop3: &Server, credentials: &Credentials, options: &WaitOptions) -> Result<(), Error> {
    let deadline = Instant::now() + options.timeout;
    let mut interval = INTERVAL_MIN;
    let mut search = Search { options, seen: None, others: VecDeque::new(), other_count: 0 };
    loop {
        let reason = match Maildrop::open(pop3, credentials)? {
            Ok(maildrop) => {
                if search.attempt(maildrop)? {
                    return Ok(());
                }
                search.describe_others()
            }
            Err(refusal) if refusal.is_temporary() => refusal.text,
            Err(refusal) => return Err(refusal.into()),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Failed(format!("no message matched within {:?}; {reason}", options.timeout)));
        }
        thread::sleep(interval.min(left));
        interval = (2 * interval).min(INTERVAL_MAX);
    }
}

struct Search<'a> {
    options: &'a WaitOptions,
    /// Unique-ids of messages that do not match or that `--after` excludes; `None` before the first attempt. Their headers
    /// are not retrieved again.
    seen: Option<HashSet<String>>,
    /// The last messages that do not match.
    others: VecDeque<Entry>,
    other_count: usize,
}

impl Search<'_> {
    /// Shows the first message that matches; returns whether there is one.
    fn attempt(&mut self, mut maildrop: Maildrop) -> Result<bool, Error> {
        let list = maildrop.list()??;
        let ids = maildrop.unique_ids()?;
        let seen = match &mut self.seen {
            Some(seen) => seen,
            None => self.seen.insert(excluded(self.options.after.as_deref(), &ids)?),
        };
        if ids.is_empty() {
            // Without UIDL, every attempt examines all messages.
            self.others.clear();
            self.other_count = 0;
        }
        let ids: HashMap<_, _> = ids.into_iter().collect();
        let is_new = |item: &ScanListing| ids.get(&item.number).is_none_or(|id| !seen.contains(id));
        let new: Vec<_> = list.into_iter().filter(is_new).collect();
        let entries = maildrop.entries(&new)?;
        let found = entries.iter().find(|entry| matches(&entry.summary, self.options));
        if let Some(entry) = found {
            show(&mut maildrop, entry.number, self.options.options.json)?;
        }
        let is_found = found.is_some();
        maildrop.close();
        seen.extend(new.iter().filter_map(|item| ids.get(&item.number).cloned()));
        self.other_count += entries.len();
        self.others.extend(entries);
        self.others.drain(..self.others.len().saturating_sub(OTHERS_MAX));
        Ok(is_found)
    }

    fn describe_others(&self) -> String {
        if self.other_count == 0 {
            return "no message arrived".to_owned();
        }
        let shown = self.others.iter().rev().map(|entry| {
            let to = entry.summary.to.first().map_or("", NamedAddress::address_or_name);
            format!("`{}` to {to}", entry.summary.subject)
        });
        format!(
            "{} other messages; the most recent: {}",
            self.other_count,
            shown.collect::<Vec<_>>().join(", ")
        )
    }
}

/// The unique-ids up to `after`.
fn excluded(after: Option<&str>, ids: &[(u64, String)]) -> Result<HashSet<String>, Error> {
    let Some(after) = after else { return Ok(HashSet::new()) };
    let Some(at) = ids.iter().position(|(_, id)| id == after) else {
        return Err(Error::Failed(format!(
            "no message has the unique-id `{after}` of --after; `mail-client list --json` shows the unique-ids"
        )));
    };
    Ok(ids[..=at].iter().map(|(_, id)| id.clone()).collect())
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
