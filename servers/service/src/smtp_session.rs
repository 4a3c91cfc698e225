//! Policy of an SMTP connection: authentication, senders, recipients, delivery, and the replies to failures.

use std::sync::Arc;
use std::time::Duration;

use mail_core::mailbox::Trace;
use mail_core::message::address::{Address, ForwardPath, ReversePath};
use mail_core::message::complete;
use mail_core::message::header::fields;
use mail_core::message::parsed::Summary;
use mail_core::message::printable::Excerpt;
use mail_core::sasl::Credentials;
use mail_core::session::{Encryption, Produced, Session};
use mail_core::smtp::dsn::OriginalRecipient;
use mail_core::smtp::parameter::{RcptParameters, Recipient};
use mail_core::smtp::reply::Reply;
use mail_core::smtp::server::{Event, Mail, Refusal, Server, replies};
use mail_core::time::Instant;
use mail_core::users::Username;
use mail_store::{DeliveryTarget, Destination, DsnRequest, Envelope, Origin, StoreError};
use tracing::{error, info, warn};

use crate::authentication::{Sender, Verdict};
use crate::context::{ClientContext, Clock, IdGenerator, RejectionReason};
use crate::intake::{HeaderFilter, IntakeError, MessageIntake};
use crate::log;
use crate::smtp_service::{RecipientRefusal, Resources, SmtpService};
use crate::success_report::success_report;

/// Recipients that a spam filter is told about.
const CHECKED_RECIPIENTS_MAX: usize = 20;

/// Authors of one message of a user.
const AUTHORS_MAX: usize = 20;
/// Addresses of one alias that get the parameters of its RCPT command.
const FORWARDED_REQUESTS_MAX: usize = 100;

/// The session of one SMTP connection.
#[derive(Debug)]
pub struct SmtpSession<X: SmtpService> {
    service: Arc<X>,
    client: ClientContext,
    encryption: Option<Encryption>,
    /// Set after a successful AUTH.
    account: Option<Username>,
    /// Boxed: most connections are between transactions most of the time.
    transaction: Option<Box<Transaction<<X::Target as DeliveryTarget>::Incoming>>>,
    /// The last transaction that ended without delivery, for the log.
    aborted: Option<Envelope>,
    /// The reply to a refused AUTH, and its remaining delay.
    auth_rejection: Option<(Reply, Duration)>,
}

/// A mail transaction (RFC 5321 section 3.3).
#[derive(Debug)]
struct Transaction<I> {
    envelope: Envelope,
    /// The size that the client declared (RFC 1870).
    size: Option<u64>,
    /// The last one, for the log.
    refused_recipient: Option<String>,
    intake: Option<MessageIntake<I>>,
    octets: u64,
}

impl<X: SmtpService> SmtpSession<X> {
    /// `encryption` is set for a connection with TLS from its first octet.
    pub const fn new(service: Arc<X>, client: ClientContext, encryption: Option<Encryption>) -> Self {
        Self {
            service,
            client,
            encryption,
            account: None,
            transaction: None,
            aborted: None,
            auth_rejection: None,
        }
    }

    /// Sender and accepted recipients of the transaction.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let Some(Transaction { envelope, .. }) = self.transaction.as_deref() else { return Vec::new() };
        let recipients = envelope.recipients.iter().map(Destination::address);
        envelope.reverse_path.address().into_iter().chain(recipients).map(ToString::to_string).collect()
    }

    /// Aborts the transaction.
    pub fn reset(&mut self) {
        self.aborted = self.transaction.take().map(|transaction| transaction.envelope);
    }

    /// Answers AUTH. A rejection is sent after its delay, by [`Session::produce`].
    async fn authenticate(&mut self, credentials: &Credentials, machine: &mut Server) {
        match self.service.sign_in(credentials, &mut self.client).await {
            Ok(account) => {
                info!(account = account.as_str(), "authenticated");
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
        if machine.is_submission() {
            check_sender(&*self.service, self.account.as_ref(), &mail.reverse_path).await?;
        } else if let Some(address) = mail.reverse_path.address()
            && self.account.is_none()
            && !self.client.may_relay
            && self.service.needs_sign_in(address)
        {
            info!(from = %log::path(&mail.reverse_path), "sender refused: a local domain requires authentication (`own_domains_need_sign_in`)");
            return Err(replies::SIGN_IN_TO_SEND);
        }
        self.aborted = None;
        let origin = match (&self.account, self.client.may_relay) {
            (Some(_), _) => Origin::ThisHost,
            (None, true) => Origin::RelayClient,
            (None, false) => Origin::OtherHost,
        };
        let dsn = DsnRequest { ret: mail.ret, envid: mail.envid, recipients: Vec::new() };
        let Mail { reverse_path, require_tls, size, .. } = mail;
        let envelope = Envelope { reverse_path, recipients: Vec::new(), origin, dsn, require_tls };
        let transaction = Transaction { envelope, size, refused_recipient: None, intake: None, octets: 0 };
        self.transaction = Some(Box::new(transaction));
        Ok(())
    }

    async fn add_recipient(&mut self, recipient: Recipient) -> Result<(), Reply> {
        let Recipient { path, parameters } = recipient;
        let path = &path;
        let may_relay = self.account.is_some() || self.client.may_relay;
        let transaction = self.transaction.as_mut().expect("the machine requires MAIL before RCPT");
        let sender = transaction.envelope.reverse_path.clone();
        let mut accepted = self.service.accept_recipient(path, &sender, may_relay).await;
        if let Ok(destinations) = &accepted
            && let Err(refusal) = self.service.check_quota(destinations, transaction.size).await
        {
            accepted = Err(refusal);
        }
        let destinations = match accepted {
            Ok(destinations) => destinations,
            Err(refusal) => {
                let (from, to) = transaction.refuse_recipient(path);
                return Err(recipient_refusal_reply(&refusal, &from, &to));
            }
        };
        let is_relayed = destinations.iter().any(|destination| matches!(destination, Destination::Remote(_)));
        if is_relayed {
            check_sender(&*self.service, self.account.as_ref(), &sender).await?;
        }
        let transaction = self.transaction.as_mut().expect("the machine requires MAIL before RCPT");
        if let Some(address) = path.address()
            && parameters != RcptParameters::default()
        {
            let requests = &mut transaction.envelope.dsn.recipients;
            requests.extend(forwarded_requests(address, &parameters, &destinations));
            requests.push((address.clone(), parameters));
        }
        let recipients = &mut transaction.envelope.recipients;
        for destination in destinations {
            if !recipients.iter().any(|other| other.is_same_copy(&destination)) {
                recipients.push(destination);
            }
        }
        Ok(())
    }

    async fn begin_data(&mut self, hello: &str) -> Result<(), Reply> {
        let filter = self.header_filter(hello);
        let transaction = self.transaction.as_mut().expect("the machine requires MAIL before DATA");
        let Resources { target, memory, .. } = self.service.resources();
        match MessageIntake::begin(target, &transaction.envelope, memory).await {
            Ok(intake) => transaction.intake = Some(intake.with_filter(filter)),
            Err(error) => {
                let (from, to) = log::addresses(&transaction.envelope);
                return Err(self.failure_reply(&error.into(), &from, &to));
            }
        }
        Ok(())
    }

    /// Verifies a message of an unauthenticated client that may not relay.
    fn header_filter(&self, hello: &str) -> Option<HeaderFilter> {
        let removes_bcc = self.account.is_some() && self.service.removes_bcc();
        let mut removed_fields = if removes_bcc { complete::BCC_FIELDS.to_vec() } else { Vec::new() };
        let Some(authenticator) = self.service.authenticator() else {
            return removes_bcc.then(|| HeaderFilter { removed_fields, ..HeaderFilter::default() });
        };
        removed_fields.extend(authenticator.own_fields());
        let address = self.client.address.filter(|_| self.account.is_none() && !self.client.may_relay);
        let transaction = self.transaction.as_ref().expect("the machine requires MAIL before DATA");
        let check = address.map(|address| {
            let reverse_path = transaction.envelope.reverse_path.clone();
            let recipients = transaction.envelope.recipients.iter().take(CHECKED_RECIPIENTS_MAX);
            let recipients = recipients.map(|recipient| recipient.address().to_string()).collect();
            authenticator.begin(Sender { address, hello: hello.to_owned(), reverse_path, recipients })
        });
        Some(HeaderFilter {
            authserv_id: Some(authenticator.authserv_id().to_owned()),
            removed_fields,
            check,
        })
    }

    async fn end_data(&mut self, hello: String, with: &'static str) -> Result<(), Reply> {
        let Transaction { envelope, intake, octets, .. } =
            *self.transaction.take().expect("the machine requires MAIL before DATA");
        let mut intake = intake.expect("the machine ends the data that it began");
        let (from, to) = log::addresses(&envelope);
        let authentication_results = match intake.authenticate().await {
            Some(Verdict { field, rejection: Some(reply) }) => {
                info!(%from, %to, results = field.trim_end(), "message refused: {reply}");
                return Err(reply);
            }
            verdict => verdict.map(|verdict| verdict.field),
        };
        if let Some(account) = &self.account
            && self.service.needs_own_authors()
        {
            check_authors(&*self.service, account, intake.from_fields()).await?;
        }
        let Resources { hostname, clock, metrics, .. } = self.service.resources();
        let time = clock.utc();
        let trace = Trace {
            reverse_path: envelope.reverse_path.clone(),
            hello,
            peer: self.client.address,
            by: hostname.to_string(),
            with,
            tls: self.encryption.map(|encryption| encryption.to_string()),
            id: clock.generate(time),
            time,
            authentication_results,
            delivered_to: self.service.adds_delivered_to(),
        };
        let start = clock.now();
        let committed = intake.commit(&trace).await;
        let message_id = committed.map_err(|error| self.failure_reply(&error, &from, &to))?;
        metrics.commit_seconds.observe(clock.now().saturating_duration_since(start).as_secs_f64());
        metrics.delivered.add(octets);
        let to = log::list(envelope.recipients.iter().map(recipient_name));
        let report = success_report(&envelope, message_id.as_deref(), &trace);
        if let (Some(report), Some(sender)) = (report, envelope.reverse_path.address())
            && let Err(failure) = self.service.deliver_report(sender, report).await
        {
            warn!(id = trace.id, %failure, "success report not delivered; the message itself was delivered");
        }
        let message_id = message_id.map(tracing::field::display);
        info!(id = trace.id, message_id, %from, octets, to, "delivered");
        Ok(())
    }

    /// Logs a failed delivery. Returns its reply, temporary or permanent.
    fn failure_reply(&self, failure: &IntakeError, from: &str, to: &str) -> Reply {
        if let IntakeError::Store(error) = failure {
            self.service.resources().metrics.store_errors.add(error);
        }
        match failure {
            IntakeError::Loop => {
                info!(%from, %to, "message refused: {failure}");
                replies::MAIL_LOOP
            }
            IntakeError::HeaderTooLarge => {
                info!(%from, %to, "message refused: {failure}");
                replies::HEADER_TOO_LARGE
            }
            IntakeError::NoMemory => {
                warn!(%failure, %from, %to, "message temporarily refused (452): see `message_memory` in [limits]");
                replies::STORAGE_FULL
            }
            IntakeError::Store(StoreError::Full(_)) => {
                error!(%failure, %from, %to, "message temporarily refused (452): free disk space for the data directory");
                replies::STORAGE_FULL
            }
            IntakeError::Store(_) => {
                error!(%failure, %from, %to, "message temporarily refused (451); run `pennypost check`");
                replies::LOCAL_ERROR
            }
        }
    }

    /// Logs a step that the machine refused, with the addresses that are known.
    fn log_refusal(&mut self, Refusal { command, reply }: &Refusal) {
        let command = command.as_deref().map(String::from_utf8_lossy);
        let path = |verb: &str| command.as_deref().and_then(|line| log::path_argument(line, verb));
        let recipient = path("RCPT TO:");
        if let (Some(Transaction { refused_recipient, .. }), Some(to)) =
            (self.transaction.as_deref_mut(), &recipient)
        {
            *refused_recipient = Some(to.clone());
        }
        // A refused chunk or message has ended its transaction.
        let ended = if path("BDAT ").is_some() || command.is_none() { self.aborted.as_ref() } else { None };
        let transaction = self.transaction.as_ref();
        let envelope = transaction.map(|transaction| &transaction.envelope).or(ended);
        let (from, to) = match (path("MAIL FROM:"), envelope) {
            (Some(from), _) => (Some(from), None),
            (None, Some(envelope)) => {
                let (from, to) = log::addresses(envelope);
                let refused = transaction.and_then(|transaction| transaction.refused_recipient.clone());
                (Some(from), recipient.or(if to.is_empty() { refused } else { Some(to) }))
            }
            (None, None) => (None, recipient),
        };
        let (from, to) = (from.map(tracing::field::display), to.map(tracing::field::display));
        match command {
            Some(command) => info!(from, to, command = %Excerpt(&command), %reply, "command refused"),
            None => info!(from, to, "message refused: {reply}"),
        }
    }
}

/// The parameters for addresses on other hosts to which an alias leads (RFC 3461 section 5.2.7.1). The original recipient stays the alias.
fn forwarded_requests(
    alias: &Address,
    parameters: &RcptParameters,
    destinations: &[Destination],
) -> Vec<(Address, RcptParameters)> {
    let original = || OriginalRecipient::new("rfc822", &alias.to_string()).filter(|_| alias.is_ascii());
    let orcpt = parameters.orcpt.clone().or_else(original);
    let parameters = RcptParameters { orcpt, ..parameters.clone() };
    let remote = destinations.iter().filter_map(|destination| match destination {
        Destination::Remote(address) if address != alias => Some(address.clone()),
        _ => None,
    });
    remote.take(FORWARDED_REQUESTS_MAX).map(|address| (address, parameters.clone())).collect()
}

/// The sender is null, or an address of the authenticated account.
async fn check_sender<X: SmtpService>(
    service: &X,
    account: Option<&Username>,
    sender: &ReversePath,
) -> Result<(), Reply> {
    let (Some(account), Some(address)) = (account, sender.address()) else { return Ok(()) };
    let from = log::path(sender);
    let may_send = service.may_send_as(account, address).await.map_err(|failure| {
        error!(%failure, %from, "sender temporarily refused (451): account lookup failed; check User.txt");
        replies::LOCAL_ERROR
    })?;
    if !may_send {
        info!(account = account.as_str(), %from, "sender refused: not an address of the account");
        return Err(replies::FOREIGN_SENDER);
    }
    Ok(())
}

/// The authors of a user's message are addresses of the user (RFC 6409 section 6.1). A message without a From field has none.
async fn check_authors<X: SmtpService>(
    service: &X,
    account: &Username,
    from_fields: &[u8],
) -> Result<(), Reply> {
    if from_fields.is_empty() {
        return Ok(());
    }
    let authors = Summary::parse(from_fields).from;
    let mut is_own = !authors.is_empty() && authors.len() <= AUTHORS_MAX && fields(from_fields).count() == 1;
    for author in authors.iter().take(AUTHORS_MAX) {
        is_own &= match author.parsed_address() {
            Some(address) => service.may_send_as(account, &address).await.map_err(|failure| {
                error!(%failure, "message refused for now: account lookup failed");
                replies::LOCAL_ERROR
            })?,
            None => false,
        };
    }
    if is_own {
        return Ok(());
    }
    let from = Excerpt(&String::from_utf8_lossy(from_fields)).to_string();
    info!(
        account = account.as_str(),
        from, "message refused: the From field has another address than the account's"
    );
    Err(replies::FOREIGN_AUTHOR)
}

impl<I> Transaction<I> {
    /// Sender and refused recipient for the log.
    fn refuse_recipient(&mut self, path: &ForwardPath) -> (String, String) {
        let to = log::path(path);
        self.refused_recipient = Some(to.clone());
        (log::path(&self.envelope.reverse_path), to)
    }
}

/// A recipient in the log.
fn recipient_name(destination: &Destination) -> String {
    match destination {
        Destination::Mailbox { account, .. } => account.to_string(),
        Destination::Remote(address) => address.to_string(),
    }
}

/// Logs a refused recipient. Returns its reply, temporary or permanent.
fn recipient_refusal_reply(refusal: &RecipientRefusal, from: &str, to: &str) -> Reply {
    match refusal {
        RecipientRefusal::UnknownUser => {
            info!(%from, %to, "recipient refused: {refusal}");
            replies::UNKNOWN_USER
        }
        RecipientRefusal::RelayingDenied => {
            info!(%from, %to, "recipient refused: {refusal}");
            replies::RELAYING_DENIED
        }
        RecipientRefusal::RemoteAlias(_) => {
            error!(%from, %to, "recipient temporarily refused (451): {refusal}; see `pennypost check`");
            replies::LOCAL_ERROR
        }
        RecipientRefusal::MailboxFull(_) => {
            info!(%from, %to, "recipient temporarily refused (452): {refusal}");
            replies::MAILBOX_FULL
        }
        RecipientRefusal::MailboxTooFull(_) => {
            info!(%from, %to, "recipient refused: {refusal}");
            replies::MAILBOX_TOO_FULL
        }
        RecipientRefusal::Store(failure) => {
            error!(%failure, %from, %to, "recipient temporarily refused (451): the size of the mailbox is unknown; run `pennypost check`");
            replies::LOCAL_ERROR
        }
        RecipientRefusal::Directory(failure) => {
            error!(%failure, %from, %to, "recipient temporarily refused (451): account lookup failed; check User.txt");
            replies::LOCAL_ERROR
        }
    }
}

impl<X: SmtpService> Session for SmtpSession<X> {
    type Machine = Server;

    async fn handle(&mut self, event: Event, machine: &mut Server) {
        let answer = match event {
            Event::Authenticate(credentials) => return self.authenticate(&credentials, machine).await,
            Event::Command(_) => Ok(()),
            Event::Mail(mail) => self.begin_transaction(mail, machine).await,
            Event::Recipient(recipient) => self.add_recipient(recipient).await,
            Event::Data => {
                let hello = machine.hello().unwrap_or_default().to_owned();
                self.begin_data(&hello).await
            }
            Event::Chunk(chunk) => {
                if let Some(Transaction { intake: Some(intake), octets, .. }) =
                    self.transaction.as_deref_mut()
                {
                    *octets += chunk.len() as u64;
                    intake.write(chunk).await;
                }
                return;
            }
            Event::EndOfData => {
                let hello = machine.hello().unwrap_or_default().to_owned();
                // Boxed: otherwise each connection would reserve memory for it.
                Box::pin(self.end_data(hello, machine.protocol())).await
            }
            Event::Reset => return self.reset(),
            Event::Refused(refusal) => return self.log_refusal(&refusal),
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
