//! The SMTP server's policy: who may send what to whom, and what a failure means to the sender.

use std::sync::Arc;
use std::time::Duration;

use mail_core::mailbox::Trace;
use mail_core::message::address::{ForwardPath, ReversePath};
use mail_core::sasl::Credentials;
use mail_core::smtp::reply::Reply;
use mail_core::smtp::server::{Event, Mail, Server, replies};
use mail_core::time::Instant;
use mail_core::users::Username;
use tracing::{error, info, warn};

use crate::delivery::{Delivery, DeliveryError};
use crate::site::{RefusalReason, Route, Site, Stamps, Visitor};
use mail_core::session::{Encryption, Produced, Session};
use mail_store::accounts::{Accounts, AccountsError};
use mail_store::{MailStore, Recipient, StoreError};

/// One SMTP connection's policy.
#[derive(Debug)]
pub struct SmtpSession<A, S: MailStore, T> {
    site: Arc<Site<A, S, T>>,
    visitor: Visitor,
    encryption: Option<Encryption>,
    /// Who has signed in.
    account: Option<Username>,
    transaction: Option<Transaction<S::Incoming>>,
    /// The answer to a sign-in, and how long it is still held back.
    refused_sign_in: Option<(Reply, Duration)>,
}

/// What MAIL opened and end-of-data, RSET or a new greeting ends.
#[derive(Debug)]
struct Transaction<I> {
    reverse_path: ReversePath,
    recipients: Vec<Recipient>,
    delivery: Option<Delivery<I>>,
    octets: u64,
}

impl<A: Accounts, S: MailStore, T: Stamps> SmtpSession<A, S, T> {
    /// A session for whoever is there, and whose connection began with TLS or in plain text.
    pub const fn new(site: Arc<Site<A, S, T>>, visitor: Visitor, encryption: Option<Encryption>) -> Self {
        Self { site, visitor, encryption, account: None, transaction: None, refused_sign_in: None }
    }

    /// Everybody of the transaction, by address: the sender, and each recipient that was accepted.
    #[must_use]
    pub fn envelope(&self) -> Vec<String> {
        let Some(Transaction { reverse_path, recipients, .. }) = &self.transaction else { return Vec::new() };
        let addresses = recipients.iter().map(|recipient| &recipient.address);
        reverse_path.address().into_iter().chain(addresses).map(ToString::to_string).collect()
    }

    /// Forgets the transaction and what has come of its message.
    pub fn reset(&mut self) {
        self.transaction = None;
    }

    /// A refusal is held back and said when its time has come.
    async fn authenticate(&mut self, credentials: &Credentials, machine: &mut Server) {
        match self.site.sign_in(credentials, &mut self.visitor).await {
            Ok(account) => {
                info!(account = account.as_str(), "signed in");
                self.account = Some(account);
                machine.accept();
            }
            Err(refusal) => {
                let reply = match refusal.reason {
                    RefusalReason::Wrong => replies::WRONG_CREDENTIALS,
                    RefusalReason::TooMany => replies::TOO_MANY_FAILURES,
                    RefusalReason::NotNow => replies::CANNOT_AUTHENTICATE,
                };
                self.refused_sign_in = Some((reply, refusal.delay));
            }
        }
    }

    /// Who submits does it as itself (RFC 6409 section 6.1), or as nobody, as notifications do.
    async fn begin_transaction(&mut self, mail: Mail, machine: &Server) -> Result<(), Reply> {
        if machine.is_submission()
            && let Some(address) = mail.reverse_path.address()
        {
            let account =
                self.account.as_ref().expect("the machine takes mail from those who have signed in");
            let owns = self.site.owns(account, address).await.map_err(|error| accounts_failed(&error))?;
            if !owns {
                info!(account = account.as_str(), from = %address, "sender refused: it is not the account's");
                return Err(replies::FOREIGN_SENDER);
            }
        }
        self.transaction = Some(Transaction {
            reverse_path: mail.reverse_path,
            recipients: Vec::new(),
            delivery: None,
            octets: 0,
        });
        Ok(())
    }

    async fn add_recipient(&mut self, path: &ForwardPath) -> Result<(), Reply> {
        let route = self.site.route(path).await.map_err(|error| accounts_failed(&error))?;
        let transaction = self.transaction.as_mut().expect("the machine asks for recipients after MAIL only");
        match route {
            Route::Local(recipient) => {
                // One copy for each account, however often it is named.
                if transaction.recipients.iter().all(|other| other.account != recipient.account) {
                    transaction.recipients.push(recipient);
                }
                Ok(())
            }
            Route::UnknownUser => Err(replies::UNKNOWN_USER),
            Route::Elsewhere => Err(replies::RELAYING_DENIED),
        }
    }

    async fn begin_data(&mut self) -> Result<(), Reply> {
        let delivery = Delivery::begin(&self.site.store, &self.site.memory)
            .await
            .map_err(|error| self.refusal(&error.into()))?;
        let transaction = self.transaction.as_mut().expect("the machine begins data after MAIL only");
        transaction.delivery = Some(delivery);
        Ok(())
    }

    async fn end_data(&mut self, hello: String, with: &'static str) -> Result<(), Reply> {
        let transaction = self.transaction.take().expect("the machine ends data after MAIL only");
        let delivery = transaction.delivery.expect("the machine ends data that it began");
        let stamp = self.site.stamps.stamp();
        let trace = Trace {
            reverse_path: transaction.reverse_path,
            hello,
            peer: self.visitor.address,
            by: self.site.hostname.to_string(),
            with,
            tls: self.encryption.map(|encryption| encryption.to_string()),
            id: stamp.id,
            time: stamp.time,
        };
        let ended = self.site.stamps.now();
        match delivery.commit(&trace, &transaction.recipients).await {
            Ok(()) => {
                let metrics = &self.site.metrics;
                metrics
                    .commit_seconds
                    .observe(self.site.stamps.now().saturating_duration_since(ended).as_secs_f64());
                metrics.delivered.add(transaction.octets);
                info!(
                    id = trace.id,
                    from = %trace.reverse_path,
                    octets = transaction.octets,
                    to = transaction.recipients.iter().map(|to| to.account.as_str()).collect::<Vec<_>>().join(","),
                    "delivered"
                );
                Ok(())
            }
            Err(error) => Err(self.refusal(&error)),
        }
    }

    /// What a failed delivery means to the sender: try again later, or don't.
    fn refusal(&self, failure: &DeliveryError) -> Reply {
        if let DeliveryError::Store(error) = failure {
            self.site.metrics.store_errors.add(error);
        }
        match failure {
            DeliveryError::Loop => replies::MAIL_LOOP,
            DeliveryError::HeaderTooLarge => replies::HEADER_TOO_LARGE,
            DeliveryError::NoMemory => {
                warn!(%failure, "message refused for now: see `message_memory` in [limits]");
                replies::STORAGE_FULL
            }
            DeliveryError::Store(StoreError::Full(_)) => {
                error!(%failure, "message refused: make room where the data directory is");
                replies::STORAGE_FULL
            }
            DeliveryError::Store(_) => {
                error!(%failure, "message refused for now");
                replies::LOCAL_ERROR
            }
        }
    }
}

impl<A: Accounts, S: MailStore, T: Stamps> Session for SmtpSession<A, S, T> {
    type Machine = Server;

    async fn handle(&mut self, event: Event, machine: &mut Server) {
        let answer = match event {
            Event::Authenticate(credentials) => return self.authenticate(&credentials, machine).await,
            Event::Mail(mail) => self.begin_transaction(mail, machine).await,
            Event::Recipient(path) => self.add_recipient(&path).await,
            Event::Data => self.begin_data().await,
            Event::Chunk(chunk) => {
                if let Some(transaction) = &mut self.transaction
                    && let Some(delivery) = &mut transaction.delivery
                {
                    transaction.octets += chunk.len() as u64;
                    delivery.write(chunk).await;
                }
                return;
            }
            Event::EndOfData => {
                let hello = machine.hello().unwrap_or_default().to_owned();
                self.end_data(hello, machine.protocol()).await
            }
            Event::Reset => {
                self.reset();
                return;
            }
        };
        match answer {
            Ok(()) => machine.accept(),
            Err(reply) => machine.reject(reply),
        }
    }

    async fn produce(&mut self, machine: &mut Server) -> Produced {
        match self.refused_sign_in.take() {
            None => Produced::Nothing,
            Some((reply, Duration::ZERO)) => {
                machine.reject(reply);
                Produced::Queued
            }
            Some((reply, delay)) => {
                self.refused_sign_in = Some((reply, Duration::ZERO));
                Produced::Wait(delay)
            }
        }
    }

    fn tls_established(&mut self, encryption: Encryption, now: Instant, machine: &mut Server) {
        self.encryption = Some(encryption);
        self.account = None;
        machine.tls_established(now);
    }

    fn shutdown(&self, machine: &mut Server) {
        machine.shutdown();
    }
}

fn accounts_failed(failure: &AccountsError) -> Reply {
    error!(%failure, "accounts cannot be looked up");
    replies::LOCAL_ERROR
}
