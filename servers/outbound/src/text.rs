//! The text queue as the agent uses it: operations on files, on other threads.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use mail_core::queue::{LogLine, QueueId};
use mail_store::StoreError;
use mail_store::disk::Disk;
use mail_store::offload::Offload;
use tracing::info;

use crate::body::FileBody;
use crate::queue::Queue;
use crate::store::{ARRIVALS_MAX, Arrivals, QueueError, QueueStore, Queued, QueuedState};

/// The files of the queue, which this process delivers.
#[derive(Debug, Clone)]
pub struct TextQueue<D: Disk, O: Offload> {
    pub(crate) queue: Arc<Queue<D>>,
    pub(crate) offload: O,
    earlier: Arc<Mutex<Earlier>>,
}

/// The entries of earlier processes.
#[derive(Debug)]
struct Earlier {
    /// Those that are not scheduled yet, newest first.
    ids: Vec<QueueId>,
    /// All of them; 0 once it was logged.
    count: usize,
}

/// A message in a file.
#[derive(Debug, Clone)]
pub struct FileContent<F> {
    pub(crate) file: Arc<F>,
    pub(crate) range: Range<u64>,
}

impl<F> FileContent<F> {
    /// The file, and the position of the message.
    #[must_use]
    pub fn parts(&self) -> (&F, Range<u64>) {
        (&self.file, self.range.clone())
    }
}

impl<D: Disk, O: Offload> TextQueue<D, O> {
    /// Opens the queue for delivery.
    ///
    /// # Errors
    /// Another process delivers the queue, or its directory cannot be used.
    pub fn open(disk: D, offload: O) -> Result<Self, StoreError> {
        let queue = Queue::open(disk)?;
        // Messages that are accepted from now on are scheduled by their sessions.
        let mut ids = queue.ids()?;
        ids.reverse();
        let earlier = Arc::new(Mutex::new(Earlier { count: ids.len(), ids }));
        Ok(Self { queue: Arc::new(queue), offload, earlier })
    }

    fn next_earlier(&self) -> Vec<QueueId> {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        let start = earlier.ids.len().saturating_sub(ARRIVALS_MAX);
        let mut ids = earlier.ids.split_off(start);
        ids.reverse();
        if ids.is_empty() && earlier.count > 0 {
            info!(messages = std::mem::take(&mut earlier.count), "outbound queue read");
        }
        ids
    }
}

impl<D: Disk, O: Offload> QueueStore for TextQueue<D, O> {
    type Content = FileContent<D::File>;
    type Body = FileBody<D::File, O>;

    const HAS_CONTROL_SOCKET: bool = true;

    async fn arrivals(&self) -> Arrivals {
        let claimed = self.next_earlier();
        if claimed.is_empty() {
            return std::future::pending().await;
        }
        Arrivals { claimed, ..Arrivals::default() }
    }

    async fn newest(&self, limit: usize) -> Result<Vec<QueueId>, StoreError> {
        let queue = Arc::clone(&self.queue);
        let mut ids = self.offload.run(move || queue.ids()).await?;
        ids.reverse();
        ids.truncate(limit);
        Ok(ids)
    }

    async fn read(&self, id: &QueueId) -> Result<Queued<Self::Content>, QueueError> {
        let (queue, id) = (Arc::clone(&self.queue), id.clone());
        self.offload.run(move || queue.read(&id)).await
    }

    async fn read_states(&self, ids: Vec<QueueId>) -> Vec<QueuedState> {
        let queue = Arc::clone(&self.queue);
        let read = move || {
            // Closes each file.
            let read = |id: QueueId| {
                let state = queue.read(&id).map(|Queued { entry, progress, .. }| (entry, progress));
                (id, state)
            };
            ids.into_iter().map(read).collect()
        };
        self.offload.run(read).await
    }

    fn body(&self, FileContent { file, range }: &Self::Content) -> Self::Body {
        FileBody { file: Arc::clone(file), rest: range.clone(), offload: self.offload.clone() }
    }

    async fn append(&self, id: &QueueId, lines: Arc<[LogLine]>) -> Result<(), StoreError> {
        let (queue, id) = (Arc::clone(&self.queue), id.clone());
        self.offload.run(move || queue.append(&id, &lines)).await
    }

    async fn remove(&self, id: &QueueId) -> Result<(), StoreError> {
        let (queue, id) = (Arc::clone(&self.queue), id.clone());
        self.offload.run(move || queue.remove(&id)).await
    }
}
