//! Delivery to other hosts: mail servers, connections, retries, returns. `crate::start` starts the server with its store.

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::start;
use crate::support::dns::{DnsRecord, DnsServer, SILENT_DOMAIN};
use crate::support::mail_host::MailHost;
use crate::support::sender::{LOCALHOST, MESSAGE, example_net};
use crate::support::{self, run_program};

/// The id in a log line.
fn received_id(line: &str) -> String {
    support::field(line, "id").trim_matches('"').to_owned()
}

#[test]
fn submitted_mail_is_delivered_completed_and_leaves_the_queue() {
    let host = MailHost::start(LOCALHOST, 0);
    let dns = example_net(LOCALHOST);
    let mut sender = start(&dns, host.address.port(), "");
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
    // The local copy has no Bcc either.
    let copy = sender.mail("gb");
    assert!(copy.contains("Subject: hello") && !copy.contains("Bcc:"), "{copy}");
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
    let sender = start(&dns, host.address.port(), "retry_seconds = [3600]");
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
    let sender = sender.restart();
    let list = sender.queue(&["list"]);
    assert!(list.contains("2 attempts"), "{list}");
    let id = list.split(' ').next().expect("a first word").to_owned();
    let shown = sender.queue(&["show", &id]);
    assert!(
        shown.contains("from: <ag@iitkgp.edu>") && shown.contains("<y@example.net> delivered"),
        "{shown}"
    );
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
    let sender = start(&dns, host.address.port(), "");
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
fn unknown_domains_null_mx_and_private_addresses_are_reported_at_once() {
    let dns = DnsServer::start(&[
        DnsRecord::Mx("nomail.example", 0, "."),
        DnsRecord::Mx("router.example", 10, "router.router.example"),
        DnsRecord::A("router.router.example", Ipv4Addr::new(192, 168, 0, 1)),
        DnsRecord::Mx("self.example", 10, "iitkgp.edu"),
    ]);
    let sender = start(&dns, 25, "");
    for (recipient, status, text) in [
        ("x@missing.example", "5.1.2", "does not exist"),
        ("x@nomail.example", "5.1.10", "accepts no mail"),
        ("x@router.example", "5.4.4", "private addresses"),
        ("x@self.example", "5.4.6", "to this host"),
    ] {
        sender.remove_mail("ag");
        sender.submit(&[recipient], MESSAGE);
        let report = sender.report();
        assert!(
            report.contains(&format!("Status: {status}")) && report.contains(text),
            "{recipient}: {report}"
        );
    }
}

#[test]
fn thousand_mail_servers_and_a_loop_of_aliases_delay_no_other_mail() {
    let host = MailHost::start(LOCALHOST, 0);
    let names: Vec<String> = (0..1_000).map(|number| format!("mx{number}.many.example")).collect();
    let records =
        names.iter().zip(10..).map(|(name, preference)| DnsRecord::Mx("many.example", preference, name));
    let mut records: Vec<_> = records.collect();
    records.extend([
        DnsRecord::A(&names[0], LOCALHOST),
        DnsRecord::Cname("loop.example", "again.example"),
        DnsRecord::Cname("again.example", "loop.example"),
    ]);
    let dns = DnsServer::start(&records);
    let sender = start(&dns, host.address.port(), "");
    sender.submit(&["x@loop.example", "x@many.example"], MESSAGE);
    assert_eq!(host.next().to, ["<x@many.example>"]);
    let report = sender.report();
    assert!(report.contains("Final-Recipient: rfc822; x@loop.example"), "{report}");
    sender.wait_until_queue("empty", |list| list.contains("the queue is empty"));
}

#[test]
fn dns_without_an_answer_defers_mail() {
    let dns = DnsServer::start(&[]);
    let sender = start(&dns, 25, "");
    sender.submit(&[&format!("x@{SILENT_DOMAIN}")], MESSAGE);
    let list = sender.wait_until_queue("deferred", |list| list.contains("1 attempt:"));
    assert!(list.contains("the DNS has no answer for silent.example"), "{list}");
}

#[test]
fn message_is_returned_after_its_lifetime_and_reported_before() {
    // Nothing listens on this port of 127.0.0.2.
    let host = MailHost::start(LOCALHOST, 0);
    let dns = example_net(Ipv4Addr::new(127, 0, 0, 2));
    let keys = "retry_seconds = [1]\ndelay_report_seconds = 2\nlifetime_seconds = 5";
    let sender = start(&dns, host.address.port(), keys);
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
    let sender = start(&dns, first.address.port(), "");
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
    let sender = start(&dns, host.address.port(), "");
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
        /// Messages of this connection, which has its own thread.
        static MESSAGES: Cell<usize> = const { Cell::new(0) };
    }
    let host = MailHost::with_script(LOCALHOST, 0, |line| {
        let is_refused = line.starts_with("MAIL") && MESSAGES.replace(MESSAGES.get() + 1) == 2;
        is_refused.then(|| "421 4.7.0 too many messages".to_owned())
    });
    let dns = example_net(LOCALHOST);
    let sender = start(&dns, host.address.port(), "retry_seconds = [3600]");
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
    let sender = start(&dns, host.address.port(), "");
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
    let sender = start(&dns, host.address.port(), "");
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
    let sender = start(&dns, host.address.port(), "retry_seconds = [1]");
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
    let sender = start(&dns, host.address.port(), "retry_seconds = [3600]");
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
    let sender = start(&dns, port, "retry_seconds = [3600]");
    let recipients: Vec<_> = domains.iter().map(|domain| format!("x@{domain}")).collect();
    let recipients: Vec<_> = recipients.iter().map(String::as_str).collect();
    sender.submit(&recipients, MESSAGE);
    sender.submit(&["x@good.example"], MESSAGE);
    let list = sender.wait_until_queue("deferred", |list| {
        list.matches("1 attempt:").count() == 4 && list.matches("waiting").count() == 4
    });
    assert!(!list.contains('\u{1b}') && !list.contains("good.example"), "{list}");
}
