//! Fault injection (`[[faults]]`): refuses, delays or disconnects where the configuration asks for it.
//!
//! A [`FaultySession`] wraps a session. It checks each event against the configured faults first and answers in the session's
//! place where one matches. Replies that the machine gives without its session (NOOP, RSET, a syntax error) cannot be made
//! faulty.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use config::{Action, Fault, FaultCommand, Pop3Command, Sampling, SmtpCommand};
use mail_core::machine::Machine;
use mail_core::pop3::server as pop3;
use mail_core::session::{Encryption, Produced, Session};
use mail_core::smtp::server as smtp;
use mail_core::time::Instant;
use mail_store::MaildropStore;
use mail_store::directory::Directory;
use tracing::{info, warn};

use crate::context::Clock;
use crate::log;
use crate::pop3_session::Pop3Session;
use crate::smtp_service::SmtpService;
use crate::smtp_session::SmtpSession;

/// The faults of one protocol. All of its sessions share them; they can be replaced while sessions run.
#[derive(Debug)]
pub struct FaultInjector<C: FaultCommand>(RwLock<Vec<Arc<ArmedFault<C>>>>);

/// A fault with the state that its sessions share.
#[derive(Debug)]
pub struct ArmedFault<C: FaultCommand> {
    pub fault: Fault<C>,
    sequence: RandomSequence,
    injected: AtomicU32,
}

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
    Fault { event: <S::Machine as Machine>::Event, fault: Fault<S::Command> },
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

    /// A fault that the event itself asks for. It precedes the injector's.
    fn own_fault(&self, _event: &<Self::Machine as Machine>::Event) -> Option<Fault<Self::Command>> {
        None
    }

    /// Notes a fault that is about to be injected.
    fn note(&mut self, _fault: &Fault<Self::Command>) {}

    /// Makes the machine answer the next accepted message with this reply.
    fn replace_acceptance(_reply: <Self::Command as FaultCommand>::Reply, _machine: &mut Self::Machine) {}

    /// Discards the replies that the machine has queued.
    fn discard_output(_machine: &mut Self::Machine) {}
}

impl<C: FaultCommand> ArmedFault<C> {
    #[must_use]
    pub fn new(fault: Fault<C>) -> Arc<Self> {
        let seed = fault.sampling.map_or(0, |sampling| sampling.seed);
        Arc::new(Self { fault, sequence: RandomSequence(AtomicU64::new(seed)), injected: AtomicU32::new(0) })
    }

    /// The number of times that the fault was injected.
    #[must_use]
    pub fn injected(&self) -> u32 {
        self.injected.load(Ordering::Relaxed)
    }

    /// Returns whether to inject: the sampling selects this call, and `times` is not reached. Counts the injection.
    fn inject(&self) -> bool {
        let times = self.fault.times.unwrap_or(u32::MAX);
        let count = |injected: u32| (injected < times).then(|| injected.saturating_add(1));
        self.sequence.samples(self.fault.sampling)
            && self.injected.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_ok()
    }
}

impl<C: FaultCommand> FaultInjector<C> {
    #[must_use]
    pub fn new(faults: &[Fault<C>]) -> Self {
        Self(RwLock::new(faults.iter().cloned().map(ArmedFault::new).collect()))
    }

    /// Replaces the faults. A fault that was injected before keeps its count.
    pub fn replace(&self, faults: Vec<Arc<ArmedFault<C>>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Logs a warning for each fault, so that nobody runs with faults unknowingly.
    pub fn log(&self, protocol: &'static str) {
        for ArmedFault { fault, .. } in self.faults().iter().map(|fault| &**fault) {
            warn!(protocol, %fault, "fault injection is on; remove [[faults]] from the configuration to turn it off");
        }
    }

    fn faults(&self) -> RwLockReadGuard<'_, Vec<Arc<ArmedFault<C>>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first fault that applies to the command and is drawn by its sampling.
    fn matching(&self, command: C, names: &[String]) -> Option<Fault<C>> {
        let applies = |fault: &Fault<C>| {
            fault.command == command
                && fault
                    .identity
                    .as_ref()
                    .is_none_or(|identity| names.iter().any(|name| identity.matches(name)))
        };
        let faults = self.faults();
        faults.iter().find(|armed| applies(&armed.fault) && armed.inject()).map(|armed| armed.fault.clone())
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

    /// The fault to inject into the command of an event, and the names of the command.
    fn fault(
        &self,
        event: &<S::Machine as Machine>::Event,
        machine: &S::Machine,
    ) -> Option<(Fault<S::Command>, Vec<String>)> {
        let own = self.session.own_fault(event);
        if own.is_none() && self.injector.faults().is_empty() {
            return None;
        }
        let (command, names) = self.session.command(event, machine)?;
        let fault = own.or_else(|| self.injector.matching(command, &names))?;
        Some((fault, names))
    }

    async fn apply(
        &mut self,
        event: <S::Machine as Machine>::Event,
        fault: Fault<S::Command>,
        machine: &mut S::Machine,
    ) -> Produced {
        match fault.action {
            Action::Disconnect if fault.stored => {
                self.session.handle(event, machine).await;
                S::discard_output(machine);
                return Produced::Drop;
            }
            Action::Disconnect => return Produced::Drop,
            Action::Reject(reply) if fault.stored => S::replace_acceptance(reply, machine),
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
        // The limit of a fault applies to one message.
        if self.octets_left.is_some() && self.session.command(&event, machine).is_some() {
            self.octets_left = None;
        }
        if S::octets(&event) == 0
            && let Some((fault, names)) = self.fault(&event, machine)
        {
            info!(%fault, identity = %log::list(names.into_iter()), "fault injected");
            self.session.note(&fault);
            self.pending = Some(Pending::Fault { event, fault });
            return;
        }
        self.session.handle(event, machine).await;
    }

    async fn produce(&mut self, machine: &mut S::Machine) -> Produced {
        match self.pending.take() {
            Some(Pending::Drop) => return Produced::Drop,
            Some(Pending::Fault { event, mut fault }) => {
                if let Some(delay) = fault.delay.take() {
                    self.pending = Some(Pending::Fault { event, fault });
                    return Produced::Wait(delay);
                }
                return self.apply(event, fault, machine).await;
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

impl<X: SmtpService> FaultTarget for SmtpSession<X> {
    type Command = SmtpCommand;

    fn command(&self, event: &smtp::Event, _machine: &smtp::Server) -> Option<(SmtpCommand, Vec<String>)> {
        Some(match event {
            smtp::Event::Command(command) => match command {
                smtp::SessionCommand::Connect => (SmtpCommand::Connect, Vec::new()),
                smtp::SessionCommand::Hello(name) => (SmtpCommand::Ehlo, vec![name.clone()]),
                smtp::SessionCommand::StartTls => (SmtpCommand::StartTls, Vec::new()),
                smtp::SessionCommand::Quit => (SmtpCommand::Quit, Vec::new()),
            },
            smtp::Event::Authenticate(credentials) => {
                (SmtpCommand::Auth, vec![credentials.authentication_id.clone()])
            }
            smtp::Event::Mail(mail) => (
                SmtpCommand::Mail,
                mail.reverse_path.address().map(ToString::to_string).into_iter().collect(),
            ),
            smtp::Event::Recipient(recipient) => {
                let address = recipient.path.address();
                (SmtpCommand::Rcpt, vec![address.map_or_else(|| "postmaster".into(), ToString::to_string)])
            }
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

    fn replace_acceptance(reply: mail_core::smtp::reply::Reply, machine: &mut smtp::Server) {
        machine.replace_acceptance(reply);
    }

    fn discard_output(machine: &mut smtp::Server) {
        machine.discard_output();
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

/// A reproducible sequence whose state is a sum, so that sessions draw from it without a lock.
#[derive(Debug)]
struct RandomSequence(AtomicU64);

/// The difference between two states of [`splitmix64`].
pub const SPLITMIX64_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// The output of SplitMix64 (Steele, Lea and Flood, 2014) for a state.
#[must_use]
pub const fn splitmix64(state: u64) -> u64 {
    let mut bits = state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

impl RandomSequence {
    fn samples(&self, sampling: Option<Sampling>) -> bool {
        sampling.is_none_or(|sampling| self.draw() < sampling.probability)
    }

    /// A number from 0 up to, but not including, 1.
    fn draw(&self) -> f64 {
        let state = self.0.fetch_add(SPLITMIX64_GAMMA, Ordering::Relaxed).wrapping_add(SPLITMIX64_GAMMA);
        let bits = splitmix64(state);
        // A float holds 53 bits exactly.
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
            stored: false,
            times: None,
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

    #[test]
    fn fault_with_times_applies_that_often_and_then_the_next_one_does() {
        let fault = |times, delay_ms| Fault {
            command: SmtpCommand::Data,
            identity: None,
            delay: Some(Duration::from_millis(delay_ms)),
            action: Action::Proceed,
            stored: false,
            times,
            sampling: None,
        };
        let injector = FaultInjector::new(&[fault(Some(2), 1), fault(None, 2)]);
        let next = || injector.matching(SmtpCommand::Data, &[]).and_then(|fault| fault.delay);
        let delays: Vec<_> =
            std::iter::repeat_with(next).take(4).flatten().map(|delay| delay.as_millis()).collect();
        assert_eq!(delays, [1, 1, 2, 2]);
        injector.replace(Vec::new());
        assert_eq!(next(), None);
    }
}
