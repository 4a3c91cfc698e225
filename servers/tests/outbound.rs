//! Mail to other hosts: queue, delivery, retries, reports, relay policy, and `pennypost queue`.

mod support;

use std::cell::Cell;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use mail_core::sasl;
use mail_core::secret::Secret;
use support::dns::{DnsRecord, DnsServer};
use support::mail_host::MailHost;
use support::{LineStream, ServerProcess, SmtpClient, TIMEOUT, TestDir, run_program};

const MESSAGE: &[u8] = b"From: ag@iitkgp.edu\r\nTo: x@example.net\r\nBcc: secret@example.net\r\nSubject: hello\r\n\r\nbody\r\n.dot\r\n";
const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A host whose outbound mail goes to `port` of the mail servers in `dns`.
struct Sender {
    dir: TestDir,
    server: ServerProcess,
}

impl Sender {
    fn start(dns: &DnsServer, port: u16, keys: &str) -> Self {
        let config = format!(
            "[outbound]\nmode = 'direct'\nport = {port}\nresolver = ['{}']\nprivate_networks = ['127.0.0.0/8']\n{keys}\n\
             [smtp]\nsubmission_listen = ['127.0.0.1:0']\n",
            dns.address
        );
        Self::with_config(&config)
    }

    fn with_config(config: &str) -> Self {
        let dir = TestDir::with_config(config);
        let server = serve(&dir);
        Self { dir, server }
    }

    /// A client that has signed in as ag.
    fn submission(&self) -> SmtpClient {
        let mut smtp = SmtpClient::connect(self.server.address("submission"));
        smtp.command("EHLO client.example");
        let plain = sasl::encode(&Secret::new("\0ag\0secret".into())).expose().clone();
        let reply = smtp.command(&format!("AUTH PLAIN {plain}"));
        assert!(reply.starts_with("235"), "{reply}");
        smtp
    }

    fn submit(&self, recipients: &[&str], message: &[u8]) {
        let reply = self.submission().deliver("ag@iitkgp.edu", recipients, message);
        assert!(reply.starts_with("250"), "{reply}");
    }

    fn queue(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pennypost"));
        command.arg("queue").args(arguments).arg("--config").arg(self.dir.path("pennypost.toml"));
        let output = run_program(&mut command, b"");
        assert_eq!(output.code, Some(0), "{output:?}");
        output.stdout
    }

    fn wait_until_queue(&self, description: &str, is_expected: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let list = self.queue(&["list"]);
            if is_expected(&list) {
                return list;
            }
            assert!(start.elapsed() < TIMEOUT, "the queue is not {description}: {list}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// The mail of ag, after a report has arrived.
    fn report(&self) -> String {
        let start = Instant::now();
        loop {
            let mailbox = String::from_utf8_lossy(&self.dir.mailbox("ag")).into_owned();
            if mailbox.ends_with("\r\n.\r\n") {
                return mailbox;
            }
            assert!(start.elapsed() < TIMEOUT, "no report: {}", self.queue(&["list"]));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn serve(dir: &TestDir) -> ServerProcess {
    let arguments = ["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "off"];
    ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &arguments, dir, &["smtp", "submission", "pop3"])
}

/// The id in a log line.
fn received_id(line: &str) -> String {
    support::field(line, "id").trim_matches('"').to_owned()
}

fn example_net(address: Ipv4Addr) -> DnsServer {
    DnsServer::start(&[
        DnsRecord::Mx("example.net", 10, "mx.example.net"),
        DnsRecord::A("mx.example.net", address),
    ])
}

#[test]
fn submitted_mail_is_delivered_completed_and_leaves_the_queue() {
    let host = MailHost::start(LOCALHOST, 0);
    let dns = example_net(LOCALHOST);
    let mut sender = Sender::start(&dns, host.address.port(), "");
    sender.submit(&["x@example.net", "y@example.net", "gb@iitkgp.edu"], MESSAGE);
    let received = host.next();
    assert_eq!(received.from, "<ag@iitkgp.edu>");
    assert_eq!(received.to, ["<x@example.net>", "<y@example.net>"]);
    let (header, body) = received.message.split_once("\r\n\r\n").expect("a header and a body");
    assert_eq!(body, "body\r\n.dot\r\n");
    assert!(header.starts_with("Received: from client.example"), "{header}");
    for field in ["\r\nDate: ", "\r\nMessage-ID: <", "\r\nSubject: hello"] {
        assert_eq!(header.matches(field).count(), 1, "{field}: {header}");
    }
    assert!(!header.contains("secret@example.net"), "{header}");
    // The local copy is stored as sent.
    assert!(String::from_utf8_lossy(&sender.dir.mailbox("gb")).contains("Bcc: secret@example.net"));
    sender.wait_until_queue("empty", |list| list.contains("the queue is empty"));
    assert_eq!(sender.queue(&["list", "--json"]).trim(), "[]");
    // The log tells the history of the message by its Message-ID.
    let delivered = sender.server.wait_for_log(" delivered ");
    let sent = sender.server.wait_for_log("sent id=");
    let log = format!("{delivered}\n{sent}\n");
    let (_, id) = header.split_once("\r\nMessage-ID: ").expect("completed");
    assert!(id.contains(&received_id(&delivered)), "{id}");
    let mut trace = Command::new(env!("CARGO_BIN_EXE_pennypost"));
    let traced = run_program(trace.args(["trace", &received_id(&delivered)]), log.as_bytes());
    assert_eq!(traced.stdout, log, "{traced:?}");
}

#[test]
fn temporary_failure_is_retried_and_the_log_survives_a_restart() {
    let attempts = AtomicUsize::new(0);
    let host = MailHost::with_script(LOCALHOST, 0, move |line| {
        let is_deferred = line.starts_with("RCPT TO:<x@") && attempts.fetch_add(1, Ordering::Relaxed) < 2;
        is_deferred.then(|| "451 4.7.1 greylisted".to_owned())
    });
    let dns = example_net(LOCALHOST);
    let mut sender = Sender::start(&dns, host.address.port(), "retry_seconds = [3600]");
    sender.submit(&["x@example.net", "y@example.net"], MESSAGE);
    assert_eq!(host.next().to, ["<y@example.net>"]);
    let list = sender.wait_until_queue("deferred", |list| list.contains("greylisted"));
    assert!(
        list.contains(
            "<x@example.net>  waiting, 1 attempt: mx.example.net [127.0.0.1]: 451 4.7.1 greylisted"
        ),
        "{list}"
    );
    assert!(list.contains("<y@example.net>  done"), "{list}");
    sender.queue(&["retry"]);
    sender.wait_until_queue("retried", |list| list.contains("2 attempts"));
    // A new process replays the log.
    let Sender { dir, server } = sender;
    server.kill();
    sender = Sender { server: serve(&dir), dir };
    let list = sender.queue(&["list"]);
    assert!(list.contains("2 attempts"), "{list}");
    let id = list.split(' ').next().expect("a first word").to_owned();
    let shown = sender.queue(&["show", &id]);
    assert!(
        shown.contains("from: <ag@iitkgp.edu>") && shown.contains("<y@example.net> delivered"),
        "{shown}"
    );
    sender.server.wait_for_log("outbound queue read");
    sender.queue(&["retry", &id]);
    sender.wait_until_queue("empty", |list| list.contains("the queue is empty"));
    assert_eq!(host.next().to, ["<x@example.net>"]);
}

#[test]
fn permanent_failure_is_reported_to_the_sender() {
    let host = MailHost::with_script(LOCALHOST, 0, |line| {
        line.starts_with("RCPT TO:<nobody@").then(|| "550 5.1.1 no such\u{7} user".to_owned())
    });
    let dns = example_net(LOCALHOST);
    let sender = Sender::start(&dns, host.address.port(), "");
    sender.submit(&["nobody@example.net", "y@example.net"], MESSAGE);
    assert_eq!(host.next().to, ["<y@example.net>"]);
    let report = sender.report();
    for text in [
        "Return-Path: <>",
        "Content-Type: multipart/report",
        "Auto-Submitted: auto-replied",
        "Final-Recipient: rfc822; nobody@example.net",
        "Action: failed",
        "Status: 5.1.1",
        "Remote-MTA: dns; mx.example.net",
        "Diagnostic-Code: smtp; 550 5.1.1 no such",
        "Subject: hello",
    ] {
        assert!(report.contains(text), "no {text:?} in {report}");
    }
    assert!(!report.contains('\u{7}'), "{report}");
    sender.wait_until_queue("empty", |list| list.contains("the queue is empty"));
}

#[test]
fn reports_follow_the_wishes_of_the_sender() {
    // This host does not offer DSN, so its acceptance is reported as "relayed".
    let host = MailHost::with_script(LOCALHOST, 0, |line| {
        line.starts_with("RCPT TO:<no").then(|| "550 5.1.1 no such user".to_owned())
    });
    let dns = example_net(LOCALHOST);
    let sender = Sender::start(&dns, host.address.port(), "");
    let mut smtp = sender.submission();
    let greeting = smtp.command("EHLO client.example");
    assert!(greeting.contains("DSN"), "{greeting}");
    for command in [
        "MAIL FROM:<ag@iitkgp.edu> RET=FULL ENVID=order+2B1",
        "RCPT TO:<yes@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;alias@example.net",
        "RCPT TO:<nobody@example.net> NOTIFY=NEVER",
        "RCPT TO:<none@example.net> NOTIFY=FAILURE",
        "RCPT TO:<gb@iitkgp.edu> NOTIFY=SUCCESS",
    ] {
        let reply = smtp.command(command);
        assert!(reply.starts_with("250"), "{command}: {reply}");
    }
    assert!(smtp.command("DATA").starts_with("354"));
    let stuffed = String::from_utf8_lossy(MESSAGE).replace("\n.", "\n..");
    smtp.stream.send(stuffed.as_bytes());
    assert!(smtp.command(".").starts_with("250"));
    assert_eq!(host.next().to, ["<yes@example.net>"]);
    sender.wait_until_queue("empty", |list| list.contains("the queue is empty"));
    let reports = String::from_utf8_lossy(&sender.dir.mailbox("ag")).into_owned();
    for (text, count) in [
        ("Action: relayed", 1),
        ("Action: failed", 1),
        ("Action: delivered", 1),
        ("Final-Recipient: rfc822; none@example.net", 1),
        ("Final-Recipient: rfc822; gb@iitkgp.edu", 1),
        ("Original-Recipient: rfc822; alias@example.net", 1),
        ("Original-Envelope-Id: order+1", 2),
        ("nobody@example.net", 0),
    ] {
        assert_eq!(reports.matches(text).count(), count, "{text}: {reports}");
    }
    // The failed message is returned in full.
    assert!(reports.contains("message/rfc822") && reports.contains("..dot"), "{reports}");
}

#[test]
fn unknown_domains_null_mx_and_private_addresses_are_reported_at_once() {
    let dns = DnsServer::start(&[
        DnsRecord::Mx("nomail.example", 0, "."),
        DnsRecord::Mx("router.example", 10, "router.router.example"),
        DnsRecord::A("router.router.example", Ipv4Addr::new(192, 168, 0, 1)),
        DnsRecord::Mx("self.example", 10, "iitkgp.edu"),
    ]);
    let sender = Sender::start(&dns, 25, "");
    for (recipient, status, text) in [
        ("x@missing.example", "5.1.2", "does not exist"),
        ("x@nomail.example", "5.1.10", "accepts no mail"),
        ("x@router.example", "5.4.4", "private addresses"),
        ("x@self.example", "5.4.6", "to this host"),
    ] {
        fs::remove_file(sender.dir.path("data/ag/MyMailBox.txt")).ok();
        sender.submit(&[recipient], MESSAGE);
        let report = sender.report();
        assert!(
            report.contains(&format!("Status: {status}")) && report.contains(text),
            "{recipient}: {report}"
        );
    }
}

#[test]
fn message_is_returned_after_its_lifetime_and_reported_before() {
    // Nothing listens on this port of 127.0.0.2.
    let host = MailHost::start(LOCALHOST, 0);
    let dns = example_net(Ipv4Addr::new(127, 0, 0, 2));
    let keys = "retry_seconds = [1]\ndelay_report_seconds = 2\nlifetime_seconds = 5";
    let sender = Sender::start(&dns, host.address.port(), keys);
    sender.submit(&["x@example.net"], MESSAGE);
    let report = sender.report();
    assert!(report.contains("Action: delayed") && report.contains("Will-Retry-Until:"), "{report}");
    sender.wait_until_queue("empty", |list| list.contains("the queue is empty"));
    let reports = sender.report();
    assert_eq!(reports.matches("Action: delayed").count(), 1, "{reports}");
    assert_eq!(reports.matches("Action: failed").count(), 1, "{reports}");
    assert!(reports.contains("Status: 4.4.7"), "{reports}");
}

#[test]
fn second_mail_server_receives_mail_if_the_first_fails() {
    let first =
        MailHost::with_script(Ipv4Addr::new(127, 0, 0, 3), 0, |_| Some("554 5.3.2 no service".into()));
    let second = MailHost::start(Ipv4Addr::new(127, 0, 0, 4), first.address.port());
    let dns = DnsServer::start(&[
        DnsRecord::Mx("example.net", 20, "mx2.example.net"),
        DnsRecord::Mx("example.net", 10, "mx1.example.net"),
        DnsRecord::A("mx1.example.net", Ipv4Addr::new(127, 0, 0, 3)),
        DnsRecord::A("mx2.example.net", Ipv4Addr::new(127, 0, 0, 4)),
        DnsRecord::A("implicit.example", Ipv4Addr::new(127, 0, 0, 4)),
    ]);
    let sender = Sender::start(&dns, first.address.port(), "");
    sender.submit(&["x@example.net"], MESSAGE);
    assert_eq!(second.next().to, ["<x@example.net>"]);
    // Without MX records, the host of the domain itself.
    sender.submit(&["x@implicit.example"], MESSAGE);
    assert_eq!(second.next().to, ["<x@implicit.example>"]);
}

#[test]
fn connection_is_used_for_many_messages() {
    let host = MailHost::start(LOCALHOST, 0);
    let dns = example_net(LOCALHOST);
    let sender = Sender::start(&dns, host.address.port(), "");
    let mut smtp = sender.submission();
    for number in 0..60 {
        let reply = smtp.deliver("ag@iitkgp.edu", &[&format!("x{number}@example.net")], MESSAGE);
        assert!(reply.starts_with("250"), "{reply}");
    }
    let received: Vec<_> = (0..60).map(|_| host.next()).collect();
    let mut recipients: Vec<_> = received.iter().map(|message| message.to[0].clone()).collect();
    recipients.sort();
    recipients.dedup();
    assert_eq!(recipients.len(), 60);
    sender.wait_until_queue("empty", |list| list.contains("the queue is empty"));
}

#[test]
fn host_that_limits_messages_per_connection_receives_all_at_once() {
    thread_local! {
        /// Of this connection, which has its own thread.
        static MESSAGES: Cell<usize> = const { Cell::new(0) };
    }
    let host = MailHost::with_script(LOCALHOST, 0, |line| {
        let is_refused = line.starts_with("MAIL") && MESSAGES.replace(MESSAGES.get() + 1) == 2;
        is_refused.then(|| "421 4.7.0 too many messages".to_owned())
    });
    let dns = example_net(LOCALHOST);
    let sender = Sender::start(&dns, host.address.port(), "retry_seconds = [3600]");
    let recipients: Vec<_> = (0..20).map(|number| format!("x{number}@example.net")).collect();
    let mut smtp = sender.submission();
    for recipient in &recipients {
        assert!(smtp.deliver("ag@iitkgp.edu", &[recipient], MESSAGE).starts_with("250"));
    }
    let mut received: Vec<_> = (0..20).map(|_| host.next().to.remove(0)).collect();
    received.sort();
    received.dedup();
    assert_eq!(received.len(), 20);
}

#[test]
fn host_that_refuses_starttls_receives_plain_text() {
    let host = MailHost::with_script(LOCALHOST, 0, |line| match line {
        line if line.starts_with("EHLO") => Some("250-mx.example\r\n250 STARTTLS".into()),
        "STARTTLS" => Some("454 4.7.0 TLS not available".into()),
        _ => None,
    });
    let dns = example_net(LOCALHOST);
    let sender = Sender::start(&dns, host.address.port(), "");
    sender.submit(&["x@example.net"], MESSAGE);
    assert_eq!(host.next().to, ["<x@example.net>"]);
    assert_eq!(
        host.commands.lock().expect("no thread panics").iter().filter(|line| *line == "STARTTLS").count(),
        1
    );
}

#[test]
fn utf8_recipient_does_not_fail_the_others_and_domains_are_sent_in_ascii() {
    let host = MailHost::with_script(LOCALHOST, 0, |line| {
        line.starts_with("EHLO").then(|| "250-mx.example\r\n250 8BITMIME".into())
    });
    let dns = DnsServer::start(&[DnsRecord::A("xn--mller-kva.example", LOCALHOST)]);
    let sender = Sender::start(&dns, host.address.port(), "");
    let mut smtp = sender.submission();
    assert!(smtp.command("MAIL FROM:<ag@iitkgp.edu> SMTPUTF8").starts_with("250"));
    let reply = smtp.deliver_after_mail(&["x@m\u{fc}ller.example", "\u{fc}@m\u{fc}ller.example"], MESSAGE);
    assert!(reply.starts_with("250"), "{reply}");
    assert_eq!(host.next().to, ["<x@xn--mller-kva.example>"]);
    let report = sender.report();
    assert!(report.contains("Status: 5.6.7"), "{report}");
    assert_eq!(report.matches("Action: failed").count(), 1, "{report}");
}

#[test]
fn recipient_over_the_limit_of_a_host_is_sent_again() {
    let host = MailHost::with_script(LOCALHOST, 0, |line| {
        line.starts_with("RCPT TO:<y@").then(|| "552 5.5.3 too many recipients".to_owned())
    });
    let dns = example_net(LOCALHOST);
    let sender = Sender::start(&dns, host.address.port(), "retry_seconds = [1]");
    sender.submit(&["x@example.net", "y@example.net"], MESSAGE);
    assert_eq!(host.next().to, ["<x@example.net>"]);
    // Alone, its refusal is final.
    let report = sender.report();
    assert!(report.contains("Final-Recipient: rfc822; y@example.net"), "{report}");
    let attempts = host
        .commands
        .lock()
        .expect("no thread panics")
        .iter()
        .filter(|line| line.starts_with("RCPT TO:<y@"))
        .count();
    assert_eq!(attempts, 2);
}

#[test]
fn many_recipients_are_sent_in_transactions_of_one_hundred() {
    let host = MailHost::start(LOCALHOST, 0);
    let dns = example_net(LOCALHOST);
    let sender = Sender::start(&dns, host.address.port(), "retry_seconds = [3600]");
    let recipients: Vec<_> = (0..250).map(|number| format!("x{number}@example.net")).collect();
    let recipients: Vec<_> = recipients.iter().map(String::as_str).collect();
    sender.submit(&recipients, MESSAGE);
    let counts: Vec<_> = (0..3).map(|_| host.next().to.len()).collect();
    assert_eq!(counts, [100, 100, 50]);
    sender.wait_until_queue("empty", |list| list.contains("the queue is empty"));
}

#[test]
fn hostile_hosts_delay_only_their_own_mail() {
    let port = {
        let host = MailHost::start(Ipv4Addr::new(127, 0, 0, 5), 0);
        host.address.port()
    };
    // Talks without end, drops before and after the final dot, and replies with nonsense.
    let endless = format!("250-{}", "x\r\n250-".repeat(20_000));
    let hosts = [
        MailHost::with_script(Ipv4Addr::new(127, 0, 0, 6), port, move |line| {
            line.starts_with("EHLO").then(|| endless.clone())
        }),
        MailHost::with_script(Ipv4Addr::new(127, 0, 0, 7), port, |line| (line == "DATA").then(String::new)),
        MailHost::with_script(Ipv4Addr::new(127, 0, 0, 8), port, |line| (line == ".").then(String::new)),
        MailHost::with_script(Ipv4Addr::new(127, 0, 0, 9), port, |_| Some("\u{1b}[31m???".into())),
    ];
    let domains = ["a.example", "b.example", "c.example", "d.example"];
    let mut records: Vec<_> = domains
        .iter()
        .zip(&hosts)
        .map(|(domain, host)| {
            let std::net::IpAddr::V4(address) = host.address.ip() else { panic!("IPv4") };
            DnsRecord::A(domain, address)
        })
        .collect();
    records.push(DnsRecord::A("good.example", Ipv4Addr::new(127, 0, 0, 5)));
    let dns = DnsServer::start(&records);
    let sender = Sender::start(&dns, port, "retry_seconds = [3600]");
    let recipients: Vec<_> = domains.iter().map(|domain| format!("x@{domain}")).collect();
    let recipients: Vec<_> = recipients.iter().map(String::as_str).collect();
    sender.submit(&recipients, MESSAGE);
    sender.submit(&["x@good.example"], MESSAGE);
    let list = sender.wait_until_queue("deferred", |list| {
        list.matches("1 attempt:").count() == 4 && list.matches("waiting").count() == 4
    });
    assert!(!list.contains('\u{1b}') && !list.contains("good.example"), "{list}");
}

#[test]
fn held_message_waits_and_dropped_message_disappears() {
    let host = MailHost::with_script(LOCALHOST, 0, |line| {
        line.starts_with("RCPT TO:<later@").then(|| "450 4.2.0 later".to_owned())
    });
    let dns = example_net(LOCALHOST);
    let sender = Sender::start(&dns, host.address.port(), "retry_seconds = [3600]");
    sender.submit(&["later@example.net"], MESSAGE);
    let list = sender.wait_until_queue("deferred", |list| list.contains("1 attempt:"));
    let id = list.split(' ').next().expect("a first word").to_owned();
    sender.queue(&["hold", &id]);
    assert!(sender.queue(&["list"]).contains("on hold"));
    sender.queue(&["release", &id]);
    let list = sender.queue(&["list"]);
    assert!(!list.contains("on hold"), "{list}");
    sender.queue(&["retry", &id]);
    sender.wait_until_queue("retried", |list| list.contains("2 attempts"));
    sender.queue(&["drop", &id]);
    assert!(sender.queue(&["list"]).contains("the queue is empty"));
    // `check` reports what it cannot read and what nobody delivers.
    fs::write(sender.dir.path("data/queue/BROKEN"), "to: x\n\n").expect("the file is written");
    let mut check = Command::new(env!("CARGO_BIN_EXE_pennypost"));
    let checked = run_program(check.arg("check").arg("--config").arg(sender.dir.path("pennypost.toml")), b"");
    assert!(checked.code == Some(1) && checked.stdout.contains("queue/BROKEN: line 1"), "{checked:?}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pennypost"));
    command.args(["queue", "drop", &id, "--config"]).arg(sender.dir.path("pennypost.toml"));
    let output = run_program(&mut command, b"");
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.stderr.contains(&format!("the queue has no message {id}")), "{output:?}");
}

#[test]
fn only_users_and_relay_networks_send_outside() {
    let host = MailHost::start(LOCALHOST, 0);
    let dns = example_net(LOCALHOST);
    let sender = Sender::start(&dns, host.address.port(), "relay_from = ['127.0.0.77']");
    let mut stranger = sender.server.smtp();
    stranger.command("EHLO client.example");
    stranger.command("MAIL FROM:<a@elsewhere.example>");
    for recipient in [
        "x@example.net",
        "\"x@example.net\"@elsewhere.example",
        "x%example.net@elsewhere.example",
        "@iitkgp.edu:x@example.net",
        "x@[127.0.0.1]",
    ] {
        let reply = stranger.command(&format!("RCPT TO:<{recipient}>"));
        assert!(reply.starts_with("550 5.7.1"), "{recipient}: {reply}");
    }
    // An address that looks local after rewriting is unknown here.
    for recipient in ["x%example.net@iitkgp.edu", "\"x@example.net\"@iitkgp.edu", "example.net!x@iitkgp.edu"]
    {
        let reply = stranger.command(&format!("RCPT TO:<{recipient}>"));
        assert!(reply.starts_with("550 5.1.1"), "{recipient}: {reply}");
    }
    stranger.command("RSET");
    let reply = stranger.command("MAIL FROM:<ag@iitkgp.edu>");
    assert!(reply.starts_with("550 5.7.1 Sign in"), "{reply}");
    // A user sends from own addresses only.
    let mut user = sender.submission();
    let reply = user.command("MAIL FROM:<gb@iitkgp.edu>");
    assert!(reply.starts_with("550 5.7.1"), "{reply}");
    // A printer in a relay network sends without signing in.
    let mut printer =
        SmtpClient::from_stream(LineStream::connect_from([127, 0, 0, 77], sender.server.address("smtp")));
    printer.command("EHLO printer.example");
    let reply = printer.deliver("scanner@iitkgp.edu", &["x@example.net"], MESSAGE);
    assert!(reply.starts_with("250"), "{reply}");
    assert_eq!(host.next().from, "<scanner@iitkgp.edu>");
}

#[test]
fn without_the_section_no_mail_leaves_the_host() {
    let dir = TestDir::with_config("[smtp]\nsubmission_listen = ['127.0.0.1:0']\n");
    let sender = Sender { server: serve(&dir), dir };
    let mut smtp = sender.submission();
    smtp.command("MAIL FROM:<ag@iitkgp.edu>");
    let reply = smtp.command("RCPT TO:<x@example.net>");
    assert!(reply.starts_with("550 5.7.1"), "{reply}");
    assert!(!sender.dir.path("data/queue").exists());
    assert!(sender.queue(&["list"]).contains("the queue is empty"));
}

#[test]
fn smarthost_receives_all_mail() {
    let host = MailHost::start(LOCALHOST, 0);
    let config = format!(
        "[outbound]\nmode = 'smarthost'\nsmarthost = {{ address = '{}', tls = 'off' }}\nresolver = ['127.0.0.1:9']\n\
         [smtp]\nsubmission_listen = ['127.0.0.1:0']\n",
        host.address
    );
    let sender = Sender::with_config(&config);
    sender.submit(&["x@example.net", "y@example.com"], MESSAGE);
    assert_eq!(host.next().to, ["<x@example.net>", "<y@example.com>"]);
}

#[test]
fn alias_on_another_host_is_forwarded() {
    let host = MailHost::start(LOCALHOST, 0);
    let dns = DnsServer::start(&[
        DnsRecord::A("example.net", LOCALHOST),
        DnsRecord::A("elsewhere.example", LOCALHOST),
    ]);
    let dir = TestDir::with_config(&format!(
        "[outbound]\nmode = 'direct'\nport = {}\nresolver = ['{}']\nprivate_networks = ['127.0.0.0/8']\n\
         [smtp]\nsubmission_listen = ['127.0.0.1:0']\n",
        host.address.port(),
        dns.address
    ));
    fs::write(dir.path("data/Aliases.txt"), "sales: ag, partner@example.net\n").expect("the file is written");
    let sender = Sender { server: serve(&dir), dir };
    let mut smtp = sender.server.smtp();
    smtp.command("EHLO client.example");
    let reply = smtp.deliver("a@elsewhere.example", &["sales@iitkgp.edu"], b"Subject: x\r\n\r\nbody\r\n");
    assert!(reply.starts_with("250"), "{reply}");
    let received = host.next();
    assert_eq!(received.to, ["<partner@example.net>"]);
    // The reverse-path is an address of this host, which only reports reach.
    assert!(
        received.from.starts_with("<SRS0=") && received.from.ends_with("=elsewhere.example=a@iitkgp.edu>"),
        "{received:?}"
    );
    let rewritten = received.from.trim_matches(['<', '>']).to_owned();
    let mut smtp = sender.server.smtp();
    smtp.command("EHLO client.example");
    smtp.command("MAIL FROM:<spammer@elsewhere.example>");
    let reply = smtp.command(&format!("RCPT TO:<{rewritten}>"));
    assert!(reply.starts_with("550 5.1.1"), "{reply}");
    smtp.command("RSET");
    smtp.command("MAIL FROM:<>");
    let reply = smtp.command("RCPT TO:<SRS0=AAAAAA=AA=example.net=x@iitkgp.edu>");
    assert!(reply.starts_with("550 5.1.1"), "{reply}");
    smtp.command("RSET");
    let reply = smtp.deliver("", &[&rewritten], b"Subject: report\r\n\r\nbody\r\n");
    assert!(reply.starts_with("250"), "{reply}");
    let report = host.next();
    assert_eq!(
        (report.from.as_str(), report.to.as_slice()),
        ("<>", &["<a@elsewhere.example>".to_owned()][..])
    );
    // A relayed message is not completed.
    assert!(!received.message.contains("Message-ID"), "{}", received.message);
    assert!(String::from_utf8_lossy(&sender.dir.mailbox("ag")).contains("Subject: x"));
}
