//! POP3 access to caught mail, for tests of POP3 clients. Every password is accepted.
//!
//! The user name `bob` sees the messages to `bob` and `bob+anything` at any domain. The user `everyone`, and every login that is not a
//! user name, sees all messages.

use std::sync::Arc;

use bytes::Bytes;
use mail_core::line::LineNormaliser;
use mail_core::pop3::top::TopLimiter;
use mail_core::secret::Secret;
use mail_core::users::Username;
use mail_store::directory::{Directory, DirectoryError};
use mail_store::{Body, Entry, Extent, Maildrop, MaildropStore, StoreError};

use crate::store::{Message, Store};

const CHUNK_OCTETS: usize = 64 << 10;
/// Account of logins that are not valid usernames, such as addresses.
const ALL_MAIL: &str = "everyone";

/// A directory where every account exists and every password is correct.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AcceptAllDirectory;

impl Directory for AcceptAllDirectory {
    async fn find(&self, name: &Username) -> Result<Option<Username>, DirectoryError> {
        Ok(Some(name.clone()))
    }

    async fn first(&self) -> Result<Option<Username>, DirectoryError> {
        Ok(Some(all_mail()))
    }

    async fn verify(
        &self,
        name: Option<&Username>,
        _password: &Secret<String>,
    ) -> Result<Option<Username>, DirectoryError> {
        Ok(Some(name.cloned().unwrap_or_else(all_mail)))
    }
}

fn all_mail() -> Username {
    Username::parse(ALL_MAIL).expect("a user name")
}

/// The maildrops of all accounts. There is no lease: several sessions may read the same messages.
#[derive(Debug)]
pub(crate) struct CatchMaildrops(pub(crate) Arc<Store>);

/// A snapshot of messages.
#[derive(Debug)]
pub(crate) struct CatchMaildrop {
    store: Arc<Store>,
    /// Oldest first.
    messages: Vec<Arc<Message>>,
}

/// The unread rest of a message.
#[derive(Debug)]
pub(crate) struct CatchBody(Bytes);

impl MaildropStore for CatchMaildrops {
    type Maildrop = CatchMaildrop;

    async fn open(&self, account: &Username) -> Result<CatchMaildrop, StoreError> {
        let selected = self.0.after(None).into_iter().filter(|message| is_for(message, account));
        Ok(CatchMaildrop { store: Arc::clone(&self.0), messages: selected.collect() })
    }
}

fn is_for(message: &Message, account: &Username) -> bool {
    let local_part = |address: &str| {
        let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
        local.split('+').next().unwrap_or_default().to_owned()
    };
    account.as_str() == ALL_MAIL
        || message
            .envelope
            .to
            .iter()
            .any(|address| local_part(address).eq_ignore_ascii_case(account.as_str()))
}

/// A message with CRLF at the end of each line, the last one included.
pub(crate) fn text(octets: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(octets.len() + 2);
    LineNormaliser::default().normalise(octets, &mut text);
    if !text.ends_with(b"\r\n") {
        text.extend_from_slice(b"\r\n");
    }
    text
}

/// Octets of a message as RETR sends it, without a copy of all of it.
pub(crate) fn octets(message: &[u8]) -> u64 {
    let (mut normaliser, mut text, mut octets) = (LineNormaliser::default(), Vec::new(), 0);
    let mut end = [0; 2];
    for chunk in message.chunks(CHUNK_OCTETS) {
        text.clear();
        normaliser.normalise(chunk, &mut text);
        octets += text.len() as u64;
        for octet in text.iter().rev().take(2).rev() {
            end = [end[1], *octet];
        }
    }
    if end == *b"\r\n" { octets } else { octets + 2 }
}

impl CatchMaildrop {
    fn message(&self, number: u64) -> Result<&Arc<Message>, StoreError> {
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        index
            .and_then(|index| self.messages.get(index))
            .ok_or_else(|| StoreError::Failed(format!("there is no message {number}")))
    }
}

fn entry(number: u64, message: &Message) -> Entry {
    Entry { number, octets: message.pop3_octets, unique_id: message.id.clone() }
}

impl Maildrop for CatchMaildrop {
    type Body = CatchBody;

    fn count(&self) -> u64 {
        self.messages.len() as u64
    }

    fn octets(&self) -> u64 {
        self.messages.iter().map(|message| message.pop3_octets).sum()
    }

    async fn entries(&mut self, from: u64) -> Result<Vec<Entry>, StoreError> {
        let skipped = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
        Ok((from..)
            .zip(self.messages.iter().skip(skipped))
            .map(|(number, message)| entry(number, message))
            .collect())
    }

    async fn entry(&mut self, number: u64) -> Result<Entry, StoreError> {
        self.message(number).map(|message| entry(number, message))
    }

    async fn body(&mut self, number: u64, extent: Extent) -> Result<CatchBody, StoreError> {
        let (store, message) = (Arc::clone(&self.store), Arc::clone(self.message(number)?));
        let text = tokio::task::spawn_blocking(move || {
            let mut text = text(&store.files().read(&message.id)?);
            if let Extent::Top(lines) = extent {
                let length = TopLimiter::new(lines).take(&text);
                text.truncate(length);
            }
            Some(text)
        });
        let text = text.await.map_err(|error| StoreError::Failed(error.to_string()))?;
        let text = text.ok_or_else(|| StoreError::Lost(format!("message {number} was deleted")))?;
        Ok(CatchBody(text.into()))
    }

    async fn remove(self, numbers: &[u64]) -> Result<(), StoreError> {
        let messages = numbers.iter().map(|number| self.message(*number).map(Arc::clone));
        let messages: Vec<_> = messages.collect::<Result<_, _>>()?;
        self.store.delete(&messages);
        Ok(())
    }

    fn lease_lifetime(&self) -> Option<std::time::Duration> {
        None
    }

    async fn renew(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Body for CatchBody {
    fn is_dot_stuffed(&self) -> bool {
        false
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        let length = self.0.len().min(CHUNK_OCTETS);
        Ok(if length == 0 { None } else { Some(self.0.split_to(length)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_those_that_are_sent() {
        let long = "x".repeat(CHUNK_OCTETS - 1) + "\r\n" + &"y\n".repeat(CHUNK_OCTETS);
        for message in ["", "\n", "\r", "a", "a\nb\r\nc", "a\r\n", "a\rb\n\r\r\n", &long, long.trim_end()] {
            assert_eq!(octets(message.as_bytes()), text(message.as_bytes()).len() as u64, "{:.20?}", message);
        }
    }
}
