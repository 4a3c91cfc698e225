//! Rules of outbound mail: who may send, where it goes, the reports that a sender asks for, and `pennypost queue`.

mod support;

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use support::dns::{DnsRecord, DnsServer};
use support::mail_host::MailHost;
use support::sender::{LOCALHOST, MESSAGE, Sender, example_net, serve};
use support::{LineStream, SmtpClient, TestDir, run_program};

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
    let sender = Sender { server: serve(&dir), dir, database: None };
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
fn requested_reports_pass_through_an_alias() {
    let host = MailHost::with_script(LOCALHOST, 0, |line| {
        line.starts_with("EHLO").then(|| "250-mx.example\r\n250 DSN".to_owned())
    });
    let dns = example_net(LOCALHOST);
    let dir = TestDir::with_config(&format!(
        "[outbound]\nmode = 'direct'\nport = {}\nresolver = ['{}']\nprivate_networks = ['127.0.0.0/8']\n\
         [smtp]\nsubmission_listen = ['127.0.0.1:0']\n",
        host.address.port(),
        dns.address
    ));
    fs::write(dir.path("data/Aliases.txt"), "sales: partner@example.net\n").expect("the file is written");
    let sender = Sender { server: serve(&dir), dir, database: None };
    let mut smtp = sender.submission();
    smtp.command("MAIL FROM:<ag@iitkgp.edu> RET=HDRS ENVID=1");
    assert!(smtp.command("RCPT TO:<sales@iitkgp.edu> NOTIFY=SUCCESS,DELAY").starts_with("250"));
    assert!(smtp.command("DATA").starts_with("354"));
    smtp.stream.send(b"From: ag@iitkgp.edu\r\n\r\nbody\r\n.\r\n");
    assert!(smtp.reply().starts_with("250"));
    assert_eq!(host.next().to, ["<partner@example.net>"]);
    let commands = host.commands.lock().expect("no thread panics").join("\n");
    assert!(commands.contains("RET=HDRS ENVID=1"), "{commands}");
    assert!(
        commands.contains("RCPT TO:<partner@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;sales@iitkgp.edu"),
        "{commands}"
    );
}

#[test]
fn users_send_as_themselves_only() {
    let host = MailHost::start(LOCALHOST, 0);
    let dns = example_net(LOCALHOST);
    let sender = Sender::start(&dns, host.address.port(), "");
    for from in [
        "From: gb@iitkgp.edu\r\n",
        "From: ag@iitkgp.edu, gb@iitkgp.edu\r\n",
        "From: \"ag@iitkgp.edu\" <boss@bank.example>\r\n",
        "From: ag@iitkgp.edu\r\nfrom: gb@iitkgp.edu\r\n",
        "From: nobody\r\n",
    ] {
        let message = format!("{from}Subject: x\r\n\r\nbody\r\n");
        let reply = sender.submission().deliver("ag@iitkgp.edu", &["x@example.net"], message.as_bytes());
        assert!(reply.starts_with("550 5.7.1 Address in the From field"), "{from}: {reply}");
    }
    sender.submit(&["x@example.net"], b"From: AG <AG@iit.edu>, ag+list@iitkgp.edu\r\n\r\nbody\r\n");
    host.next();
}

#[test]
fn host_that_takes_the_message_follows_one_that_cannot() {
    let first = MailHost::with_script(Ipv4Addr::new(127, 0, 0, 13), 0, |line| {
        line.starts_with("EHLO").then(|| "250-mx.example\r\n250 SIZE 10".to_owned())
    });
    let second = MailHost::start(Ipv4Addr::new(127, 0, 0, 14), first.address.port());
    let dns = DnsServer::start(&[
        DnsRecord::Mx("example.net", 10, "mx1.example.net"),
        DnsRecord::Mx("example.net", 20, "mx2.example.net"),
        DnsRecord::A("mx1.example.net", Ipv4Addr::new(127, 0, 0, 13)),
        DnsRecord::A("mx2.example.net", Ipv4Addr::new(127, 0, 0, 14)),
    ]);
    let sender = Sender::start(&dns, first.address.port(), "");
    sender.submit(&["x@example.net"], MESSAGE);
    assert_eq!(second.next().to, ["<x@example.net>"]);
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
    let sender = Sender { server: serve(&dir), dir, database: None };
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

/// Messages of a forged sender, forwarded to a host that refuses them and the reports.
#[test]
fn refused_reports_cause_no_further_reports() {
    const MESSAGES: usize = 50;
    let host = MailHost::with_script(LOCALHOST, 0, |line| {
        line.starts_with("RCPT").then(|| "550 5.1.1 no such user".to_owned())
    });
    let dns = DnsServer::start(&[DnsRecord::A("elsewhere.example", LOCALHOST)]);
    let dir = TestDir::with_config(&Sender::config(&dns, host.address.port(), ""));
    fs::write(dir.path("data/Aliases.txt"), "sales: partner@elsewhere.example\n")
        .expect("the file is written");
    let sender = Sender { server: serve(&dir), dir, database: None };
    let mut smtp = sender.server.smtp();
    smtp.command("EHLO client.example");
    for _ in 0..MESSAGES {
        let reply = smtp.deliver("a@elsewhere.example", &["sales@iitkgp.edu"], b"Subject: x\r\n\r\nbody\r\n");
        assert!(reply.starts_with("250"), "{reply}");
    }
    sender.wait_until_queue("empty", |list| list.contains("the queue is empty"));
    let commands = host.commands.lock().expect("no thread panics");
    let count = |start: &str| commands.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!(count("RCPT TO:<partner@"), MESSAGES);
    assert_eq!(count("RCPT TO:<a@"), MESSAGES);
    assert_eq!(count("MAIL FROM:<>"), MESSAGES);
    assert!(sender.dir.mailbox("ag").is_empty());
}
