//! Policy of a POP3 connection: login, and long answers streamed from the store.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mail_core::dot::DotEncoder;
use mail_core::pop3::reply::Reply;
use mail_core::pop3::server::{Event, Lookup, Server, replies};
use mail_core::sasl::Credentials;
use mail_core::session::{Encryption, Produced, Session};
use mail_core::time::Instant;
use mail_core::users::Username;
use mail_store::directory::Directory;
use mail_store::{Body, Entry, Extent, Maildrop, MaildropStore, StoreError};
use tracing::{error, info};

use crate::context::{ClientContext, Clock, Rejection, RejectionReason, ServiceContext};

type BodyOf<S> = <<S as MaildropStore>::Maildrop as Maildrop>::Body;

/// The session of one POP3 connection.
#[derive(Debug)]
pub struct Pop3Session<D, S: MaildropStore, C> {
    context: Arc<ServiceContext<D, S, C>>,
    client: ClientContext,
    /// Set after a successful login.
    account: Option<Username>,
    /// Set in the TRANSACTION state.
    lease: Option<Lease<S::Maildrop>>,
    answer: Answer<BodyOf<S>>,
}

/// An open maildrop.
#[derive(Debug)]
struct Lease<M> {
    maildrop: M,
    /// Time of the next renewal, if the lease expires.
    renewal: Option<Instant>,
}

/// A long answer in progress.
#[derive(Debug)]
enum Answer<B> {
    None,
    /// A refused login, and the remaining delay of its reply.
    Rejection(Reply, Duration),
    Listing {
        purpose: Lookup,
        from: u64,
    },
    Body {
        body: B,
        /// Set if the store does not dot-stuff.
        encoder: Option<DotEncoder>,
        /// Octets of a message that is sent in full.
        whole: Option<u64>,
    },
}

impl<M: Maildrop> Lease<M> {
    fn new(maildrop: M, now: Instant) -> Self {
        let renewal = renewal(&maildrop, now);
        Self { maildrop, renewal }
    }
}

/// Half a lifetime leaves time for a second attempt.
fn renewal(maildrop: &impl Maildrop, now: Instant) -> Option<Instant> {
    maildrop.lease_lifetime().map(|lifetime| now + lifetime / 2)
}

impl<D: Directory, S: MaildropStore, C: Clock> Pop3Session<D, S, C> {
    pub const fn new(context: Arc<ServiceContext<D, S, C>>, client: ClientContext) -> Self {
        Self { context, client, account: None, lease: None, answer: Answer::None }
    }

    async fn user(&mut self, login: &str, machine: &mut Server) {
        if !self.context.refuse_unknown_user {
            return machine.accept();
        }
        match self.context.accept_user(login, &mut self.client).await {
            Ok(()) => machine.accept(),
            Err(rejection) => self.reject_later(rejection, replies::UNKNOWN_USER),
        }
    }

    /// Sends the reply after the rejection's delay, by [`Session::produce`].
    fn reject_later(&mut self, rejection: Rejection, wrong_credentials: Reply) {
        let reply = match rejection.reason {
            RejectionReason::WrongCredentials => wrong_credentials,
            RejectionReason::TooManyFailures => replies::TOO_MANY_FAILURES,
            RejectionReason::Unavailable => replies::CANNOT_AUTHENTICATE,
        };
        self.answer = Answer::Rejection(reply, rejection.delay);
    }

    async fn sign_in(&mut self, credentials: &Credentials, machine: &mut Server) -> Result<(), Reply> {
        let account = match self.context.sign_in(credentials, &mut self.client).await {
            Ok(account) => account,
            Err(rejection) => {
                self.reject_later(rejection, replies::WRONG_CREDENTIALS);
                return Ok(());
            }
        };
        let opened = self.context.store.open(&account).await;
        self.account = Some(account);
        let maildrop = opened.map_err(|error| self.failure_reply(&error))?;
        let (messages, octets) = (maildrop.count(), maildrop.octets());
        info!(account = self.account_name(), messages, octets, "authenticated");
        machine.opened(messages, octets);
        self.lease = Some(Lease::new(maildrop, self.context.clock.now()));
        Ok(())
    }

    /// The account in the log.
    fn account_name(&self) -> Option<&str> {
        self.account.as_ref().map(Username::as_str)
    }

    fn maildrop(&mut self) -> &mut S::Maildrop {
        let lease = self.lease.as_mut();
        &mut lease.expect("the machine asks for messages in the TRANSACTION state only").maildrop
    }

    fn failure_reply(&self, failure: &StoreError) -> Reply {
        self.context.metrics.store_errors.add(failure);
        match failure {
            StoreError::InUse => replies::IN_USE,
            _ => {
                error!(%failure, account = self.account_name(), "cannot read the maildrop; run `pennypost check`");
                replies::STORE_FAILED
            }
        }
    }

    async fn begin_body(&mut self, number: u64, extent: Extent, machine: &mut Server) -> Result<(), Reply> {
        let entry = self.maildrop().entry(number).await.map_err(|error| self.failure_reply(&error))?;
        let body = self.maildrop().body(number, extent).await.map_err(|error| self.failure_reply(&error))?;
        machine.begin_body(entry.octets);
        let encoder = (!body.is_dot_stuffed()).then(DotEncoder::default);
        let whole = (extent == Extent::Whole).then_some(entry.octets);
        self.answer = Answer::Body { body, encoder, whole };
        Ok(())
    }

    async fn quit(&mut self, marked: &[u64], machine: &mut Server) -> Result<(), Reply> {
        let Lease { maildrop, .. } =
            self.lease.take().expect("the machine enters UPDATE from TRANSACTION only");
        if !marked.is_empty() {
            maildrop.remove(marked).await.map_err(|error| {
                self.context.metrics.store_errors.add(&error);
                let account = self.account_name();
                error!(%error, account, "some messages marked by DELE were not removed; they are listed again at the next login");
                replies::NOT_REMOVED
            })?;
            info!(removed = marked.len(), "maildrop updated");
        }
        machine.removed();
        Ok(())
    }

    async fn continue_listing(&mut self, purpose: Lookup, from: u64, machine: &mut Server) -> Produced {
        match self.maildrop().entries(from).await {
            Ok(entries) if entries.is_empty() => {
                machine.finish();
                self.answer = Answer::None;
            }
            Ok(entries) => {
                entries.iter().for_each(|entry| queue_entry(purpose, entry, machine));
                self.answer = Answer::Listing { purpose, from: from + entries.len() as u64 };
            }
            Err(error) => self.abort_answer(&error, machine),
        }
        Produced::Queued
    }

    /// Closes the connection: POP3 has no reply for a failure within an answer.
    fn abort_answer(&mut self, failure: &StoreError, machine: &mut Server) {
        self.context.metrics.store_errors.add(failure);
        let account = self.account_name();
        error!(%failure, account, "cannot read a message or the scan listing; closing the connection");
        machine.abort();
        self.answer = Answer::None;
    }
}

fn dot_stuffed(encoder: &mut DotEncoder, octets: &[u8]) -> Bytes {
    let mut stuffed = BytesMut::with_capacity(octets.len() + octets.len() / 32);
    encoder.encode(octets, &mut stuffed);
    stuffed.freeze()
}

fn queue_entry(purpose: Lookup, entry: &Entry, machine: &mut Server) {
    match purpose {
        Lookup::UniqueId => machine.unique_id(entry.number, &entry.unique_id),
        _ => machine.item(entry.number, entry.octets),
    }
}

impl<D: Directory, S: MaildropStore, C: Clock> Session for Pop3Session<D, S, C> {
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
            Event::Lookup { number, .. } => match self.maildrop().entry(number).await {
                Ok(entry) => {
                    machine.entry(entry.octets, &entry.unique_id);
                    Ok(())
                }
                Err(error) => Err(self.failure_reply(&error)),
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
            Answer::Rejection(reply, Duration::ZERO) => {
                machine.reject(reply.clone());
                self.answer = Answer::None;
                Produced::Queued
            }
            Answer::Rejection(_, delay) => Produced::Wait(std::mem::take(delay)),
            Answer::Listing { purpose, from } => {
                let (purpose, from) = (*purpose, *from);
                self.continue_listing(purpose, from, machine).await
            }
            Answer::Body { body, encoder, whole } => match body.chunk().await {
                Ok(Some(octets)) => Produced::Octets(match encoder {
                    Some(encoder) => dot_stuffed(encoder, &octets),
                    None => octets,
                }),
                Ok(None) => {
                    if let Some(octets) = *whole {
                        self.context.metrics.retrieved.add(octets);
                    }
                    machine.finish();
                    self.answer = Answer::None;
                    Produced::Queued
                }
                Err(error) => {
                    self.abort_answer(&error, machine);
                    Produced::Queued
                }
            },
        }
    }

    fn tls_established(&mut self, _encryption: Encryption, now: Instant, machine: &mut Server) {
        machine.tls_established(now);
    }

    fn renewal(&self) -> Option<Instant> {
        self.lease.as_ref()?.renewal
    }

    async fn renew(&mut self, now: Instant, machine: &mut Server) {
        let Some(Lease { maildrop, renewal: next }) = &mut self.lease else { return };
        match maildrop.renew().await {
            Ok(()) => *next = renewal(maildrop, now),
            Err(error) => {
                self.context.metrics.store_errors.add(&error);
                error!(%error, "maildrop lease lost; closing the connection");
                self.lease = None;
                match std::mem::replace(&mut self.answer, Answer::None) {
                    Answer::None => machine.shutdown(),
                    _ => machine.abort(),
                }
            }
        }
    }

    fn shutdown(&self, machine: &mut Server) {
        machine.shutdown();
    }
}
