//! Fault injection (`[[faults]]`): refuses, delays or disconnects where the configuration asks for it.
//!
//! A [`FaultySession`] wraps a session. It checks each event against the configured faults first and answers in the session's
//! place where one matches. Replies that the machine gives without its session (NOOP, EHLO, a syntax error) cannot be made
//! faulty.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use config::{Action, Fault, FaultCommand, Pop3Command, Sampling, SmtpCommand};
use mail_core::machine::Machine;
use mail_core::pop3::server as pop3;
use mail_core::session::{Encryption, Produced, Session};
use mail_core::smtp::server as smtp;
use mail_core::time::Instant;
use mail_store::directory::Directory;
use mail_store::{DeliveryTarget, MaildropStore};
use tracing::{info, warn};

use crate::context::{Clock, IdGenerator};
use crate::log;
use crate::pop3_session::Pop3Session;
use crate::smtp_session::SmtpSession;

/// The faults of one protocol. All of its sessions share their random sequences.
#[derive(Debug)]
pub struct FaultInjector<C: FaultCommand>(Vec<(Fault<C>, RandomSequence)>);

/// A session with injected faults.
#[derive(Debug)]
pub struct FaultySession<S: FaultTarget> {
    session: S,
    injector: Arc<FaultInjector<S::Command>>,
    pending: Option<Pending<S>>,
    /// The connection is dropped after this many more octets of the current message.
    octets_left: Option<u64>,
}

/// Work for [`Session::produce`].
#[derive(Debug)]
enum Pending<S: FaultTarget> {
    Fault {
        event: <S::Machine as Machine>::Event,
        delay: Option<Duration>,
        action: Action<<S::Command as FaultCommand>::Reply>,
    },
    Drop,
}

/// A session that faults can be injected into.
pub trait FaultTarget: Session<Machine: Machine<Event: Debug> + Debug> {
    type Command: FaultCommand + Send + Sync;

    /// The command that the event asks about, and the names that a fault's identity is compared with.
    fn command(
        &self,
        event: &<Self::Machine as Machine>::Event,
        machine: &Self::Machine,
    ) -> Option<(Self::Command, Vec<String>)>;

    /// Octets of message content in the event.
    fn octets(event: &<Self::Machine as Machine>::Event) -> u64;

    /// Answers the event with a negative reply.
    fn reject(
        &mut self,
        event: &<Self::Machine as Machine>::Event,
        reply: <Self::Command as FaultCommand>::Reply,
        machine: &mut Self::Machine,
    );
}

impl<C: FaultCommand> FaultInjector<C> {
    #[must_use]
    pub fn new(faults: &[Fault<C>]) -> Self {
        let sequence = |fault: &Fault<C>| {
            RandomSequence(AtomicU64::new(fault.sampling.map_or(0, |sampling| sampling.seed)))
        };
        Self(faults.iter().map(|fault| (fault.clone(), sequence(fault))).collect())
    }

    /// Logs a warning for each fault, so that nobody runs with faults unknowingly.
    pub fn log(&self, protocol: &'static str) {
        for (fault, _) in &self.0 {
            warn!(protocol, %fault, "fault injection is on; remove [[faults]] from the configuration to turn it off");
        }
    }

    /// The first fault that applies to the command and is drawn by its sampling.
    fn matching(&self, command: C, names: &[String]) -> Option<&Fault<C>> {
        let applies = |fault: &Fault<C>| {
            fault.command == command
                && fault
                    .identity
                    .as_ref()
                    .is_none_or(|identity| names.iter().any(|name| identity.matches(name)))
        };
        self.0
            .iter()
            .find(|(fault, sequence)| applies(fault) && sequence.samples(fault.sampling))
            .map(|(fault, _)| fault)
    }
}

impl<S: FaultTarget> FaultySession<S> {
    pub const fn new(session: S, injector: Arc<FaultInjector<S::Command>>) -> Self {
        Self { session, injector, pending: None, octets_left: None }
    }

    /// Counts octets of the current message. Returns false if they exceed the limit of a fault.
    fn count_octets(&mut self, octets: u64) -> bool {
        let Some(left) = &mut self.octets_left else { return true };
        let fits = octets <= *left;
        *left = left.saturating_sub(octets);
        fits
    }

    async fn apply(
        &mut self,
        event: <S::Machine as Machine>::Event,
        action: Action<<S::Command as FaultCommand>::Reply>,
        machine: &mut S::Machine,
    ) -> Produced {
        match action {
            Action::Disconnect => return Produced::Drop,
            Action::Reject(reply) => {
                self.session.reject(&event, reply, machine);
                return Produced::Queued;
            }
            Action::DisconnectAfter(octets) => self.octets_left = Some(octets),
            Action::Proceed => {}
        }
        self.session.handle(event, machine).await;
        Produced::Queued
    }
}

impl<S: FaultTarget> Session for FaultySession<S> {
    type Machine = S::Machine;

    async fn handle(&mut self, event: <S::Machine as Machine>::Event, machine: &mut S::Machine) {
        if !self.count_octets(S::octets(&event)) {
            self.pending = Some(Pending::Drop);
            return;
        }
        if !self.injector.0.is_empty()
            && let Some((command, names)) = self.session.command(&event, machine)
        {
            self.octets_left = None;
            if let Some(fault) = self.injector.matching(command, &names) {
                info!(%fault, identity = %log::list(names.into_iter()), "fault injected");
                let (delay, action) = (fault.delay, fault.action.clone());
                self.pending = Some(Pending::Fault { event, delay, action });
                return;
            }
        }
        self.session.handle(event, machine).await;
    }

    async fn produce(&mut self, machine: &mut S::Machine) -> Produced {
        match self.pending.take() {
            Some(Pending::Drop) => return Produced::Drop,
            Some(Pending::Fault { event, delay: Some(delay), action }) => {
                self.pending = Some(Pending::Fault { event, delay: None, action });
                return Produced::Wait(delay);
            }
            Some(Pending::Fault { event, delay: None, action }) => {
                return self.apply(event, action, machine).await;
            }
            None => {}
        }
        let produced = self.session.produce(machine).await;
        let (Produced::Octets(octets), Some(left)) = (&produced, self.octets_left) else { return produced };
        if self.count_octets(octets.len() as u64) {
            return produced;
        }
        self.pending = Some(Pending::Drop);
        let left = usize::try_from(left).expect("it is less than the length of the octets");
        Produced::Octets(octets.slice(..left))
    }

    fn tls_established(&mut self, encryption: Encryption, now: Instant, machine: &mut S::Machine) {
        self.session.tls_established(encryption, now, machine);
    }

    fn renewal(&self) -> Option<Instant> {
        self.session.renewal()
    }

    async fn renew(&mut self, now: Instant, machine: &mut S::Machine) {
        self.session.renew(now, machine).await;
    }

    fn shutdown(&self, machine: &mut S::Machine) {
        self.session.shutdown(machine);
    }
}

impl<D: Directory, S: DeliveryTarget, C: Clock + IdGenerator> FaultTarget for SmtpSession<D, S, C> {
    type Command = SmtpCommand;

    fn command(&self, event: &smtp::Event, _machine: &smtp::Server) -> Option<(SmtpCommand, Vec<String>)> {
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
            smtp::Event::Data => (SmtpCommand::Data, self.addresses()),
            smtp::Event::EndOfData => (SmtpCommand::Message, self.addresses()),
            smtp::Event::Chunk(_) | smtp::Event::Reset | smtp::Event::Refused(_) => return None,
        })
    }

    fn octets(event: &smtp::Event) -> u64 {
        if let smtp::Event::Chunk(chunk) = event { chunk.len() as u64 } else { 0 }
    }

    fn reject(
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

impl<D: Directory, S: MaildropStore, C: Clock> FaultTarget for Pop3Session<D, S, C> {
    type Command = Pop3Command;

    fn command(&self, event: &pop3::Event, machine: &pop3::Server) -> Option<(Pop3Command, Vec<String>)> {
        let command = match event {
            pop3::Event::User(_) => Pop3Command::User,
            pop3::Event::Authenticate(_) => Pop3Command::Pass,
            pop3::Event::List | pop3::Event::Lookup { purpose: pop3::Lookup::ListEntry, .. } => {
                Pop3Command::List
            }
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

    fn reject(
        &mut self,
        _event: &pop3::Event,
        reply: mail_core::pop3::reply::Reply,
        machine: &mut pop3::Server,
    ) {
        machine.reject(reply);
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): a reproducible sequence whose state is a sum, so that sessions draw from it
/// without a lock.
#[derive(Debug)]
struct RandomSequence(AtomicU64);

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

impl RandomSequence {
    fn samples(&self, sampling: Option<Sampling>) -> bool {
        sampling.is_none_or(|sampling| self.draw() < sampling.probability)
    }

    /// A number from 0 up to, but not including, 1.
    fn draw(&self) -> f64 {
        let mut bits = self.0.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        // A float holds 53 bits exactly.
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First outputs of the published generator for this seed.
    #[test]
    fn random_sequence_is_splitmix64() {
        let sequence = RandomSequence(AtomicU64::new(1_234_567));
        for bits in [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423] {
            assert_eq!(sequence.draw(), (bits >> 11) as f64 / (1_u64 << 53) as f64);
        }
    }

    /// Within five standard deviations, which are 43 at a quarter of 10,000.
    #[test]
    fn fault_is_sampled_with_its_probability() {
        for (probability, expected) in
            [(0.25, 2_280..2_720), (1.0, 10_000..10_001), (f64::MIN_POSITIVE, 0..1)]
        {
            let sampling = Sampling { probability, seed: 1 };
            let sequence = RandomSequence(AtomicU64::new(sampling.seed));
            let sampled = (0..10_000).filter(|_| sequence.samples(Some(sampling))).count();
            assert!(expected.contains(&sampled), "{probability}: {sampled}");
        }
    }

    #[test]
    fn first_applicable_fault_is_selected() {
        let fault = |command, identity: Option<&str>, delay_ms: u64| Fault {
            command,
            identity: identity.map(|name| config::Identity::Account(name.parse().expect("a username"))),
            delay: Some(Duration::from_millis(delay_ms)),
            action: Action::Proceed,
            sampling: None,
        };
        let injector = FaultInjector::new(&[
            fault(SmtpCommand::Mail, None, 1),
            fault(SmtpCommand::Rcpt, Some("gb"), 2),
            fault(SmtpCommand::Rcpt, None, 3),
        ]);
        let sampled = |command, names: &[&str]| {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            injector.matching(command, &names).and_then(|fault| fault.delay).map(|delay| delay.as_millis())
        };
        assert_eq!(sampled(SmtpCommand::Mail, &[]), Some(1), "a fault without an identity applies to all");
        assert_eq!(sampled(SmtpCommand::Rcpt, &["ag@iit.edu", "gb@iit.edu"]), Some(2));
        assert_eq!(sampled(SmtpCommand::Rcpt, &["ag@iit.edu"]), Some(3));
        assert_eq!(sampled(SmtpCommand::Data, &["gb@iit.edu"]), None);
    }
}
