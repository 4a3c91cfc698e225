//! A server process: the production sessions, store and driver.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use mail_core::sasl::AuthOffer;
use mail_core::secret::Secret;
use mail_core::session::{Encryption, Session};
use mail_core::time::{Duration, Instant};
use mail_core::users::Username;
use mail_core::{pop3, smtp};
use mail_service::context::{ClientContext, Clock, IdGenerator, ServiceContext};
use mail_service::pop3_session::Pop3Session;
use mail_service::smtp_session::SmtpSession;
use mail_store::directory::{Directory, DirectoryError};
use net::driver::{self, ConnectionIo, Read, Timer};
use tokio::sync::watch;

use crate::network::Socket;
use crate::store::CheckedStore;
use crate::world::World;

/// Name of the servers.
pub(crate) const HOSTNAME: &str = "iitkgp.edu";
/// The accounts.
pub(crate) const ACCOUNTS: [&str; 3] = ["ag", "gb", "cd"];
/// Password of every account.
pub(crate) const PASSWORD: &str = "secret";

pub(crate) type SimContext = ServiceContext<SimDirectory, CheckedStore, SimClock>;

/// A directory that never changes.
#[derive(Debug)]
pub(crate) struct SimDirectory;

/// The virtual clock, and consecutive ids. All processes share them, across power failures.
#[derive(Debug, Clone)]
pub(crate) struct SimClock {
    start: Instant,
    passed: Arc<AtomicU64>,
    next_id: Arc<AtomicU64>,
}

impl SimClock {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, passed: Arc::default(), next_id: Arc::default() }
    }

    pub(crate) fn set(&self, passed: Duration) {
        self.passed.store(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.passed.load(Ordering::Relaxed))
    }

    fn utc(&self) -> DateTime<Utc> {
        DateTime::<Utc>::from_timestamp(1_795_374_907, 0).expect("a valid time")
    }
}

impl IdGenerator for SimClock {
    fn generate(&self, _time: DateTime<Utc>) -> String {
        format!("{:026}", self.next_id.fetch_add(1, Ordering::Relaxed))
    }
}

pub(crate) fn username(name: &str) -> Username {
    Username::parse(name).expect("a valid name")
}

fn find(name: &Username) -> Option<Username> {
    ACCOUNTS.iter().map(|name| username(name)).find(|account| account == name)
}

impl Directory for SimDirectory {
    async fn find(&self, name: &Username) -> Result<Option<Username>, DirectoryError> {
        Ok(find(name))
    }

    async fn first(&self) -> Result<Option<Username>, DirectoryError> {
        Ok(Some(username(ACCOUNTS[0])))
    }

    async fn verify(
        &self,
        name: Option<&Username>,
        password: &Secret<String>,
    ) -> Result<Option<Username>, DirectoryError> {
        Ok(name.filter(|_| password.expose() == PASSWORD).and_then(find))
    }
}

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Smtp,
    Pop3,
}

/// Runs the session of a connection.
pub(crate) async fn serve(world: World, context: Arc<SimContext>, protocol: Protocol, socket: Socket) {
    let now = world.instant();
    let client = ClientContext::new(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), false);
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
            drive(world, socket, machine, SmtpSession::new(context, client, None)).await;
        }
        Protocol::Pop3 => {
            let config = pop3::server::Config {
                stls: false,
                auth: AuthOffer::Always,
                login_delay: None,
                implementation: None,
            };
            let machine = pop3::server::Server::new(Arc::new(config), false, now);
            drive(world, socket, machine, Pop3Session::new(context, client)).await;
        }
    }
}

/// The I/O that the production driver runs over.
struct ServerIo {
    world: World,
    socket: Socket,
}

impl ConnectionIo for ServerIo {
    async fn read(&mut self, input: &mut BytesMut, deadline: Option<Instant>) -> io::Result<Read> {
        let deadline = deadline.map(|when| self.world.since_start(when));
        Ok(self.socket.read(input, deadline).await)
    }

    async fn write(&mut self, output: &mut BytesMut, octets: Bytes) -> io::Result<()> {
        for part in [&output[..], &octets] {
            if !part.is_empty() {
                self.socket.write(part);
            }
        }
        output.clear();
        Ok(())
    }

    async fn upgrade_tls(&mut self) -> io::Result<Encryption> {
        Err(io::Error::other("the simulation has no TLS"))
    }

    async fn close(self) -> io::Result<()> {
        Ok(())
    }
}

impl Timer for World {
    fn now(&self) -> Instant {
        self.instant()
    }

    async fn sleep_until(&self, when: Instant) {
        self.sleep(when.saturating_duration_since(self.instant())).await;
    }
}

async fn drive<S: Session>(world: World, socket: Socket, machine: S::Machine, session: S) {
    let (_stop, shutdown) = watch::channel(false);
    let io = ServerIo { world: world.clone(), socket };
    let metrics = world.connection_metrics();
    if let Err(error) = driver::drive(io, world.clone(), machine, session, metrics, shutdown).await {
        world.fail(&format!("a session failed: {error}"));
    }
}
