//! The POP3 server's policy: who may read, and the long answers streamed from the store.

use std::sync::Arc;
use std::time::Duration;

use mail_core::pop3::reply::Reply;
use mail_core::pop3::server::{Event, Lookup, Server, replies};
use mail_core::sasl::Credentials;
use mail_core::time::Instant;
use tracing::{error, info};

use crate::metrics::Metrics;
use crate::site::{Refusal, RefusalReason, Site, Stamps, Visitor};
use mail_core::session::{Encryption, Produced, Session};
use mail_store::accounts::Accounts;
use mail_store::{Body, Entry, Extent, MailStore, Maildrop, StoreError};

type BodyOf<S> = <<S as MailStore>::Maildrop as Maildrop>::Body;

/// One POP3 connection's policy.
#[derive(Debug)]
pub struct Pop3Session<A, S: MailStore, T> {
    site: Arc<Site<A, S, T>>,
    visitor: Visitor,
    maildrop: Option<S::Maildrop>,
    answer: Answer<BodyOf<S>>,
}

/// A long answer under way.
#[derive(Debug)]
enum Answer<B> {
    None,
    /// A refused sign-in, and how long it is still held back.
    Refusal(Reply, Duration),
    Listing {
        purpose: Lookup,
        from: u64,
    },
    Body {
        body: B,
        /// Of a message that is given whole, its octets.
        whole: Option<u64>,
    },
}

impl<A: Accounts, S: MailStore, T: Stamps> Pop3Session<A, S, T> {
    /// A session for whoever is there, and has not signed in.
    pub const fn new(site: Arc<Site<A, S, T>>, visitor: Visitor) -> Self {
        Self { site, visitor, maildrop: None, answer: Answer::None }
    }

    async fn user(&mut self, login: &str, machine: &mut Server) {
        if !self.site.refuse_unknown_user {
            return machine.accept();
        }
        match self.site.introduce(login, &mut self.visitor).await {
            Ok(()) => machine.accept(),
            Err(refusal) => self.hold_back(refusal, replies::UNKNOWN_USER),
        }
    }

    /// A refusal is held back and said when its time has come.
    fn hold_back(&mut self, refusal: Refusal, wrong: Reply) {
        let reply = match refusal.reason {
            RefusalReason::Wrong => wrong,
            RefusalReason::TooMany => replies::TOO_MANY_FAILURES,
            RefusalReason::NotNow => replies::CANNOT_AUTHENTICATE,
        };
        self.answer = Answer::Refusal(reply, refusal.delay);
    }

    async fn sign_in(&mut self, credentials: &Credentials, machine: &mut Server) -> Result<(), Reply> {
        let account = match self.site.sign_in(credentials, &mut self.visitor).await {
            Ok(account) => account,
            Err(refusal) => {
                self.hold_back(refusal, replies::WRONG_CREDENTIALS);
                return Ok(());
            }
        };
        let maildrop = self.site.store.open(&account).await.map_err(|error| self.refusal(&error))?;
        info!(
            account = account.as_str(),
            messages = maildrop.count(),
            octets = maildrop.octets(),
            "signed in"
        );
        machine.opened(maildrop.count(), maildrop.octets());
        self.maildrop = Some(maildrop);
        Ok(())
    }

    fn refusal(&self, failure: &StoreError) -> Reply {
        refusal(failure, &self.site.metrics)
    }

    async fn begin_body(&mut self, number: u64, extent: Extent, machine: &mut Server) -> Result<(), Reply> {
        let utf8 = machine.is_utf8();
        let (maildrop, metrics) = (held(&mut self.maildrop), &self.site.metrics);
        let entry = maildrop.entry(number).await.map_err(|error| refusal(&error, metrics))?;
        if entry.utf8 && !utf8 {
            return Err(replies::NEEDS_UTF8);
        }
        let body = maildrop.body(number, extent).await.map_err(|error| refusal(&error, metrics))?;
        machine.begin_body(entry.octets);
        self.answer = Answer::Body { body, whole: (extent == Extent::Whole).then_some(entry.octets) };
        Ok(())
    }

    async fn quit(&mut self, marked: &[u64], machine: &mut Server) -> Result<(), Reply> {
        let maildrop = self.maildrop.take().expect("the machine enters UPDATE from TRANSACTION only");
        if !marked.is_empty() {
            maildrop.remove(marked).await.map_err(|error| {
                self.site.metrics.store_errors.add(&error);
                error!(%error, "marked messages were not all removed");
                replies::NOT_REMOVED
            })?;
            info!(removed = marked.len(), "maildrop updated");
        }
        machine.removed();
        Ok(())
    }

    async fn list_more(&mut self, purpose: Lookup, from: u64, machine: &mut Server) -> Produced {
        match held(&mut self.maildrop).entries(from).await {
            Ok(entries) if entries.is_empty() => {
                machine.finish();
                self.answer = Answer::None;
            }
            Ok(entries) => {
                for entry in &entries {
                    queue_item(purpose, entry, machine);
                }
                self.answer = Answer::Listing { purpose, from: from + entries.len() as u64 };
            }
            Err(error) => self.give_up(&error, machine),
        }
        Produced::Queued
    }

    fn give_up(&mut self, failure: &StoreError, machine: &mut Server) {
        self.site.metrics.store_errors.add(failure);
        error!(%failure, "an answer broke off: the connection is closed");
        machine.abort();
        self.answer = Answer::None;
    }
}

fn held<D>(maildrop: &mut Option<D>) -> &mut D {
    maildrop.as_mut().expect("the machine asks for messages in the TRANSACTION state only")
}

fn queue_item(purpose: Lookup, entry: &Entry, machine: &mut Server) {
    match purpose {
        Lookup::UniqueId => machine.unique_id(entry.number, &entry.unique_id),
        _ => machine.item(entry.number, entry.octets),
    }
}

impl<A: Accounts, S: MailStore, T: Stamps> Session for Pop3Session<A, S, T> {
    type Machine = Server;

    async fn handle(&mut self, event: Event, machine: &mut Server) {
        let answer = match event {
            Event::User(login) => {
                self.user(&login, machine).await;
                Ok(())
            }
            Event::Authenticate(credentials) => self.sign_in(&credentials, machine).await,
            Event::List | Event::UniqueIds => {
                let purpose = if event == Event::List { Lookup::ListEntry } else { Lookup::UniqueId };
                machine.begin();
                self.answer = Answer::Listing { purpose, from: 1 };
                Ok(())
            }
            Event::Lookup { number, .. } => match held(&mut self.maildrop).entry(number).await {
                Ok(entry) => {
                    machine.entry(entry.octets, &entry.unique_id);
                    Ok(())
                }
                Err(error) => Err(self.refusal(&error)),
            },
            Event::Retrieve { number } => self.begin_body(number, Extent::Whole, machine).await,
            Event::Top { number, lines } => self.begin_body(number, Extent::Top(lines), machine).await,
            Event::Quit { marked } => self.quit(&marked, machine).await,
        };
        if let Err(reply) = answer {
            machine.reject(reply);
        }
    }

    async fn produce(&mut self, machine: &mut Server) -> Produced {
        match &mut self.answer {
            Answer::None => Produced::Nothing,
            Answer::Refusal(reply, Duration::ZERO) => {
                machine.reject(reply.clone());
                self.answer = Answer::None;
                Produced::Queued
            }
            Answer::Refusal(_, delay) => Produced::Wait(std::mem::take(delay)),
            Answer::Listing { purpose, from } => {
                let (purpose, from) = (*purpose, *from);
                self.list_more(purpose, from, machine).await
            }
            Answer::Body { body, whole } => match body.chunk().await {
                Ok(Some(octets)) => Produced::Octets(octets),
                Ok(None) => {
                    if let Some(octets) = *whole {
                        self.site.metrics.retrieved.add(octets);
                    }
                    machine.finish();
                    self.answer = Answer::None;
                    Produced::Queued
                }
                Err(error) => {
                    self.give_up(&error, machine);
                    Produced::Queued
                }
            },
        }
    }

    fn tls_established(&mut self, _encryption: Encryption, now: Instant, machine: &mut Server) {
        machine.tls_established(now);
    }

    fn shutdown(&self, machine: &mut Server) {
        machine.shutdown();
    }
}

fn refusal(failure: &StoreError, metrics: &Metrics) -> Reply {
    metrics.store_errors.add(failure);
    match failure {
        StoreError::InUse => replies::IN_USE,
        _ => {
            error!(%failure, "maildrop cannot be read");
            replies::STORE_FAILED
        }
    }
}
