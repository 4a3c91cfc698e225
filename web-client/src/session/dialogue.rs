//! Turns the crank of a machine over a [`Link`], and lets the transcript listen.

use bytes::BytesMut;
use mail_core::machine::{Machine, ProtocolError, Step};
use mail_core::time::{Duration, Instant};

use super::link::{Link, Received};
use super::{Broken, Trouble};
use crate::transcript::Scribe;

/// How long a goodbye is waited for that changes nothing.
const GOODBYE_MAX: Duration = Duration::from_secs(3);

pub(crate) struct Dialogue<L, M> {
    pub(super) link: L,
    pub(super) machine: M,
    scribe: Scribe,
    input: BytesMut,
    ended: bool,
    /// No answer is waited for beyond this.
    until: Option<Instant>,
}

impl<L: Link, M: Machine> Dialogue<L, M> {
    pub(super) fn new(link: L, machine: M, scribe: Scribe) -> Self {
        Self { link, machine, scribe, input: BytesMut::new(), ended: false, until: None }
    }

    /// What the machine tells next, `None` when the session is over.
    ///
    /// # Errors
    /// The connection is lost, or the server does not keep to the protocol.
    pub(super) async fn next(&mut self) -> Result<Option<M::Event>, Trouble> {
        loop {
            let step = self.machine.receive(Instant::now(), &mut self.input).inspect_err(|error| {
                self.scribe.note(&error.to_string());
            })?;
            match step {
                Step::Event(event) => return Ok(Some(event)),
                Step::NeedInput if self.ended => {
                    return match self.machine.receive_eof(Instant::now()).inspect_err(|error| {
                        self.scribe.note(&error.to_string());
                    })? {
                        Step::Event(event) => Ok(Some(event)),
                        _ => Ok(None),
                    };
                }
                Step::NeedInput => {
                    self.flush().await?;
                    self.wait().await;
                }
                Step::Closed => {
                    self.flush().await?;
                    return Ok(None);
                }
                // Neither can be: no event asks a question of a client, and TLS is the browser's own.
                Step::Paused | Step::UpgradeTls => {
                    return Err(ProtocolError::Unexpected("a request for TLS".to_owned()).into());
                }
            }
        }
    }

    /// Ends politely: the machine has been told to quit, and nobody waits long for the answer.
    pub(crate) async fn part(mut self) {
        self.until = Some(Instant::now() + GOODBYE_MAX);
        while let Ok(Some(_)) = self.next().await {}
    }

    /// Sends what the machine has to say.
    pub(super) async fn flush(&mut self) -> Result<(), Broken> {
        let mut out = BytesMut::new();
        self.machine.poll_transmit(&mut out);
        if out.is_empty() {
            return Ok(());
        }
        self.scribe.sent(&out);
        self.link.send(out.freeze()).await.inspect_err(|Broken| self.scribe.note("the connection is lost"))
    }

    /// Takes in what is there already, without waiting.
    pub(super) fn gather(&mut self) {
        while let Some(bytes) = self.link.received() {
            self.scribe.received(&bytes);
            self.input.extend_from_slice(&bytes);
        }
    }

    /// Whether the server has said something that [`next`](Self::next) has not looked at.
    pub(super) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    async fn wait(&mut self) {
        let deadline = self.machine.poll_timeout().into_iter().chain(self.until).min();
        match self.link.receive(deadline).await {
            Received::Bytes(bytes) => {
                self.scribe.received(&bytes);
                self.input.extend_from_slice(&bytes);
            }
            Received::End => self.ended = true,
            Received::TimedOut if self.until.is_some() => self.ended = true,
            Received::TimedOut => self.machine.handle_timeout(Instant::now()),
        }
    }
}
