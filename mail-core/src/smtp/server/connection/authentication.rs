//! The AUTH exchange: RFC 4954 section 4.

use super::{Input, Question, Server};
use crate::line::{Line, LineEnding};
use crate::sasl::{self, Mechanism, Progress, SaslError, ServerExchange};
use crate::smtp::server::{Event, replies};

impl Server {
    pub(super) fn on_auth(&mut self, mechanism: Mechanism, initial: Option<&sasl::Message>) {
        self.on_sasl(ServerExchange::start(mechanism, initial));
    }

    pub(super) fn on_sasl_line(&mut self, exchange: ServerExchange, line: Line) {
        match line {
            Line::TooLong => self.fail(replies::AUTH_LINE_TOO_LONG),
            Line::Complete(_, LineEnding::BareLf) if !self.config.bare_line_ends => {
                self.fail(replies::BARE_LF)
            }
            Line::Complete(line, _) => self.on_sasl(exchange.respond(&line)),
        }
    }

    fn on_sasl(&mut self, progress: Result<Progress, SaslError>) {
        match progress {
            Ok(Progress::Continue(exchange)) => {
                self.send(&replies::challenge(exchange.challenge()));
                self.input = Input::Sasl(exchange);
            }
            Ok(Progress::Done(credentials)) => {
                self.ask(Question::Authenticate, Event::Authenticate(credentials));
            }
            Err(error) => self.fail(replies::sasl_error(error)),
        }
    }
}
