//! The SMTP connection to another host.
//!
//! [`Submission`] is the protocol; this module owns the socket, its timeouts and TLS. The host is not trusted: its replies are
//! bounded by the machine and become printable lines.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use mail_core::machine::{Pump, pump};
use mail_core::sasl::Credentials;
use mail_core::smtp::client::{
    BodyError, Envelope, Event, MissingCapability, Stage, Submission, SubmissionConfig, Tls,
};
use mail_core::smtp::command::HelloName;
use mail_core::smtp::extension::Extensions;
use mail_core::smtp::reply::Reply;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::network::{Connection, Network};
use crate::store::MessageBody;

mod failure;

pub(crate) use failure::Failure;

/// A host that does not answer is down. RFC 5321 section 4.5.3.2 has no timeout for this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
/// RFC 5321 section 4.5.3.2.5: at least 3 minutes for a block of data.
const WRITE_TIMEOUT: Duration = Duration::from_secs(180);
/// A host that accepts a message this slowly is treated as one that hangs.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Encryption of a connection.
#[derive(Debug, Clone)]
pub(crate) enum Encryption {
    /// Plain text.
    Off,
    /// STARTTLS if the host offers it; any certificate (RFC 7435).
    Opportunistic(Arc<ClientConfig>),
    /// STARTTLS with any certificate.
    Unverified(Arc<ClientConfig>),
    /// STARTTLS with a verified certificate, and what demands it.
    Verified(Arc<ClientConfig>, &'static str),
    /// TLS with the first octet and a verified certificate.
    Implicit(Arc<ClientConfig>),
}

impl Encryption {
    /// The configuration for STARTTLS.
    const fn start_tls(&self) -> Option<&Arc<ClientConfig>> {
        match self {
            Self::Opportunistic(config) | Self::Unverified(config) | Self::Verified(config, _) => {
                Some(config)
            }
            Self::Off | Self::Implicit(_) => None,
        }
    }
}

/// The TLS that a message needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TlsNeed {
    /// None, whatever the domain demands (`TLS-Required: No`, RFC 8689 section 5).
    Optional,
    /// The security that the recipients' domain demands.
    Default,
    /// Verified TLS here and on every further host (REQUIRETLS).
    Required,
}

/// A host to connect to.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
}

/// `name [address]`
impl Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [{}]", self.name, self.address.ip())
    }
}

/// The reason there is no session.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// Without TLS, the session may succeed.
    TlsFailed(Failure),
    Failed(Failure),
}

#[derive(Debug)]
enum Stream {
    Plain(Box<dyn Connection>),
    Tls(Box<TlsStream<Box<dyn Connection>>>),
    /// During a handshake, and after one that failed.
    Closed,
}

/// A session that has passed EHLO, TLS and AUTH.
#[derive(Debug)]
pub(crate) struct Session {
    machine: Submission,
    stream: Stream,
    encryption: Encryption,
    host: Host,
    input: BytesMut,
    output: BytesMut,
    eof: bool,
    /// A write failed. The host's reply may still explain it.
    write_failed: bool,
    /// The extensions that the host offers.
    extensions: Extensions,
    /// The need of the message for which the connection was opened.
    need: TlsNeed,
    /// The last message was sent up to its end.
    has_sent_body: bool,
}

/// A host has accepted a message for a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The host and its reply.
    pub(crate) text: String,
    /// Whether the host sends the reports that the sender asks for (RFC 3461).
    pub(crate) sends_reports: bool,
}

/// The result of a message.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// For each recipient of the envelope.
    pub(crate) results: Vec<Result<Accepted, Failure>>,
    /// Whether the session can send another message.
    pub(crate) is_open: bool,
    /// Whether the host may have received the message.
    pub(crate) has_sent_body: bool,
}

impl Session {
    /// Connects and waits until the host accepts envelopes.
    pub(crate) async fn connect(
        network: &dyn Network,
        host: Host,
        encryption: Encryption,
        hello: HelloName,
        credentials: Option<Credentials>,
        need: TlsNeed,
    ) -> Result<Self, ConnectError> {
        let unreachable = |error: &dyn Display| {
            ConnectError::Failed(Failure::temporary("4.4.1", format!("{host} cannot be reached: {error}")))
        };
        let stream = match timeout(CONNECT_TIMEOUT, network.connect(host.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(&error)),
            Err(_) => return Err(unreachable(&"no answer")),
        };
        let tls = match encryption {
            Encryption::Off | Encryption::Implicit(_) => Tls::Never,
            Encryption::Opportunistic(_) => Tls::IfOffered,
            Encryption::Unverified(_) | Encryption::Verified(..) => Tls::Required,
        };
        let auth_required = credentials.is_some();
        let config = SubmissionConfig { hello, tls, credentials, auth_required };
        let mut session = Self {
            machine: Submission::new(config, now()),
            stream: Stream::Plain(stream),
            encryption,
            host,
            input: BytesMut::new(),
            output: BytesMut::new(),
            eof: false,
            write_failed: false,
            extensions: Extensions::default(),
            need,
            has_sent_body: false,
        };
        if let Encryption::Implicit(config) = &session.encryption {
            let config = Arc::clone(config);
            session.handshake(config).await.map_err(ConnectError::Failed)?;
        }
        session.ready().await?;
        Ok(session)
    }

    async fn ready(&mut self) -> Result<(), ConnectError> {
        loop {
            let event =
                self.next_event().await.map_err(|failure| match (&self.stream, &self.encryption) {
                    (Stream::Closed, Encryption::Opportunistic(_)) => ConnectError::TlsFailed(failure),
                    _ => ConnectError::Failed(failure),
                })?;
            // A host that rejects the client, even permanently, is one without service: another one may accept the mail.
            let failure = match event {
                Event::Greeting(_) => continue,
                Event::Ready { extensions, .. } => {
                    self.extensions = extensions;
                    return Ok(());
                }
                // The host offers TLS, but not now.
                Event::Rejected { stage: Stage::StartTls, reply }
                    if matches!(self.encryption, Encryption::Opportunistic(_)) =>
                {
                    self.machine.cancel();
                    return Err(ConnectError::TlsFailed(self.refusal(&reply)));
                }
                Event::Rejected { reply, .. } | Event::Goodbye(reply) => self.reply(&reply),
                Event::LoginRefused(reply) => format!("4.7.8 {} refuses the password: {reply}", self.host),
                Event::MissingCapability(missing) => {
                    format!("4.7.4 {}: {missing}{}", self.host, self.demand())
                }
                _ => format!("4.5.0 {} breaks the protocol", self.host),
            };
            self.machine.cancel();
            return Err(ConnectError::Failed(Failure { is_permanent: false, text: failure }));
        }
    }

    /// Whether the session, opened for another message, can send this one.
    pub(crate) fn suits(&self, envelope: &Envelope, need: TlsNeed) -> bool {
        let is_opened_for = need <= self.need || (self.need == TlsNeed::Default && self.is_verified());
        is_opened_for && self.check(envelope, need).is_ok()
    }

    /// Checks that the host can take a message.
    ///
    /// # Errors
    /// It lacks a capability. That is final for this host.
    pub(crate) fn check(&self, envelope: &Envelope, need: TlsNeed) -> Result<(), Failure> {
        if need == TlsNeed::Required && !self.is_verified() {
            let text = format!("{}: the connection is not encrypted and verified (REQUIRETLS)", self.host);
            return Err(Failure::permanent("5.7.30", text));
        }
        envelope.missing_capability(&self.extensions).map_or(Ok(()), |missing| Err(self.missing(missing)))
    }

    const fn is_verified(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
            && matches!(self.encryption, Encryption::Verified(..) | Encryption::Implicit(_))
    }

    fn missing(&self, missing: MissingCapability) -> Failure {
        let status = match missing {
            MissingCapability::Size(_) => "5.3.4",
            MissingCapability::SmtpUtf8 => "5.6.7",
            MissingCapability::RequireTls => "5.7.30",
            _ => "5.6.3",
        };
        Failure::permanent(status, format!("{}: {missing}", self.host))
    }

    /// The source of the demand for verified TLS, for the text of a failure.
    fn demand(&self) -> String {
        match &self.encryption {
            Encryption::Verified(_, reason) => format!(" (demanded by {reason})"),
            _ => String::new(),
        }
    }

    /// Sends a message.
    pub(crate) async fn send(&mut self, envelope: Envelope, body: &mut impl MessageBody) -> Transaction {
        let mut results = vec![None; envelope.recipients.len()];
        self.has_sent_body = false;
        let transaction = self.transact(envelope, body, &mut results);
        let rest = match timeout(TRANSACTION_TIMEOUT, transaction).await {
            Ok(rest) => rest,
            Err(_) => {
                self.machine.cancel();
                Err(Failure::temporary("4.4.2", format!("{} takes too long", self.host)))
            }
        };
        let results = results.into_iter().map(|result| result.map_or_else(|| rest.clone(), Err)).collect();
        Transaction { results, is_open: self.is_open(), has_sent_body: self.has_sent_body }
    }

    /// The result for the recipients that have none in `results`.
    async fn transact(
        &mut self,
        envelope: Envelope,
        body: &mut impl MessageBody,
        results: &mut [Option<Failure>],
    ) -> Result<Accepted, Failure> {
        self.machine.send(envelope).map_err(|error| Failure::temporary("4.3.0", error))?;
        loop {
            match self.next_event().await? {
                Event::RecipientRefused { index, reply } => {
                    let is_one_of_many = results.len() > 1;
                    if let Some(result) = results.get_mut(index) {
                        *result = Some(self.recipient_refusal(&reply, is_one_of_many));
                    }
                }
                Event::SendBody => self.send_body(body).await?,
                Event::Sent(reply) => {
                    return Ok(Accepted { text: self.reply(&reply), sends_reports: self.extensions.dsn });
                }
                Event::Refused { reply, .. } => return Err(self.refusal(&reply)),
                Event::Goodbye(reply) => {
                    return Err(Failure { is_permanent: false, text: self.reply(&reply) });
                }
                Event::MissingCapability(missing) => return Err(self.missing(missing)),
                _ => {}
            }
        }
    }

    async fn send_body(&mut self, body: &mut impl MessageBody) -> Result<(), Failure> {
        loop {
            let piece = match body.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    // Without the final dot, the host discards the message.
                    self.machine.cancel();
                    return Err(Failure::temporary("4.3.0", format!("cannot read the message: {error}")));
                }
            };
            if let Err(error) = self.machine.body(&piece) {
                self.machine.cancel();
                return Err(match error {
                    BodyError::Nul => Failure::permanent("5.6.0", error),
                    BodyError::Order(_) => Failure::temporary("4.3.0", error),
                });
            }
            if !self.machine.wants_body() {
                self.flush().await;
            }
        }
        self.has_sent_body = true;
        self.machine.body_end().map_err(|error| Failure::temporary("4.3.0", error))
    }

    /// Ends the session with QUIT.
    pub(crate) async fn quit(mut self) {
        self.machine.quit();
        while self.next_event().await.is_ok() {}
    }

    /// Whether another message can be sent. Reads no reply, so a close by the host is noticed by the next message.
    fn is_open(&self) -> bool {
        !self.eof && !self.write_failed && self.machine.is_ready()
    }

    /// The next event; the end of the session is a failure.
    async fn next_event(&mut self) -> Result<Event, Failure> {
        loop {
            match pump(&mut self.machine, now(), &mut self.input, self.eof, &mut self.output) {
                Ok(Pump::Event(event)) => return Ok(event),
                Ok(Pump::Write) => self.write_output().await,
                Ok(Pump::Read { deadline }) => self.read(deadline).await?,
                Ok(Pump::UpgradeTls) => {
                    self.write_output().await;
                    let Some(config) = self.encryption.start_tls() else {
                        return Err(self.lost("STARTTLS without TLS"));
                    };
                    let config = Arc::clone(config);
                    self.handshake(config).await?;
                    self.machine.tls_established().map_err(|error| self.lost(error))?;
                }
                Ok(Pump::Closed | Pump::Paused) => {
                    self.write_output().await;
                    return Err(self.lost("the connection is closed"));
                }
                Err(error) => {
                    self.write_output().await;
                    return Err(self.lost(error));
                }
            }
        }
    }

    async fn handshake(&mut self, config: Arc<ClientConfig>) -> Result<(), Failure> {
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Closed) else {
            return Err(self.lost("STARTTLS within TLS"));
        };
        let failed = |error: &dyn Display| {
            let demand = self.demand();
            Failure::temporary("4.7.5", format!("{}: the TLS handshake failed: {error}{demand}", self.host))
        };
        let name = ServerName::try_from(self.host.name.clone())
            .unwrap_or_else(|_| ServerName::IpAddress(self.host.address.ip().into()));
        match timeout(HANDSHAKE_TIMEOUT, TlsConnector::from(config).connect(name, stream)).await {
            Ok(Ok(stream)) => self.stream = Stream::Tls(Box::new(stream)),
            Ok(Err(error)) => return Err(failed(&error)),
            Err(_) => return Err(failed(&"no answer")),
        }
        Ok(())
    }

    /// Writes what the machine has queued.
    async fn flush(&mut self) {
        use mail_core::machine::Machine as _;
        self.machine.poll_transmit(&mut self.output);
        self.write_output().await;
    }

    /// After a failure, the next read reports the reason, and any reply that explains it comes first.
    async fn write_output(&mut self) {
        if !self.write_failed {
            self.write_failed =
                !matches!(timeout(WRITE_TIMEOUT, self.stream.write_all(&self.output)).await, Ok(Ok(())));
        }
        self.output.clear();
    }

    /// Reads once. A timeout goes to the machine.
    async fn read(&mut self, deadline: Option<std::time::Instant>) -> Result<(), Failure> {
        use mail_core::machine::Machine as _;
        let read = self.stream.read(&mut self.input);
        let read = match deadline {
            Some(deadline) => timeout_at(deadline.into(), read).await,
            None => Ok(read.await),
        };
        match read {
            Ok(Ok(0)) => self.eof = true,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(self.lost(error)),
            Err(_) => self.machine.handle_timeout(now()),
        }
        Ok(())
    }

    /// The host and its reply.
    fn reply(&self, reply: &Reply) -> String {
        format!("{}: {reply}", self.host)
    }

    fn refusal(&self, reply: &Reply) -> Failure {
        Failure { is_permanent: reply.is_permanent(), text: self.reply(reply) }
    }

    /// 552 may mean too many recipients (RFC 5321 section 4.5.3.1.10); then the recipient is sent again.
    fn recipient_refusal(&self, reply: &Reply, is_one_of_many: bool) -> Failure {
        let refusal = self.refusal(reply);
        let is_permanent = refusal.is_permanent && !(is_one_of_many && reply.code().value() == 552);
        Failure { is_permanent, ..refusal }
    }

    fn lost(&self, reason: impl Display) -> Failure {
        Failure::temporary("4.4.2", format!("{}: {reason}", self.host))
    }
}

/// The time of the machine: tokio's clock, which a test can stop.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl Stream {
    async fn read(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(input).await,
            Self::Tls(stream) => match stream.read_buf(input).await {
                // No close_notify: the protocol detects truncation itself.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                read => read,
            },
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    async fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(octets).await,
            Self::Tls(stream) => {
                stream.write_all(octets).await?;
                stream.flush().await
            }
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
