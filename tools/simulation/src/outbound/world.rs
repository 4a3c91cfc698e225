//! State that outlives the processes of a run.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::hosts::HostPlan;
use super::model::{Counters, Model};
use super::process::InjectedBug;
use crate::random::Random;

/// The shared state. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct World(Arc<State>);

#[derive(Debug)]
struct State {
    bug: Option<InjectedBug>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    random: Random,
    start: Option<Instant>,
    /// Difference of the wall clock to the time since the start.
    clock_offset: TimeDelta,
    plan: HostPlan,
    model: Model,
    violation: Option<String>,
    log: Option<String>,
}

impl World {
    pub(super) fn new(seed: u64, with_log: bool, bug: Option<InjectedBug>) -> Self {
        let inner = Inner {
            random: Random::new(seed),
            start: None,
            clock_offset: TimeDelta::zero(),
            plan: HostPlan::Random { fault_percent: 0 },
            model: Model::default(),
            violation: None,
            log: with_log.then(String::new),
        };
        Self(Arc::new(State { bug, inner: Mutex::new(inner) }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn bug(&self) -> Option<InjectedBug> {
        self.0.bug
    }

    /// Virtual time since the first call.
    pub(super) fn now(&self) -> Duration {
        self.inner().now()
    }

    /// The wall clock.
    pub(super) fn utc(&self) -> DateTime<Utc> {
        let mut inner = self.inner();
        let elapsed = TimeDelta::from_std(inner.now()).expect("a run takes less than a year");
        DateTime::<Utc>::from_timestamp(1_795_374_907, 0).expect("a valid timestamp")
            + elapsed
            + inner.clock_offset
    }

    /// Sets the wall clock forward or back.
    pub(super) fn shift_clock(&self, by: TimeDelta) {
        self.log(|| format!("the clock is set by {} s", by.num_seconds()));
        let mut inner = self.inner();
        inner.clock_offset += by;
        inner.model.clock_is_set(by);
    }

    pub(super) fn plan(&self) -> HostPlan {
        self.inner().plan
    }

    pub(super) fn set_plan(&self, plan: HostPlan) {
        self.inner().plan = plan;
    }

    pub(super) fn with_random<T>(&self, act: impl FnOnce(&mut Random) -> T) -> T {
        act(&mut self.inner().random)
    }

    /// Passes the virtual time and the model to `act`.
    pub(super) fn with_model<T>(&self, act: impl FnOnce(Duration, &mut Model) -> T) -> T {
        let mut inner = self.inner();
        let now = inner.now();
        act(now, &mut inner.model)
    }

    /// Appends a line to the log, if there is one.
    pub(super) fn log(&self, line: impl FnOnce() -> String) {
        let mut inner = self.inner();
        let time = inner.now().as_secs_f64();
        if let Some(log) = &mut inner.log {
            writeln!(log, "{time:>14.6} s  {}", line()).expect("writing to a string succeeds");
        }
    }

    /// Reports a violation. The first one ends the run.
    pub(super) fn violation(&self, text: &str) {
        self.log(|| format!("VIOLATION: {text}"));
        self.inner().violation.get_or_insert_with(|| text.to_owned());
    }

    pub(super) fn is_violated(&self) -> bool {
        self.inner().violation.is_some()
    }

    /// The first violation, the counters and the log.
    pub(super) fn finish(&self) -> (Option<String>, Counters, String) {
        let mut inner = self.inner();
        (inner.violation.take(), inner.model.counters, inner.log.take().unwrap_or_default())
    }
}

impl Inner {
    fn now(&mut self) -> Duration {
        let now = Instant::now();
        now - *self.start.get_or_insert(now)
    }
}
