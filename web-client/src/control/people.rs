//! Updates the address book for the completion of addresses.

use std::rc::Rc;

use mail_core::message::address::Address;
use mail_core::message::parsed::ParsedMessage;
use mail_core::message::printable::printable_line;
use yew::platform::spawn_local;

use super::Control;
use super::login_session::LoginSession;
use crate::model::draft_form::DraftForm;
use crate::model::people::{self, Person};
use crate::model::state::ComposeAction;
use crate::platform::clock;

impl Control {
    pub(super) fn remember_recipients(&self, session: &Rc<LoginSession>, form: &DraftForm) {
        let addresses =
            [&form.to, &form.cc, &form.bcc].into_iter().flat_map(|field| field.addresses_as_text());
        self.remember(session, addresses.map(|address| person(address, String::new(), 1)).collect());
    }

    pub(super) fn remember_sender(&self, message: &ParsedMessage) {
        let Some(session) = self.session() else { return };
        let own = self.state().session.account.as_ref().and_then(|account| account.address.clone());
        self.remember(&session, sender(message, own.as_ref()).into_iter().collect());
    }

    pub(super) fn remember(&self, session: &Rc<LoginSession>, used: Vec<Person>) {
        if used.is_empty() {
            return;
        }
        let session = session.clone();
        if !self.is_current(&session) {
            // The page shows another account.
            spawn_local(async move {
                let mut people = session.storage.load_people().await;
                let (changed, dropped) = people::add(&mut people, used);
                session.storage.put_people(&changed, &dropped).await;
            });
            return;
        }
        let mut people = self.state().compose.people.to_vec();
        let (changed, dropped) = people::add(&mut people, used);
        self.dispatch(ComposeAction::People(people));
        spawn_local(async move { session.storage.put_people(&changed, &dropped).await });
    }
}

/// The first author, unless it is the user. A forged message with many authors would replace the people that the user knows.
fn sender(message: &ParsedMessage, own: Option<&Address>) -> Option<Person> {
    let sender = message.from.first()?;
    let address = sender.parsed_address().filter(|address| own != Some(address))?;
    let name = printable_line(sender.name.as_deref().unwrap_or_default()).into_owned();
    Some(person(address.to_string(), name, 0))
}

fn person(address: String, name: String, sent_count: u32) -> Person {
    Person { address, name, sent_count, last_used: clock::now() }
}

#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn first_author_is_remembered_unless_it_is_the_user() {
        let message = ParsedMessage::parse(b"From: Ag <ag@iit.edu>, b@iit.edu, c@iit.edu\r\n\r\n");
        let own = Address::parse("ag@iit.edu").unwrap();
        let remembered =
            sender(&message, None).map(|person| (person.address, person.name, person.sent_count));
        assert_eq!(remembered, Some(("ag@iit.edu".to_owned(), "Ag".to_owned(), 0)));
        assert_eq!(sender(&message, Some(&own)), None);
        assert_eq!(sender(&ParsedMessage::default(), None), None);
    }
}
