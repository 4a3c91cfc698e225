//! Tasks in one thread on virtual time: while nobody can go on, the clock jumps to the next timer.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Debug, Formatter};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use mail_store::text::Offload;

/// Tasks that end together, as those of a process do.
pub(crate) type Group = usize;

/// The clock and the tasks. A clone is the same.
#[derive(Clone, Default)]
pub(crate) struct Executor(Rc<Shared>);

#[derive(Default)]
struct Shared {
    now: Cell<Duration>,
    numbers: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    ready: Arc<Mutex<VecDeque<u64>>>,
    timers: RefCell<BTreeMap<Timer, Waker>>,
}

struct Task {
    group: Group,
    waker: Waker,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

/// When, and a number.
pub(crate) type Timer = (Duration, u64);

struct Alarm {
    task: u64,
    ready: Arc<Mutex<VecDeque<u64>>>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.task);
    }
}

impl Executor {
    /// Time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.0.now.get()
    }

    pub(crate) fn spawn(&self, group: Group, future: impl Future<Output = ()> + 'static) {
        let number = self.number();
        let waker = Waker::from(Arc::new(Alarm { task: number, ready: Arc::clone(&self.0.ready) }));
        waker.wake_by_ref();
        self.0.tasks.borrow_mut().insert(number, Task { group, waker, future: Box::pin(future) });
    }

    /// Drops every task of a group where it stands.
    pub(crate) fn kill(&self, group: Group) {
        let dead: Vec<Task> = self
            .0
            .tasks
            .borrow_mut()
            .extract_if(.., |_, task| task.group == group)
            .map(|(_, task)| task)
            .collect();
        // Their destructors may wake others.
        drop(dead);
    }

    /// Lets one task go on, or time pass to the next timer; `false` when nothing is left to happen.
    pub(crate) fn step(&self) -> bool {
        let next = self.0.ready.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(number) = next else { return self.pass_time() };
        let Some(mut task) = self.0.tasks.borrow_mut().remove(&number) else { return true };
        let waker = task.waker.clone();
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.0.tasks.borrow_mut().insert(number, task);
        }
        true
    }

    fn pass_time(&self) -> bool {
        let Some(((when, _), waker)) = self.0.timers.borrow_mut().pop_first() else { return false };
        self.0.now.set(self.now().max(when));
        waker.wake();
        true
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        let until = self.now() + time;
        let mut timer = None;
        std::future::poll_fn(|context| {
            if self.now() >= until {
                return Poll::Ready(());
            }
            self.set(&mut timer, Some(until), context.waker());
            Poll::Pending
        })
        .await;
    }

    /// Replaces a timer by another one, or by none.
    pub(crate) fn set(&self, timer: &mut Option<Timer>, when: Option<Duration>, waker: &Waker) {
        let mut timers = self.0.timers.borrow_mut();
        if let Some(old) = timer.take() {
            timers.remove(&old);
        }
        if let Some(when) = when {
            let new = (when, self.number());
            timers.insert(new, waker.clone());
            *timer = Some(new);
        }
    }

    fn number(&self) -> u64 {
        self.0.numbers.set(self.0.numbers.get() + 1);
        self.0.numbers.get()
    }
}

impl Debug for Executor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// Blocking work that is done a little later, so that others come between.
#[derive(Clone)]
pub(crate) struct DeferredOffload {
    pub(crate) group: Group,
    pub(crate) jobs: Jobs,
}

/// Work that waits to be given its time.
pub(crate) type Jobs = Arc<Mutex<Vec<(Group, Job)>>>;
pub(crate) type Job = Box<dyn FnOnce() + Send>;

impl Debug for DeferredOffload {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeferredOffload").field("group", &self.group).finish_non_exhaustive()
    }
}

/// What comes of a job, and who waits for it.
struct Slot<T> {
    done: Option<T>,
    waker: Option<Waker>,
}

impl Offload for DeferredOffload {
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let slot = Arc::new(Mutex::new(Slot { done: None, waker: None }));
        let filled = Arc::clone(&slot);
        let job = Box::new(move || {
            let done = work();
            let mut slot = filled.lock().unwrap_or_else(PoisonError::into_inner);
            slot.done = Some(done);
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        });
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push((self.group, job));
        std::future::poll_fn(move |context| {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.done.take() {
                Some(done) => Poll::Ready(done),
                None => {
                    slot.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
    }
}
