//! Does wrong on purpose, where the configuration says so (`[[faults]]`): refuses, waits, hangs up.
//!
//! [`Faulty`] stands between a driver and a session's policy. It looks at every question before the policy does, and
//! answers in its stead where a fault strikes; the policy never learns of it. Replies to what the policy is not asked
//! about (NOOP, EHLO, a syntax error) cannot be made faulty.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use config::{Action, Fault, FaultCommand, Pop3Command, Sampling, SmtpCommand};
use mail_core::machine::Machine;
use mail_core::pop3::server as pop3;
use mail_core::smtp::server as smtp;
use mail_core::time::Instant;
use tracing::{info, warn};

use crate::pop3_session::Pop3Session;
use crate::site::Stamps;
use crate::smtp_session::SmtpSession;
use mail_core::session::{Encryption, Produced, Session};
use mail_store::MailStore;
use mail_store::accounts::Accounts;

/// The faults of one protocol, with what all of its sessions together have drawn of their chances.
#[derive(Debug)]
pub struct Faults<C: FaultCommand>(Vec<(Fault<C>, Series)>);

/// A session that is faulty where its faults say so, and otherwise as it was.
#[derive(Debug)]
pub struct Faulty<S: Breakable> {
    session: S,
    faults: Arc<Faults<S::Command>>,
    pending: Option<Pending<S>>,
    /// The connection is dropped after so many octets more of the message under way.
    octets_left: Option<u64>,
}

/// What the driver has still to hear of.
#[derive(Debug)]
enum Pending<S: Breakable> {
    Struck {
        event: <S::Machine as Machine>::Event,
        delay: Option<Duration>,
        action: Action<<S::Command as FaultCommand>::Reply>,
    },
    Drop,
}

/// What a fault has to know of a session.
pub trait Breakable: Session<Machine: Machine<Event: Debug> + Debug> {
    type Command: FaultCommand + Send + Sync;

    /// The command that is in question, and whom it is for; `None` when nothing is in question.
    fn question(
        &self,
        event: &<Self::Machine as Machine>::Event,
        machine: &Self::Machine,
    ) -> Option<(Self::Command, Vec<String>)>;

    /// Octets of a message that come in by this event.
    fn octets(event: &<Self::Machine as Machine>::Event) -> u64;

    /// Answers a question with no.
    fn refuse(
        &mut self,
        event: &<Self::Machine as Machine>::Event,
        reply: <Self::Command as FaultCommand>::Reply,
        machine: &mut Self::Machine,
    );
}

impl<C: FaultCommand> Faults<C> {
    #[must_use]
    pub fn new(faults: &[Fault<C>]) -> Self {
        let series = |fault: &Fault<C>| Series(AtomicU64::new(fault.sampling.map_or(0, |sampling| sampling.seed)));
        Self(faults.iter().map(|fault| (fault.clone(), series(fault))).collect())
    }

    /// Says aloud what is going to go wrong, so that nobody runs with faults unknowingly.
    pub fn announce(&self, protocol: &'static str) {
        for (fault, _) in &self.0 {
            warn!(protocol, %fault, "this server does wrong on purpose; take [[faults]] out of its configuration to end it");
        }
    }

    /// The first fault that strikes.
    fn strike(&self, command: C, names: &[String]) -> Option<&Fault<C>> {
        let meant = |fault: &Fault<C>| {
            fault.command == command
                && fault.identity.as_ref().is_none_or(|identity| names.iter().any(|name| identity.matches(name)))
        };
        self.0
            .iter()
            .find(|(fault, series)| meant(fault) && series.strikes(fault.sampling))
            .map(|(fault, _)| fault)
    }
}

impl<S: Breakable> Faulty<S> {
    pub const fn new(session: S, faults: Arc<Faults<S::Command>>) -> Self {
        Self { session, faults, pending: None, octets_left: None }
    }

    /// Counts octets of the message under way; false when they are more than may pass.
    fn pass(&mut self, octets: u64) -> bool {
        let Some(left) = &mut self.octets_left else { return true };
        let passes = octets <= *left;
        *left = left.saturating_sub(octets);
        passes
    }

    /// Does what a fault says, and lets the session's policy do the rest.
    async fn carry_on(
        &mut self,
        event: <S::Machine as Machine>::Event,
        action: Action<<S::Command as FaultCommand>::Reply>,
        machine: &mut S::Machine,
    ) -> Produced {
        match action {
            Action::Disconnect => return Produced::Drop,
            Action::Reject(reply) => {
                self.session.refuse(&event, reply, machine);
                return Produced::Queued;
            }
            Action::DisconnectAfter(octets) => self.octets_left = Some(octets),
            Action::Proceed => {}
        }
        self.session.handle(event, machine).await;
        Produced::Queued
    }
}

impl<S: Breakable> Session for Faulty<S> {
    type Machine = S::Machine;

    async fn handle(&mut self, event: <S::Machine as Machine>::Event, machine: &mut S::Machine) {
        if !self.pass(S::octets(&event)) {
            self.pending = Some(Pending::Drop);
            return;
        }
        if !self.faults.0.is_empty()
            && let Some((command, names)) = self.session.question(&event, machine)
        {
            self.octets_left = None;
            if let Some(fault) = self.faults.strike(command, &names) {
                info!(%fault, "a fault strikes");
                let (delay, action) = (fault.delay, fault.action.clone());
                self.pending = Some(Pending::Struck { event, delay, action });
                return;
            }
        }
        self.session.handle(event, machine).await;
    }

    async fn produce(&mut self, machine: &mut S::Machine) -> Produced {
        match self.pending.take() {
            Some(Pending::Drop) => return Produced::Drop,
            Some(Pending::Struck { event, delay: Some(delay), action }) => {
                self.pending = Some(Pending::Struck { event, delay: None, action });
                return Produced::Wait(delay);
            }
            Some(Pending::Struck { event, delay: None, action }) => {
                return self.carry_on(event, action, machine).await;
            }
            None => {}
        }
        let produced = self.session.produce(machine).await;
        let (Produced::Octets(octets), Some(left)) = (&produced, self.octets_left) else { return produced };
        if self.pass(octets.len() as u64) {
            return produced;
        }
        self.pending = Some(Pending::Drop);
        let left = usize::try_from(left).expect("it is less than the octets that are here");
        Produced::Octets(octets.slice(..left))
    }

    fn tls_established(&mut self, encryption: Encryption, now: Instant, machine: &mut S::Machine) {
        self.session.tls_established(encryption, now, machine);
    }

    fn shutdown(&self, machine: &mut S::Machine) {
        self.session.shutdown(machine);
    }
}

impl<A: Accounts, S: MailStore, T: Stamps> Breakable for SmtpSession<A, S, T> {
    type Command = SmtpCommand;

    fn question(&self, event: &smtp::Event, _machine: &smtp::Server) -> Option<(SmtpCommand, Vec<String>)> {
        use mail_core::message::address::ForwardPath::{Address, Postmaster};
        Some(match event {
            smtp::Event::Authenticate(credentials) => {
                (SmtpCommand::Auth, vec![credentials.authentication_id.clone()])
            }
            smtp::Event::Mail(mail) => (
                SmtpCommand::Mail,
                mail.reverse_path.address().map(ToString::to_string).into_iter().collect(),
            ),
            smtp::Event::Recipient(Address(address)) => (SmtpCommand::Rcpt, vec![address.to_string()]),
            smtp::Event::Recipient(Postmaster) => (SmtpCommand::Rcpt, vec!["postmaster".into()]),
            smtp::Event::Data => (SmtpCommand::Data, self.envelope()),
            smtp::Event::EndOfData => (SmtpCommand::Message, self.envelope()),
            smtp::Event::Chunk(_) | smtp::Event::Reset => return None,
        })
    }

    fn octets(event: &smtp::Event) -> u64 {
        if let smtp::Event::Chunk(chunk) = event { chunk.len() as u64 } else { 0 }
    }

    fn refuse(
        &mut self,
        event: &smtp::Event,
        reply: mail_core::smtp::reply::Reply,
        machine: &mut smtp::Server,
    ) {
        if *event == smtp::Event::EndOfData {
            self.reset();
        }
        machine.reject(reply);
    }
}

impl<A: Accounts, S: MailStore, T: Stamps> Breakable for Pop3Session<A, S, T> {
    type Command = Pop3Command;

    fn question(&self, event: &pop3::Event, machine: &pop3::Server) -> Option<(Pop3Command, Vec<String>)> {
        let command = match event {
            pop3::Event::User(_) => Pop3Command::User,
            pop3::Event::Authenticate(_) => Pop3Command::Pass,
            pop3::Event::List | pop3::Event::Lookup { purpose: pop3::Lookup::ListEntry, .. } => Pop3Command::List,
            pop3::Event::UniqueIds | pop3::Event::Lookup { purpose: pop3::Lookup::UniqueId, .. } => {
                Pop3Command::Uidl
            }
            pop3::Event::Lookup { purpose: pop3::Lookup::Delete, .. } => Pop3Command::Dele,
            pop3::Event::Retrieve { .. } => Pop3Command::Retr,
            pop3::Event::Top { .. } => Pop3Command::Top,
            pop3::Event::Quit { .. } => Pop3Command::Quit,
        };
        let user = match event {
            pop3::Event::User(name) => Some(name.as_str()),
            pop3::Event::Authenticate(credentials) => Some(credentials.authentication_id.as_str()),
            _ => machine.user(),
        };
        Some((command, user.map(str::to_owned).into_iter().collect()))
    }

    fn octets(_event: &pop3::Event) -> u64 {
        0
    }

    fn refuse(
        &mut self,
        _event: &pop3::Event,
        reply: mail_core::pop3::reply::Reply,
        machine: &mut pop3::Server,
    ) {
        machine.reject(reply);
    }
}

/// Numbers that look random and are the same in every run: SplitMix64 (Steele, Lea and Flood, 2014), whose state is a
/// mere sum, so that sessions can draw from one series at a time without a lock.
#[derive(Debug)]
struct Series(AtomicU64);

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

impl Series {
    fn strikes(&self, sampling: Option<Sampling>) -> bool {
        sampling.is_none_or(|sampling| self.draw() < sampling.probability)
    }

    /// At least 0, and less than 1.
    fn draw(&self) -> f64 {
        let mut bits = self.0.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        // The 53 bits that a float holds exactly.
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the published generator for this seed.
    #[test]
    fn the_series_is_that_of_splitmix64() {
        let series = Series(AtomicU64::new(1_234_567));
        for bits in [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423] {
            assert_eq!(series.draw(), (bits >> 11) as f64 / (1_u64 << 53) as f64);
        }
    }

    /// Within five standard deviations, which are 43 at a quarter of 10,000.
    #[test]
    fn a_fault_strikes_as_often_as_its_probability_says() {
        for (probability, expected) in
            [(0.25, 2_280..2_720), (1.0, 10_000..10_001), (f64::MIN_POSITIVE, 0..1)]
        {
            let sampling = Sampling { probability, seed: 1 };
            let series = Series(AtomicU64::new(sampling.seed));
            let struck = (0..10_000).filter(|_| series.strikes(Some(sampling))).count();
            assert!(expected.contains(&struck), "{probability}: {struck}");
        }
    }

    #[test]
    fn the_first_fault_that_is_meant_and_has_its_chance_strikes() {
        let fault = |command, identity: Option<&str>, delay_ms: u64| Fault {
            command,
            identity: identity.map(|name| config::Identity::Account(name.parse().expect("a username"))),
            delay: Some(Duration::from_millis(delay_ms)),
            action: Action::Proceed,
            sampling: None,
        };
        let faults = Faults::new(&[
            fault(SmtpCommand::Mail, None, 1),
            fault(SmtpCommand::Rcpt, Some("gb"), 2),
            fault(SmtpCommand::Rcpt, None, 3),
        ]);
        let struck = |command, names: &[&str]| {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            faults.strike(command, &names).and_then(|fault| fault.delay).map(|delay| delay.as_millis())
        };
        assert_eq!(struck(SmtpCommand::Mail, &[]), Some(1), "a fault for everybody needs no name");
        assert_eq!(struck(SmtpCommand::Rcpt, &["ag@iit.edu", "gb@iit.edu"]), Some(2));
        assert_eq!(struck(SmtpCommand::Rcpt, &["ag@iit.edu"]), Some(3));
        assert_eq!(struck(SmtpCommand::Data, &["gb@iit.edu"]), None);
    }
}
