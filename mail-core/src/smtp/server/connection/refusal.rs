//! Reports the steps of a transaction that the machine refuses by itself, so that a log can name them.

use bytes::Bytes;

use super::Server;
use crate::line::Line;
use crate::smtp::reply::Reply;
use crate::smtp::server::{Event, Refusal};

/// The line of a MAIL, RCPT, DATA or BDAT command.
pub(super) fn transaction_command(line: &Line) -> Option<Bytes> {
    let Line::Complete(line, _) = line else { return None };
    let verb = line.get(..4)?.to_ascii_uppercase();
    matches!(&*verb, b"MAIL" | b"RCPT" | b"DATA" | b"BDAT").then(|| line.clone())
}

impl Server {
    /// Reports the current command if it belongs to a transaction.
    pub(super) fn report_command(&mut self, reply: &Reply) {
        if let Some(command) = self.command.take() {
            self.report(Some(command), reply);
        }
    }

    /// Replies to a complete message that is not delivered.
    pub(super) fn refuse_message(&mut self, reply: &Reply) {
        self.send(reply);
        self.report(None, reply);
    }

    fn report(&mut self, command: Option<Bytes>, reply: &Reply) {
        self.events.push_back(Event::Refused(Refusal { command, reply: reply.clone() }));
    }
}
