//! Delivery to other hosts from the queue in a database: the cases of the text queue, and two nodes of which one is killed.

mod outbound_cases;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::dns::DnsServer;
use support::mail_host::MailHost;
use support::sender::{LOCALHOST, MESSAGE, Sender, example_net, serve};
use support::{SmtpClient, TIMEOUT};

fn start(dns: &DnsServer, port: u16, keys: &str) -> Sender {
    Sender::start_with_database(dns, port, keys)
}

/// Connections that a node has to one domain, each with one message whose answer may be lost.
const CONNECTIONS: usize = 20;

/// Submits a message for each number to a node.
fn submit(submission: &mut SmtpClient, numbers: impl Iterator<Item = usize>) {
    for number in numbers {
        let (remote, local) = (format!("x{number}@example.net"), "gb@iitkgp.edu");
        let reply = submission.deliver("ag@iitkgp.edu", &[&remote, local], MESSAGE);
        assert!(reply.starts_with("250"), "{reply}");
    }
}

/// Every accepted recipient gets the message; twice only if the node was killed before it had recorded the answer.
#[test]
fn messages_of_a_killed_node_are_delivered_by_the_other() {
    let long = std::env::var_os("PENNYPOST_LONG").is_some();
    let messages = if long { 2_000 } else { 200 };
    let (delivered, is_killed) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let may_answer = Arc::clone(&is_killed);
    let host = MailHost::with_script(LOCALHOST, 0, move |line| {
        // After a quarter of the messages, the answers to the final dot wait for the kill.
        if line == "." && delivered.fetch_add(1, Ordering::SeqCst) >= messages / 4 {
            while !may_answer.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(10));
            }
        }
        None
    });
    let dns = example_net(LOCALHOST);
    let first = start(&dns, host.address.port(), "retry_seconds = [1]");
    let database = first.database.as_ref().expect("a database");
    let killed_node = database.psql("mail0", "SELECT node FROM queue_node").trim().to_owned();
    assert!(!killed_node.is_empty(), "the first node has a lease");
    let second = serve(&first.dir);
    submit(&mut first.submission(), 0..messages / 2);
    submit(&mut Sender::submission_at(&second), messages / 2..messages);
    let mut received: BTreeMap<String, usize> = BTreeMap::new();
    while received.len() < messages / 4 {
        *received.entry(host.next().to.remove(0)).or_default() += 1;
    }
    let Sender { dir: _dir, server, database } = first;
    server.kill();
    let database = database.expect("a database");
    let held = format!("SELECT id FROM queue_entry WHERE holder = '{killed_node}'");
    let left = database.psql("mail0", &held).lines().count();
    assert!(left > 0, "the node was killed in the middle");
    is_killed.store(true, Ordering::SeqCst);
    // As if a minute had passed.
    database
        .psql("mail0", &format!("UPDATE queue_node SET expires = '-infinity' WHERE node = '{killed_node}'"));
    let started = Instant::now();
    while database.psql("mail0", "SELECT count(*) FROM queue_entry") != "0\n" {
        assert!(started.elapsed() < TIMEOUT * 2, "the queue is not delivered");
        thread::sleep(Duration::from_millis(50));
    }
    for message in host.received.try_iter() {
        *received.entry(message.to[0].clone()).or_default() += 1;
    }
    let expected: BTreeSet<_> = (0..messages).map(|number| format!("<x{number}@example.net>")).collect();
    let found: BTreeSet<_> = received.keys().cloned().collect();
    assert_eq!(found, expected);
    let twice = received.values().filter(|count| **count > 1).count();
    assert!(twice <= CONNECTIONS && received.values().all(|count| *count <= 2), "{received:?}");
    println!("{messages} messages, {left} left by the killed node, {twice} delivered twice, none lost");
    let copies = database.psql("mail0", "SELECT account, messages FROM maildrop WHERE messages > 0");
    assert_eq!(copies, format!("gb|{messages}\n"), "exactly one local copy each");
    assert_eq!(database.psql("mail0", "SELECT DISTINCT copies FROM body"), "1\n");
}

/// Each copy of a message to an alias, a list and a queue has its own Delivered-To.
#[test]
fn delivered_to_names_the_alias_and_a_queue_is_not_copied() {
    let host = MailHost::with_script(LOCALHOST, 0, |line| {
        line.starts_with("RCPT").then(|| "451 4.7.1 later".to_owned())
    });
    let dns = example_net(LOCALHOST);
    let sender = start(&dns, host.address.port(), "retry_seconds = [3600]");
    let added = sender.dir.pennypost(&["alias", "add", "both", "ag", "gb", "x@example.net"], "");
    assert_eq!(added.code, Some(0), "{added:?}");
    sender.submit(&["both@iitkgp.edu"], MESSAGE);
    for account in ["ag", "gb"] {
        let mail = sender.mail(account);
        assert!(
            mail.starts_with("Return-Path: <ag@iitkgp.edu>\r\nDelivered-To: both@iitkgp.edu\r\nReceived: "),
            "{account}: {mail}"
        );
    }
    sender.wait_until_queue("deferred", |list| list.contains("1 attempt:"));
    let config = std::fs::read_to_string(sender.dir.path("pennypost.toml")).expect("read");
    let (_, url) = config.split_once("url = '").expect("a database");
    let (url, _) = url.split_once('\'').expect("the end of the URL");
    let copied = sender.dir.path("copied");
    let copy = ["copy", "--from", url, "--to", copied.to_str().expect("UTF-8")];
    let refused = sender.dir.pennypost(&copy, "");
    assert!(
        refused.code == Some(2) && refused.stderr.contains("queue of the source has messages"),
        "{refused:?}"
    );
    assert!(!copied.exists());
}

/// A node that was frozen for longer than its lease sends nothing that another has taken over.
#[test]
fn resumed_node_does_not_send_what_another_has_taken_over() {
    let host = MailHost::with_script(LOCALHOST, 0, |line| {
        line.starts_with("RCPT").then(|| "451 4.7.1 later".to_owned())
    });
    let dns = example_net(LOCALHOST);
    let frozen = start(&dns, host.address.port(), "retry_seconds = [3600]");
    frozen.submit(&["x@example.net"], MESSAGE);
    frozen.wait_until_queue("deferred", |list| list.contains("1 attempt:"));
    let database = frozen.database.as_ref().expect("a database");
    frozen.server.signal("-STOP");
    database.psql("mail0", "UPDATE queue_node SET expires = '-infinity'");
    let mut other = serve(&frozen.dir);
    other.wait_for_log("taken from nodes that have ended");
    frozen.server.signal("-CONT");
    frozen.queue(&["retry"]);
    let list = frozen.wait_until_queue("retried", |list| list.contains("2 attempts"));
    thread::sleep(Duration::from_secs(3));
    assert_eq!(frozen.queue(&["list"]), list, "one of the nodes attempts it");
}
