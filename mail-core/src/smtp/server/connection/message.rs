//! Receiving a message with DATA (up to the final dot) or BDAT (by chunk size).

use bytes::{Bytes, BytesMut};

use super::pace::Pace;
use super::{Chunk, Input, Question, Server};
use crate::dot::Piece;
use crate::line::LineEndChecker;
use crate::machine::ProtocolError;
use crate::smtp::limits::CHUNK_OCTETS_MIN;
use crate::smtp::reply::Reply;
use crate::smtp::server::state::{Outcome, Phase};
use crate::smtp::server::{Event, replies};

impl Server {
    /// Whether the next input is part of a message, accepted or not.
    pub(super) const fn in_message(&self) -> bool {
        matches!(self.input, Input::Text(_) | Input::Chunk(_) | Input::RejectedChunk(..))
    }

    pub(super) fn abort_slow_message(&mut self) {
        self.pace = Pace::default();
        self.refuse_message(&replies::TOO_SLOW);
        self.close(Some(ProtocolError::TooSlow));
    }

    pub(super) fn on_bdat(&mut self, size: u64, last: bool) {
        let chunk = Chunk { size, left: size, last };
        if self.session.phase == Phase::Chunks {
            self.input = Input::Chunk(chunk);
        } else {
            self.line_ends = LineEndChecker::default();
            self.ask(Question::FirstChunk(chunk), Event::Data);
        }
    }

    /// Skips the chunk, which the client sends regardless (RFC 3030 section 2). If its size is unknown, closes,
    /// because the chunk would be read as commands.
    pub(super) fn on_malformed_bdat(&mut self, size: Option<u64>) {
        if let Some(size) = size {
            self.reject_chunk(size, replies::MALFORMED_BDAT);
        } else {
            self.send(&replies::MALFORMED_BDAT);
            self.close(Some(ProtocolError::Unexpected("a BDAT command without a valid size".to_owned())));
        }
    }

    /// Reads part of a DATA message. A rejected message is read to its end. The reply depends on the whole message,
    /// so it is independent of how the stream is split.
    pub(super) fn read_text(&mut self, input: &mut BytesMut) -> bool {
        let Input::Text(decoder) = &mut self.input else { return false };
        let Some(piece) = decoder.decode(input) else { return false };
        let malformed = decoder.is_malformed();
        if let Piece::Text(text) = &piece {
            self.session.message_octets += text.len() as u64;
        }
        let too_large = self.session.message_octets > self.config.message_size_max;
        if malformed || too_large {
            self.reset();
        }
        match piece {
            Piece::Text(text) if self.in_transaction() => self.events.push_back(Event::Chunk(text)),
            Piece::Text(_) => {}
            Piece::End => {
                self.input = Input::Commands;
                if malformed {
                    self.refuse_message(&replies::MALFORMED_MESSAGE);
                } else if too_large {
                    self.refuse_message(&replies::too_large(self.config.message_size_max));
                } else {
                    self.ask(Question::EndOfData, Event::EndOfData);
                }
            }
        }
        true
    }

    pub(super) fn read_chunk(&mut self, input: &mut BytesMut) -> bool {
        let Input::Chunk(chunk) = &mut self.input else { return false };
        if chunk.left > 0 {
            let octets = take(&mut chunk.left, input);
            self.line_ends.check(&octets);
            self.session.message_octets += octets.len() as u64;
            if octets.is_empty() {
                return false;
            }
            self.events.push_back(Event::Chunk(octets));
            return true;
        }
        let Chunk { size, last, .. } = *chunk;
        self.input = Input::Commands;
        self.commands -= usize::from(size >= CHUNK_OCTETS_MIN);
        if !last {
            self.session.phase = self.session.phase.after(Outcome::Chunk);
            self.succeed(&replies::chunk_ok(size));
        } else if self.line_ends.is_malformed() {
            self.reset();
            self.refuse_message(&replies::MALFORMED_MESSAGE);
        } else {
            self.ask(Question::EndOfData, Event::EndOfData);
        }
        true
    }

    pub(super) fn reject_chunk(&mut self, size: u64, reply: Reply) {
        let was_transaction = self.in_transaction();
        self.session.phase = self.session.phase.after(Outcome::ChunkRefused);
        if was_transaction && !self.in_transaction() {
            self.events.push_back(Event::Reset);
        }
        self.input = Input::RejectedChunk(size, reply);
    }

    pub(super) fn skip_chunk(&mut self, input: &mut BytesMut) -> bool {
        let Input::RejectedChunk(left, _) = &mut self.input else { return false };
        if *left > 0 {
            return !take(left, input).is_empty();
        }
        if let Input::RejectedChunk(_, reply) = std::mem::replace(&mut self.input, Input::Commands) {
            self.fail(reply);
            self.rejected |= self.session.phase == Phase::Refused;
        }
        true
    }
}

/// Splits up to `left` octets off the input.
fn take(left: &mut u64, input: &mut BytesMut) -> Bytes {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= length as u64;
    input.split_to(length).freeze()
}
