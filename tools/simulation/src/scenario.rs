//! A day in the life of a mail system: many senders, many readers, everything that can go wrong, and then peace.

use std::cell::Cell;
use std::rc::Rc;

use crate::audit::{USERS, audit};
use crate::pop3_client::{read_last, read_mail};
use crate::server::{ACCOUNTS, HOSTNAME};
use crate::smtp_client::{send_last, send_mail};
use crate::world::{World, mailbox};

pub(crate) async fn play(world: World) {
    world.disk().put("User.txt", USERS);
    for account in 0..ACCOUNTS.len() {
        if world.with_random(|random| random.percent(20)) {
            write_by_hand(&world, account);
        }
    }
    world.start();
    let clients = world.with_random(|random| [random.between(2..=7), random.between(1..=4)]);
    let left = Rc::new(Cell::new(clients[0] + clients[1]));
    for number in 1..=clients[0] {
        let client = send_mail(world.clone(), format!("sender {number}"));
        world.spawn(counted(client, Rc::clone(&left)));
    }
    for number in 1..=clients[1] {
        let client = read_mail(world.clone(), format!("reader {number}"));
        world.spawn(counted(client, Rc::clone(&left)));
    }
    while left.get() > 0 {
        // Between two mishaps some work gets done; while somebody waits for a silent peer, nothing is missed.
        let pause = world.with_random(|random| random.seconds(1..=120));
        world.sleep(pause).await;
        world.mishap().await;
    }
    world.recover().await;
    send_last(&world).await;
    for account in 0..ACCOUNTS.len() {
        read_last(&world, account).await;
    }
    audit(&world);
}

async fn counted(client: impl Future<Output = ()>, left: Rc<Cell<usize>>) {
    client.await;
    left.set(left.get() - 1);
}

/// A mailbox that a person has written with an editor.
fn write_by_hand(world: &World, account: usize) {
    let mut text = Vec::new();
    for _ in 0..world.with_random(|random| random.between(1..=3)) {
        text.extend_from_slice(&world.model().begin_by_hand(account, HOSTNAME).sent);
    }
    // An editor may leave the last line without its end.
    if world.with_random(|random| random.percent(30)) {
        text.pop();
    }
    world.note(|| format!("{} has written into {}", ACCOUNTS[account], mailbox(account)));
    world.disk().put(&mailbox(account), &text);
}
