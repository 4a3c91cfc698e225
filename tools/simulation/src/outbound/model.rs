//! Expected results of each recipient.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

use chrono::TimeDelta;

/// A result is recorded within this time, on a disk without faults. It contains the time of an answer and of a retry.
const RECORD_TIME: Duration = Duration::from_secs(30);
/// Mail to a host without faults is delivered within this time.
const DELIVERY_TIME: Duration = Duration::from_secs(60);

/// Numbers of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Recipients of accepted messages.
    pub accepted: usize,
    /// Messages that the queue refused.
    pub refused: usize,
    /// Copies that hosts have received.
    pub copies: usize,
    /// Recipients whose message was returned.
    pub returned: usize,
    /// Recipients whose sender learned of a delay.
    pub delays: usize,
    /// Copies without an answer.
    pub lost_answers: usize,
    /// Copies and reports beyond the first.
    pub repeated: usize,
    /// Connections and commands that a host treats as its behaviour says.
    pub misbehaviours: usize,
    pub kills: usize,
    pub power_cuts: usize,
    pub shutdowns: usize,
    pub disk_faults: usize,
    pub clock_changes: usize,
}

impl Counters {
    /// The sum of two sets of counters.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            refused: self.refused + other.refused,
            copies: self.copies + other.copies,
            returned: self.returned + other.returned,
            delays: self.delays + other.delays,
            lost_answers: self.lost_answers + other.lost_answers,
            repeated: self.repeated + other.repeated,
            misbehaviours: self.misbehaviours + other.misbehaviours,
            kills: self.kills + other.kills,
            power_cuts: self.power_cuts + other.power_cuts,
            shutdowns: self.shutdowns + other.shutdowns,
            disk_faults: self.disk_faults + other.disk_faults,
            clock_changes: self.clock_changes + other.clock_changes,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) counters: Counters,
    recipients: BTreeMap<String, Expected>,
    /// Ends of processes that did not shut down.
    crashes: Vec<Duration>,
    /// Times when the disk is full or its syncs fail.
    disk_faults: Vec<(Duration, Duration)>,
    /// The sums of all changes of the wall clock, forward and back.
    clock_advance: Duration,
    clock_setback: Duration,
}

/// The text of a violation contains only its size.
#[derive(Default)]
struct Message(Vec<u8>);

impl Debug for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets", self.0.len())
    }
}

#[derive(Debug, Default)]
struct Expected {
    /// The message after the fields that the queue adds.
    message: Message,
    submitted: Duration,
    accepted: Option<Duration>,
    /// Whether its host has no faults.
    is_prompt: bool,
    attempts: usize,
    refusals: usize,
    lost_answers: usize,
    copies: Vec<Duration>,
    reports: Vec<Duration>,
    delays: Vec<Duration>,
}

impl Model {
    /// A message is submitted.
    pub(super) fn submit(&mut self, now: Duration, recipient: &str, message: &[u8], is_prompt: bool) {
        let expected =
            Expected { message: Message(message.to_vec()), submitted: now, is_prompt, ..Expected::default() };
        self.recipients.insert(recipient.to_owned(), expected);
    }

    pub(super) fn accept(&mut self, now: Duration, recipient: &str) {
        self.counters.accepted += 1;
        self.of(recipient).accepted = Some(now);
    }

    /// Number of the attempt that begins.
    pub(super) fn attempt(&mut self, recipient: &str) -> usize {
        let expected = self.of(recipient);
        expected.attempts += 1;
        expected.attempts
    }

    pub(super) fn refuse(&mut self, recipient: &str) {
        self.of(recipient).refusals += 1;
    }

    pub(super) fn lose_answer(&mut self, recipient: &str) {
        self.counters.lost_answers += 1;
        self.of(recipient).lost_answers += 1;
    }

    /// A host has received a message.
    ///
    /// # Errors
    /// It differs from the submitted one.
    pub(super) fn copy(&mut self, now: Duration, recipient: &str, message: &[u8]) -> Result<(), String> {
        self.counters.copies += 1;
        let expected = self.of(recipient);
        expected.copies.push(now);
        if message.ends_with(&expected.message.0) && message.starts_with(b"Received: ") {
            return Ok(());
        }
        Err(format!("the message to {recipient} has changed: {}", String::from_utf8_lossy(message)))
    }

    pub(super) fn report(&mut self, now: Duration, recipient: &str) {
        self.counters.returned += 1;
        self.of(recipient).reports.push(now);
    }

    pub(super) fn report_delay(&mut self, now: Duration, recipient: &str) {
        self.counters.delays += 1;
        self.of(recipient).delays.push(now);
    }

    pub(super) fn crash(&mut self, now: Duration) {
        self.crashes.push(now);
    }

    pub(super) fn disk_fault(&mut self, begin: Duration, end: Duration) {
        self.counters.disk_faults += 1;
        self.disk_faults.push((begin, end));
    }

    pub(super) fn clock_is_set(&mut self, by: TimeDelta) {
        self.counters.clock_changes += 1;
        self.clock_advance += by.to_std().unwrap_or_default();
        self.clock_setback += (-by).to_std().unwrap_or_default();
    }

    /// A message is returned later by this time.
    pub(super) const fn clock_setback(&self) -> Duration {
        self.clock_setback
    }

    fn of(&mut self, recipient: &str) -> &mut Expected {
        self.recipients.entry(recipient.to_owned()).or_default()
    }

    /// Checks all recipients after the queue has become empty. `lifetime`: age of messages that are returned without a refusal.
    ///
    /// # Errors
    /// A violated guarantee.
    pub(super) fn check(&mut self, lifetime: Duration) -> Result<(), String> {
        for (recipient, expected) in &self.recipients {
            let repeated = self.check_results(expected);
            let repeated = repeated.and_then(|repeated| {
                self.check_reports(expected, lifetime)?;
                self.check_delay(expected)?;
                Ok(repeated)
            });
            self.counters.repeated += repeated.map_err(|text| format!("{recipient} {text}: {expected:?}"))?;
        }
        Ok(())
    }

    /// Copies and reports. Returns the number of those beyond the first.
    fn check_results(&self, expected: &Expected) -> Result<usize, String> {
        let results = expected.copies.len() + expected.reports.len();
        if expected.accepted.is_some() && results == 0 {
            return Err("was accepted and is lost".into());
        }
        let all = expected.copies.iter().chain(&expected.reports);
        let at_risk = all.filter(|time| self.may_lose_record(**time)).count();
        // A report is repeated if the disk cannot record it.
        let unrecorded = expected.reports.iter().filter(|time| self.has_disk_fault(**time)).count();
        if results > 1 + expected.lost_answers + at_risk + unrecorded {
            return Err("has too many copies or reports".into());
        }
        Ok(results.saturating_sub(1))
    }

    fn check_reports(&self, expected: &Expected, lifetime: Duration) -> Result<(), String> {
        // The entry has the time of receipt in seconds.
        let due = expected.submitted + lifetime - Duration::from_secs(1);
        let is_due = |time: &Duration| *time + self.clock_advance >= due;
        if expected.refusals == 0 && !expected.reports.iter().all(is_due) {
            return Err("was returned without a refusal before its time".into());
        }
        let may_repeat = |time: &&Duration| self.may_lose_record(**time) || self.has_disk_fault(**time);
        let repeats = expected.delays.iter().filter(may_repeat).count();
        if expected.delays.len() > 1 + repeats {
            return Err("has too many reports about its delay".into());
        }
        Ok(())
    }

    /// Mail to a host without faults does not wait for other hosts.
    fn check_delay(&self, expected: &Expected) -> Result<(), String> {
        let Some(accepted) = expected.accepted.filter(|_| expected.is_prompt) else { return Ok(()) };
        let limit = accepted + DELIVERY_TIME;
        let is_in_time = |time: &Duration| (accepted..=limit).contains(time);
        let has_fault = self.crashes.iter().any(is_in_time)
            || self.disk_faults.iter().any(|(begin, end)| *begin <= limit && *end >= accepted);
        if has_fault || expected.copies.iter().any(|time| *time <= limit) {
            return Ok(());
        }
        Err("waited although its host has no faults".into())
    }

    /// Whether a process ended before it could record a result of this time.
    fn may_lose_record(&self, time: Duration) -> bool {
        self.crashes.iter().filter(|crash| **crash >= time).any(|crash| {
            let faults = self.disk_faults.iter().filter(|(begin, end)| begin <= crash && *end >= time);
            let last_end = faults.map(|(_, end)| *end).max().unwrap_or(time);
            *crash <= last_end.max(time) + RECORD_TIME
        })
    }

    /// Whether the disk fails while a result of this time is recorded.
    fn has_disk_fault(&self, time: Duration) -> bool {
        self.disk_faults.iter().any(|(begin, end)| *begin <= time + RECORD_TIME && *end >= time)
    }
}
