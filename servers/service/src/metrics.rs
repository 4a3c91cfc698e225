//! Metrics of logins, delivery, retrieval and the store.

use mail_store::StoreError;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of a latency histogram, in seconds: from a lookup in memory to a disk that hangs.
pub const LATENCY_BUCKETS: [f64; 12] =
    [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// Metrics of the sessions.
#[derive(Debug)]
pub struct Metrics {
    pub sign_ins: SignIns,
    /// Messages committed to stable storage, once each whatever the number of recipients, and their octets as sent.
    pub delivered: Messages,
    /// From the end of a message to its last copy on stable storage.
    pub commit_seconds: Histogram,
    /// Messages that RETR sent in full, and their octets as LIST counts them.
    pub retrieved: Messages,
    pub store_errors: StoreErrors,
}

/// Logins by result.
#[derive(Debug, Default)]
pub struct SignIns {
    pub success: Counter,
    /// Wrong name or password.
    pub failure: Counter,
    /// Refused by the throttle; the password was not verified.
    pub throttled: Counter,
    /// The directory failed or was busy.
    pub error: Counter,
}

#[derive(Debug, Default)]
pub struct Messages {
    pub messages: Counter,
    pub octets: Counter,
}

/// Store failures by kind. A maildrop in use is not a failure.
#[derive(Debug, Default)]
pub struct StoreErrors {
    pub full: Counter,
    pub lost: Counter,
    pub failed: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            sign_ins: SignIns::default(),
            delivered: Messages::default(),
            commit_seconds: Histogram::new(LATENCY_BUCKETS),
            retrieved: Messages::default(),
            store_errors: StoreErrors::default(),
        }
    }
}

type Labels = [(&'static str, &'static str); 1];

impl Metrics {
    /// Registers the metrics with the value 0.
    #[must_use]
    pub fn registered(registry: &mut Registry) -> Self {
        let sign_ins = Family::<Labels, Counter>::default();
        let store_errors = Family::<Labels, Counter>::default();
        registry.register("sign_ins", "Login attempts, by result", sign_ins.clone());
        registry.register("store_errors", "Failures of the store, by kind", store_errors.clone());
        let result = |result| sign_ins.get_or_create(&[("result", result)]).clone();
        let kind = |kind| store_errors.get_or_create(&[("kind", kind)]).clone();
        let metrics = Self {
            sign_ins: SignIns {
                success: result("success"),
                failure: result("failure"),
                throttled: result("throttled"),
                error: result("error"),
            },
            store_errors: StoreErrors { full: kind("full"), lost: kind("lost"), failed: kind("failed") },
            ..Self::default()
        };
        let Self { delivered, commit_seconds, retrieved, .. } = &metrics;
        registry.register(
            "delivered_messages",
            "Messages committed to stable storage",
            delivered.messages.clone(),
        );
        registry.register(
            "delivered_octets",
            "Octets of delivered messages, as sent",
            delivered.octets.clone(),
        );
        let help = "Seconds from the end of a message to its last copy on stable storage";
        registry.register("commit_seconds", help, commit_seconds.clone());
        registry.register(
            "retrieved_messages",
            "Messages that RETR sent in full",
            retrieved.messages.clone(),
        );
        registry.register(
            "retrieved_octets",
            "Octets of retrieved messages, as listed",
            retrieved.octets.clone(),
        );
        metrics
    }
}

impl Messages {
    /// Counts one message.
    pub fn add(&self, octets: u64) {
        self.messages.inc();
        self.octets.inc_by(octets);
    }
}

impl StoreErrors {
    pub fn add(&self, error: &StoreError) {
        match error {
            StoreError::InUse => {}
            StoreError::Full(_) => _ = self.full.inc(),
            StoreError::Lost(_) => _ = self.lost.inc(),
            StoreError::Failed(_) => _ = self.failed.inc(),
        }
    }
}
