//! One run: clients send and read mail under faults; after the faults end, every operation must succeed.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::audit::audit;
use crate::faults::{inject_fault, recover};
use crate::identity::{ACCOUNTS, HOSTNAME, USER_FILE, mailbox_path};
use crate::pop3_client::{read_mail, verify_reading};
use crate::processes::Processes;
use crate::smtp_client::{send_mail, verify_sending};
use crate::world::World;

/// Virtual time limit of a run.
const TIME_MAX: Duration = Duration::from_secs(48 * 3600);

/// Runs until the scenario ends or a violation is found.
pub(crate) fn run(world: &World) {
    let processes = Processes::new(world.clone());
    let done = Rc::new(Cell::new(false));
    let (set_done, scenario) = (Rc::clone(&done), play(processes.clone()));
    world.spawn(async move {
        scenario.await;
        set_done.set(true);
    });
    while !done.get() && world.first_violation().is_none() {
        if !world.step() {
            world.violation("deadlock: no task can continue");
        }
        if world.now() > TIME_MAX {
            world.violation("the run exceeds its time limit");
        }
        processes.reap();
    }
    world.kill_all();
}

async fn play(processes: Processes) {
    let world = processes.world().clone();
    world.disk().put("User.txt", USER_FILE);
    for account in 0..ACCOUNTS.len() {
        if world.with_random(|random| random.percent(20)) {
            write_mailbox(&world, account);
        }
    }
    processes.start();
    let (senders, readers) = world.with_random(|random| (random.between(2..=7), random.between(1..=4)));
    let running = Rc::new(Cell::new(senders + readers));
    for number in 1..=senders {
        let client = send_mail(processes.clone(), format!("sender {number}"));
        world.spawn(count_down(client, Rc::clone(&running)));
    }
    for number in 1..=readers {
        let client = read_mail(processes.clone(), format!("reader {number}"));
        world.spawn(count_down(client, Rc::clone(&running)));
    }
    while running.get() > 0 {
        let pause = world.with_random(|random| random.seconds(1..=120));
        world.sleep(pause).await;
        inject_fault(&processes).await;
    }
    recover(&processes).await;
    verify_sending(&processes).await;
    for account in 0..ACCOUNTS.len() {
        verify_reading(&processes, account).await;
    }
    audit(&world);
}

async fn count_down(client: impl Future<Output = ()>, running: Rc<Cell<usize>>) {
    client.await;
    running.set(running.get() - 1);
}

/// Writes a mailbox file as a person would with an editor.
fn write_mailbox(world: &World, account: usize) {
    let mut text = Vec::new();
    for _ in 0..world.with_random(|random| random.between(1..=3)) {
        text.extend_from_slice(&world.model().begin_handwritten(account, HOSTNAME).sent);
    }
    // The last line may lack its line end.
    if world.with_random(|random| random.percent(30)) {
        text.pop();
    }
    world.log(|| format!("{} is written by hand", mailbox_path(account)));
    world.disk().put(&mailbox_path(account), &text);
}
