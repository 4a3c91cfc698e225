//! Blocking driver of a client [`Machine`] over TCP or TLS. Failures become sentences for the user.

use std::fmt::{self, Display};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mail_core::machine::{ApiMisuse, Machine, ProtocolError, Pump, pump};
use mail_core::pop3::client::Session;
use mail_core::smtp::client::Submission;

use crate::deadline_stream::DeadlineStream;
use crate::tls::{HandshakeError, TlsMode, TlsStream, TrustPolicy, UntrustedCertificate};

const READ_BUFFER_BYTES: usize = 64 * 1024;
/// For each address of the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// RFC 5321 section 4.5.3.2.5 asks for 3 minutes per data block.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3 * 60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Smtp,
    Pop3,
    /// HTTP on the page's listener.
    Web,
}

/// A server as configured by the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) protocol: Protocol,
    /// `host:port`
    pub(crate) address: String,
    pub(crate) tls: TlsMode,
    pub(crate) trust: Arc<TrustPolicy>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("cannot resolve the host of {server}: {reason}; set another address with {}", server.flag())]
    UnknownHost { server: Server, reason: io::Error },
    #[error("cannot connect to {server}: connection refused; start the server or set another address with {}",
        server.flag())]
    Refused { server: Server },
    #[error("cannot connect to {server}: {reason}; set another address with {}", server.flag())]
    Unreachable { server: Server, reason: io::Error },
    #[error("connection to {server} lost: {reason}")]
    Lost { server: Server, reason: String },
    #[error("{server} violated the protocol: {reason}")]
    Violated { server: Server, reason: String },
    #[error("{server} closed the connection: {reply}")]
    Closed { server: Server, reply: String },
    #[error(
        "{server} refused to start TLS: {reply}. No password and no mail was sent; use `--tls implicit` for ports 465 and 995, or `--tls never` to connect unencrypted"
    )]
    TlsRefused { server: Server, reply: String },
    #[error(
        "TLS with {server} failed: {reason}. No password and no mail was sent; use `--tls implicit` for ports 465 and 995, or `--tls never` to connect unencrypted"
    )]
    TlsFailed { server: Server, reason: String },
    #[error("{}", untrusted_message(server, certificate))]
    Untrusted { server: Server, certificate: Box<UntrustedCertificate> },
}

fn untrusted_message(server: &Server, certificate: &UntrustedCertificate) -> String {
    let UntrustedCertificate { fingerprint, reason, has_changed, .. } = certificate;
    let known_certificates = server.trust.known_certificates.display();
    let remedy = if server.trust.fingerprint.is_some() {
        "it does not match --fingerprint".to_owned()
    } else if *has_changed {
        format!(
            "it differs from the certificate accepted earlier; if the server has a new certificate, remove its line from \
             {known_certificates}"
        )
    } else {
        format!(
            "if it is the right certificate, pass --fingerprint {fingerprint}, or pass its root certificate with --ca"
        )
    };
    format!(
        "the certificate of {server} is not trusted ({reason}): {remedy}. No password was sent.\n\
         Its SHA-256 fingerprint is {fingerprint}"
    )
}

/// A machine that supports STARTTLS or STLS.
pub(crate) trait StartTlsMachine: Machine {
    fn tls_established(&mut self) -> Result<(), ApiMisuse>;
}

impl StartTlsMachine for Submission {
    fn tls_established(&mut self) -> Result<(), ApiMisuse> {
        self.tls_established()
    }
}

impl StartTlsMachine for Session {
    fn tls_established(&mut self) -> Result<(), ApiMisuse> {
        self.tls_established()
    }
}

#[derive(Debug)]
pub(crate) enum Stream {
    Plain(DeadlineStream),
    Tls(Box<TlsStream>),
    /// After a failed handshake.
    Closed,
}

impl Stream {
    pub(crate) fn read(&mut self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => {
                stream.deadline = deadline;
                stream.read(buffer)
            }
            Self::Tls(stream) => {
                stream.sock.deadline = deadline;
                match stream.read(buffer) {
                    // No close_notify: both protocols detect truncation themselves.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                    result => result,
                }
            }
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// A machine and its stream.
#[derive(Debug)]
pub(crate) struct Connection<M> {
    /// Commands are queued here between calls of [`next_event`](Self::next_event).
    pub(crate) machine: M,
    server: Server,
    stream: Stream,
    input: BytesMut,
    eof: bool,
    output: BytesMut,
    read_buffer: Box<[u8]>,
    /// A write failed. Replies that the server sent before are still read.
    write_failed: bool,
}

impl Server {
    pub(crate) const fn requires_starttls(&self) -> bool {
        matches!(self.tls, TlsMode::Starttls)
    }

    /// The command-line flag that sets the address.
    const fn flag(&self) -> &'static str {
        match self.protocol {
            Protocol::Smtp => "--smtp",
            Protocol::Pop3 => "--pop3",
            Protocol::Web => "--web",
        }
    }

    /// Connects to the first address that accepts.
    fn connect(&self) -> Result<TcpStream, ConnectionError> {
        let server = || self.clone();
        let addresses: Vec<SocketAddr> = self
            .address
            .to_socket_addrs()
            .map_err(|reason| ConnectionError::UnknownHost { server: server(), reason })?
            .collect();
        let mut failure = io::Error::other("the host has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(if failure.kind() == io::ErrorKind::ConnectionRefused {
            ConnectionError::Refused { server: server() }
        } else {
            ConnectionError::Unreachable { server: server(), reason: failure }
        })
    }

    /// Connects, with TLS if it is implicit.
    ///
    /// # Errors
    /// The server is unreachable, or implicit TLS fails.
    pub(crate) fn open(&self) -> Result<Stream, ConnectionError> {
        self.open_at().map(|(stream, _)| stream)
    }

    /// As [`open`](Self::open), with the local address.
    fn open_at(&self) -> Result<(Stream, SocketAddr), ConnectionError> {
        let stream = self.connect()?;
        let configure = || {
            stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
            // Each small command waits for its reply.
            stream.set_nodelay(true)?;
            stream.local_addr()
        };
        let local =
            configure().map_err(|reason| ConnectionError::Unreachable { server: self.clone(), reason })?;
        let stream = DeadlineStream { socket: stream, deadline: None };
        let stream = match self.tls {
            TlsMode::Implicit => self.start_tls(stream)?,
            TlsMode::Never | TlsMode::Starttls => Stream::Plain(stream),
        };
        Ok((stream, local))
    }

    fn start_tls(&self, mut stream: DeadlineStream) -> Result<Stream, ConnectionError> {
        stream.deadline = Some(Instant::now() + HANDSHAKE_TIMEOUT);
        match self.trust.handshake(stream, &self.address) {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(HandshakeError::Untrusted(certificate)) => {
                Err(ConnectionError::Untrusted { server: self.clone(), certificate: Box::new(certificate) })
            }
            Err(HandshakeError::Failed(reason)) => {
                Err(ConnectionError::TlsFailed { server: self.clone(), reason })
            }
        }
    }
}

impl Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Smtp => "SMTP",
            Protocol::Pop3 => "POP3",
            Protocol::Web => "web",
        };
        write!(f, "the {protocol} server at {}", self.address)
    }
}

impl<M: StartTlsMachine> Connection<M> {
    /// Connects. `machine` gets the local address of the connection.
    ///
    /// # Errors
    /// The server is unreachable, or implicit TLS fails.
    pub(crate) fn connect(
        server: &Server,
        machine: impl FnOnce(SocketAddr, Instant) -> M,
    ) -> Result<Self, ConnectionError> {
        let (stream, local) = server.open_at()?;
        Ok(Self {
            machine: machine(local, Instant::now()),
            server: server.clone(),
            stream,
            input: BytesMut::new(),
            eof: false,
            output: BytesMut::new(),
            read_buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            write_failed: false,
        })
    }

    /// Runs the machine to its next event; `None` when the session ends in order.
    ///
    /// # Errors
    /// The connection is lost, TLS fails, or the server breaks the protocol.
    pub(crate) fn next_event(&mut self) -> Result<Option<M::Event>, ConnectionError> {
        loop {
            match pump(&mut self.machine, Instant::now(), &mut self.input, self.eof, &mut self.output) {
                Ok(Pump::Event(event)) => return Ok(Some(event)),
                Ok(Pump::Write) => self.write_output(),
                Ok(Pump::Read { deadline }) => self.read(deadline)?,
                Ok(Pump::UpgradeTls) => {
                    self.write_output();
                    self.upgrade_tls()?;
                }
                Ok(Pump::Closed) => {
                    self.write_output();
                    return Ok(None);
                }
                // A client machine pauses only during a handshake, which `upgrade_tls` completes.
                Ok(Pump::Paused) => return Err(self.lost(ProtocolError::UnexpectedEof)),
                Err(error) => {
                    self.write_output();
                    return Err(self.failed(error));
                }
            }
        }
    }

    /// As [`next_event`](Self::next_event), but the end of the session is an error.
    pub(crate) fn expect_event(&mut self) -> Result<M::Event, ConnectionError> {
        self.next_event()?.ok_or_else(|| self.lost(ProtocolError::UnexpectedEof))
    }

    fn upgrade_tls(&mut self) -> Result<(), ConnectionError> {
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Closed) else {
            return Err(self.violated("STARTTLS within TLS"));
        };
        self.stream = self.server.start_tls(stream)?;
        self.machine.tls_established().map_err(|error| self.violated(error))
    }

    /// Writes all output of the machine. Returns whether the server still accepts it; the next read reports the failure, after
    /// any reply that explains it.
    pub(crate) fn flush(&mut self) -> bool {
        self.machine.poll_transmit(&mut self.output);
        self.write_output();
        !self.write_failed
    }

    fn write_output(&mut self) {
        if !self.write_failed {
            self.write_failed = self.stream.write_all(&self.output).is_err();
        }
        self.output.clear();
    }

    /// Reads once. On timeout, calls `handle_timeout` of the machine.
    fn read(&mut self, deadline: Option<Instant>) -> Result<(), ConnectionError> {
        match self.stream.read(&mut self.read_buffer, deadline) {
            Ok(0) => self.eof = true,
            Ok(count) => self.input.extend_from_slice(&self.read_buffer[..count]),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    self.machine.handle_timeout(Instant::now());
                }
                _ => return Err(self.lost(error)),
            },
        }
        Ok(())
    }

    /// The server ended the session with `reply`.
    pub(crate) fn closed(&self, reply: impl Display) -> ConnectionError {
        ConnectionError::Closed { server: self.server.clone(), reply: reply.to_string() }
    }

    /// The server answered STARTTLS or STLS with `reply`.
    pub(crate) fn tls_refused(&self, reply: impl Display) -> ConnectionError {
        ConnectionError::TlsRefused { server: self.server.clone(), reply: reply.to_string() }
    }

    fn failed(&self, error: ProtocolError) -> ConnectionError {
        match error {
            ProtocolError::UnexpectedEof | ProtocolError::TimedOut => self.lost(error),
            _ => self.violated(error),
        }
    }

    pub(crate) fn violated(&self, reason: impl Display) -> ConnectionError {
        ConnectionError::Violated { server: self.server.clone(), reason: reason.to_string() }
    }

    pub(crate) fn lost(&self, reason: impl Display) -> ConnectionError {
        ConnectionError::Lost { server: self.server.clone(), reason: reason.to_string() }
    }
}
