//! The mail servers of other hosts, and how they misbehave.

use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};

use chrono::{DateTime, Utc};
use mail_outbound::{Connecting, Connection, Network};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::time::sleep;

use super::world::World;

/// Octets that a connection buffers in each direction.
const BUFFER_OCTETS: usize = 4_096;
/// Octets of a command or text line.
const LINE_OCTETS_MAX: u64 = 4_096;

/// Misbehaviour of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// None.
    Accepts,
    /// The connection is refused.
    RefusesConnection,
    /// Packets are lost.
    NeverConnects,
    /// The connection has no greeting.
    Silent,
    /// 421 is the greeting.
    Busy,
    RefusesRecipient,
    DefersRecipient,
    /// The reply to RCPT never ends.
    TalksEndlessly,
    /// The reply to RCPT contains control characters.
    ControlCharacters,
    DropsAtData,
    HangsAtData,
    DefersMessage,
    RefusesMessage,
    /// Has received the message.
    DropsBeforeAnswer,
    /// Has received the message, and keeps the connection open.
    HangsBeforeAnswer,
    DropsAfterAnswer,
}

/// All.
pub const BEHAVIOURS: [Behaviour; 16] = [
    Behaviour::Accepts,
    Behaviour::RefusesConnection,
    Behaviour::NeverConnects,
    Behaviour::Silent,
    Behaviour::Busy,
    Behaviour::RefusesRecipient,
    Behaviour::DefersRecipient,
    Behaviour::TalksEndlessly,
    Behaviour::ControlCharacters,
    Behaviour::DropsAtData,
    Behaviour::HangsAtData,
    Behaviour::DefersMessage,
    Behaviour::RefusesMessage,
    Behaviour::DropsBeforeAnswer,
    Behaviour::HangsBeforeAnswer,
    Behaviour::DropsAfterAnswer,
];

/// The behaviour of a run's hosts.
#[derive(Debug, Clone, Copy)]
pub(super) enum HostPlan {
    /// [`Host::Faulty`] behaves in this way at the first attempt for each recipient, or always if it refuses.
    First(Behaviour),
    /// [`Host::Faulty`] behaves at random for this percentage of connections and transactions.
    Random { fault_percent: usize },
}

/// The hosts, by the last octet of their addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// Has no faults.
    Good,
    /// Never answers.
    Dead,
    /// Refuses each recipient.
    Refusing,
    Faulty(u8),
}

impl Host {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Good => 1,
            Self::Dead => 2,
            Self::Refusing => 3,
            Self::Faulty(number) => 4 + number,
        }
    }

    const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Good,
            2 => Self::Dead,
            3 => Self::Refusing,
            number => Self::Faulty(number.saturating_sub(4)),
        }
    }

    /// An address at this host.
    pub(super) fn address(self, local: &str) -> String {
        format!("{local}@[192.0.2.{}]", self.number())
    }
}

/// The network of the agent.
#[derive(Debug)]
pub(super) struct SimNetwork(pub(super) World);

impl Network for SimNetwork {
    fn connect(&self, address: SocketAddr) -> Connecting<'_> {
        let world = self.0.clone();
        Box::pin(async move {
            let IpAddr::V4(ip) = address.ip() else { return Err(io::ErrorKind::NetworkUnreachable.into()) };
            let host = Host::from_number(ip.octets()[3]);
            let behaviour = connection_behaviour(&world, host);
            world.log(|| format!("connection to {host:?}: {behaviour:?}"));
            pause(&world).await;
            match behaviour {
                Behaviour::RefusesConnection => return Err(io::ErrorKind::ConnectionRefused.into()),
                Behaviour::NeverConnects => pending().await,
                _ => {}
            }
            let (client, server) = tokio::io::duplex(BUFFER_OCTETS);
            let conversation =
                Conversation { world, host, stream: BufReader::new(server), drops_next: false };
            // A client that goes away ends the conversation.
            tokio::spawn(async move { drop(conversation.run(behaviour).await) });
            Ok(Box::new(client) as Box<dyn Connection>)
        })
    }

    fn utc(&self) -> DateTime<Utc> {
        self.0.utc()
    }
}

async fn pause(world: &World) {
    let time = world.with_random(|random| random.milliseconds(1..=300));
    sleep(time).await;
}

fn connection_behaviour(world: &World, host: Host) -> Behaviour {
    const KINDS: [Behaviour; 4] =
        [Behaviour::RefusesConnection, Behaviour::NeverConnects, Behaviour::Silent, Behaviour::Busy];
    let behaviour = match (host, world.plan()) {
        (Host::Dead, _) => Behaviour::NeverConnects,
        (Host::Faulty(_), HostPlan::Random { fault_percent }) => world.with_random(|random| {
            if random.percent(fault_percent / 2) { *random.pick(&KINDS) } else { Behaviour::Accepts }
        }),
        (Host::Faulty(_), HostPlan::First(behaviour)) if KINDS.contains(&behaviour) => {
            // A host without recipients: the plan ends with the first connection.
            world.set_plan(HostPlan::First(Behaviour::Accepts));
            behaviour
        }
        _ => Behaviour::Accepts,
    };
    note(world, behaviour);
    behaviour
}

fn recipient_behaviour(world: &World, host: Host, recipient: &str) -> Behaviour {
    let attempt = world.with_model(|_, model| model.attempt(recipient));
    let behaviour = match (host, world.plan()) {
        (Host::Refusing, _) => Behaviour::RefusesRecipient,
        (Host::Faulty(_), HostPlan::Random { fault_percent }) => world.with_random(|random| {
            if random.percent(fault_percent) { *random.pick(&BEHAVIOURS[5..]) } else { Behaviour::Accepts }
        }),
        (Host::Faulty(_), HostPlan::First(behaviour)) => match behaviour {
            Behaviour::RefusesRecipient | Behaviour::RefusesMessage => behaviour,
            _ if attempt == 1 => behaviour,
            _ => Behaviour::Accepts,
        },
        _ => Behaviour::Accepts,
    };
    note(world, behaviour);
    behaviour
}

fn note(world: &World, behaviour: Behaviour) {
    if behaviour != Behaviour::Accepts {
        world.with_model(|_, model| model.counters.misbehaviours += 1);
    }
}

/// A connection as its server sees it.
struct Conversation {
    world: World,
    host: Host,
    stream: BufReader<DuplexStream>,
    /// Whether the next command ends the connection.
    drops_next: bool,
}

/// The recipients of a transaction, and the behaviour after RCPT.
#[derive(Default)]
struct Transaction {
    recipients: Vec<String>,
    behaviour: Option<Behaviour>,
}

impl Conversation {
    async fn run(mut self, behaviour: Behaviour) -> io::Result<()> {
        match behaviour {
            Behaviour::Silent => return pending().await,
            Behaviour::Busy => return self.reply("421 4.7.0 too many connections").await,
            _ => self.reply("220 mx.example ESMTP").await?,
        }
        let mut transaction = Transaction::default();
        loop {
            let line = self.line().await?;
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            match text.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => {
                    self.reply("250-mx.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 1000000").await?
                }
                "MAIL" | "QUIT" | "RSET" if self.drops_next => return Ok(()),
                "MAIL" => self.reply("250 2.1.0 ok").await?,
                "RCPT" => {
                    let recipient = text["RCPT TO:<".len()..].split('>').next().unwrap_or_default();
                    self.recipient(recipient, &mut transaction).await?;
                }
                "DATA" if transaction.recipients.is_empty() => self.reply("554 5.5.1 no recipients").await?,
                "DATA" => self.message(std::mem::take(&mut transaction)).await?,
                "RSET" => {
                    transaction = Transaction::default();
                    self.reply("250 2.0.0 ok").await?;
                }
                "QUIT" => return self.reply("221 2.0.0 bye").await,
                _ => self.reply("500 5.5.1 unknown command").await?,
            }
        }
    }

    async fn recipient(&mut self, recipient: &str, transaction: &mut Transaction) -> io::Result<()> {
        let behaviour = recipient_behaviour(&self.world, self.host, recipient);
        self.world.log(|| format!("{recipient}: {behaviour:?}"));
        match behaviour {
            Behaviour::RefusesRecipient => {
                self.world.with_model(|_, model| model.refuse(recipient));
                return self.reply("550 5.1.1 no such user").await;
            }
            Behaviour::DefersRecipient => return self.reply("451 4.7.1 greylisted").await,
            Behaviour::TalksEndlessly => loop {
                self.stream.write_all(b"250-x\r\n").await?;
            },
            Behaviour::ControlCharacters => return self.reply("450 4.2.1 \x1b[2J\0\u{8} no\r250 ok").await,
            _ => {}
        }
        transaction.recipients.push(recipient.to_owned());
        // Later replies are the same for all recipients.
        transaction.behaviour = transaction.behaviour.or(Some(behaviour));
        self.reply("250 2.1.5 ok").await
    }

    async fn message(&mut self, transaction: Transaction) -> io::Result<()> {
        let Transaction { recipients, behaviour } = transaction;
        match behaviour {
            Some(Behaviour::DropsAtData) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Behaviour::HangsAtData) => return pending().await,
            _ => self.reply("354 go on").await?,
        }
        let mut message = Vec::new();
        loop {
            let line = self.line().await?;
            if line == b".\r\n" {
                break;
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        match behaviour {
            Some(Behaviour::DefersMessage) => return self.reply("452 4.2.2 full").await,
            Some(Behaviour::RefusesMessage) => {
                self.world.with_model(|_, model| recipients.iter().for_each(|to| model.refuse(to)));
                return self.reply("554 5.6.0 no").await;
            }
            _ => {}
        }
        for recipient in &recipients {
            self.world.log(|| format!("{recipient} has a copy"));
            let copied = self.world.with_model(|now, model| model.copy(now, recipient, &message));
            copied.unwrap_or_else(|text| self.world.violation(&text));
        }
        let lose =
            || self.world.with_model(|_, model| recipients.iter().for_each(|to| model.lose_answer(to)));
        match behaviour {
            Some(Behaviour::DropsBeforeAnswer) => {
                lose();
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Some(Behaviour::HangsBeforeAnswer) => {
                lose();
                pending().await
            }
            _ => {
                self.drops_next = behaviour == Some(Behaviour::DropsAfterAnswer);
                self.reply("250 2.0.0 ok").await
            }
        }
    }

    async fn reply(&mut self, reply: &str) -> io::Result<()> {
        pause(&self.world).await;
        self.stream.write_all(format!("{reply}\r\n").as_bytes()).await
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        (&mut self.stream).take(LINE_OCTETS_MAX).read_until(b'\n', &mut line).await?;
        if line.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(line) }
    }
}
