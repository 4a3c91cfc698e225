//! Drives a client machine of the core over a [`Connection`] and records the dialogue.

use bytes::BytesMut;
use mail_core::machine::{Machine, ProtocolError, Pump, pump};
use mail_core::time::{Duration, Instant};

use super::connection::{Connection, Received};
use super::{ConnectionLost, SessionError};
use crate::model::transcript::TranscriptRecorder;

/// Time that [`Driver::close`] waits for the reply to QUIT.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) struct Driver<C, M> {
    pub(super) connection: C,
    pub(super) machine: M,
    recorder: TranscriptRecorder,
    input: BytesMut,
    output: BytesMut,
    eof: bool,
    /// Ends every wait, in addition to the machine's own deadline.
    deadline: Option<Instant>,
}

impl<C: Connection, M: Machine> Driver<C, M> {
    pub(super) fn new(connection: C, machine: M, recorder: TranscriptRecorder) -> Self {
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Self { connection, machine, recorder, input, output, eof: false, deadline: None }
    }

    /// The machine's next event, or `None` when the session is over.
    ///
    /// # Errors
    /// The connection is lost, or the server violates the protocol.
    pub(super) async fn next_event(&mut self) -> Result<Option<M::Event>, SessionError> {
        match self.run().await {
            Err(SessionError::ConnectionLost) => Err(self.connection_lost()),
            result => result,
        }
    }

    /// The error for a lost connection, with the reason if it is known.
    fn connection_lost(&self) -> SessionError {
        let Some(reason) = self.connection.close_reason() else { return SessionError::ConnectionLost };
        let error = SessionError::Closed(reason);
        self.recorder.note(&error.to_string());
        error
    }

    async fn run(&mut self) -> Result<Option<M::Event>, SessionError> {
        loop {
            let step = pump(&mut self.machine, Instant::now(), &mut self.input, self.eof, &mut self.output);
            match step.inspect_err(|error| self.recorder.note(&error.to_string()))? {
                Pump::Event(event) => return Ok(Some(event)),
                Pump::Write => self.write().await?,
                Pump::Read { deadline } => self.read(deadline).await?,
                Pump::Closed => {
                    self.write().await?;
                    return Ok(None);
                }
                // Client events ask no questions, and the bridge terminates TLS.
                Pump::Paused | Pump::UpgradeTls => {
                    return Err(ProtocolError::Unexpected("a request for TLS".to_owned()).into());
                }
            }
        }
    }

    /// Completes a session after QUIT was queued. Errors are ignored.
    pub(crate) async fn close(mut self) {
        self.deadline = Some(Instant::now() + CLOSE_TIMEOUT);
        while let Ok(Some(_)) = self.next_event().await {}
    }

    /// Sends the machine's queued output.
    pub(super) async fn flush(&mut self) -> Result<(), ConnectionLost> {
        self.machine.poll_transmit(&mut self.output);
        self.write().await
    }

    /// Appends bytes that have already arrived to the input.
    pub(super) fn read_available(&mut self) {
        while let Some(bytes) = self.connection.try_receive() {
            self.recorder.received(&bytes);
            self.input.extend_from_slice(&bytes);
        }
    }

    /// Whether there is input that [`next_event`](Self::next_event) has not processed.
    pub(super) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    async fn write(&mut self) -> Result<(), ConnectionLost> {
        if self.output.is_empty() {
            return Ok(());
        }
        let output = self.output.split().freeze();
        self.recorder.sent(&output);
        let sent = self.connection.send(output).await;
        sent.inspect_err(|ConnectionLost| self.recorder.note("connection lost"))
    }

    async fn read(&mut self, deadline: Option<Instant>) -> Result<(), SessionError> {
        match self.connection.receive(deadline.into_iter().chain(self.deadline).min()).await {
            Received::Bytes(bytes) => {
                self.recorder.received(&bytes);
                self.input.extend_from_slice(&bytes);
            }
            Received::End => self.eof = true,
            Received::Refused(refusal) => {
                let error = SessionError::from(refusal);
                self.recorder.note(&error.to_string());
                return Err(error);
            }
            Received::TimedOut if self.deadline.is_some() => self.eof = true,
            Received::TimedOut => self.machine.handle_timeout(Instant::now()),
        }
        Ok(())
    }
}
