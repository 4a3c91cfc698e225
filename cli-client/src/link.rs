//! A [`Machine`] on a TCP connection, or on TLS over one: moves its bytes, keeps its time, and turns every failure into a sentence.

use std::fmt::{self, Display};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mail_core::machine::{ApiMisuse, Machine, ProtocolError, Step};
use mail_core::pop3::client::Session;
use mail_core::smtp::client::Submission;

use crate::timed::Timed;
use crate::tls::{HandshakeError, Mode, Stranger, TlsStream, Trust};

/// What is read from the socket at a time.
const READ_OCTETS: usize = 64 * 1024;
/// How long one of a server's addresses is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may take for a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may take nothing of what is sent: RFC 5321 section 4.5.3.2.5 has 3 minutes for a block.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3 * 60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Smtp,
    Pop3,
}

/// Where a server is, as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) protocol: Protocol,
    /// `host:port`
    pub(crate) address: String,
    pub(crate) tls: Mode,
    pub(crate) trust: Arc<Trust>,
}

/// Why there is no conversation with a server, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("there is no host for {server}: {reason}; name another address with {}", server.flag())]
    NoHost { server: Server, reason: io::Error },
    #[error("nothing answers at {}: is {server} running? Start it, or name another address with {}",
        server.address, server.flag())]
    Refused { server: Server },
    #[error("cannot reach {server}: {reason}")]
    Unreachable { server: Server, reason: io::Error },
    #[error("the connection to {server} was lost: {reason}")]
    Lost { server: Server, reason: String },
    #[error("{server} has closed the connection: {words}")]
    Closed { server: Server, words: String },
    #[error("there is no TLS with {server}: {reason}. Nothing was sent; --tls says when TLS begins")]
    NoTls { server: Server, reason: String },
    #[error("{}", said_of(server, stranger))]
    Untrusted { server: Server, stranger: Box<Stranger> },
}

fn said_of(server: &Server, stranger: &Stranger) -> String {
    let Stranger { fingerprint, reason, has_changed, .. } = stranger;
    let file = server.trust.known.display();
    let remedy = if server.trust.fingerprint.is_some() {
        "it is not the one that --fingerprint names".to_owned()
    } else if *has_changed {
        format!("another one was known here; if the server has a new one, remove its line from {file}")
    } else {
        format!(
            "if it is the right one, say so with --fingerprint {fingerprint}, or name its roots with --ca"
        )
    };
    format!(
        "the certificate of {server} is not to be trusted ({reason}): {remedy}. No password was sent.\n\
         Its SHA-256 fingerprint is {fingerprint}"
    )
}

/// A machine that can go on within TLS.
pub(crate) trait Securable: Machine {
    fn tls_established(&mut self) -> Result<(), ApiMisuse>;
}

impl Securable for Submission {
    fn tls_established(&mut self) -> Result<(), ApiMisuse> {
        self.tls_established()
    }
}

impl Securable for Session {
    fn tls_established(&mut self) -> Result<(), ApiMisuse> {
        self.tls_established()
    }
}

#[derive(Debug)]
enum Stream {
    Plain(Timed),
    Tls(Box<TlsStream>),
    /// Between the two: a handshake has failed.
    Gone,
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8], until: Option<Instant>) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => {
                socket.until = until;
                socket.read(buffer)
            }
            Self::Tls(stream) => {
                stream.sock.until = until;
                match stream.read(buffer) {
                    // Without its notification of closure: what matters has an end of its own in both protocols.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                    read => read,
                }
            }
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(octets),
            Self::Tls(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// A machine and its connection.
#[derive(Debug)]
pub(crate) struct Link<M> {
    /// The machine, to be told what to do between two calls of [`next`](Self::next).
    pub(crate) machine: M,
    server: Server,
    stream: Stream,
    input: BytesMut,
    output: BytesMut,
    chunk: Box<[u8]>,
    /// A write has failed. What the server said before that can still be read.
    broken: bool,
}

impl Server {
    /// Whether the machine has to ask for TLS.
    pub(crate) const fn asks_for_tls(&self) -> bool {
        matches!(self.tls, Mode::Starttls)
    }

    /// The flag that names another.
    const fn flag(&self) -> &'static str {
        match self.protocol {
            Protocol::Smtp => "--smtp",
            Protocol::Pop3 => "--pop3",
        }
    }

    /// Connects to the first of its addresses that answers.
    fn connect(&self) -> Result<TcpStream, LinkError> {
        let server = || self.clone();
        let addresses: Vec<SocketAddr> = self
            .address
            .to_socket_addrs()
            .map_err(|reason| LinkError::NoHost { server: server(), reason })?
            .collect();
        let mut failure = io::Error::other("the name has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(if failure.kind() == io::ErrorKind::ConnectionRefused {
            LinkError::Refused { server: server() }
        } else {
            LinkError::Unreachable { server: server(), reason: failure }
        })
    }
}

impl Server {
    fn encrypt(&self, mut socket: Timed) -> Result<Stream, LinkError> {
        socket.until = Some(Instant::now() + HANDSHAKE_TIMEOUT);
        match self.trust.handshake(socket, &self.address) {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(HandshakeError::Stranger(stranger)) => {
                Err(LinkError::Untrusted { server: self.clone(), stranger: Box::new(stranger) })
            }
            Err(HandshakeError::Failed(reason)) => Err(LinkError::NoTls { server: self.clone(), reason }),
        }
    }
}

impl Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Smtp => "SMTP",
            Protocol::Pop3 => "POP3",
        };
        write!(f, "the {protocol} server at {}", self.address)
    }
}

impl<M: Securable> Link<M> {
    /// Connects, and makes the machine, which is told the address of this side.
    ///
    /// # Errors
    /// Nobody can be reached there.
    pub(crate) fn connect(
        server: &Server,
        machine: impl FnOnce(SocketAddr, Instant) -> M,
    ) -> Result<Self, LinkError> {
        let stream = server.connect()?;
        let prepare = || {
            stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
            // Commands are small and wait for their answers.
            stream.set_nodelay(true)?;
            stream.local_addr()
        };
        let local = prepare().map_err(|reason| LinkError::Unreachable { server: server.clone(), reason })?;
        let stream = Timed { socket: stream, until: None };
        let stream = match server.tls {
            Mode::Implicit => server.encrypt(stream)?,
            Mode::Never | Mode::Starttls => Stream::Plain(stream),
        };
        Ok(Self {
            machine: machine(local, Instant::now()),
            server: server.clone(),
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            chunk: vec![0; READ_OCTETS].into_boxed_slice(),
            broken: false,
        })
    }

    /// What the server says next; `None` when the session is over as it should be.
    ///
    /// # Errors
    /// The connection is lost, or the server breaks the protocol.
    pub(crate) fn next(&mut self) -> Result<Option<M::Event>, LinkError> {
        loop {
            let mut step = self.machine.receive(Instant::now(), &mut self.input);
            if matches!(step, Ok(Step::NeedInput | Step::Paused)) {
                self.transmit();
                if self.read()? {
                    continue;
                }
                step = self.machine.receive_eof(Instant::now());
            }
            match step {
                Ok(Step::Event(event)) => return Ok(Some(event)),
                Ok(Step::NeedInput | Step::Paused) => return Err(self.lost(ProtocolError::UnexpectedEof)),
                Ok(Step::UpgradeTls) => self.encrypt()?,
                Ok(Step::Closed) => {
                    self.transmit();
                    return Ok(None);
                }
                Err(error) => {
                    self.transmit();
                    return Err(self.lost(error));
                }
            }
        }
    }

    /// As [`next`](Self::next), where the session must not be over.
    ///
    /// # Errors
    /// As for `next`, or the session is over.
    pub(crate) fn expect(&mut self) -> Result<M::Event, LinkError> {
        self.next()?.ok_or_else(|| self.lost(ProtocolError::UnexpectedEof))
    }

    fn encrypt(&mut self) -> Result<(), LinkError> {
        let Stream::Plain(socket) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(self.lost("TLS began twice"));
        };
        self.stream = self.server.encrypt(socket)?;
        self.machine.tls_established().map_err(|error| self.lost(error))
    }

    /// Writes what the machine wants sent; whether the server still takes it. A failure is told by the next read,
    /// which may first bring the words that explain it.
    pub(crate) fn transmit(&mut self) -> bool {
        self.machine.poll_transmit(&mut self.output);
        if !self.broken {
            self.broken = self.stream.write_all(&self.output).is_err();
        }
        self.output.clear();
        !self.broken
    }

    /// The error for a server that ends the session with these words.
    pub(crate) fn closed(&self, words: impl Display) -> LinkError {
        LinkError::Closed { server: self.server.clone(), words: words.to_string() }
    }

    fn lost(&self, reason: impl Display) -> LinkError {
        LinkError::Lost { server: self.server.clone(), reason: reason.to_string() }
    }

    /// Reads once, or lets the machine's time run out; false at the end of the stream.
    fn read(&mut self) -> Result<bool, LinkError> {
        match self.stream.read(&mut self.chunk, self.machine.poll_timeout()) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.input.extend_from_slice(&self.chunk[..count]);
                Ok(true)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => Ok(true),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    self.machine.handle_timeout(Instant::now());
                    Ok(true)
                }
                _ => Err(self.lost(error)),
            },
        }
    }
}
