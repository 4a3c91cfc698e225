//! A server process: the real policy, the real store, and a driver for its sessions.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use chrono::{DateTime, Utc};
use mail_core::machine::{Machine, Step};
use mail_core::sasl::AuthOffer;
use mail_core::secret::Secret;
use mail_core::session::{Produced, Session};
use mail_core::time::{Duration, Instant};
use mail_core::users::Username;
use mail_core::{pop3, smtp};
use mail_service::pop3_session::Pop3Session;
use mail_service::site::{Site, Stamp, Stamps, Visitor};
use mail_service::smtp_session::SmtpSession;
use mail_store::accounts::{Accounts, AccountsError};

use crate::network::{Read, Socket};
use crate::store::Watched;
use crate::world::World;

/// In greetings and trace fields.
pub(crate) const HOSTNAME: &str = "iitkgp.edu";
/// Who has mail here.
pub(crate) const ACCOUNTS: [&str; 3] = ["ag", "gb", "cd"];
/// Everybody's.
pub(crate) const PASSWORD: &str = "secret";

pub(crate) type SimSite = Site<Everybody, Watched, Numbered>;

/// The accounts; they never change here.
#[derive(Debug)]
pub(crate) struct Everybody;

/// The virtual clock, and ids by a number; all processes share them, and they survive everything.
#[derive(Debug, Clone)]
pub(crate) struct Numbered {
    start: Instant,
    passed: Arc<AtomicU64>,
    numbers: Arc<AtomicU64>,
}

impl Numbered {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, passed: Arc::default(), numbers: Arc::default() }
    }

    pub(crate) fn set(&self, passed: Duration) {
        self.passed.store(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Stamps for Numbered {
    fn stamp(&self) -> Stamp {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let time = DateTime::<Utc>::from_timestamp(1_795_374_907, 0).expect("a time of our days");
        Stamp { time, id: format!("{number:026}") }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.passed.load(Ordering::Relaxed))
    }
}

pub(crate) fn username(name: &str) -> Username {
    Username::parse(name).expect("the accounts' names are names")
}

fn known(name: &Username) -> Option<Username> {
    ACCOUNTS.iter().map(|name| username(name)).find(|known| known == name)
}

impl Accounts for Everybody {
    async fn find(&self, name: &Username) -> Result<Option<Username>, AccountsError> {
        Ok(known(name))
    }

    async fn first(&self) -> Result<Option<Username>, AccountsError> {
        Ok(Some(username(ACCOUNTS[0])))
    }

    async fn verify(
        &self,
        name: Option<&Username>,
        password: &Secret<String>,
    ) -> Result<Option<Username>, AccountsError> {
        Ok(name.filter(|_| password.expose() == PASSWORD).and_then(known))
    }

    async fn names(&self, _after: Option<&Username>) -> Result<Vec<Username>, AccountsError> {
        Ok(Vec::new())
    }

    async fn add(&self, name: &Username, _password: &Secret<String>) -> Result<(), AccountsError> {
        Err(AccountsError::Exists(name.clone()))
    }

    async fn set_password(&self, name: &Username, _password: &Secret<String>) -> Result<(), AccountsError> {
        Err(AccountsError::Unknown(name.clone()))
    }

    async fn remove(&self, name: &Username) -> Result<(), AccountsError> {
        Err(AccountsError::Unknown(name.clone()))
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Smtp,
    Pop3,
}

/// A session from its greeting to its end.
pub(crate) async fn serve(world: World, site: Arc<SimSite>, protocol: Protocol, socket: Socket) {
    let now = world.instant();
    let visitor = Visitor::new(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), false);
    match protocol {
        Protocol::Smtp => {
            let config = smtp::server::Config {
                hostname: HOSTNAME.to_owned(),
                message_size_max: 2 << 20,
                recipients_max: 100,
                starttls: false,
                auth: AuthOffer::Always,
                submission: false,
            };
            let machine = smtp::server::Server::new(Arc::new(config), false, now);
            drive(&world, socket, machine, SmtpSession::new(site, visitor, None)).await;
        }
        Protocol::Pop3 => {
            let config = pop3::server::Config {
                stls: false,
                auth: AuthOffer::Always,
                login_delay: None,
                implementation: None,
            };
            let machine = pop3::server::Server::new(Arc::new(config), false, now);
            drive(&world, socket, machine, Pop3Session::new(site, visitor)).await;
        }
    }
}

/// As the servers' own driver does it over TCP: all output is written before every read.
async fn drive<S: Session>(world: &World, mut socket: Socket, mut machine: S::Machine, mut session: S) {
    let mut input = BytesMut::new();
    loop {
        match machine.receive(world.instant(), &mut input) {
            Ok(Step::Event(event)) => {
                session.handle(event, &mut machine).await;
                if !produce(world, &mut socket, &mut machine, &mut session).await {
                    return;
                }
            }
            Ok(Step::NeedInput) => {
                if transmit(&mut socket, &mut machine) && !input.is_empty() {
                    // It may have stopped for the sake of its output alone.
                    continue;
                }
                let deadline = machine.poll_timeout().map(|when| world.since_start(when));
                match socket.read(&mut input, deadline).await {
                    Read::Octets => {}
                    Read::End => {
                        let _closed = machine.receive_eof(world.instant());
                    }
                    Read::TimedOut => machine.handle_timeout(world.instant()),
                }
            }
            Ok(Step::Closed) | Err(_) => break,
            Ok(Step::UpgradeTls | Step::Paused) => {
                world.fail("a server waits for an answer that nobody gives");
                return;
            }
        }
    }
    drop(session);
    transmit(&mut socket, &mut machine);
}

/// Sends a long answer; `false` when the connection is to be dropped.
async fn produce<S: Session>(
    world: &World,
    socket: &mut Socket,
    machine: &mut S::Machine,
    session: &mut S,
) -> bool {
    loop {
        match session.produce(machine).await {
            Produced::Nothing => return true,
            Produced::Queued => {
                transmit(socket, machine);
            }
            Produced::Octets(octets) => {
                transmit(socket, machine);
                socket.write(&octets);
            }
            Produced::Wait(time) => world.sleep(time).await,
            Produced::Drop => return false,
        }
    }
}

/// Whether there was anything.
fn transmit<M: Machine>(socket: &mut Socket, machine: &mut M) -> bool {
    let mut output = BytesMut::new();
    machine.poll_transmit(&mut output);
    if !output.is_empty() {
        socket.write(&output);
    }
    !output.is_empty()
}
