//! Sessions of a simulated server process, with the production policy and driver.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mail_core::sasl::AuthOffer;
use mail_core::session::{Encryption, Session};
use mail_core::time::Instant;
use mail_core::{pop3, smtp};
use mail_service::context::{ClientContext, ServiceContext};
use mail_service::pop3_session::Pop3Session;
use mail_service::smtp_session::SmtpSession;
use net::driver::{self, ConnectionIo, Read, Timer};
use tokio::sync::watch;

use crate::checked_store::CheckedStore;
use crate::identity::{HOSTNAME, SimClock, SimDirectory};
use crate::network::Socket;
use crate::world::World;

pub(crate) type SimContext = ServiceContext<SimDirectory, CheckedStore, SimClock>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Smtp,
    Pop3,
}

/// Serves one connection.
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
                bare_line_ends: false,
                command_events: false,
                dsn: false,
                require_tls: false,
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

/// The I/O of the production driver over a simulated socket.
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
    let (_sender, shutdown) = watch::channel(false);
    let io = ServerIo { world: world.clone(), socket };
    let metrics = world.connection_metrics();
    if let Err(error) = driver::drive(io, world.clone(), machine, session, metrics, shutdown).await {
        world.violation(&format!("a session failed: {error}"));
    }
}
