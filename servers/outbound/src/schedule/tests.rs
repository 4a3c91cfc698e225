use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn destination(name: &str) -> Destination {
    Destination(name.into())
}

fn item(number: usize, name: &str) -> QueueItem {
    QueueItem { id: format!("M{number}").parse().unwrap(), destination: destination(name) }
}

fn add(schedule: &mut Schedule, number: usize, name: &str, due: Instant) {
    schedule.add(item(number, name), due, due + HOUR);
}

/// Ends the connection of an item whose message was delivered, and of all messages that wait behind it.
fn deliver_all(schedule: &mut Schedule, first: QueueItem) -> usize {
    let destination = first.destination.clone();
    let mut delivered = 0;
    let mut next = Some(first);
    while let Some(item) = next {
        schedule.succeeded(&destination);
        schedule.finish(&item);
        delivered += 1;
        next = schedule.take(&destination).map(|id| QueueItem { id, destination: destination.clone() });
    }
    schedule.close(&destination);
    delivered
}

#[test]
fn message_is_due_at_its_time() {
    let (mut schedule, now) = (Schedule::new(), Instant::now());
    add(&mut schedule, 1, "a.example", now + HOUR);
    assert_eq!(schedule.poll(now), Work { next: Some(now + HOUR), ..Work::default() });
    assert_eq!(schedule.poll(now + HOUR).connect, [item(1, "a.example")]);
    assert_eq!(schedule.poll(now + HOUR), Work::default());
}

#[test]
fn idle_connection_gets_the_next_message_of_its_destination() {
    let (mut schedule, now) = (Schedule::new(), Instant::now());
    let name = destination("a.example");
    add(&mut schedule, 1, "a.example", now);
    assert_eq!(schedule.poll(now).connect.len(), 1);
    schedule.finish(&item(1, "a.example"));
    let (mut idle, closed) = (schedule.wait(&name).unwrap(), schedule.wait(&name).unwrap());
    drop(closed);
    add(&mut schedule, 2, "b.example", now);
    add(&mut schedule, 3, "a.example", now);
    add(&mut schedule, 4, "a.example", now);
    // The connection takes one message; the other one opens a connection.
    let connect = schedule.poll(now).connect;
    assert_eq!(connect.len(), 2, "{connect:?}");
    let taken = idle.try_recv().unwrap();
    let opened: Vec<_> =
        connect.iter().filter(|item| item.destination == name).map(|item| &item.id).collect();
    assert!(opened.len() == 1 && *opened[0] != taken, "{opened:?} {taken}");
    for connection in [&name, &name, &destination("b.example")] {
        schedule.close(connection);
    }
}

#[test]
fn connections_of_a_destination_grow_with_deliveries_and_shrink_after_421() {
    let (mut schedule, now) = (Schedule::new(), Instant::now());
    (0..100).for_each(|number| add(&mut schedule, number, "a.example", now));
    let first = schedule.poll(now).connect;
    assert_eq!(first.len(), CONNECTIONS_INITIAL);
    let name = destination("a.example");
    for _ in 0..5 {
        schedule.succeeded(&name);
    }
    assert_eq!(schedule.poll(now).connect.len(), CONNECTIONS_PER_DESTINATION - CONNECTIONS_INITIAL);
    schedule.slow_down(&name);
    for _ in 0..CONNECTIONS_PER_DESTINATION {
        schedule.close(&name);
    }
    assert_eq!(schedule.poll(now).connect.len(), CONNECTIONS_PER_DESTINATION / 2);
}

#[test]
fn dead_destination_with_many_messages_does_not_delay_others() {
    let (mut schedule, now) = (Schedule::new(), Instant::now());
    (0..10_000).for_each(|number| add(&mut schedule, number, "dead.example", now));
    add(&mut schedule, 10_000, "live.example", now);
    let connect = schedule.poll(now).connect;
    assert_eq!(connect.iter().filter(|item| item.destination == destination("dead.example")).count(), 2);
    assert!(connect.contains(&item(10_000, "live.example")));
    // The first connection fails: all waiting messages wait, without an attempt of their own.
    schedule.block(&destination("dead.example"), "no answer", now, |failures| HOUR * failures / 2);
    for dead in connect.into_iter().filter(|item| item.destination == destination("dead.example")) {
        schedule.retry(dead, now + HOUR, now + 5 * HOUR);
        schedule.close(&destination("dead.example"));
    }
    assert_eq!(schedule.poll(now).connect, []);
    assert_eq!(schedule.poll(now + HOUR / 4), Work { next: Some(now + HOUR / 2), ..Work::default() });
    assert_eq!(schedule.poll(now + HOUR / 2).connect.len(), CONNECTIONS_INITIAL);
}

#[test]
fn report_does_not_wait_for_a_blocked_destination() {
    let (mut schedule, now) = (Schedule::new(), Instant::now());
    schedule.add(item(1, "dead.example"), now, now + HOUR);
    schedule.add(item(2, "dead.example"), now, now + HOUR);
    let taken = schedule.poll(now).connect;
    schedule.block(&destination("dead.example"), "no answer", now, |_| 10 * HOUR);
    for item in taken {
        schedule.retry(item, now + 2 * HOUR, now + HOUR);
        schedule.close(&destination("dead.example"));
    }
    let work = schedule.poll(now + 2 * HOUR);
    assert_eq!(work.connect, []);
    let reported: Vec<_> = work.report.iter().map(|(item, failure)| (item.id.as_str(), &**failure)).collect();
    assert_eq!(reported, [("M1", "no answer"), ("M2", "no answer")]);
}

#[test]
fn all_connections_together_are_limited_and_destinations_take_turns() {
    let (mut schedule, now) = (Schedule::new(), Instant::now());
    for number in 0..1_000 {
        add(&mut schedule, number, &format!("{}.example", number % 500), now);
    }
    let mut connect = schedule.poll(now).connect;
    assert_eq!(connect.len(), CONNECTIONS_MAX);
    let mut delivered = 0;
    while let Some(item) = connect.pop() {
        delivered += deliver_all(&mut schedule, item);
        connect.extend(schedule.poll(now).connect);
    }
    assert_eq!((delivered, schedule.len(), schedule.connections), (1_000, 0, 0));
    assert!(schedule.destinations.is_empty() && schedule.startable.is_empty());
}

#[test]
fn removed_and_taken_messages_are_not_scheduled_twice() {
    let (mut schedule, now) = (Schedule::new(), Instant::now());
    add(&mut schedule, 1, "a.example", now);
    add(&mut schedule, 2, "a.example", now + HOUR);
    let taken = schedule.poll(now).connect;
    assert_eq!(taken, [item(1, "a.example")]);
    for number in [1, 2] {
        schedule.remove(&item(number, "a.example").id);
        add(&mut schedule, number, "a.example", now);
    }
    assert_eq!(schedule.len(), 2);
    assert_eq!(schedule.poll(now).connect, [item(2, "a.example")]);
    // Nor is one that waits.
    add(&mut schedule, 3, "a.example", now);
    add(&mut schedule, 3, "a.example", now);
    assert_eq!(schedule.len(), 3);
}

#[test]
fn make_due_unblocks_the_destination() {
    let (mut schedule, now) = (Schedule::new(), Instant::now());
    add(&mut schedule, 1, "dead.example", now);
    let taken = schedule.poll(now).connect.remove(0);
    schedule.block(&destination("dead.example"), "no answer", now, |_| HOUR);
    schedule.retry(taken, now + HOUR, now + 5 * HOUR);
    schedule.close(&destination("dead.example"));
    assert_eq!(schedule.poll(now).connect, []);
    schedule.make_due(|id| *id == item(2, "dead.example").id, now);
    assert_eq!(schedule.poll(now).connect, []);
    schedule.make_due(|_| true, now);
    assert_eq!(schedule.poll(now).connect, [item(1, "dead.example")]);
}
