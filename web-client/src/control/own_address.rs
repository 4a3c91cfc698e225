//! The user's own address. After sign-in with a bare name, its domain is that of the SMTP server's greeting.
//!
//! The account routes report all own addresses, if the server has these routes; the user chooses one of them. Sign-in does not
//! wait for the address. Until it is known, the page shows the username, and sending asks for it first.

use std::rc::Rc;

use mail_core::message::address::Address;
use mail_core::message::header::{self, Field};
use mail_core::message::parsed::NamedAddress;
use yew::platform::spawn_local;

use super::login_session::LoginSession;
use super::{Control, hello};
use crate::model::fetched_message::FetchedMessage;
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
        let domain = smtp::server_domain(socket, session.recorder(Protocol::Smtp), hello()).await?;
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

    /// The user's choice among the own addresses, by position: for the open draft and for new messages.
    pub(crate) fn choose_address(&self, at: usize) {
        let address =
            self.state().session.account.as_ref().and_then(|account| account.addresses.get(at).cloned());
        let (Some(session), Some(address)) = (self.session(), address) else { return };
        self.edit(|form| form.from = Some(address.clone()));
        let control = self.clone();
        spawn_local(async move { control.use_address(&session, &address).await });
    }
}

/// The user's address for a reply, which excludes it from the recipients: the own address that the message was sent to, or that
/// it was sent from. While no own address is known, a recipient of the message with the user's name is used.
pub(super) fn address_for_reply(account: &Account, message: &FetchedMessage) -> Option<Address> {
    let parsed = &message.parsed;
    let delivered_to = delivered_to(&message.raw);
    let people = parsed.to.iter().chain(&parsed.cc).chain(&parsed.from);
    let people = people.filter_map(NamedAddress::parsed_address);
    if let Some(own) = delivered_to.into_iter().chain(people).find_map(|address| own(account, &address)) {
        return Some(own.clone());
    }
    if let Some(address) = &account.address {
        return Some(address.clone());
    }
    let recipients = parsed.to.iter().chain(&parsed.cc).map(|person| person.address.as_str());
    let mut own = recipients.filter(|address| {
        address.rsplit_once('@').is_some_and(|(name, _)| name.eq_ignore_ascii_case(&account.name))
    });
    own.find_map(|address| Address::parse(address).ok()).or_else(|| placeholder(account))
}

/// The addresses that have led to the mailbox, the last one first (RFC 9228).
fn delivered_to(message: &[u8]) -> Vec<Address> {
    let (header, _) = header::split(message);
    let fields = header::fields(header).filter(|field| field.is("Delivered-To"));
    let text = |field: Field<'_>| str::from_utf8(field.value.trim_ascii()).ok().map(str::to_owned);
    fields.filter_map(|field| Address::parse(&text(field)?).ok()).collect()
}

/// The own address that accepts mail for `address`: the same one, or the one before its `+tag`.
fn own<'a>(account: &'a Account, address: &Address) -> Option<&'a Address> {
    let local = |address: &Address| address.local.as_str().to_lowercase();
    let wanted = local(address);
    let untagged = wanted.split_once('+').map(|(name, _)| name);
    let has = |local_part: &str| {
        account.addresses.iter().find(|own| own.host == address.host && local(own) == local_part)
    };
    has(&wanted).or_else(|| untagged.and_then(has))
}

/// An address for validation only.
pub(super) fn placeholder(account: &Account) -> Option<Address> {
    Address::parse(&format!("{}@{PLACEHOLDER_DOMAIN}", account.name)).ok()
}

#[cfg(test)]
mod tests {
    use mail_core::message::platform::Platform;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn fetched(message: &str) -> FetchedMessage {
        FetchedMessage::parse(message.to_owned(), Platform::NONE)
    }

    #[test]
    fn reply_comes_from_the_own_address_that_the_message_was_sent_to() {
        let address = |text: &str| Address::parse(text).unwrap();
        let account = Account {
            id: "gb".to_owned(),
            name: "gb".to_owned(),
            address: Some(address("gb@iit.edu")),
            addresses: ["gb@iit.edu", "sales@iit.edu", "Info@iit.edu"].map(address).to_vec(),
        };
        for (header, expected) in [
            ("To: sales@iit.edu", "sales@iit.edu"),
            ("To: x@iit.edu\r\nCc: INFO@iit.edu", "Info@iit.edu"),
            ("To: gb@iit.edu, sales@iit.edu", "gb@iit.edu"),
            ("Delivered-To: sales@iit.edu\r\nTo: gb@iit.edu", "sales@iit.edu"),
            ("Delivered-To: x@iit.edu\r\nTo: list@example.org", "gb@iit.edu"),
            ("To: Sales+bills@iit.edu", "sales@iit.edu"),
            ("To: sales@example.org", "gb@iit.edu"),
            // An own message.
            ("From: sales@iit.edu\r\nTo: x@example.org", "sales@iit.edu"),
            ("To:\r\n\r\nDelivered-To: sales@iit.edu", "gb@iit.edu"),
        ] {
            let message = fetched(&format!("{header}\r\nSubject: x\r\n\r\nx\r\n"));
            assert_eq!(address_for_reply(&account, &message).unwrap().to_string(), expected, "{header}");
        }
    }

    #[test]
    fn address_for_reply_is_guessed_from_the_recipients() {
        let mut account =
            Account { id: "gb".to_owned(), name: "gb".to_owned(), address: None, addresses: Vec::new() };
        let message = fetched("From: ag@iit.edu\r\nTo: x@iit.edu\r\nCc: GB@iitkgp.edu\r\n\r\nx\r\n");
        let guess = |account: &Account, message: &FetchedMessage| {
            address_for_reply(account, message).unwrap().to_string()
        };
        assert_eq!(guess(&account, &message), "GB@iitkgp.edu");
        assert_eq!(guess(&account, &fetched("")), "gb@localhost");
        account.address = Address::parse("gb@iit.edu").ok();
        assert_eq!(guess(&account, &message), "gb@iit.edu");
    }
}
