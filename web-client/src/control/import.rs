//! Imports messages and contacts from files. A message is sent to oneself, because POP3 cannot store one; its fields stay as
//! they are.

use std::fmt::Write as _;
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
            let mut notice = match import::read(&file) {
                Imported::Messages { messages, left_out } => {
                    drop(file);
                    control.begin_sending();
                    let notice = control.import_messages(&session, &name, messages, left_out).await;
                    control.end_sending();
                    notice
                }
                Imported::People(text) => control.import_people(&session, &name, &text),
                Imported::Unknown => Notice::error(format!(
                    "{name} contains no messages, contacts or labels. Import mbox, eml, vcf and json files."
                )),
            };
            if control.is_current(&session) {
                control.check();
            } else {
                notice.text = format!("Account {}: {}", session.username, notice.text);
            }
            control.notify(notice);
        });
    }

    async fn import_messages(
        &self,
        session: &Rc<LoginSession>,
        name: &str,
        messages: Vec<Vec<u8>>,
        left_out: usize,
    ) -> Notice {
        let own = match self.find_address(session).await {
            Ok(own) => own,
            Err(error) => return Notice::error(format!("Not imported. {error}")),
        };
        let all = messages.len();
        let (mut imported, mut problem) = (0, None);
        for message in messages {
            if session.signed_out.get() {
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
            if all > 1 && self.is_current(session) {
                let progress = format!("Importing {} of {}…", format::number(imported), format::number(all));
                self.notify(Notice::info(progress));
            }
            sleep(Duration::ZERO).await;
        }
        let mut text = format!(
            "Imported {} of {} from {name}.",
            format::number(imported),
            format::count(all + left_out, "message")
        );
        if left_out > 0 {
            let limit = format::count(import::MESSAGES_MAX, "message");
            write!(text, " At most {limit} are imported from a file; split it to import the others.")
                .expect("writing to a String cannot fail");
        }
        match problem {
            None if imported == all + left_out => Notice::info(text),
            None => Notice::error(text),
            Some(error) => Notice::error(format!("{text} {error}")),
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
        let recorder = session.recorder(Protocol::Smtp);
        let (result, driver) =
            smtp::submit(socket, recorder, hello(), &session.credentials(), &outgoing, |_| {}, pending())
                .await;
        spawn_local(driver.close());
        result.map(drop)
    }

    fn import_people(&self, session: &Rc<LoginSession>, name: &str, text: &str) -> Notice {
        let read = vcard::read(text);
        let all = read.people.len();
        let people: Vec<Person> = read
            .people
            .into_iter()
            .filter_map(|(name, address)| {
                let address = parse_address("To", &address).ok()?.to_string();
                let name = if name == address { String::new() } else { name };
                Some(Person { address, name, sent_count: 0, last_used: clock::now() })
            })
            .collect();
        let imported = people.len();
        self.remember(session, people);
        contacts_notice(name, imported, all - imported, read.is_cut)
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

/// `invalid` contacts have no valid address. `is_cut`: the file is too long.
fn contacts_notice(name: &str, imported: usize, invalid: usize, is_cut: bool) -> Notice {
    let mut text = format!("Imported {} from {name}.", format::count(imported, "contact"));
    if invalid > 0 {
        let invalid = format::count(invalid, "contact");
        write!(text, " {invalid} without a valid address left out.")
            .expect("writing to a String cannot fail");
    }
    if is_cut {
        let lines = format::number(vcard::LINES_MAX);
        write!(text, " Only the first {lines} lines were read; split the file to import the others.")
            .expect("writing to a String cannot fail");
    }
    if invalid > 0 || is_cut { Notice::error(text) } else { Notice::info(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn notice_says_which_contacts_are_left_out() {
        assert_eq!(contacts_notice("a.vcf", 2, 0, false), Notice::info("Imported 2 contacts from a.vcf."));
        let notice = contacts_notice("a.vcf", 1, 3, true);
        let expected = "Imported 1 contact from a.vcf. 3 contacts without a valid address left out. \
            Only the first 100,000 lines were read; split the file to import the others.";
        assert_eq!(notice, Notice::error(expected));
    }
}
