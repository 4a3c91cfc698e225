//! What must be so, whatever happens: the promises of the system, in a model of a few maps.
//!
//! Every attempt to hand over a message has a number of its own, which stands in the message's header; so each copy in
//! a mailbox can be told from all others, and nothing of what it must look like is asked of the code under test.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::Mail;

/// The number of an account.
pub(crate) type Account = usize;
/// The number of an attempt.
pub(crate) type Attempt = usize;

/// All attempts, and what became of them.
#[derive(Debug, Default)]
pub(crate) struct Model {
    attempts: Vec<Sending>,
    removals: BTreeMap<(Account, Attempt), Removal>,
    by_unique_id: BTreeMap<(Account, String), Attempt>,
    unique_ids: BTreeMap<(Account, Attempt), String>,
    /// How often each kind of thing happened.
    pub(crate) tally: Tally,
}

/// How often something happened, to show that a run was not idle.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Messages that were acknowledged.
    pub acknowledged: usize,
    /// Messages whose answer was lost.
    pub unanswered: usize,
    /// Messages that were refused.
    pub refused: usize,
    /// Messages whose removal was acknowledged.
    pub removed: usize,
    /// POP3 sessions whose listing was compared.
    pub sessions: usize,
    /// Messages that were read and compared.
    pub read: usize,
    /// Looks at every mailbox from outside.
    pub audits: usize,
    /// Processes that were killed.
    pub kills: usize,
    /// Power cuts.
    pub power_cuts: usize,
    /// Disks that were full or did not sync for a while.
    pub disk_faults: usize,
}

impl Tally {
    /// The sum of two.
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
struct Sending {
    mail: Mail,
    accounts: BTreeSet<Account>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its end was not sent: nobody may have it.
    Begun,
    /// Its end may have arrived: each account may have it, once.
    Sent,
    /// It got its 250: each account has it, once.
    Acknowledged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removal {
    /// A QUIT was sent: it is there or gone.
    Asked,
    /// The QUIT was answered with +OK: it is gone for ever.
    Done,
}

/// What a listing must show and what it must not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expectation {
    must: BTreeSet<Attempt>,
    gone: BTreeSet<Attempt>,
}

/// A message in a maildrop, as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) octets: u64,
    pub(crate) unique_id: String,
    /// The header, or all of it, without dot-stuffing.
    pub(crate) text: Vec<u8>,
    pub(crate) is_whole: bool,
}

impl Model {
    /// A new attempt to send somebody a message.
    pub(crate) fn begin(&mut self, make: impl FnOnce(Attempt) -> Mail) -> Attempt {
        let attempt = self.attempts.len();
        let mail = make(attempt);
        self.attempts.push(Sending { mail, accounts: BTreeSet::new(), state: State::Begun });
        attempt
    }

    /// A message that a person has written into a mailbox before everything began.
    pub(crate) fn begin_by_hand(&mut self, account: Account, hostname: &str) -> &Mail {
        let attempt = self.begin(|attempt| Mail::by_hand(attempt, hostname));
        self.address(attempt, [account].into());
        self.attempts[attempt].state = State::Acknowledged;
        self.mail(attempt)
    }

    pub(crate) fn mail(&self, attempt: Attempt) -> &Mail {
        &self.attempts[attempt].mail
    }

    /// To whom it goes, as far as the recipients are accepted.
    pub(crate) fn address(&mut self, attempt: Attempt, accounts: BTreeSet<Account>) {
        self.attempts[attempt].accounts = accounts;
    }

    /// Its end is about to be sent.
    pub(crate) fn sent(&mut self, attempt: Attempt) {
        self.attempts[attempt].state = State::Sent;
    }

    pub(crate) fn acknowledged(&mut self, attempt: Attempt) -> Result<(), String> {
        if self.attempts[attempt].state != State::Sent {
            return Err(format!("message {attempt} was acknowledged before its end was sent"));
        }
        self.attempts[attempt].state = State::Acknowledged;
        self.tally.acknowledged += 1;
        Ok(())
    }

    /// QUIT is about to be sent, with these marked.
    pub(crate) fn removal_asked(&mut self, account: Account, attempts: &BTreeSet<Attempt>) {
        for attempt in attempts {
            self.removals.entry((account, *attempt)).or_insert(Removal::Asked);
        }
    }

    /// QUIT was answered with +OK.
    pub(crate) fn removed(&mut self, account: Account, attempts: &BTreeSet<Attempt>) {
        self.tally.removed += attempts.len();
        for attempt in attempts {
            self.removals.insert((account, *attempt), Removal::Done);
        }
    }

    /// What a maildrop holds now, as far as it is certain.
    pub(crate) fn expectation(&self, account: Account) -> Expectation {
        let removal = |attempt: &Attempt| self.removals.get(&(account, *attempt));
        let is_there = |attempt: &Attempt| {
            let sending = &self.attempts[*attempt];
            sending.state == State::Acknowledged
                && sending.accounts.contains(&account)
                && removal(attempt).is_none()
        };
        let all = 0..self.attempts.len();
        Expectation {
            must: all.clone().filter(is_there).collect(),
            gone: all.filter(|attempt| removal(attempt) == Some(&Removal::Done)).collect(),
        }
    }

    /// The same at a later moment, for a snapshot that was taken between the two.
    pub(crate) fn still(&self, account: Account, earlier: &Expectation) -> Expectation {
        let now = self.expectation(account);
        Expectation { must: &earlier.must & &now.must, gone: earlier.gone.clone() }
    }

    /// Compares a whole listing with what it must be; the attempts, in its order.
    pub(crate) fn compare(
        &mut self,
        account: Account,
        expected: &Expectation,
        listing: &[Found],
    ) -> Result<Vec<Attempt>, String> {
        let mut seen = Vec::with_capacity(listing.len());
        for (index, found) in listing.iter().enumerate() {
            let number = index + 1;
            let attempt = self
                .compare_one(account, found)
                .map_err(|what| format!("message number {number}: {what}"))?;
            if seen.contains(&attempt) {
                return Err(format!("message {attempt} is there twice"));
            }
            if expected.gone.contains(&attempt) {
                return Err(format!("message {attempt} has come back, though its removal was acknowledged"));
            }
            seen.push(attempt);
        }
        match expected.must.iter().find(|attempt| !seen.contains(attempt)) {
            Some(lost) => Err(format!("message {lost} is lost; there are {seen:?}")),
            None => Ok(seen),
        }
    }

    /// Compares one message with what was sent.
    pub(crate) fn compare_one(&mut self, account: Account, found: &Found) -> Result<Attempt, String> {
        let text = &found.text;
        let beginning = || text[..text.len().min(300)].escape_ascii().to_string();
        let attempt = Mail::attempt_in(text).filter(|attempt| *attempt < self.attempts.len());
        let attempt = attempt.ok_or_else(|| format!("nobody has sent this: {}", beginning()))?;
        let sending = &self.attempts[attempt];
        if !sending.accounts.contains(&account) {
            return Err(format!("message {attempt} was not for this account"));
        }
        if sending.state == State::Begun {
            return Err(format!("message {attempt} is there, and its end was never sent"));
        }
        let mail = &sending.mail;
        let rest =
            mail.behind_trace(text).map_err(|what| format!("message {attempt}: {what}: {}", beginning()))?;
        let expected = if found.is_whole { &mail.served[..] } else { &mail.served[..mail.header_length] };
        if rest != expected {
            return Err(format!("message {attempt} is not what was sent: {}", beginning()));
        }
        if found.is_whole && found.octets != text.len() as u64 {
            return Err(format!(
                "message {attempt} has {} octets and is listed with {}",
                text.len(),
                found.octets
            ));
        }
        self.tally.read += usize::from(found.is_whole);
        self.compare_unique_id(account, attempt, &found.unique_id)?;
        Ok(attempt)
    }

    /// A unique-id means one message and stays (RFC 1939 section 7).
    fn compare_unique_id(&mut self, account: Account, attempt: Attempt, id: &str) -> Result<(), String> {
        let other = *self.by_unique_id.entry((account, id.to_owned())).or_insert(attempt);
        if other != attempt {
            return Err(format!("the unique-id {id} of message {attempt} was message {other}'s before"));
        }
        let before = self.unique_ids.entry((account, attempt)).or_insert_with(|| id.to_owned());
        if before != id {
            return Err(format!("message {attempt} had the unique-id {before} and now has {id}"));
        }
        Ok(())
    }
}
