//! Policy of an SMTP connection: authentication, senders, recipients, delivery, and the replies to failures.

use std::sync::Arc;
use std::time::Duration;

use mail_core::mailbox::Trace;
use mail_core::message::address::ForwardPath;
use mail_core::sasl::Credentials;
use mail_core::session::{Encryption, Produced, Session};
use mail_core::smtp::reply::Reply;
use mail_core::smtp::server::{Event, Mail, Server, replies};
use mail_core::time::Instant;
use mail_core::users::Username;
use mail_store::directory::DirectoryError;
use mail_store::{DeliveryTarget, Destination, Envelope, StoreError};
use tracing::{error, info, warn};

use crate::context::{ClientContext, Clock, IdGenerator, RejectionReason};
use crate::intake::{IntakeError, MessageIntake};
use crate::smtp_service::{RecipientRefusal, Resources, SmtpService};

/// The session of one SMTP connection.
#[derive(Debug)]
pub struct SmtpSession<X: SmtpService> {
    service: Arc<X>,
    client: ClientContext,
    encryption: Option<Encryption>,
    /// Set after a successful AUTH.
    account: Option<Username>,
    transaction: Option<Transaction<<X::Target as DeliveryTarget>::Incoming>>,
    /// The reply to a refused AUTH, and its remaining delay.
    auth_rejection: Option<(Reply, Duration)>,
}

/// A mail transaction (RFC 5321 section 3.3).
#[derive(Debug)]
struct Transaction<I> {
    envelope: Envelope,
    intake: Option<MessageIntake<I>>,
    octets: u64,
}

impl<X: SmtpService> SmtpSession<X> {
    /// `encryption` is set for a connection with TLS from its first octet.
    pub const fn new(service: Arc<X>, client: ClientContext, encryption: Option<Encryption>) -> Self {
        Self { service, client, encryption, account: None, transaction: None, auth_rejection: None }
    }

    /// Sender and accepted recipients of the transaction.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let Some(Transaction { envelope, .. }) = &self.transaction else { return Vec::new() };
        let recipients = envelope.recipients.iter().map(Destination::address);
        envelope.reverse_path.address().into_iter().chain(recipients).map(ToString::to_string).collect()
    }

    /// Aborts the transaction.
    pub fn reset(&mut self) {
        self.transaction = None;
    }

    /// Answers AUTH. A rejection is sent after its delay, by [`Session::produce`].
    async fn authenticate(&mut self, credentials: &Credentials, machine: &mut Server) {
        match self.service.sign_in(credentials, &mut self.client).await {
            Ok(account) => {
                info!(account = account.as_str(), "signed in");
                self.account = Some(account);
                machine.accept();
            }
            Err(rejection) => {
                let reply = match rejection.reason {
                    RejectionReason::WrongCredentials => replies::WRONG_CREDENTIALS,
                    RejectionReason::TooManyFailures => replies::TOO_MANY_FAILURES,
                    RejectionReason::Unavailable => replies::CANNOT_AUTHENTICATE,
                };
                self.auth_rejection = Some((reply, rejection.delay));
            }
        }
    }

    /// On the submission port, the reverse-path is an address of the account (RFC 6409 section 6.1) or null.
    async fn begin_transaction(&mut self, mail: Mail, machine: &Server) -> Result<(), Reply> {
        if machine.is_submission()
            && let Some(address) = mail.reverse_path.address()
        {
            let account = self.account.as_ref().expect("the machine requires AUTH before MAIL");
            let owns =
                self.service.may_send_as(account, address).await.map_err(|error| directory_failed(&error))?;
            if !owns {
                info!(account = account.as_str(), from = %address, "sender refused: not an address of the account");
                return Err(replies::FOREIGN_SENDER);
            }
        }
        let envelope = Envelope { reverse_path: mail.reverse_path, recipients: Vec::new() };
        self.transaction = Some(Transaction { envelope, intake: None, octets: 0 });
        Ok(())
    }

    async fn add_recipient(&mut self, path: &ForwardPath) -> Result<(), Reply> {
        let accepted = self.service.accept_recipient(path).await;
        let transaction = self.transaction.as_mut().expect("the machine requires MAIL before RCPT");
        let destinations = match accepted {
            Ok(destinations) => destinations,
            Err(RecipientRefusal::Directory(error)) => return Err(directory_failed(&error)),
            Err(refusal) => {
                let (from, to) = (transaction.envelope.reverse_path.to_string(), path.to_string());
                info!(from = %from.escape_debug(), to = %to.escape_debug(), "recipient refused: {refusal}");
                return Err(match refusal {
                    RecipientRefusal::RelayingDenied => replies::RELAYING_DENIED,
                    _ => replies::UNKNOWN_USER,
                });
            }
        };
        let recipients = &mut transaction.envelope.recipients;
        for destination in destinations {
            if !recipients.iter().any(|other| other.is_same_copy(&destination)) {
                recipients.push(destination);
            }
        }
        Ok(())
    }

    async fn begin_data(&mut self) -> Result<(), Reply> {
        let transaction = self.transaction.as_mut().expect("the machine requires MAIL before DATA");
        let Resources { target, memory, .. } = self.service.resources();
        match MessageIntake::begin(target, &transaction.envelope, memory).await {
            Ok(intake) => transaction.intake = Some(intake),
            Err(error) => return Err(self.failure_reply(&error.into())),
        }
        Ok(())
    }

    async fn end_data(&mut self, hello: String, with: &'static str) -> Result<(), Reply> {
        let Transaction { envelope, intake, octets } =
            self.transaction.take().expect("the machine requires MAIL before DATA");
        let intake = intake.expect("the machine ends the data that it began");
        let Resources { hostname, clock, metrics, .. } = self.service.resources();
        let time = clock.utc();
        let trace = Trace {
            reverse_path: envelope.reverse_path,
            hello,
            peer: self.client.address,
            by: hostname.to_string(),
            with,
            tls: self.encryption.map(|encryption| encryption.to_string()),
            id: clock.generate(time),
            time,
        };
        let start = clock.now();
        intake.commit(&trace).await.map_err(|error| self.failure_reply(&error))?;
        metrics.commit_seconds.observe(clock.now().saturating_duration_since(start).as_secs_f64());
        metrics.delivered.add(octets);
        let to = envelope.recipients.iter().map(recipient_name).collect::<Vec<_>>().join(",");
        info!(id = trace.id, from = %trace.reverse_path, octets, to, "delivered");
        Ok(())
    }

    /// The reply to a failed delivery, temporary or permanent.
    fn failure_reply(&self, failure: &IntakeError) -> Reply {
        if let IntakeError::Store(error) = failure {
            self.service.resources().metrics.store_errors.add(error);
        }
        match failure {
            IntakeError::Loop => replies::MAIL_LOOP,
            IntakeError::HeaderTooLarge => replies::HEADER_TOO_LARGE,
            IntakeError::NoMemory => {
                warn!(%failure, "message refused for now: see `message_memory` in [limits]");
                replies::STORAGE_FULL
            }
            IntakeError::Store(StoreError::Full(_)) => {
                error!(%failure, "message refused: free some space for the data directory");
                replies::STORAGE_FULL
            }
            IntakeError::Store(_) => {
                error!(%failure, "message refused for now");
                replies::LOCAL_ERROR
            }
        }
    }
}

/// A recipient in the log.
fn recipient_name(destination: &Destination) -> String {
    match destination {
        Destination::Mailbox { account, .. } => account.to_string(),
        Destination::Remote(address) => address.to_string(),
    }
}

fn directory_failed(failure: &DirectoryError) -> Reply {
    error!(%failure, "account lookup failed");
    replies::LOCAL_ERROR
}

impl<X: SmtpService> Session for SmtpSession<X> {
    type Machine = Server;

    async fn handle(&mut self, event: Event, machine: &mut Server) {
        let answer = match event {
            Event::Authenticate(credentials) => return self.authenticate(&credentials, machine).await,
            Event::Command(_) => Ok(()),
            Event::Mail(mail) => self.begin_transaction(mail, machine).await,
            Event::Recipient(path) => self.add_recipient(&path).await,
            Event::Data => self.begin_data().await,
            Event::Chunk(chunk) => {
                if let Some(Transaction { intake: Some(intake), octets, .. }) = &mut self.transaction {
                    *octets += chunk.len() as u64;
                    intake.write(chunk).await;
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
        match self.auth_rejection.take() {
            None => Produced::Nothing,
            Some((reply, Duration::ZERO)) => {
                machine.reject(reply);
                Produced::Queued
            }
            Some((reply, delay)) => {
                self.auth_rejection = Some((reply, Duration::ZERO));
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
