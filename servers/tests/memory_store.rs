//! The sessions and the driver over a store in memory whose leases expire, on paused time.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mail_core::message::address::Domain;
use mail_core::sasl::AuthOffer;
use mail_core::secret::Secret;
use mail_core::time::Instant;
use mail_core::users::Username;
use mail_core::{pop3, smtp};
use mail_service::budget::Budget;
use mail_service::context::{ClientContext, Clock, IdGenerator, RelayPolicy, ServiceContext};
use mail_service::pop3_session::Pop3Session;
use mail_service::smtp_session::SmtpSession;
use mail_service::throttle::Throttle;
use mail_store::directory::AccountAdmin;
use mail_store::{MaildropStore, StoreError};
use net::driver::{Connection, Timer, TokioTimer, drive};
use net::metrics::{ConnectionMetrics, ReplyFormat};
use net::stream::Stream;
use store_testing::{MemoryDirectory, MemoryStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::time::sleep;

const LEASE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct TestClock;

impl Clock for TestClock {
    fn now(&self) -> Instant {
        TokioTimer.now()
    }

    fn utc(&self) -> DateTime<Utc> {
        "2026-11-22T19:15:07Z".parse().expect("a date")
    }
}

impl IdGenerator for TestClock {
    fn generate(&self, _time: DateTime<Utc>) -> String {
        "id".into()
    }
}

type Context = Arc<ServiceContext<MemoryDirectory, MemoryStore, TestClock>>;

fn gb() -> Username {
    Username::parse("gb").expect("a valid name")
}

async fn context() -> Context {
    let directory = MemoryDirectory::default();
    directory.add(&gb(), &Secret::new("other".to_owned())).await.expect("added");
    let hostname = Domain::parse("iit.edu").expect("a domain");
    Arc::new(ServiceContext {
        authenticator: None,
        domains: vec![hostname.clone()],
        hostname,
        postmaster: None,
        refuse_unknown_user: false,
        relay: RelayPolicy::default(),
        throttle: Throttle::default(),
        memory: Budget::new(1 << 20),
        metrics: Arc::default(),
        directory,
        store: MemoryStore::new(LEASE, || TokioTimer.now()),
        clock: TestClock,
    })
}

/// A client's side of a connection.
struct Client(DuplexStream);

impl Client {
    fn smtp(context: &Context) -> Self {
        let config = smtp::server::Config {
            hostname: "iit.edu".into(),
            message_size_max: 1 << 20,
            recipients_max: 100,
            starttls: false,
            auth: AuthOffer::Always,
            submission: false,
            bare_line_ends: false,
            command_events: false,
            dsn: false,
            require_tls: false,
        };
        let machine = smtp::server::Server::new(Arc::new(config), true, TokioTimer.now());
        let session = SmtpSession::new(Arc::clone(context), ClientContext::new(None, false), None);
        Self::connect(machine, session)
    }

    fn pop3(context: &Context) -> Self {
        let config = pop3::server::Config {
            stls: false,
            auth: AuthOffer::Always,
            login_delay: None,
            implementation: None,
        };
        let machine = pop3::server::Server::new(Arc::new(config), true, TokioTimer.now());
        Self::connect(machine, Pop3Session::new(Arc::clone(context), ClientContext::new(None, false)))
    }

    fn connect<S>(machine: S::Machine, session: S) -> Self
    where
        S: mail_core::session::Session + 'static,
        S::Machine: 'static,
    {
        let (client, server) = duplex(1 << 20);
        tokio::spawn(async move {
            let (_stop, shutdown) = watch::channel(false);
            let metrics = ConnectionMetrics::unregistered(ReplyFormat::Pop3);
            let connection = Connection::new(Stream::Plain(server), None, Arc::clone(&metrics));
            drive(connection, TokioTimer, machine, session, metrics, shutdown).await
        });
        Self(client)
    }

    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.0.read_u8().await.expect("a line"));
        }
        String::from_utf8(line).expect("text")
    }

    /// Sends a command and returns the first line of the reply.
    async fn command(&mut self, command: &str) -> String {
        self.0.write_all(format!("{command}\r\n").as_bytes()).await.expect("written");
        self.line().await
    }

    async fn expect(&mut self, command: &str, reply: &str) {
        let found = self.command(command).await;
        assert!(found.starts_with(reply), "{command}: {found}");
    }

    async fn login(context: &Context) -> Self {
        let mut pop3 = Self::pop3(context);
        assert!(pop3.line().await.starts_with("+OK"));
        pop3.expect("USER gb", "+OK").await;
        pop3.expect("PASS other", "+OK").await;
        pop3
    }
}

async fn deliver(context: &Context) {
    let mut smtp = Client::smtp(context);
    assert!(smtp.line().await.starts_with("220"));
    for (command, reply) in
        [("HELO iit.edu", "250"), ("MAIL FROM:<>", "250"), ("RCPT TO:<gb@iit.edu>", "250"), ("DATA", "354")]
    {
        smtp.expect(command, reply).await;
    }
    smtp.expect("Subject: x\r\n\r\nfirst\r\n..dot\r\n.", "250").await;
    smtp.expect("QUIT", "221").await;
}

#[tokio::test(start_paused = true)]
async fn delivered_message_is_retrieved_dot_stuffed_and_removed() {
    let context = context().await;
    deliver(&context).await;
    let mut pop3 = Client::login(&context).await;
    pop3.expect("STAT", "+OK 1 ").await;
    pop3.expect("RETR 1", "+OK").await;
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line| line != ".\r\n") {
        lines.push(pop3.line().await);
    }
    assert_eq!(lines, ["Subject: x\r\n", "\r\n", "first\r\n", "..dot\r\n", ".\r\n"]);
    pop3.expect("DELE 1", "+OK").await;
    pop3.expect("QUIT", "+OK").await;
    assert_eq!(Client::login(&context).await.command("STAT").await, "+OK 0 0\r\n");
}

#[tokio::test(start_paused = true)]
async fn driver_renews_the_lease_of_an_idle_session() {
    let context = context().await;
    deliver(&context).await;
    let mut pop3 = Client::login(&context).await;
    sleep(LEASE * 5).await;
    assert_eq!(context.store.open(&gb()).await.err(), Some(StoreError::InUse));
    pop3.expect("DELE 1", "+OK").await;
    pop3.expect("QUIT", "+OK").await;
}

#[tokio::test(start_paused = true)]
async fn session_ends_when_its_lease_has_expired() {
    let context = context().await;
    deliver(&context).await;
    let mut pop3 = Client::login(&context).await;
    pop3.expect("DELE 1", "+OK").await;
    context.store.expire_lease(&gb());
    // The next session may begin at once; the old one ends at its next renewal.
    let mut next = Client::login(&context).await;
    let mut rest = Vec::new();
    pop3.0.read_to_end(&mut rest).await.expect("the connection is closed");
    assert!(rest.starts_with(b"-ERR") || rest.is_empty(), "{}", rest.escape_ascii());
    assert_eq!(next.command("STAT").await, "+OK 1 27\r\n", "nothing was removed");
    assert_eq!(context.metrics.store_errors.lost.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn command_after_the_lease_has_expired_is_refused() {
    let context = context().await;
    deliver(&context).await;
    let mut pop3 = Client::login(&context).await;
    context.store.expire_lease(&gb());
    pop3.expect("RETR 1", "-ERR [SYS/TEMP]").await;
}
