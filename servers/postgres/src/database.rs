//! The pool of connections.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime,
};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::connect::AnyHost;
use crate::failure::{Failure, repeat};
use crate::schema;
use crate::url::DatabaseUrl;

/// Limit of an operation whose client waits for the answer, with all of its attempts.
pub(crate) const OPERATION_LIMIT: Duration = Duration::from_secs(10);
/// Limit of one request to the server. The server has a shorter one.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Limit of waiting for a free connection, and of opening one.
const CONNECTION_LIMIT: Duration = Duration::from_secs(5);

/// Limits on the server. A transaction of a node that froze or lost its connection ends, and releases its locks.
const SESSION: &str = "SET statement_timeout = '9s'; SET lock_timeout = '8s'; \
    SET idle_in_transaction_session_timeout = '10s'; SET synchronous_commit = on; SET client_min_messages = warning";

/// A database with mail. Clones share its connections.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    location: Arc<str>,
    /// Number of tasks that release leases of dropped sessions.
    releases: Arc<watch::Sender<usize>>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("location", &self.location).finish_non_exhaustive()
    }
}

impl Database {
    /// Prepares at most `connections` connections to the database at `url`, which is contacted when the first is needed.
    ///
    /// # Errors
    /// A sentence: the URL is invalid, or its root certificates cannot be read.
    pub fn new(url: &str, connections: usize) -> Result<Self, String> {
        let url = DatabaseUrl::parse(url)?;
        let connect = AnyHost { tls: url.tls()?, hosts: url.hosts };
        let manager = Manager::from_connect(
            url.config,
            connect,
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let prepare = Hook::async_fn(|client, _| {
            Box::pin(async move { client.batch_execute(SESSION).await.map_err(HookError::Backend) })
        });
        let pool = Pool::builder(manager)
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECTION_LIMIT))
            .create_timeout(Some(CONNECTION_LIMIT))
            .recycle_timeout(Some(CONNECTION_LIMIT))
            .post_create(prepare)
            .build()
            .map_err(|error| format!("cannot prepare connections to the database: {error}"))?;
        Ok(Self { pool, location: url.location.into(), releases: Arc::default() })
    }

    /// Hosts and name of the database, without user and password.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// TCP ports of the database's hosts.
    ///
    /// # Errors
    /// A sentence: the URL is invalid.
    pub fn ports(url: &str) -> Result<Vec<u16>, String> {
        DatabaseUrl::parse(url).map(|url| url.ports())
    }

    /// Creates or upgrades the tables. Returns the names of the applied migrations.
    ///
    /// # Errors
    /// A sentence with the cause.
    pub async fn migrate(&self) -> Result<Vec<String>, String> {
        schema::migrate(self).await
    }

    /// Checks that the tables are those that this program knows.
    ///
    /// # Errors
    /// A sentence with the cause and the remedy.
    pub async fn check_schema(&self) -> Result<(), String> {
        let checked = repeat(OPERATION_LIMIT, || schema::check(self)).await;
        checked.map_err(|failure| format!("cannot use the database {}: {failure}", self.location))
    }

    /// Waits until the leases of dropped sessions are released, for a few seconds at most: those that remain expire.
    pub async fn finish(&self) {
        let _ = timeout(CONNECTION_LIMIT, self.releases.subscribe().wait_for(|count| *count == 0)).await;
    }

    /// Runs the release of a lease that [`finish`](Self::finish) waits for.
    pub(crate) fn spawn_release(&self, release: impl Future<Output = ()> + Send + 'static) {
        // Without a runtime the process is ending, and the lease expires.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let releases = Arc::clone(&self.releases);
        releases.send_modify(|count| *count += 1);
        runtime.spawn(async move {
            release.await;
            releases.send_modify(|count| *count -= 1);
        });
    }

    /// Borrows a connection.
    pub(crate) async fn connection(&self) -> Result<Connection, Failure> {
        Ok(Connection(Some(self.pool.get().await?)))
    }

    /// A connection that does not return to the pool.
    pub(crate) async fn owned(&self) -> Result<ClientWrapper, Failure> {
        Ok(Object::take(self.pool.get().await?))
    }

    /// The rows of one statement that changes nothing, or that may be repeated.
    pub(crate) async fn query(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Failure> {
        repeat(OPERATION_LIMIT, || async {
            let connection = self.connection().await?;
            let statement = connection.prepare(sql).await?;
            let rows = connection.rows(&statement, values).await?;
            connection.give_back();
            Ok(rows)
        })
        .await
    }
}

/// Values of a statement's parameters.
pub(crate) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A borrowed connection. It is closed when dropped, unless it was given back: after a failure, a timeout or a cancellation,
/// a transaction may be open or an answer outstanding.
pub(crate) struct Connection(Option<Object>);

impl Deref for Connection {
    type Target = Object;

    fn deref(&self) -> &Object {
        self.0.as_ref().expect("only `give_back` and `drop` take the connection")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

impl Connection {
    /// Returns the connection to the pool. No transaction is open.
    pub(crate) fn give_back(mut self) {
        drop(self.0.take());
    }

    pub(crate) async fn prepare(&self, sql: &str) -> Result<Statement, Failure> {
        self.within_limit(self.prepare_cached(sql)).await
    }

    /// Requests whose futures are polled in order are sent in order, without waiting for answers.
    pub(crate) async fn rows(&self, statement: &Statement, values: Values<'_>) -> Result<Vec<Row>, Failure> {
        self.within_limit(self.query(statement, values)).await
    }

    /// Returns the number of changed rows.
    pub(crate) async fn change(&self, statement: &Statement, values: Values<'_>) -> Result<u64, Failure> {
        self.within_limit(self.execute(statement, values)).await
    }

    /// Commits the open transaction. Without the server's timeout: if it expires while COMMIT waits for the synchronous standby,
    /// the server reports success.
    pub(crate) async fn commit(&self) -> Result<(), Failure> {
        self.run("SET LOCAL statement_timeout = 0; COMMIT").await
    }

    /// Executes statements without parameters.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), Failure> {
        self.within_limit(self.batch_execute(sql)).await
    }

    /// A server that does not answer has frozen or cannot be reached. The idle connections are probably to the same server; each
    /// would take as long to fail, so they are closed.
    async fn within_limit<T>(
        &self,
        request: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        if let Ok(result) = timeout(REQUEST_LIMIT, request).await {
            return Ok(result?);
        }
        if let Some(pool) = Object::pool(self) {
            pool.retain(|_, _| false);
        }
        Err(Failure::timed_out())
    }
}
