//! The text queue passes the tests of every queue.

use std::time::Duration;

use mail_outbound::store::{Arrivals, QueueStore as _};
use mail_outbound::{Grouping, OutboundQueue, SharedSchedule, TextQueue};
use mail_store::disk::sim::SimDisk;
use mail_store::offload::Inline;

mod queue_suite;

type Target = OutboundQueue<SimDisk, Inline>;

fn open(disk: &SimDisk) -> (Target, TextQueue<SimDisk, Inline>) {
    let schedule = SharedSchedule::new(Grouping::Domains, Duration::from_secs(1));
    let target = OutboundQueue::open(disk, Inline, schedule, queue_suite::composer()).expect("opened");
    let (queue, _) = target.parts();
    (target, queue)
}

#[tokio::test]
async fn message_is_queued_unchanged() {
    let (target, queue) = open(&SimDisk::default());
    queue_suite::message_is_queued_unchanged(&target, &queue).await;
}

#[tokio::test]
async fn log_gives_the_state() {
    let (target, queue) = open(&SimDisk::default());
    queue_suite::log_gives_the_state(&target, &queue).await;
}

#[tokio::test]
async fn removed_entry_is_gone() {
    let (target, queue) = open(&SimDisk::default());
    queue_suite::removed_entry_is_gone(&target, &queue).await;
}

#[tokio::test(start_paused = true)]
async fn entries_of_an_earlier_process_arrive_once() {
    let disk = SimDisk::default();
    let (target, queue) = open(&disk);
    for name in ["B", "A"] {
        queue_suite::try_deliver(&target, &queue_suite::to(&["x"], &[]), name, "\r\n")
            .await
            .expect("accepted");
    }
    drop((target, queue));
    let (target, queue) = open(&disk);
    queue_suite::try_deliver(&target, &queue_suite::to(&["x"], &[]), "C", "\r\n").await.expect("accepted");
    let claimed = vec![queue_suite::id("A"), queue_suite::id("B")];
    assert_eq!(queue.arrivals().await, Arrivals { claimed, ..Arrivals::default() });
    let second = tokio::time::timeout(Duration::from_secs(3_600), queue.arrivals()).await;
    assert!(second.is_err(), "{second:?}");
}
