//! A single-threaded executor on virtual time. If no task is ready, the clock jumps to the next timer.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Debug, Formatter};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use mail_store::offload::Offload;

/// Tasks that are killed together, such as those of one process.
pub(crate) type Group = usize;

/// The clock and the tasks. Clones share their state.
#[derive(Clone, Default)]
pub(crate) struct Executor(Rc<Shared>);

#[derive(Default)]
struct Shared {
    now: Cell<Duration>,
    last_id: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    ready: Arc<Mutex<VecDeque<u64>>>,
    timers: RefCell<BTreeMap<Timer, Waker>>,
}

struct Task {
    group: Group,
    waker: Waker,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

/// Deadline and id.
pub(crate) type Timer = (Duration, u64);

struct TaskWaker {
    task: u64,
    ready: Arc<Mutex<VecDeque<u64>>>,
}

impl Wake for TaskWaker {
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
        let id = self.next_id();
        let waker = Waker::from(Arc::new(TaskWaker { task: id, ready: Arc::clone(&self.0.ready) }));
        waker.wake_by_ref();
        self.0.tasks.borrow_mut().insert(id, Task { group, waker, future: Box::pin(future) });
    }

    /// Drops all tasks of a group.
    pub(crate) fn kill(&self, group: Group) {
        let dead: Vec<Task> = self
            .0
            .tasks
            .borrow_mut()
            .extract_if(.., |_, task| task.group == group)
            .map(|(_, task)| task)
            .collect();
        // Dropped here, because destructors may wake other tasks.
        drop(dead);
    }

    /// Polls one ready task, or advances the clock to the next timer. Returns `false` if there is neither.
    pub(crate) fn step(&self) -> bool {
        let next = self.0.ready.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(id) = next else { return self.advance_clock() };
        let Some(mut task) = self.0.tasks.borrow_mut().remove(&id) else { return true };
        let waker = task.waker.clone();
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.0.tasks.borrow_mut().insert(id, task);
        }
        true
    }

    fn advance_clock(&self) -> bool {
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
            self.set_timer(&mut timer, Some(until), context.waker());
            Poll::Pending
        })
        .await;
    }

    /// Replaces a timer, or removes it if `when` is `None`.
    pub(crate) fn set_timer(&self, timer: &mut Option<Timer>, when: Option<Duration>, waker: &Waker) {
        let mut timers = self.0.timers.borrow_mut();
        if let Some(old) = timer.take() {
            timers.remove(&old);
        }
        if let Some(when) = when {
            let new = (when, self.next_id());
            timers.insert(new, waker.clone());
            *timer = Some(new);
        }
    }

    fn next_id(&self) -> u64 {
        self.0.last_id.set(self.0.last_id.get() + 1);
        self.0.last_id.get()
    }
}

impl Debug for Executor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// Queues blocking work, so that other tasks run before it.
#[derive(Clone)]
pub(crate) struct DeferredOffload {
    pub(crate) group: Group,
    pub(crate) jobs: Jobs,
}

/// Queued work.
pub(crate) type Jobs = Arc<Mutex<Vec<(Group, Job)>>>;
pub(crate) type Job = Box<dyn FnOnce() + Send>;

impl Debug for DeferredOffload {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeferredOffload").field("group", &self.group).finish_non_exhaustive()
    }
}

/// Result of a job and the waker of the task that waits for it.
struct Slot<T> {
    result: Option<T>,
    waker: Option<Waker>,
}

impl Offload for DeferredOffload {
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let slot = Arc::new(Mutex::new(Slot { result: None, waker: None }));
        let filled = Arc::clone(&slot);
        let job = Box::new(move || {
            let result = work();
            let mut slot = filled.lock().unwrap_or_else(PoisonError::into_inner);
            slot.result = Some(result);
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        });
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push((self.group, job));
        std::future::poll_fn(move |context| {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.result.take() {
                Some(result) => Poll::Ready(result),
                None => {
                    slot.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
    }
}
