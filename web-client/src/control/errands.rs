//! The sessions with the servers, one after the other, as a maildrop has one owner at a time. One that fails for a
//! reason that passes is tried again, after a pause that grows.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::pin::pin;
use std::rc::Rc;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::select;
use mail_core::message::view::Summary;
use mail_core::time::{Duration, Instant};
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::notify::notify;
use super::{Control, Visit};
use crate::local::{KEPT_OCTETS_MAX, Shelf};
use crate::opened::Opened;
use crate::session::Trouble;
use crate::session::pop3::{self, News, Reader};
use crate::socket::Socket;
use crate::state::{Account, Action, Connection, Head, Tone};
use crate::transcript::Protocol;
use crate::{charset, clock};

/// Headers are shown as they come, but not each by itself.
const SHOW_EVERY: Duration = Duration::from_millis(150);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Ask for the name of the server.
    Introduce,
    Check,
    Fetch(String),
    Remove,
}

impl Control {
    /// Does all errands, unless they are being done; then it ends a pause between them.
    pub(super) fn work(&self, visit: &Rc<Visit>) {
        if visit.working.replace(true) {
            if let Some(wake) = visit.wake.take() {
                // The pause may just have ended by itself.
                let _ = wake.send(());
            }
            return;
        }
        let (control, visit) = (self.clone(), visit.clone());
        spawn_local(async move {
            while control.is_current(&visit) {
                let Some(errand) = visit.next() else { break };
                control.connection(&visit, Connection::Busy);
                let result = control.run(&visit, &errand).await;
                if !control.is_current(&visit) {
                    return;
                }
                match result {
                    Ok(()) => {
                        visit.backoff.take();
                        visit.doubted.take();
                    }
                    Err(trouble) => {
                        if !control.recover(&visit, errand, trouble).await {
                            break;
                        }
                    }
                }
            }
            visit.working.set(false);
        });
    }

    async fn run(&self, visit: &Rc<Visit>, errand: &Errand) -> Result<(), Trouble> {
        match errand {
            Errand::Introduce => {
                let address = self.find_address(&visit.account).await?;
                visit.address.replace(Some(address));
                Ok(())
            }
            Errand::Check => self.check_maildrop(visit).await,
            Errand::Fetch(id) => {
                let result = self.fetch(visit, id).await;
                if let Err(trouble) = &result {
                    self.dispatch(Action::OpenFailed { id: id.clone(), why: trouble.to_string() });
                }
                match result {
                    // The person reads why, and the bar says nothing of it.
                    Err(Trouble::Refused(_)) | Ok(()) => {
                        self.connection(visit, Connection::Idle);
                        Ok(())
                    }
                    result => result,
                }
            }
            Errand::Remove => self.remove_sent(visit).await,
        }
    }

    /// What is done about trouble; whether to go on.
    async fn recover(&self, visit: &Rc<Visit>, errand: Errand, trouble: Trouble) -> bool {
        let signing_in = self.state().account.is_none();
        match trouble {
            // A server that gives no reason may have had another one: whoever was let in before is asked again only
            // when it says so twice.
            Trouble::Unexplained(why) if !signing_in && !visit.doubted.replace(true) => {
                visit.errands.borrow_mut().push_front(again(errand));
                self.pause(visit, why).await;
                true
            }
            Trouble::Credentials(why) | Trouble::Unexplained(why) => {
                self.keep_now();
                self.0.visit.take();
                self.dispatch(Action::SignInRefused(why));
                false
            }
            // Without a sign-in there is nothing to show meanwhile, and nothing to lose.
            Trouble::Lost | Trouble::Refused(_) | Trouble::Protocol(_) if signing_in => {
                self.0.visit.take();
                self.dispatch(Action::SignInRefused(trouble.to_string()));
                false
            }
            trouble if trouble.passes() => {
                visit.errands.borrow_mut().push_front(again(errand));
                self.pause(visit, trouble.to_string()).await;
                true
            }
            trouble => {
                if errand == Errand::Remove {
                    let ids = self.state().removal.sent.iter().cloned().collect();
                    self.dispatch(Action::Restored(ids));
                    self.dispatch(Action::Notice(Tone::Bad, format!("Not deleted. {trouble}")));
                }
                self.connection(visit, Connection::Failed(trouble.to_string()));
                true
            }
        }
    }

    async fn pause(&self, visit: &Visit, why: String) {
        let mut backoff = visit.backoff.get();
        let pause = backoff.next();
        visit.backoff.set(backoff);
        let until = clock::now() + pause;
        self.dispatch(Action::Connection(Connection::Waiting { why, until }));
        let (wake, woken) = oneshot::channel();
        visit.wake.replace(Some(wake));
        select(pin!(sleep(pause)), woken).await;
        visit.wake.take();
    }

    fn connection(&self, visit: &Rc<Visit>, connection: Connection) {
        if self.is_current(visit) {
            self.dispatch(Action::Connection(connection));
        }
    }

    async fn check_maildrop(&self, visit: &Rc<Visit>) -> Result<(), Trouble> {
        let socket = Socket::connect(Protocol::Pop3)?;
        let desk = Desk {
            control: self.clone(),
            visit: visit.clone(),
            repeated: self.state().listed,
            known: self.known(visit),
            heads: RefCell::default(),
            shown: Cell::new(Instant::now()),
            arrived: RefCell::default(),
        };
        let result = pop3::check(socket, self.scribe(Protocol::Pop3), &visit.credentials, &desk).await;
        desk.show();
        if desk.repeated {
            notify(&desk.arrived.take());
        }
        result?;
        if self.is_current(visit) {
            self.dispatch(Action::Checked(clock::now()));
            let there: HashSet<_> = self.state().messages.iter().map(|message| message.id.clone()).collect();
            visit.local.keep_only(&there).await;
        }
        Ok(())
    }

    /// The messages whose headers are there: in the page, or, before the sign-in is done, on this device.
    fn known(&self, visit: &Visit) -> HashSet<String> {
        let (state, kept) = (self.state(), visit.kept.borrow());
        let all = state.messages.iter().chain(kept.iter().flat_map(|kept| &kept.messages));
        all.filter(|message| message.head.is_some()).map(|message| message.id.clone()).collect()
    }

    async fn fetch(&self, visit: &Rc<Visit>, id: &str) -> Result<(), Trouble> {
        let socket = Socket::connect(Protocol::Pop3)?;
        let number = self.state().message(id).and_then(|message| message.number);
        let (message, dialogue) =
            pop3::fetch(socket, self.scribe(Protocol::Pop3), &visit.credentials, id, number).await?;
        self.show_message(visit, id.to_owned(), message);
        // The next session finds the maildrop free.
        dialogue.part().await;
        Ok(())
    }

    /// A message has come: it is shown and kept.
    pub(super) fn show_message(&self, visit: &Rc<Visit>, id: String, message: Vec<u8>) {
        if !self.is_current(visit) {
            return;
        }
        let message = Bytes::from(message);
        let content = Rc::new(Opened::new(message.clone()));
        self.dispatch(Action::Opened { id: id.clone(), content: content.clone() });
        self.keep_marks(&id);
        if message.len() > KEPT_OCTETS_MAX {
            return;
        }
        let (control, visit) = (self.clone(), visit.clone());
        spawn_local(async move {
            visit.local.keep_text(Shelf::Texts, &id, &content.words()).await;
            if visit.local.keep_octets(Shelf::Messages, &[(id.clone(), message.to_vec())]).await {
                control.dispatch(Action::Kept(id));
            }
        });
    }

    /// Tells the server of all messages that are on their way out.
    async fn remove_sent(&self, visit: &Rc<Visit>) -> Result<(), Trouble> {
        let state = self.state();
        let number = |id: &String| state.message(id).and_then(|message| message.number);
        let messages: Vec<_> = state.removal.sent.iter().map(|id| (id.clone(), number(id))).collect();
        if messages.is_empty() {
            self.connection(visit, Connection::Idle);
            return Ok(());
        }
        let socket = Socket::connect(Protocol::Pop3)?;
        let stays = pop3::delete(socket, self.scribe(Protocol::Pop3), &visit.credentials, &messages).await?;
        if !self.is_current(visit) {
            return Ok(());
        }
        let (restored, gone): (Vec<String>, Vec<String>) =
            messages.into_iter().map(|(id, _)| id).partition(|id| stays.iter().any(|(stays, _)| stays == id));
        if let Some((_, why)) = stays.into_iter().next() {
            self.dispatch(Action::Notice(Tone::Bad, format!("Not deleted. {why}")));
        }
        self.dispatch(Action::Restored(restored));
        self.dispatch(Action::Removed(gone.clone()));
        self.connection(visit, Connection::Idle);
        visit.local.forget(&Shelf::OF_MAILDROP, &gone).await;
        Ok(())
    }

    /// The server has let the person in.
    fn signed_in(&self, visit: &Visit) {
        let Some(address) = visit.address.borrow().clone() else { return };
        let Some(kept) = visit.kept.take() else { return };
        let account = Account { key: visit.account.clone(), address };
        let crate::local::Kept { messages, sent, drafts } = kept;
        self.dispatch(Action::SignedIn { account, messages, sent, drafts });
    }
}

impl Visit {
    /// What somebody waits for comes first.
    fn next(&self) -> Option<Errand> {
        let mut errands = self.errands.borrow_mut();
        let fetch = errands.iter().position(|errand| matches!(errand, Errand::Fetch(_)));
        errands.remove(fetch.unwrap_or(0))
    }
}

/// What is tried again. What failed to be fetched has said so in its own place; that the connection is back is what a
/// check finds out.
fn again(errand: Errand) -> Errand {
    match errand {
        Errand::Fetch(_) => Errand::Check,
        errand => errand,
    }
}

/// Takes what a check tells to where it belongs.
struct Desk {
    control: Control,
    visit: Rc<Visit>,
    /// What is new now came after the sign-in.
    repeated: bool,
    /// Whose headers are there.
    known: HashSet<String>,
    heads: RefCell<Vec<(String, Vec<u8>)>>,
    shown: Cell<Instant>,
    arrived: RefCell<Vec<Rc<Head>>>,
}

impl Desk {
    /// Shows the headers that have come, and keeps them.
    fn show(&self) {
        self.shown.set(Instant::now());
        let headers = self.heads.take();
        if headers.is_empty() || !self.control.is_current(&self.visit) {
            return;
        }
        let head = |header: &[u8]| Rc::new(Head::new(&Summary::parse_with(header, charset::decode)));
        let heads: Vec<_> = headers.iter().map(|(id, header)| (id.clone(), head(header))).collect();
        self.arrived.borrow_mut().extend(heads.iter().map(|(_, head)| head.clone()));
        self.control.dispatch(Action::Headers(heads));
        let visit = self.visit.clone();
        // Headers that cannot be kept are fetched again another time.
        spawn_local(async move {
            let _ = visit.local.keep_octets(Shelf::Headers, &headers).await;
        });
    }
}

impl Reader for Desk {
    fn knows(&self, unique_id: &str) -> bool {
        self.known.contains(unique_id)
    }

    fn wanted(&self) -> Option<String> {
        let mut errands = self.visit.errands.borrow_mut();
        let at = errands.iter().position(|errand| matches!(errand, Errand::Fetch(_)))?;
        match errands.remove(at) {
            Some(Errand::Fetch(id)) => Some(id),
            _ => None,
        }
    }

    fn give_back(&self, unique_id: String) {
        self.visit.ask(Errand::Fetch(unique_id));
    }

    fn tell(&self, news: News) {
        if !self.control.is_current(&self.visit) {
            return;
        }
        match news {
            News::Listed(listings) => {
                if self.control.state().account.is_none() {
                    self.control.signed_in(&self.visit);
                }
                self.control.dispatch(Action::Listed(listings));
            }
            News::Header { unique_id, header } => {
                self.heads.borrow_mut().push((unique_id, header));
                if self.shown.get().elapsed() > SHOW_EVERY {
                    self.show();
                }
            }
            News::Message { unique_id, message: Ok(message) } => {
                self.control.show_message(&self.visit, unique_id, message);
            }
            News::Message { unique_id, message: Err(why) } => {
                self.control.dispatch(Action::OpenFailed { id: unique_id, why });
            }
        }
    }
}
