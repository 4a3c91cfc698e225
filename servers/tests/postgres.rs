//! `pennypost` with its mail in PostgreSQL: administration, copies, and two nodes that are killed under load.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use postgres_testing::{Durability, PostgresServer};

use support::mail_model::Model;
use support::{LineStream, Pop3Client, ProgramOutput, ServerProcess, TIMEOUT, TestDir};

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

/// The reply to RCPT.
fn recipient_reply(server: &ServerProcess, parameters: &str, recipient: &str) -> String {
    let mut smtp = server.smtp();
    smtp.command("EHLO client.example");
    assert!(smtp.command(&format!("MAIL FROM:<a@elsewhere.example>{parameters}")).starts_with("250"));
    smtp.command(&format!("RCPT TO:<{recipient}>"))
}

#[test]
fn quotas_in_the_database_apply_on_all_nodes_and_stay_with_a_renamed_account() {
    let cluster = Cluster::with_accounts(Durability::Unsynced);
    let server = cluster.dir.serve();
    server.smtp().deliver_to_gb(b"Subject: one\r\n\r\n");
    let (_, size) = server.log_in("gb", "other").stat();
    for (soft, hard, parameters, reply) in [
        (size + 1, size + 1_000, "", "250"),
        (size, size + 1_000, "", "452 4.2.2"),
        (size + 1, size + 1_000, " SIZE=1001", "552 5.2.2"),
    ] {
        cluster.succeeds(&["user", "quota", "gb", &soft.to_string(), &hard.to_string()], "");
        // A node sees the change of another process within a second.
        let started = Instant::now();
        loop {
            let answer = recipient_reply(&server, parameters, "gb@iit.edu");
            if answer.starts_with(reply) {
                break;
            }
            assert!(started.elapsed() < TIMEOUT, "{soft} {hard} {parameters}: {answer}");
            thread::sleep(Duration::from_millis(50));
        }
        assert!(recipient_reply(&server, parameters, "ag@iit.edu").starts_with("250"));
    }
    drop(server);
    cluster.succeeds(&["user", "quota", "gb", "1 MiB", "2 MiB"], "");
    cluster.succeeds(&["user", "rename", "gb", "greta"], "");
    cluster.postgres.psql("mail0", "INSERT INTO quota (account, soft, hard) VALUES ('', 1024, 1024)");
    let list = cluster.succeeds(&["user", "list", "--usage"], "");
    assert_eq!(list, format!("ag: 0 octets, quota 1 KiB\ngreta: {size} octets, quota 1 MiB, 2 MiB\n"));
    // The quotas are copied into files, and back into another database.
    let copied = cluster.dir.path("copied");
    let copied = copied.to_str().expect("UTF-8");
    cluster.succeeds(&["copy", "--from", &cluster.url, "--to", copied], "");
    let quotas = fs::read_to_string(cluster.dir.path("copied/Quotas.txt")).expect("written");
    assert_eq!(quotas, "*: 1 KiB\ngreta: 1 MiB, 2 MiB\n");
    let other = Cluster::start(Durability::Unsynced);
    other.succeeds(&["copy", "--from", copied, "--to", &other.url], "");
    assert_eq!(other.succeeds(&["user", "list", "--usage"], ""), list);
}

#[test]
fn unusable_database_is_named_at_start() {
    let cluster = Cluster::with_accounts(Durability::Unsynced);
    let serve = ["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "off"];
    cluster.postgres.psql("mail0", "UPDATE refinery_schema_history SET version = 999 WHERE version = 2");
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

/// The server ends the transaction of the frozen node, and with it the removal.
#[test]
fn node_frozen_in_the_middle_of_a_removal_removes_nothing() {
    let cluster = Cluster::with_accounts(Durability::Unsynced);
    let (frozen, other) = (cluster.dir.serve(), cluster.dir.serve());
    for subject in ["one", "two"] {
        frozen.smtp().deliver_to_gb(format!("Subject: {subject}\r\n\r\n").as_bytes());
    }
    let mut first = frozen.log_in("gb", "other");
    assert!(first.command("DELE 1").starts_with("+OK") && first.command("DELE 2").starts_with("+OK"));
    // The removal takes long enough to freeze its node.
    let psql = |sql: &str| cluster.postgres.psql("mail0", sql);
    psql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep(2); RETURN OLD; END $$; \
         CREATE TRIGGER slow BEFORE DELETE ON message FOR EACH STATEMENT EXECUTE FUNCTION slow()",
    );
    first.stream.send(b"QUIT\r\n");
    let wait_for = |sql: &str| {
        let started = Instant::now();
        while psql(sql) != "t\n" {
            assert!(started.elapsed() < TIMEOUT, "{sql}");
            thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')");
    frozen.signal("-STOP");
    // The rows are deleted, and the transaction waits for the node.
    wait_for("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'idle in transaction')");
    wait_for("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE state LIKE 'idle in transaction%')");
    psql("DROP TRIGGER slow ON message; UPDATE lease SET expires = now()");
    let mut second = other.log_in("gb", "other");
    assert_eq!(second.stat().0, 2);
    frozen.signal("-CONT");
    let reply = first.stream.read_text();
    assert!(reply.starts_with("-ERR"), "{reply}");
    assert!(second.retrieve(2).ends_with(b"Subject: two\r\n\r\n"));
    assert!(second.command("DELE 1").starts_with("+OK") && second.command("QUIT").starts_with("+OK"));
    assert_eq!(frozen.log_in("gb", "other").stat().0, 1);
}

#[test]
fn failed_sign_ins_on_one_node_are_throttled_on_the_other() {
    const LIMIT: usize = 4;
    let cluster = Cluster::with_accounts(Durability::Unsynced);
    let config = cluster.dir.path("pennypost.toml");
    let text = fs::read_to_string(&config).expect("read");
    let limit = format!("[auth]\nfailures_per_address = {LIMIT}\n");
    fs::write(&config, text.replacen("[auth]\n", &limit, 1)).expect("written");
    let (first, second) = (cluster.dir.serve(), cluster.dir.serve());
    let attempt = |node: &ServerProcess, from: u8, user: &str, password: &str| {
        let stream = LineStream::connect_from([127, 0, 0, from], node.address("pop3"));
        let mut pop3 = Pop3Client::from_stream(stream);
        assert!(pop3.command(&format!("USER {user}")).starts_with("+OK"));
        pop3.command(&format!("PASS {password}"))
    };
    // From now on, only failures of ag limit its sign-ins from this address.
    assert!(attempt(&second, 2, "ag", "secret").starts_with("+OK"));
    for number in 0..LIMIT {
        assert!(attempt(&first, 2, &format!("user{number}"), "guess").starts_with("-ERR [AUTH]"));
    }
    let mut admitted = 0;
    while !attempt(&second, 2, "nobody", "guess").starts_with("-ERR [SYS/TEMP] too many") {
        admitted += 1;
        assert!(admitted < LIMIT, "the node counts for itself");
        thread::sleep(Duration::from_millis(500));
    }
    assert!(attempt(&second, 2, "gb", "other").starts_with("-ERR [SYS/TEMP] too many"));
    assert!(attempt(&second, 3, "gb", "other").starts_with("+OK"));
    // The first node has learnt of the login.
    assert!(attempt(&first, 2, "ag", "secret").starts_with("+OK"));
    assert_eq!(
        cluster.postgres.psql("mail0", "SELECT DISTINCT kind FROM sign_in_count ORDER BY kind"),
        "0\n1\n2\n"
    );
}

/// The library of Debian's package libfaketime, which changes the clock of a program.
fn fake_clock() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut paths = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    paths.find(|path| path.exists())
}

/// Leases are compared on the clock of the database.
#[test]
fn clock_of_a_node_does_not_affect_leases() {
    let library = fake_clock().expect("faketime is missing; `cargo xtask setup` installs it");
    let preload = format!("LD_PRELOAD={}", library.display());
    let cluster = Cluster::with_accounts(Durability::Unsynced);
    let right = cluster.dir.serve();
    right.smtp().deliver_to_gb(b"Subject: one\r\n\r\n");
    for offset in ["+1h", "-1h"] {
        let fake_time = format!("FAKETIME={offset}");
        let clock =
            [preload.as_str(), &fake_time, "FAKETIME_DONT_FAKE_MONOTONIC=1", env!("CARGO_BIN_EXE_pennypost")];
        let serve = ["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "off"];
        let arguments = [&clock[..], &serve].concat();
        let wrong = ServerProcess::start("env", &arguments, &cluster.dir, &["smtp", "pop3"]);
        let lasts_a_minute = "SELECT expires - now() BETWEEN '55 s' AND '60 s' FROM lease";
        for (holder, other) in [(&wrong, &right), (&right, &wrong)] {
            let session = holder.log_in("gb", "other");
            assert_eq!(cluster.postgres.psql("mail0", lasts_a_minute), "t\n");
            let mut refused = other.pop3();
            refused.command("USER gb");
            let reply = refused.command("PASS other");
            assert!(reply.starts_with("-ERR [IN-USE]"), "{reply}");
            drop(session);
        }
        wrong.smtp().deliver_to_gb(b"Subject: two\r\n\r\n");
        let is_off = "SELECT abs(extract(epoch FROM received - now())) > 3000 FROM message ORDER BY position DESC LIMIT 1";
        assert_eq!(cluster.postgres.psql("mail0", is_off), "t\n", "the clock is not off");
        let mut pop3 = right.log_in("gb", "other");
        let (count, _) = pop3.stat();
        let last = String::from_utf8(pop3.retrieve(count)).expect("ASCII");
        assert!(last.ends_with("Subject: two\r\n\r\n"), "the last message comes last: {last}");
        assert!(pop3.command("QUIT").starts_with("+OK"));
    }
}

/// The unique-ids of an account.
fn unique_ids(server: &ServerProcess, name: &str, password: &str) -> BTreeSet<String> {
    let listing = server.log_in(name, password).multiline("UIDL").1;
    let lines = listing.iter().map(|line| String::from_utf8_lossy(line).into_owned());
    lines.map(|line| line.split_once(' ').expect("two words").1.to_owned()).collect()
}

#[test]
fn unique_ids_are_not_used_again_after_a_backup_is_restored() {
    let cluster = Cluster::with_accounts(Durability::Unsynced);
    let node = cluster.dir.serve();
    let deliver = |count: usize| {
        (0..count)
            .for_each(|number| node.smtp().deliver_to_gb(format!("Subject: {number}\r\n\r\n").as_bytes()));
    };
    deliver(3);
    let backup = cluster.postgres.dump("mail0");
    let in_backup = unique_ids(&node, "gb", "other");
    deliver(5);
    let before = unique_ids(&node, "gb", "other");
    assert_eq!((in_backup.len(), before.len()), (3, 8));
    let mut pop3 = node.log_in("gb", "other");
    assert!(pop3.command("DELE 1").starts_with("+OK") && pop3.command("QUIT").starts_with("+OK"));

    cluster.postgres.restore("mail0", &backup);
    // The node is not restarted. The removed message is back, and has its unique-id.
    assert_eq!(unique_ids(&node, "gb", "other"), in_backup);
    deliver(7);
    let after = unique_ids(&node, "gb", "other");
    let new: BTreeSet<_> = after.difference(&in_backup).cloned().collect();
    assert_eq!((after.len(), new.len()), (10, 7));
    assert!(new.is_disjoint(&before), "{new:?} {before:?}");
}

/// Every acknowledged message exists exactly once, and nothing that was removed comes back.
#[test]
fn two_nodes_lose_and_duplicate_nothing_when_nodes_and_database_are_killed() {
    const ACCOUNTS: [&str; 2] = ["ag", "gb"];
    let long = std::env::var_os("PENNYPOST_LONG").is_some();
    let rounds = if long { 20 } else { 2 };
    let mut cluster = Cluster::with_accounts(Durability::Synced);
    let mut nodes = [cluster.dir.serve(), cluster.dir.serve()];
    let addresses = |node: &ServerProcess| (node.address("smtp"), node.address("pop3"));
    let current = Arc::new(RwLock::new([addresses(&nodes[0]), addresses(&nodes[1])]));
    let model = Arc::new(Model::default());
    let mut clients = Vec::new();
    for sender in 0..4 {
        let (model, current) = (Arc::clone(&model), Arc::clone(&current));
        let smtp = move |number: usize| current.read().expect("not poisoned")[(sender + number) % 2].0;
        clients.push(thread::spawn(move || model.send(sender, &ACCOUNTS, smtp)));
    }
    for (account, password) in [("ag", "secret"), ("gb", "other")] {
        let (model, current) = (Arc::clone(&model), Arc::clone(&current));
        let pop3 = move |number: usize| current.read().expect("not poisoned")[number % 2].1;
        clients.push(thread::spawn(move || model.retrieve(account, password, pop3)));
    }
    for round in 0..rounds {
        model.wait_for_more(30, TIMEOUT * 2);
        let restarted = cluster.dir.serve();
        let killed = round % 2;
        current.write().expect("not poisoned")[killed] = addresses(&restarted);
        std::mem::replace(&mut nodes[killed], restarted).kill();
        model.wait_for_more(30, TIMEOUT * 2);
        cluster.postgres.crash();
        thread::sleep(Duration::from_millis(200));
        cluster.postgres.resume();
        model.wait_for_more(30, TIMEOUT * 2);
        // The session of the killed node has left a lease.
        cluster.postgres.psql("mail0", "UPDATE lease SET expires = now()");
    }
    model.stop();
    clients.into_iter().for_each(|client| client.join().expect("no panic"));
    cluster.postgres.psql("mail0", "UPDATE lease SET expires = now()");
    for (account, password) in [("ag", "secret"), ("gb", "other")] {
        model.drain(account, password, nodes[0].address("pop3"), TIMEOUT * 2);
    }
    println!("{} kills: {:?}", rounds * 2, model.verify());
    assert_eq!(cluster.postgres.psql("mail0", "SELECT count(*) FROM message"), "0\n");
    assert_eq!(cluster.postgres.psql("mail0", "SELECT count(*) FROM body"), "0\n");
    assert_eq!(cluster.postgres.psql("mail0", "SELECT sum(messages), sum(octets) FROM maildrop"), "0|0\n");
}
