//! Tokens of signed-in users: random, short-lived, in memory only.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mail_core::users::Username;

/// The page asks for another token afterwards, with its stored password.
pub(super) const LIFETIME: Duration = Duration::from_secs(3600);
const TOKENS_MAX: usize = 10_000;
const TOKEN_BYTES: usize = 32;

/// The valid tokens.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<String, Token>>);

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) account: Username,
    pub(super) expires: Instant,
}

impl Tokens {
    /// Creates a token. The one that expires first gives way if there are too many.
    pub(super) fn create(&self, account: Username, now: Instant) -> String {
        let mut octets = [0; TOKEN_BYTES];
        getrandom::fill(&mut octets).expect("the system has a random source, which TLS and salts need, too");
        let text = octets.iter().fold(String::new(), |mut text, octet| {
            let _ = write!(text, "{octet:02x}");
            text
        });
        let mut tokens = self.lock();
        if tokens.len() >= TOKENS_MAX {
            tokens.retain(|_, token| token.expires > now);
        }
        if tokens.len() >= TOKENS_MAX {
            let first = tokens.iter().min_by_key(|(_, token)| token.expires).map(|(text, _)| text.clone());
            first.and_then(|first| tokens.remove(&first));
        }
        tokens.insert(text.clone(), Token { account, expires: now + LIFETIME });
        text
    }

    pub(super) fn find(&self, text: &str, now: Instant) -> Option<Token> {
        self.lock().get(text).filter(|token| token.expires > now).cloned()
    }

    /// Ends the tokens of an account.
    pub(super) fn revoke(&self, account: &Username) {
        self.lock().retain(|_, token| token.account != *account);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Token>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Username {
        Username::parse(text).expect("a name")
    }

    #[test]
    fn token_expires_and_is_revoked_with_its_account() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        let (ag, gb) = (tokens.create(name("ag"), now), tokens.create(name("gb"), now));
        assert!(ag.len() == 2 * TOKEN_BYTES && ag != gb, "{ag} {gb}");
        let account = |token: &str, time| tokens.find(token, time).map(|token| token.account);
        assert_eq!(account(&ag, now), Some(name("ag")));
        assert_eq!(account(&ag, now + LIFETIME), None);
        assert_eq!(account("", now), None);
        tokens.revoke(&name("AG"));
        assert_eq!((account(&ag, now), account(&gb, now)), (None, Some(name("gb"))));
    }

    #[test]
    fn number_of_tokens_is_limited() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        let first = tokens.create(name("ag"), now);
        for _ in 0..TOKENS_MAX {
            tokens.create(name("ag"), now + Duration::from_secs(1));
        }
        assert_eq!(tokens.lock().len(), TOKENS_MAX);
        assert!(tokens.find(&first, now).is_none());
    }
}
