//! The user's own address. After sign-in with a bare name, its domain is that of the SMTP server's greeting.
//!
//! The account routes report further addresses, if the server has them; the user chooses one. Sign-in does not wait for it. Until it is known, the page shows the username, and sending asks for it first.

use std::rc::Rc;

use mail_core::message::address::Address;
use mail_core::message::parsed::ParsedMessage;
use yew::platform::spawn_local;

use super::login_session::LoginSession;
use super::{Control, hello};
use crate::model::state::{Account, SessionAction};
use crate::model::transcript::Protocol;
use crate::platform::socket::Socket;
use crate::session::{SessionError, smtp};

/// Completes a bare name before the server's domain is known. Never sent.
const PLACEHOLDER_DOMAIN: &str = "localhost";

impl Control {
    /// Asks for the address in the background unless it is known. After a failure, the next check repeats it.
    pub(super) fn find_address_in_background(&self, session: &Rc<LoginSession>) {
        if session.address.borrow().is_none() {
            let (control, session) = (self.clone(), session.clone());
            spawn_local(async move {
                let _ = control.find_address(&session).await;
            });
        }
    }

    /// The user's own address, asked from the server if it is not known.
    pub(super) async fn find_address(&self, session: &Rc<LoginSession>) -> Result<Address, SessionError> {
        let known = session.address.borrow().clone();
        if let Some(address) = known {
            return Ok(address);
        }
        let socket = Socket::connect(Protocol::Smtp, &session.server)?;
        let domain = smtp::server_domain(socket, self.recorder(Protocol::Smtp), hello()).await?;
        let domain = domain.map_or_else(|| PLACEHOLDER_DOMAIN.to_owned(), |domain| domain.to_string());
        let address = Address::parse(&format!("{}@{domain}", session.account))
            .map_err(|error| SessionError::Refused(format!("Invalid username: {error}.")))?;
        self.use_address(session, &address).await;
        Ok(address)
    }

    /// Sends from an address from now on.
    pub(super) async fn use_address(&self, session: &Rc<LoginSession>, address: &Address) {
        session.address.replace(Some(address.clone()));
        if self.is_current(session) {
            self.dispatch(SessionAction::AddressFound(address.clone()));
        }
        session.storage.put_address(address).await;
    }

    /// The user's choice among the own addresses, by position.
    pub(crate) fn choose_address(&self, at: usize) {
        let address =
            self.state().session.account.as_ref().and_then(|account| account.addresses.get(at).cloned());
        let (Some(session), Some(address)) = (self.session(), address) else { return };
        let control = self.clone();
        spawn_local(async move { control.use_address(&session, &address).await });
    }
}

/// The user's address for a reply, which excludes it from the recipients. While it is unknown, a recipient of the
/// message with the user's name is used.
pub(super) fn address_for_reply(account: &Account, message: &ParsedMessage) -> Option<Address> {
    if let Some(address) = &account.address {
        return Some(address.clone());
    }
    let recipients = message.to.iter().chain(&message.cc).map(|person| person.address.as_str());
    let mut own = recipients.filter(|address| {
        address.rsplit_once('@').is_some_and(|(name, _)| name.eq_ignore_ascii_case(&account.name))
    });
    own.find_map(|address| Address::parse(address).ok()).or_else(|| placeholder(account))
}

/// An address for validation only.
pub(super) fn placeholder(account: &Account) -> Option<Address> {
    Address::parse(&format!("{}@{PLACEHOLDER_DOMAIN}", account.name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn address_for_reply_is_guessed_from_the_recipients() {
        let mut account =
            Account { id: "gb".to_owned(), name: "gb".to_owned(), address: None, addresses: Vec::new() };
        let message =
            ParsedMessage::parse(b"From: ag@iit.edu\r\nTo: x@iit.edu\r\nCc: GB@iitkgp.edu\r\n\r\nx\r\n");
        let guess = |account: &Account, message: &ParsedMessage| {
            address_for_reply(account, message).unwrap().to_string()
        };
        assert_eq!(guess(&account, &message), "GB@iitkgp.edu");
        assert_eq!(guess(&account, &ParsedMessage::default()), "gb@localhost");
        account.address = Address::parse("gb@iit.edu").ok();
        assert_eq!(guess(&account, &message), "gb@iit.edu");
    }
}
