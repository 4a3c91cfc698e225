//! The service context of the configured storage.

use std::sync::Arc;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use config::Config;
use mail_core::message::address::Domain;
use mail_core::time::Instant;
use mail_service::budget::Budget;
use mail_service::context::{Clock, IdGenerator, RelayPolicy, ServiceContext};
use mail_service::metrics::Metrics;
use mail_service::throttle::{Throttle, ThrottleLimits};
use prometheus_client::registry::Registry;

use crate::admin::run_blocking;
use crate::authentication;
use crate::configured::{self, ConfiguredDirectory, ConfiguredStore, Storage};
use crate::outbound;

/// The system's clock, and ULIDs as message ids: sorted by time, with 80 random bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn utc(&self) -> DateTime<Utc> {
        DateTime::<Utc>::from(SystemTime::now())
    }
}

impl IdGenerator for SystemClock {
    fn generate(&self, time: DateTime<Utc>) -> String {
        ulid::Ulid::from_datetime(time.into()).to_string()
    }
}

/// The service of the configured storage.
pub(crate) type Context = ServiceContext<ConfiguredDirectory, ConfiguredStore, SystemClock>;

/// Opens the directory and the store, and registers the metrics. `serves_smtp` opens the outbound queue, too; one process delivers
/// that of text files.
///
/// # Errors
/// A sentence with the cause and the remedy.
pub(crate) fn open(
    config: &Config,
    storage: &Storage<'_>,
    serves_smtp: bool,
    registry: &mut Registry,
) -> Result<Context, String> {
    let directory = storage.directory()?;
    if !storage.is_database() {
        // Before anything else is created in the data directory.
        run_blocking(configured::check_accounts(config, &directory))?;
    }
    let hostname = Domain::parse(&config.hostname.ascii()).expect("the A-labels of a domain are a domain");
    let (store, srs) = match &config.outbound {
        Some(outbound) if serves_smtp => {
            let srs = mail_outbound::open_srs(&config.data, hostname.clone())?;
            let composer = outbound::composer(config, &srs)?;
            (storage.store_with_queue(composer, outbound::schedule(outbound))?, Some(srs))
        }
        _ => (storage.store()?, None),
    };
    let outbound = srs.is_some();
    Ok(ServiceContext {
        hostname,
        authenticator: authentication::authenticator(config, serves_smtp, registry)?,
        domains: config.domains.clone(),
        postmaster: config.postmaster.clone(),
        refuse_unknown_user: config.pop3.refuse_unknown_user,
        throttle: Throttle::new(ThrottleLimits {
            per_address: config.auth.failures_per_address,
            per_account: config.auth.failures_per_account,
        }),
        memory: Budget::new(config.limits.message_memory.get()),
        metrics: Arc::new(Metrics::registered(registry)),
        directory,
        relay: RelayPolicy {
            outbound,
            own_domains_need_sign_in: config.smtp.own_domains_need_sign_in.unwrap_or(outbound),
            own_header_from: config.smtp.own_header_from.unwrap_or(outbound),
            delivered_to: config.adds_delivered_to(),
            srs,
        },
        store,
        clock: SystemClock,
    })
}
