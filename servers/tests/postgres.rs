//! `pennypost` with its mail in PostgreSQL: administration, copies, and two nodes that are killed under load.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use postgres_testing::{Durability, PostgresServer};

use support::{ProgramOutput, ServerProcess, TIMEOUT, TestDir};

/// A database and a directory whose configuration names it.
struct Cluster {
    postgres: PostgresServer,
    dir: TestDir,
    url: String,
}

impl Cluster {
    /// A database with tables and without accounts.
    fn start(durability: Durability) -> Self {
        let postgres = PostgresServer::start(durability);
        let url = postgres.create_database();
        let dir = TestDir::with_config(&format!(
            "[auth]\nhash_memory = '1 MiB'\nhash_milliseconds = 1\n\
             [store]\nkind = 'postgres'\nurl = '{url}'\nconnections = 8\n"
        ));
        let migrated = dir.pennypost(&["migrate"], "");
        assert_eq!(
            (migrated.code, migrated.stdout.as_str()),
            (Some(0), "applied V1__mail, V2__nodes\n"),
            "{migrated:?}"
        );
        Self { postgres, dir, url }
    }

    fn with_accounts(durability: Durability) -> Self {
        let cluster = Self::start(durability);
        for (name, password) in [("ag", "secret\n"), ("gb", "other\n")] {
            cluster.succeeds(&["user", "add", name, "--password-stdin"], password);
        }
        cluster
    }

    fn succeeds(&self, arguments: &[&str], input: &str) -> String {
        let ProgramOutput { code, stdout, stderr } = self.dir.pennypost(arguments, input);
        assert_eq!(code, Some(0), "{arguments:?}: {stdout}{stderr}");
        stdout
    }

    fn fails(&self, arguments: &[&str], sentence: &str) {
        let output = self.dir.pennypost(arguments, "");
        assert!(output.code == Some(2) && output.stderr.contains(sentence), "{arguments:?}: {output:?}");
    }
}

#[test]
fn accounts_aliases_and_mail_are_administered_in_the_database() {
    let cluster = Cluster::start(Durability::Unsynced);
    cluster.fails(&["check"], "the database names no account; add one with `pennypost user add NAME`");
    cluster.succeeds(&["user", "add", "Ag", "--password-stdin"], "secret\n");
    cluster.succeeds(&["user", "add", "gb", "--password-stdin"], "first\n");
    cluster.succeeds(&["user", "passwd", "GB", "--password-stdin"], "other\n");
    assert_eq!(cluster.succeeds(&["user", "list"], ""), "Ag\ngb\n");
    cluster.fails(&["user", "remove", "cd"], "there is no account `cd`");
    cluster.succeeds(&["alias", "add", "sales", "gb", "ag"], "");
    cluster.fails(&["alias", "add", "ag", "sales"], "nothing was changed");
    cluster.fails(&["backup", "x"], "pg_basebackup");

    let server = cluster.dir.serve();
    server.smtp().deliver_to("Sales+x@iit.edu", b"Subject: both\r\n\r\n.dot\r\n");
    for (name, password) in [("ag", "secret"), ("gb", "other")] {
        let mut pop3 = server.log_in(name, password);
        assert!(pop3.retrieve(1).ends_with(b"Subject: both\r\n\r\n.dot\r\n"), "{name}");
        assert!(pop3.command("QUIT").starts_with("+OK"));
    }
    let mbox = cluster.dir.path("gb.mbox");
    let mbox = mbox.to_str().expect("UTF-8");
    assert_eq!(cluster.succeeds(&["export", "mbox", "gb", mbox], ""), "exported 1 messages\n");
    assert_eq!(cluster.succeeds(&["import", "mbox", "ag", mbox], ""), "imported 1 messages, skipped 0\n");
    let checked = cluster.succeeds(&["check"], "");
    assert!(checked.contains("Ag: 2 messages") && checked.contains("gb: 1 messages"), "{checked}");
    cluster.succeeds(&["user", "remove", "gb", "--purge"], "");
    assert_eq!(cluster.postgres.psql("mail0", "SELECT DISTINCT account FROM message"), "ag\n");
    let broken = cluster.dir.pennypost(&["check"], "");
    assert!(broken.code == Some(1) && broken.stdout.contains("aliases: sales points to gb"), "{broken:?}");
}

#[test]
fn unusable_database_is_named_at_start() {
    let cluster = Cluster::with_accounts(Durability::Unsynced);
    let serve = ["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "off"];
    cluster.postgres.psql("mail0", "UPDATE refinery_schema_history SET version = 999");
    cluster.fails(&serve, "use a newer program");
    cluster.fails(&["user", "list"], "use a newer program");
    let config = cluster.dir.path("pennypost.toml");
    let text = fs::read_to_string(&config).expect("read");
    fs::write(&config, text.replace("mail0", "missing")).expect("written");
    cluster.fails(&serve, "database \"missing\" does not exist");
}

/// The unique-ids and messages of an account, over POP3.
fn seen(server: &ServerProcess, name: &str, password: &str) -> Vec<(String, Vec<u8>)> {
    let mut pop3 = server.log_in(name, password);
    let ids = pop3.multiline("UIDL").1;
    let octets: usize = pop3.stat().1;
    let messages: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(index, id)| (String::from_utf8_lossy(id).into_owned(), pop3.retrieve(index + 1)))
        .collect();
    assert_eq!(messages.iter().map(|(_, message)| message.len()).sum::<usize>(), octets);
    assert!(pop3.command("QUIT").starts_with("+OK"));
    messages
}

#[test]
fn copy_into_a_database_and_back_keeps_every_octet() {
    let text = TestDir::new();
    fs::write(text.path("data/Aliases.txt"), "sales: gb, ag\n@iit.edu: ag\n").expect("written");
    let server = text.serve();
    let large =
        [b"Subject: large\r\n\r\n".as_slice(), &b".0123456789012345678901234567\r\n".repeat(20_000)].concat();
    for message in
        [b"no header\r\n".as_slice(), &large, b"From: a\r\nTo: b\r\nSubject: c\r\nX: y\r\n\r\n..\r\n"]
    {
        server.smtp().deliver_to("sales@iit.edu", message);
    }
    drop(server);
    // A person adds a record, with other line ends; the servers append to it.
    let mailbox = text.path("data/gb/MyMailBox.txt");
    let mut file = fs::File::options().append(true).open(&mailbox).expect("opened");
    file.write_all(
        b"From: ag@iit.edu\nTo: gb\nSubject: by hand\nReceived: 2026-11-22 : 19 : 15\n\ntext\n.\n",
    )
    .expect("written");
    let server = text.serve();
    server.smtp().deliver_to_gb(b"Subject: last\r\n\r\nlast\r\n");
    let accounts = [("ag", "secret"), ("gb", "other")];
    let expected = accounts.map(|(name, password)| seen(&server, name, password));
    assert_eq!(expected.each_ref().map(Vec::len), [3, 5]);
    drop(server);

    let cluster = Cluster::start(Durability::Unsynced);
    let data = text.path("data").to_str().expect("UTF-8").to_owned();
    let copy_in = ["copy", "--from", &data, "--to", &cluster.url];
    // As if the first attempt was interrupted.
    cluster.succeeds(&copy_in, "");
    let cut = "DELETE FROM message WHERE account = 'gb' AND position > 2; \
        UPDATE maildrop SET messages = 2, octets = (SELECT sum(octets) FROM message WHERE account = 'gb') WHERE account = 'gb'; \
        DELETE FROM message WHERE account = 'ag'; UPDATE maildrop SET messages = 0, octets = 0 WHERE account = 'ag'; \
        DELETE FROM body WHERE account = 'ag'; DELETE FROM body_piece WHERE account = 'ag'";
    cluster.postgres.psql("mail0", cut);
    assert_eq!(cluster.succeeds(&copy_in, ""), "copied 2 accounts, 2 aliases and 8 messages\n");
    assert_eq!(cluster.dir.pennypost(&["check"], "").code, Some(0));
    let server = cluster.dir.serve();
    assert!(
        accounts.map(|(name, password)| seen(&server, name, password)) == expected,
        "the database has other mail"
    );
    server.smtp().deliver_to("unknown@iit.edu", b"Subject: catch-all\r\n\r\n");
    drop(server);
    cluster.fails(&["copy", "--from", &data, "--to", &data], "one of --from and --to");

    let back = cluster.dir.path("back");
    let back_text = back.to_str().expect("UTF-8");
    cluster.succeeds(&["copy", "--from", &cluster.url, "--to", back_text], "");
    cluster.fails(&["copy", "--from", &cluster.url, "--to", back_text], "User.txt exists");
    for file in ["User.txt", "Aliases.txt", "gb/MyMailBox.txt"] {
        assert!(
            fs::read(text.path("data").join(file)).expect("read") == fs::read(back.join(file)).expect("read"),
            "{file}"
        );
    }
    let ag = fs::read(back.join("ag/MyMailBox.txt")).expect("read");
    assert!(
        ag.starts_with(&fs::read(text.path("data/ag/MyMailBox.txt")).expect("read")),
        "the last message is new"
    );
    fs::remove_dir_all(text.path("data")).expect("removed");
    fs::rename(back, text.path("data")).expect("renamed");
    let server = text.serve();
    let found = accounts.map(|(name, password)| seen(&server, name, password));
    assert!(found[1] == expected[1] && found[0][..3] == expected[0] && found[0].len() == 4);
}

/// A node that was frozen for longer than its lease, in the middle of a session.
#[test]
fn resumed_node_removes_nothing_after_another_has_its_lease() {
    let cluster = Cluster::with_accounts(Durability::Unsynced);
    let (frozen, other) = (cluster.dir.serve(), cluster.dir.serve());
    frozen.smtp().deliver_to_gb(b"Subject: one\r\n\r\n");
    let mut first = frozen.log_in("gb", "other");
    assert!(first.command("DELE 1").starts_with("+OK"));
    frozen.signal("-STOP");
    cluster.postgres.psql("mail0", "UPDATE lease SET expires = now()");
    let mut second = other.log_in("gb", "other");
    frozen.signal("-CONT");
    let reply = first.command("QUIT");
    assert!(reply.starts_with("-ERR"), "{reply}");
    assert!(second.retrieve(1).ends_with(b"Subject: one\r\n\r\n"));
    assert!(second.command("DELE 1").starts_with("+OK") && second.command("QUIT").starts_with("+OK"));
    assert_eq!(frozen.log_in("gb", "other").stat(), (0, 0));
}

#[test]
fn stopped_node_releases_its_leases() {
    let cluster = Cluster::with_accounts(Durability::Unsynced);
    let (stopped, other) = (cluster.dir.serve(), cluster.dir.serve());
    let _session = stopped.log_in("gb", "other");
    stopped.signal_terminate();
    assert_eq!(stopped.wait(), Some(0));
    let mut pop3 = other.pop3();
    pop3.login("gb", "other");
}

/// Sends a message and returns whether it was acknowledged. A broken connection is no acknowledgement.
fn try_send(node: SocketAddr, id: &str, recipients: &[&str]) -> std::io::Result<bool> {
    let stream = TcpStream::connect(node)?;
    stream.set_read_timeout(Some(TIMEOUT * 2))?;
    let mut reader = BufReader::new(stream);
    let reply = |reader: &mut BufReader<TcpStream>| -> std::io::Result<bool> {
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line.starts_with('2') || line.starts_with('3'));
            }
        }
    };
    if !reply(&mut reader)? {
        return Ok(false);
    }
    let mut commands = vec!["EHLO iit.edu".to_owned(), "MAIL FROM:<ag@iit.edu>".to_owned()];
    commands.extend(recipients.iter().map(|recipient| format!("RCPT TO:<{recipient}@iit.edu>")));
    commands.extend(["DATA".to_owned(), format!("Subject: {id}\r\n\r\nbody of {id}\r\n.")]);
    for command in commands {
        reader.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        if !reply(&mut reader)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Acknowledged messages with their numbers of copies.
type Acknowledged = Arc<Mutex<BTreeMap<String, usize>>>;

fn send_until_stopped(
    sender: usize,
    nodes: &RwLock<[SocketAddr; 2]>,
    acknowledged: &Acknowledged,
    stopped: &AtomicBool,
) {
    for number in 0.. {
        if stopped.load(Ordering::Relaxed) {
            return;
        }
        let node = nodes.read().expect("not poisoned")[(sender + number) % 2];
        let id = format!("{sender}-{number}");
        let recipients = if number % 3 == 0 { &["ag", "gb"][..] } else { &["gb"] };
        if try_send(node, &id, recipients).unwrap_or(false) {
            acknowledged.lock().expect("not poisoned").insert(id, recipients.len());
        }
    }
}

fn wait_for_more(acknowledged: &Acknowledged, more: usize) {
    let count = || acknowledged.lock().expect("not poisoned").len();
    let (before, started) = (count(), Instant::now());
    while count() < before + more {
        assert!(started.elapsed() < TIMEOUT * 2, "no mail flows");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Subjects of an account's messages, each as often as it occurs; the messages are removed.
fn take_all(node: &ServerProcess, name: &str, password: &str) -> Vec<String> {
    let mut pop3 = node.log_in(name, password);
    let (count, _) = pop3.stat();
    let subjects = (1..=count).map(|number| {
        let message = String::from_utf8(pop3.retrieve(number)).expect("ASCII");
        assert!(pop3.command(&format!("DELE {number}")).starts_with("+OK"));
        let subject = message.split("Subject: ").nth(1).and_then(|rest| rest.lines().next());
        subject.expect("a subject").to_owned()
    });
    let subjects = subjects.collect();
    assert!(pop3.command("QUIT").starts_with("+OK"));
    subjects
}

/// Every acknowledged message exists exactly once, and nothing that was removed comes back.
#[test]
fn two_nodes_lose_and_duplicate_nothing_when_nodes_and_database_are_killed() {
    const SENDERS: usize = 4;
    let long = std::env::var_os("PENNYPOST_LONG").is_some();
    let rounds = if long { 20 } else { 2 };
    let mut cluster = Cluster::with_accounts(Durability::Synced);
    let mut nodes = [cluster.dir.serve(), cluster.dir.serve()];
    let address = |node: &ServerProcess| node.smtp.expect("it listens");
    let addresses = Arc::new(RwLock::new([address(&nodes[0]), address(&nodes[1])]));
    let (acknowledged, stopped) = (Acknowledged::default(), Arc::new(AtomicBool::new(false)));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (addresses, acknowledged, stopped) =
                (Arc::clone(&addresses), Arc::clone(&acknowledged), Arc::clone(&stopped));
            std::thread::spawn(move || send_until_stopped(sender, &addresses, &acknowledged, &stopped))
        })
        .collect();
    let mut taken = Vec::new();
    for round in 0..rounds {
        wait_for_more(&acknowledged, 30);
        let restarted = cluster.dir.serve();
        let killed = round % 2;
        addresses.write().expect("not poisoned")[killed] = address(&restarted);
        std::mem::replace(&mut nodes[killed], restarted).kill();
        wait_for_more(&acknowledged, 30);
        cluster.postgres.crash();
        std::thread::sleep(Duration::from_millis(200));
        cluster.postgres.resume();
        wait_for_more(&acknowledged, 30);
        taken.extend(take_all(&nodes[1 - killed], "gb", "other"));
    }
    stopped.store(true, Ordering::Relaxed);
    senders.into_iter().for_each(|sender| sender.join().expect("no panic"));
    taken.extend(take_all(&nodes[0], "gb", "other"));
    let of_ag = take_all(&nodes[1], "ag", "secret");

    let acknowledged = acknowledged.lock().expect("not poisoned");
    let unique: BTreeSet<&String> = taken.iter().collect();
    assert_eq!(unique.len(), taken.len(), "a message of gb exists twice");
    assert_eq!(of_ag.iter().collect::<BTreeSet<_>>().len(), of_ag.len(), "a message of ag exists twice");
    for (id, copies) in acknowledged.iter() {
        assert!(unique.contains(id), "{id} is lost");
        assert_eq!(of_ag.contains(id), *copies == 2, "{id}");
    }
    println!("{} kills, {} acknowledged messages, no loss, no duplicate", rounds * 2, acknowledged.len());
    assert_eq!(cluster.postgres.psql("mail0", "SELECT count(*) FROM message"), "0\n");
    assert_eq!(cluster.postgres.psql("mail0", "SELECT count(*) FROM body"), "0\n");
    assert_eq!(cluster.postgres.psql("mail0", "SELECT sum(messages), sum(octets) FROM maildrop"), "0|0\n");
}
