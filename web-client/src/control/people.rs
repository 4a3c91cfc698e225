//! Updates the address book for the completion of addresses.

use std::rc::Rc;

use mail_core::message::parsed::{NamedAddress, ParsedMessage};
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

    pub(super) fn remember_senders(&self, message: &ParsedMessage) {
        let Some(session) = self.session() else { return };
        let own = self.state().session.account.as_ref().and_then(|account| account.address.clone());
        let sender = |sender: &NamedAddress| {
            let address = sender.parsed_address().filter(|address| own.as_ref() != Some(address))?;
            let name = printable_line(sender.name.as_deref().unwrap_or_default()).into_owned();
            Some(person(address.to_string(), name, 0))
        };
        // A message has one author as a rule. A forged one with many would replace the people that the user knows.
        self.remember(&session, message.from.first().and_then(sender).into_iter().collect());
    }

    fn remember(&self, session: &Rc<LoginSession>, used: Vec<Person>) {
        if used.is_empty() {
            return;
        }
        let mut people = self.state().compose.people.to_vec();
        let (changed, dropped) = people::add(&mut people, used);
        self.dispatch(ComposeAction::People(people));
        let session = session.clone();
        spawn_local(async move { session.storage.put_people(&changed, &dropped).await });
    }
}

fn person(address: String, name: String, sent_count: u32) -> Person {
    Person { address, name, sent_count, last_used: clock::now() }
}
