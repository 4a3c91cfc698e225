//! Imports messages and contacts from files. A message is sent to oneself, because POP3 cannot store one; its fields stay as
//! they are.

use std::future::pending;
use std::rc::Rc;

use mail_core::message::address::Address;
use mail_core::message::draft::{Draft, Subject, parse_address};
use mail_core::time::Duration;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::filing::read_labels;
use super::login_session::LoginSession;
use super::{Control, hello};
use crate::model::format;
use crate::model::import::{self, Imported};
use crate::model::people::Person;
use crate::model::state::Notice;
use crate::model::transcript::Protocol;
use crate::model::vcard;
use crate::platform::socket::Socket;
use crate::platform::{clock, download};
use crate::session::SessionError;
use crate::session::smtp::{self, OutgoingMessage, SendError};

impl Control {
    /// Imports a file, whose content may still be read.
    pub(crate) fn import(&self, name: String, file: impl Future<Output = Option<Vec<u8>>> + 'static) {
        let Some(session) = self.session() else { return };
        let control = self.clone();
        spawn_local(async move {
            let Some(file) = file.await else {
                return control.notify(Notice::error(format!("Cannot read {name}.")));
            };
            if let Some(entries) = read_labels(&file) {
                return control.import_labels(&session, &name, entries);
            }
            match import::read(&file) {
                Imported::Messages(messages) => {
                    drop(file);
                    control.begin_sending();
                    let notice = control.import_messages(&session, &name, messages).await;
                    control.end_sending();
                    if control.is_current(&session) {
                        control.notify(notice);
                        control.check();
                    }
                }
                Imported::People(text) => control.import_people(&session, &name, &text),
                Imported::Unknown => control.notify(Notice::error(format!(
                    "{name} contains no messages, contacts or labels. Import mbox, eml, vcf and json files."
                ))),
            }
        });
    }

    async fn import_messages(
        &self,
        session: &Rc<LoginSession>,
        name: &str,
        messages: Vec<Vec<u8>>,
    ) -> Notice {
        let own = match self.find_address(session).await {
            Ok(own) => own,
            Err(error) => return Notice::error(format!("Not imported. {error}")),
        };
        let all = messages.len();
        let (mut imported, mut problem) = (0, None);
        for message in messages {
            if !self.is_current(session) {
                break;
            }
            match self.send_to_oneself(session, &own, message).await {
                Ok(()) => imported += 1,
                // The server refuses this message, not the others.
                Err(error @ SendError::Session(SessionError::Refused(_))) => problem = Some(error),
                Err(error) => {
                    problem = Some(error);
                    break;
                }
            }
            if all > 1 {
                let progress = format!("Importing {} of {}…", format::number(imported), format::number(all));
                self.notify(Notice::info(progress));
            }
            sleep(Duration::ZERO).await;
        }
        let done = format!(
            "Imported {} of {} from {name}.",
            format::number(imported),
            format::count(all, "message")
        );
        match problem {
            None => Notice::info(done),
            Some(error) => Notice::error(format!("{done} {error}")),
        }
    }

    async fn send_to_oneself(
        &self,
        session: &Rc<LoginSession>,
        own: &Address,
        message: Vec<u8>,
    ) -> Result<(), SendError> {
        let envelope = Draft::new(own.clone(), vec![own.clone()], Subject::default(), String::new());
        let outgoing = OutgoingMessage::new(&envelope, message);
        let socket = Socket::connect(Protocol::Smtp, &session.server).map_err(SessionError::from)?;
        let recorder = self.recorder(Protocol::Smtp);
        let (result, driver) =
            smtp::submit(socket, recorder, hello(), &session.credentials(), &outgoing, |_| {}, pending())
                .await;
        spawn_local(driver.close());
        result.map(drop)
    }

    fn import_people(&self, session: &Rc<LoginSession>, name: &str, text: &str) {
        let people: Vec<Person> = vcard::read(text)
            .into_iter()
            .filter_map(|(name, address)| {
                let address = parse_address("To", &address).ok()?.to_string();
                let name = if name == address { String::new() } else { name };
                Some(Person { address, name, sent_count: 0, last_used: clock::now() })
            })
            .collect();
        let count = format::count(people.len(), "contact");
        self.remember(session, people);
        self.notify(Notice::info(format!("Imported {count} from {name}.")));
    }

    /// Saves the address book as a vCard file.
    pub(crate) fn export_people(&self) {
        let state = self.state();
        let people = &state.compose.people;
        if people.is_empty() {
            return self.notify(Notice::info("There is nothing to export."));
        }
        let bytes = js_sys::Uint8Array::from(vcard::write(people).as_bytes());
        if download::save("contacts.vcf", &js_sys::Array::of1(&bytes)) {
            let count = format::count(people.len(), "contact");
            self.notify(Notice::info(format!("Exported {count} to contacts.vcf.")));
        } else {
            self.notify(Notice::error("This browser cannot save the file."));
        }
    }
}
