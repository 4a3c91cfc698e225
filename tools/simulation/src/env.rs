//! The environment of a run: virtual time, randomness, the model, the log and the violations found.

use std::cell::{RefCell, RefMut};
use std::fmt::Write;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use mail_core::time::Instant;
use net::metrics::{ConnectionMetrics, ReplyFormat};

use crate::executor::{Executor, Group};
use crate::model::{Attempt, Model};
use crate::random::Random;
use crate::store::Violations;

/// The group of tasks that belong to no process.
pub(crate) const OUTSIDE: Group = 0;

/// A handle; clones share the environment.
#[derive(Clone)]
pub(crate) struct Env(Rc<Shared>);

struct Shared {
    with_log: bool,
    executor: Executor,
    start: Instant,
    random: RefCell<Random>,
    model: RefCell<Model>,
    violations: Violations,
    log: RefCell<String>,
    connection_metrics: Arc<ConnectionMetrics>,
}

impl Env {
    pub(crate) fn new(with_log: bool, random: Random) -> Self {
        Self(Rc::new(Shared {
            with_log,
            executor: Executor::default(),
            start: Instant::now(),
            random: RefCell::new(random),
            model: RefCell::default(),
            violations: Violations::default(),
            log: RefCell::default(),
            connection_metrics: ConnectionMetrics::unregistered(ReplyFormat::Smtp),
        }))
    }

    pub(crate) fn executor(&self) -> &Executor {
        &self.0.executor
    }

    /// Virtual time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.0.executor.now()
    }

    pub(crate) fn start(&self) -> Instant {
        self.0.start
    }

    /// Virtual time as an instant.
    pub(crate) fn instant(&self) -> Instant {
        self.0.start + self.now()
    }

    pub(crate) fn since_start(&self, when: Instant) -> Duration {
        when.saturating_duration_since(self.0.start)
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.0.executor.sleep(time).await;
    }

    /// Starts a task that belongs to no process.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.0.executor.spawn(OUTSIDE, future);
    }

    pub(crate) fn connection_metrics(&self) -> Arc<ConnectionMetrics> {
        Arc::clone(&self.0.connection_metrics)
    }

    pub(crate) fn model(&self) -> RefMut<'_, Model> {
        self.0.model.borrow_mut()
    }

    pub(crate) fn with_random<T>(&self, act: impl FnOnce(&mut Random) -> T) -> T {
        act(&mut self.0.random.borrow_mut())
    }

    /// Adds an event to the log, if there is one.
    pub(crate) fn note(&self, event: impl FnOnce() -> String) {
        if self.0.with_log {
            let time = self.now().as_secs_f64();
            writeln!(self.0.log.borrow_mut(), "{time:>12.6} s  {}", event())
                .expect("writing to a string succeeds");
        }
    }

    /// Records a violation of the model.
    pub(crate) fn fail(&self, violation: &str) {
        self.note(|| format!("VIOLATION: {violation}"));
        self.0.violations.lock().unwrap_or_else(PoisonError::into_inner).push(violation.to_owned());
    }

    pub(crate) fn violations(&self) -> Violations {
        Arc::clone(&self.0.violations)
    }

    pub(crate) fn first_failure(&self) -> Option<String> {
        self.0.violations.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }

    pub(crate) fn log(&self) -> String {
        self.0.log.borrow().clone()
    }

    pub(crate) fn acknowledged(&self, name: &str, attempt: Attempt) {
        self.note(|| format!("{name}: message {attempt} is acknowledged"));
        let acknowledged = self.model().acknowledged(attempt);
        if let Err(violation) = acknowledged {
            self.fail(&violation);
        }
    }
}
