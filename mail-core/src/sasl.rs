//! The SASL mechanisms PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login), for SMTP and POP3.
//!
//! Both mechanisms send the password in clear, so they need an encrypted or local connection; see [`AuthOffer`]. The
//! protocol frames the exchange (RFC 4954, RFC 5034), and the server's policy verifies the password.

use std::fmt::{self, Display};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::secret::Secret;

/// An identity and its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The authorization identity (authzid): the account to act as. Empty means the authentication identity's.
    pub authorization_id: String,
    /// The authentication identity (authcid): the account whose password is given.
    pub authentication_id: String,
    /// The password.
    pub password: Secret<String>,
}

impl Credentials {
    /// Credentials without a separate authorization identity.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            authorization_id: String::new(),
            authentication_id: name.into(),
            password: Secret::new(password.into()),
        }
    }
}

/// The connections on which a server offers authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthOffer {
    /// Never.
    Never,
    /// On encrypted or local connections only (RFC 4954 section 9).
    WhenSecure,
    /// On every connection, plaintext included.
    Always,
}

impl AuthOffer {
    /// Whether authentication is offered on a connection that is `secure`: encrypted or local.
    #[must_use]
    pub const fn is_offered(self, secure: bool) -> bool {
        match self {
            Self::Never => false,
            Self::WhenSecure => secure,
            Self::Always => true,
        }
    }
}

/// A supported mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// PLAIN: one message.
    Plain,
    /// LOGIN: two messages, the name and the password.
    Login,
}

impl Mechanism {
    /// Finds a mechanism by name, ignoring case.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        [Self::Plain, Self::Login]
            .into_iter()
            .find(|known| name.eq_ignore_ascii_case(known.name().as_bytes()))
    }

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }
}

impl Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The reason an exchange failed before the password was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// The client sent `*` (RFC 4954 section 4, RFC 5034 section 4).
    #[error("authentication cancelled")]
    Cancelled,
    /// Not base64.
    #[error("the response is not valid base64")]
    NotBase64,
    /// The decoded message does not fit the mechanism.
    #[error("the response does not contain a name and a password")]
    Malformed,
}

/// One decoded message of an exchange.
pub type Message = Secret<Vec<u8>>;

/// Encodes a message in base64.
#[must_use]
pub fn encode(message: &Message) -> Secret<String> {
    Secret::new(BASE64.encode(message.expose()))
}

/// Decodes a line without its line ending.
///
/// # Errors
/// [`SaslError::NotBase64`], or [`SaslError::Cancelled`] for `*`.
pub fn decode(line: &[u8]) -> Result<Message, SaslError> {
    if line == b"*" {
        return Err(SaslError::Cancelled);
    }
    BASE64.decode(line).map(Secret::new).map_err(|_| SaslError::NotBase64)
}

/// Decodes the initial response of an AUTH command, in which `=` means an empty response (RFC 4954 section 4).
///
/// # Errors
/// As [`decode`].
pub fn decode_initial(argument: &[u8]) -> Result<Message, SaslError> {
    if argument == b"=" { Ok(Secret::new(Vec::new())) } else { decode(argument) }
}

/// The inverse of [`decode_initial`].
#[must_use]
pub fn encode_initial(message: &Message) -> Secret<String> {
    if message.expose().is_empty() { Secret::new("=".to_owned()) } else { encode(message) }
}

/// The state of an exchange on the server.
#[derive(Debug)]
pub enum Progress {
    /// Send [`challenge`](ServerExchange::challenge) and pass the response to [`respond`](ServerExchange::respond).
    Continue(ServerExchange),
    /// The exchange is complete.
    Done(Credentials),
}

/// The server's side of an exchange that awaits a response.
#[derive(Debug)]
pub struct ServerExchange(Awaiting);

#[derive(Debug)]
enum Awaiting {
    Plain,
    LoginName,
    LoginPassword(String),
}

impl ServerExchange {
    /// Starts an exchange, with the initial response of the AUTH command if it has one.
    ///
    /// # Errors
    /// [`SaslError::Malformed`].
    pub fn start(mechanism: Mechanism, initial: Option<&Message>) -> Result<Progress, SaslError> {
        let exchange = Self(match mechanism {
            Mechanism::Plain => Awaiting::Plain,
            Mechanism::Login => Awaiting::LoginName,
        });
        match initial {
            Some(message) => exchange.advance(message),
            None => Ok(Progress::Continue(exchange)),
        }
    }

    /// The challenge to send, in base64.
    #[must_use]
    pub const fn challenge(&self) -> &'static str {
        match self.0 {
            Awaiting::Plain => "",
            Awaiting::LoginName => "VXNlcm5hbWU6",
            Awaiting::LoginPassword(_) => "UGFzc3dvcmQ6",
        }
    }

    /// Processes a response line.
    ///
    /// # Errors
    /// The client cancelled, or the response is invalid.
    pub fn respond(self, line: &[u8]) -> Result<Progress, SaslError> {
        let message = decode(line)?;
        self.advance(&message)
    }

    fn advance(self, message: &Message) -> Result<Progress, SaslError> {
        let text = std::str::from_utf8(message.expose()).map_err(|_| SaslError::Malformed)?;
        match self.0 {
            Awaiting::Plain => {
                // message = [authzid] UTF8NUL authcid UTF8NUL passwd
                let mut parts = text.split('\0');
                let (Some(authorization), Some(name), Some(password), None) =
                    (parts.next(), parts.next(), parts.next(), parts.next())
                else {
                    return Err(SaslError::Malformed);
                };
                credentials(authorization, name, password)
            }
            Awaiting::LoginName => Ok(Progress::Continue(Self(Awaiting::LoginPassword(text.to_owned())))),
            Awaiting::LoginPassword(name) => credentials("", &name, text),
        }
    }
}

/// Rejects an empty name or password (RFC 4616 section 2), and control characters, which neither can contain.
fn credentials(authorization: &str, name: &str, password: &str) -> Result<Progress, SaslError> {
    let whole = !name.is_empty() && !password.is_empty();
    if !whole || [authorization, name, password].iter().any(|part| part.contains(char::is_control)) {
        return Err(SaslError::Malformed);
    }
    Ok(Progress::Done(Credentials {
        authorization_id: authorization.into(),
        ..Credentials::new(name, password)
    }))
}

/// The client's side: the messages to send, in order.
#[derive(Debug, Clone)]
pub struct ClientExchange {
    mechanism: Mechanism,
    messages: std::vec::IntoIter<Message>,
}

impl ClientExchange {
    /// Prepares the mechanism's messages for these credentials.
    #[must_use]
    pub fn new(mechanism: Mechanism, credentials: &Credentials) -> Self {
        let Credentials { authorization_id, authentication_id, password } = credentials;
        let password = password.expose();
        let messages = match mechanism {
            Mechanism::Plain => vec![format!("{authorization_id}\0{authentication_id}\0{password}")],
            Mechanism::Login => vec![authentication_id.clone(), password.clone()],
        };
        let messages: Vec<_> = messages.into_iter().map(|text| Secret::new(text.into_bytes())).collect();
        Self { mechanism, messages: messages.into_iter() }
    }

    /// The initial response for the AUTH command. LOGIN has none, because not every server accepts one.
    pub fn initial(&mut self) -> Option<Message> {
        match self.mechanism {
            Mechanism::Plain => self.messages.next(),
            Mechanism::Login => None,
        }
    }

    /// The response line to the next challenge. `None` if the mechanism has no more messages: cancel with `*`. The text
    /// of a challenge is ignored, because it varies among servers for LOGIN.
    pub fn respond(&mut self) -> Option<Secret<String>> {
        self.messages.next().map(|message| encode(&message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn message(text: &str) -> Message {
        Secret::new(text.as_bytes().to_vec())
    }

    /// Runs both sides of an exchange. `skip_initial` leaves out the initial response.
    fn run(
        mechanism: Mechanism,
        credentials: &Credentials,
        skip_initial: bool,
    ) -> Result<Credentials, SaslError> {
        let mut client = ClientExchange::new(mechanism, credentials);
        let initial = if skip_initial { None } else { client.initial() };
        let mut progress = ServerExchange::start(mechanism, initial.as_ref())?;
        loop {
            match progress {
                Progress::Done(credentials) => return Ok(credentials),
                Progress::Continue(exchange) => {
                    let line = client.respond().expect("the client has a message for each challenge");
                    progress = exchange.respond(line.expose().as_bytes())?;
                }
            }
        }
    }

    #[test]
    fn plain_accepts_the_example_of_rfc_4616() {
        let initial =
            decode_initial(b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm").expect("the example of RFC 4616 section 4");
        let Ok(Progress::Done(credentials)) = ServerExchange::start(Mechanism::Plain, Some(&initial)) else {
            panic!("PLAIN needs one message");
        };
        assert_eq!(credentials, Credentials::new("tim", "tanstaaftanstaaf"));
    }

    #[test]
    fn login_accepts_an_initial_response() {
        let Ok(Progress::Continue(exchange)) = ServerExchange::start(Mechanism::Login, Some(&message("ag")))
        else {
            panic!("LOGIN asks for the password");
        };
        assert_eq!(exchange.challenge(), "UGFzc3dvcmQ6");
        assert!(
            matches!(exchange.respond(b"c2VjcmV0"), Ok(Progress::Done(c)) if c == Credentials::new("ag", "secret"))
        );
    }

    #[test]
    fn server_exchange_rejects_invalid_messages() {
        assert_eq!(decode(b"*"), Err(SaslError::Cancelled));
        assert_eq!(decode(b"a"), Err(SaslError::NotBase64));
        for text in ["", "ag", "ag\0pw", "\0\0pw", "\0ag\0", "\0a\0b\0c", "\0a\nb\0c", "\0a\0b\r"] {
            let started = ServerExchange::start(Mechanism::Plain, Some(&message(text)));
            assert!(matches!(started, Err(SaslError::Malformed)), "{text:?}");
        }
        let latin1 = Secret::new(b"\0ag\0\xE9".to_vec());
        assert!(matches!(ServerExchange::start(Mechanism::Plain, Some(&latin1)), Err(SaslError::Malformed)));
    }

    #[test]
    fn debug_output_hides_the_password() {
        let mut client = ClientExchange::new(Mechanism::Login, &Credentials::new("ag", "hunter2"));
        assert!(!format!("{client:?} {:?}", client.respond()).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn server_receives_the_credentials_of_the_client(authorization_id in "[a-zé]{0,4}", name in "[ -~é]{1,12}", password in "[ -~é]{1,12}") {
            let credentials = Credentials { authorization_id, ..Credentials::new(name, password) };
            prop_assert_eq!(run(Mechanism::Plain, &credentials, false), Ok(credentials.clone()));
            prop_assert_eq!(run(Mechanism::Plain, &credentials, true), Ok(credentials.clone()));
            let without_authzid = Credentials { authorization_id: String::new(), ..credentials };
            prop_assert_eq!(run(Mechanism::Login, &without_authzid, true), Ok(without_authzid.clone()));
        }

        #[test]
        fn decode_initial_is_the_inverse_of_encode_initial(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            let message = Secret::new(bytes);
            let wire = encode_initial(&message);
            prop_assert_eq!(decode_initial(wire.expose().as_bytes()), Ok(message));
        }
    }
}
