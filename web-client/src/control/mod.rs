//! Does what a person asks for: starts sessions, keeps things locally, and tells the state what came of it.
//!
//! | file | what it does |
//! |---|---|
//! | `store.rs` | holds the state |
//! | `errands.rs` | the POP3 sessions, one after the other, and their retries |
//! | `messages.rs` | open, mark, delete |
//! | `drafts.rs` | write, keep |
//! | `sending.rs` | send |

mod drafts;
mod errands;
mod messages;
pub(crate) mod notify;
mod sending;
mod store;

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

use futures::channel::oneshot;
use mail_core::message::address::{Address, Host};
use mail_core::sasl::Credentials;
use mail_core::smtp::command::HelloName;
use mail_core::time::Duration;
use yew::Callback;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use self::errands::Errand;
use self::store::Store;
use crate::local::{Kept, Local};
use crate::session::{Backoff, smtp};
use crate::socket::Socket;
use crate::state::{Action, State};
use crate::transcript::{Protocol, Scribe, Transcript};

/// New mail is looked for so often.
const CHECK_EVERY: Duration = Duration::from_secs(60);

/// A handle that every part of the page has.
#[derive(Clone)]
pub(crate) struct Control(Rc<Inner>);

impl PartialEq for Control {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

#[derive(Default)]
struct Inner {
    store: Store,
    /// One for every person.
    transcript: RefCell<Rc<RefCell<Transcript>>>,
    /// One for every sign-in: what was begun in an earlier one comes to nothing.
    visit: RefCell<Option<Rc<Visit>>>,
    /// Counts changes of a draft, to keep only the last.
    writes: Cell<u64>,
    /// The drafts that this browser would not keep.
    unkept: RefCell<HashSet<String>>,
    /// Counts messages on their way.
    parcels: Cell<u32>,
    /// Stops the one that left last.
    cancel: RefCell<Option<oneshot::Sender<()>>>,
    /// Counts offers of Undo, to end only the last.
    offers: Cell<u64>,
}

/// From a sign-in to its end.
struct Visit {
    account: String,
    /// In memory only.
    credentials: Credentials,
    local: Local,
    /// What was kept, until the server has let the person in.
    kept: RefCell<Option<Kept>>,
    address: RefCell<Option<Address>>,
    errands: RefCell<VecDeque<Errand>>,
    working: Cell<bool>,
    backoff: Cell<Backoff>,
    /// The last login was refused without a reason.
    doubted: Cell<bool>,
    /// Ends the pause before the next attempt.
    wake: RefCell<Option<oneshot::Sender<()>>>,
}

impl Control {
    pub(crate) fn new() -> Self {
        Self(Rc::default())
    }

    pub(crate) fn state(&self) -> Rc<State> {
        self.0.store.state()
    }

    pub(crate) fn on_change(&self, changed: Callback<Rc<State>>) {
        self.0.store.on_change(changed);
    }

    pub(crate) fn dispatch(&self, action: Action) {
        self.0.store.dispatch(action);
    }

    pub(crate) fn transcript(&self) -> Rc<RefCell<Transcript>> {
        self.0.transcript.borrow().clone()
    }

    /// Signs in: what is kept locally is shown once the server has let the person in.
    pub(crate) fn sign_in(&self, username: &str, password: &str) {
        let credentials = Credentials::new(username, password);
        let account = username.to_lowercase();
        self.dispatch(Action::SigningIn);
        let control = self.clone();
        spawn_local(async move {
            let local = Local::open(&account).await;
            let kept = RefCell::new(Some(local.load().await));
            let visit = Rc::new(Visit {
                account,
                credentials,
                local,
                kept,
                address: RefCell::default(),
                errands: RefCell::new([Errand::Introduce, Errand::Check].into()),
                working: Cell::default(),
                backoff: Cell::default(),
                doubted: Cell::default(),
                wake: RefCell::default(),
            });
            control.0.visit.replace(Some(visit.clone()));
            control.work(&visit);
            control.keep_looking(visit).await;
        });
    }

    /// Signs out; what is kept locally stays, or goes.
    pub(crate) fn sign_out(&self, wipe: bool) {
        if !wipe {
            self.keep_now();
        }
        if let Some(visit) = self.0.visit.take()
            && wipe
        {
            spawn_local(async move { visit.local.wipe().await });
        }
        // Who signs in next does not read it, nor what an old session still has to say.
        self.0.transcript.take();
        self.dispatch(Action::SignedOut);
    }

    /// Looks for new mail now.
    pub(crate) fn check(&self) {
        if let Some(visit) = self.visit() {
            visit.ask(Errand::Check);
            self.work(&visit);
        }
    }

    async fn keep_looking(&self, visit: Rc<Visit>) {
        loop {
            sleep(CHECK_EVERY).await;
            if !self.is_current(&visit) {
                return;
            }
            visit.ask(Errand::Check);
            if !visit.working.get() {
                self.work(&visit);
            }
        }
    }

    fn visit(&self) -> Option<Rc<Visit>> {
        self.0.visit.borrow().clone()
    }

    /// Whether nobody has signed out since.
    fn is_current(&self, visit: &Rc<Visit>) -> bool {
        self.0.visit.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, visit))
    }

    fn scribe(&self, protocol: Protocol) -> Scribe {
        Scribe::new(&self.transcript(), protocol)
    }

    /// From whom mail goes out. A name without a domain gets the server's.
    async fn find_address(&self, account: &str) -> Result<Address, crate::session::Trouble> {
        if let Ok(address) = Address::parse(account) {
            return Ok(address);
        }
        let socket = Socket::connect(Protocol::Smtp)?;
        let domain = smtp::introduce(socket, self.scribe(Protocol::Smtp), hello()).await?;
        let domain = domain.map_or_else(|| "localhost".to_owned(), |domain| domain.to_string());
        Address::parse(&format!("{account}@{domain}"))
            .map_err(|error| crate::session::Trouble::Credentials(format!("This is no username: {error}.")))
    }
}

impl Visit {
    /// Puts an errand in line, once.
    fn ask(&self, errand: Errand) {
        let mut errands = self.errands.borrow_mut();
        if !errands.contains(&errand) {
            errands.push_back(errand);
        }
    }
}

/// What the page calls itself (RFC 5321 section 4.1.1.1): a browser does not know its own address, but that of the
/// server that it came from.
fn hello() -> HelloName {
    let host = web_sys::window().and_then(|window| window.location().hostname().ok()).unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = match bare.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(address)) => format!("[{address}]"),
        Ok(std::net::IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        Err(_) if Host::parse(&host).is_ok() => host,
        Err(_) => "localhost".to_owned(),
    };
    HelloName::parse(&name)
        .unwrap_or_else(|| HelloName::parse("localhost").expect("localhost is a host's name"))
}
