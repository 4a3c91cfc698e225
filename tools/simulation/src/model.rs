//! The expected state of all mailboxes.
//!
//! Every attempt to send a message has a unique number in the header of the message. It identifies each copy in a mailbox
//! without help from the code under test.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::Mail;

/// Index of an account.
pub(crate) type Account = usize;
/// Number of an attempt to send a message.
pub(crate) type Attempt = usize;

/// All attempts and their outcomes.
#[derive(Debug, Default)]
pub(crate) struct Model {
    attempts: Vec<SentMail>,
    removals: BTreeMap<(Account, Attempt), Removal>,
    by_unique_id: BTreeMap<(Account, String), Attempt>,
    unique_ids: BTreeMap<(Account, Attempt), String>,
    pub(crate) counters: Counters,
}

/// Numbers of events in a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Acknowledged messages.
    pub acknowledged: usize,
    /// Messages without a reply.
    pub unanswered: usize,
    /// Refused messages.
    pub refused: usize,
    /// Messages with acknowledged removal.
    pub removed: usize,
    /// POP3 sessions with a verified listing.
    pub sessions: usize,
    /// Completely read and verified messages.
    pub read: usize,
    /// Audits of all mailboxes.
    pub audits: usize,
    /// Killed processes.
    pub kills: usize,
    /// Power cuts.
    pub power_cuts: usize,
    /// Periods with a full disk or failing syncs.
    pub disk_faults: usize,
}

impl Counters {
    /// The sum of two sets of counters.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            unanswered: self.unanswered + other.unanswered,
            refused: self.refused + other.refused,
            removed: self.removed + other.removed,
            sessions: self.sessions + other.sessions,
            read: self.read + other.read,
            audits: self.audits + other.audits,
            kills: self.kills + other.kills,
            power_cuts: self.power_cuts + other.power_cuts,
            disk_faults: self.disk_faults + other.disk_faults,
        }
    }
}

#[derive(Debug)]
struct SentMail {
    mail: Mail,
    accounts: BTreeSet<Account>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The end was not sent: no mailbox may contain it.
    Begun,
    /// The end was sent: each recipient may have it once.
    Sent,
    /// Replied with 250: each recipient must have it once.
    Acknowledged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removal {
    /// QUIT was sent: the message may be present or removed.
    Requested,
    /// QUIT was acknowledged: the message must stay removed.
    Done,
}

/// Messages that a listing must contain and must not contain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expectation {
    present: BTreeSet<Attempt>,
    removed: BTreeSet<Attempt>,
}

/// A message found in a maildrop.
#[derive(Debug, Clone)]
pub(crate) struct FoundMessage {
    pub(crate) octets: u64,
    pub(crate) unique_id: String,
    /// The header or the complete message, without dot-stuffing.
    pub(crate) text: Vec<u8>,
    pub(crate) is_complete: bool,
}

impl Model {
    /// Registers an attempt to send a message.
    pub(crate) fn begin(&mut self, make: impl FnOnce(Attempt) -> Mail) -> Attempt {
        let attempt = self.attempts.len();
        let mail = make(attempt);
        self.attempts.push(SentMail { mail, accounts: BTreeSet::new(), state: State::Begun });
        attempt
    }

    /// Registers a message that is written into a mailbox file before the servers start.
    pub(crate) fn begin_handwritten(&mut self, account: Account, hostname: &str) -> &Mail {
        let attempt = self.begin(|attempt| Mail::handwritten(attempt, hostname));
        self.set_recipients(attempt, [account].into());
        self.attempts[attempt].state = State::Acknowledged;
        self.mail(attempt)
    }

    pub(crate) fn mail(&self, attempt: Attempt) -> &Mail {
        &self.attempts[attempt].mail
    }

    /// Sets the accepted recipients.
    pub(crate) fn set_recipients(&mut self, attempt: Attempt, accounts: BTreeSet<Account>) {
        self.attempts[attempt].accounts = accounts;
    }

    /// The client is about to send the end of the message.
    pub(crate) fn end_sent(&mut self, attempt: Attempt) {
        self.attempts[attempt].state = State::Sent;
    }

    pub(crate) fn acknowledged(&mut self, attempt: Attempt) -> Result<(), String> {
        if self.attempts[attempt].state != State::Sent {
            return Err(format!("message {attempt} was acknowledged before its end was sent"));
        }
        self.attempts[attempt].state = State::Acknowledged;
        self.counters.acknowledged += 1;
        Ok(())
    }

    /// The client is about to send QUIT with these messages marked.
    pub(crate) fn removal_requested(&mut self, account: Account, attempts: &BTreeSet<Attempt>) {
        for attempt in attempts {
            self.removals.entry((account, *attempt)).or_insert(Removal::Requested);
        }
    }

    /// QUIT was acknowledged.
    pub(crate) fn removed(&mut self, account: Account, attempts: &BTreeSet<Attempt>) {
        self.counters.removed += attempts.len();
        for attempt in attempts {
            self.removals.insert((account, *attempt), Removal::Done);
        }
    }

    /// The certain content of a maildrop now.
    pub(crate) fn expectation(&self, account: Account) -> Expectation {
        let removal = |attempt: &Attempt| self.removals.get(&(account, *attempt));
        let is_certain = |attempt: &Attempt| {
            let sent = &self.attempts[*attempt];
            sent.state == State::Acknowledged
                && sent.accounts.contains(&account)
                && removal(attempt).is_none()
        };
        let all = 0..self.attempts.len();
        Expectation {
            present: all.clone().filter(is_certain).collect(),
            removed: all.filter(|attempt| removal(attempt) == Some(&Removal::Done)).collect(),
        }
    }

    /// Limits an earlier expectation to what is still certain now, for a snapshot taken between the two.
    pub(crate) fn narrow(&self, account: Account, earlier: &Expectation) -> Expectation {
        let now = self.expectation(account);
        Expectation { present: &earlier.present & &now.present, removed: earlier.removed.clone() }
    }

    /// Verifies a complete listing and returns its attempts in order.
    pub(crate) fn compare(
        &mut self,
        account: Account,
        expected: &Expectation,
        listing: &[FoundMessage],
    ) -> Result<Vec<Attempt>, String> {
        let mut seen = Vec::with_capacity(listing.len());
        for (index, found) in listing.iter().enumerate() {
            let number = index + 1;
            let attempt = self
                .compare_one(account, found)
                .map_err(|violation| format!("message number {number}: {violation}"))?;
            if seen.contains(&attempt) {
                return Err(format!("message {attempt} is present twice"));
            }
            if expected.removed.contains(&attempt) {
                return Err(format!("message {attempt} has reappeared after its acknowledged removal"));
            }
            seen.push(attempt);
        }
        match expected.present.iter().find(|attempt| !seen.contains(attempt)) {
            Some(lost) => Err(format!("message {lost} is lost; present: {seen:?}")),
            None => Ok(seen),
        }
    }

    /// Verifies one message.
    pub(crate) fn compare_one(&mut self, account: Account, found: &FoundMessage) -> Result<Attempt, String> {
        let text = &found.text;
        let beginning = || text[..text.len().min(300)].escape_ascii().to_string();
        let attempt = Mail::attempt_in(text).filter(|attempt| *attempt < self.attempts.len());
        let attempt = attempt.ok_or_else(|| format!("unknown message: {}", beginning()))?;
        let sent = &self.attempts[attempt];
        if !sent.accounts.contains(&account) {
            return Err(format!("message {attempt} has another recipient"));
        }
        if sent.state == State::Begun {
            return Err(format!("message {attempt} is present although its end was never sent"));
        }
        let mail = &sent.mail;
        let rest = mail
            .strip_trace(text)
            .map_err(|violation| format!("message {attempt}: {violation}: {}", beginning()))?;
        let expected = if found.is_complete { &mail.served[..] } else { &mail.served[..mail.header_length] };
        if rest != expected {
            return Err(format!("message {attempt} differs from what was sent: {}", beginning()));
        }
        if found.is_complete && found.octets != text.len() as u64 {
            return Err(format!(
                "message {attempt} has {} octets but is listed with {}",
                text.len(),
                found.octets
            ));
        }
        self.counters.read += usize::from(found.is_complete);
        self.compare_unique_id(account, attempt, &found.unique_id)?;
        Ok(attempt)
    }

    /// A unique-id identifies one message and never changes (RFC 1939 section 7).
    fn compare_unique_id(&mut self, account: Account, attempt: Attempt, id: &str) -> Result<(), String> {
        let other = *self.by_unique_id.entry((account, id.to_owned())).or_insert(attempt);
        if other != attempt {
            return Err(format!("message {attempt} has the unique-id {id} of message {other}"));
        }
        let before = self.unique_ids.entry((account, attempt)).or_insert_with(|| id.to_owned());
        if before != id {
            return Err(format!("the unique-id of message {attempt} changed from {before} to {id}"));
        }
        Ok(())
    }
}
