//! Authentication: throttling, required encryption, submission, and the cost of password checks.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mail_core::proxy::Header;
use mail_core::sasl::{self, ClientExchange, Credentials, Mechanism};
use mail_core::secret::Secret;
use mail_core::users::Username;
use mail_store::directory::Directory;
use mail_store::user_txt::UserTxt;
use support::tls::TlsClient;
use support::{LineStream, Pop3Client, ServerProcess, SmtpClient, TestDir};

/// Low limits, so that the delays between failed logins stay short.
const FAILURE_LIMITS: &str = "[auth]\nfailures_per_address = 3\nfailures_per_account = 5\n";

const WRONG: &str = "535 5.7.8 Authentication failed: wrong username or password";
const TOO_MANY: &str = "454 4.7.0 Too many failed logins; try again later";
const POP3_WRONG: &str = "-ERR [AUTH] wrong username or password";
const POP3_TOO_MANY: &str = "-ERR [SYS/TEMP] too many failed logins; try again later";

fn auth_plain(user: &str, password: &str) -> String {
    let mut exchange = ClientExchange::new(Mechanism::Plain, &Credentials::new(user, password));
    let initial = exchange.initial().expect("PLAIN has an initial response");
    format!("AUTH PLAIN {}", sasl::encode(&initial).expose())
}

/// Logs in on a new connection and returns the reply.
fn smtp_login(stream: LineStream, user: &str, password: &str) -> String {
    let mut smtp = SmtpClient::from_stream(stream);
    smtp.command("EHLO iit.edu");
    smtp.command(&auth_plain(user, password))
}

fn pop3_login(stream: LineStream, user: &str, password: &str) -> String {
    let mut pop3 = Pop3Client::from_stream(stream);
    let mut reply = pop3.command(&format!("USER {user}"));
    if reply.starts_with("+OK") {
        reply = pop3.command(&format!("PASS {password}"));
    }
    if reply.starts_with("+OK") {
        // QUIT releases the maildrop for the next login.
        assert!(pop3.command("QUIT").starts_with("+OK"));
    }
    reply
}

/// A connection with a PROXY header for a remote client.
fn proxied(server: &ServerProcess, address: &str, client: &str, secure: bool) -> LineStream {
    let source = SocketAddr::new(client.parse().expect("an address"), 50_000);
    let destination = SocketAddr::from(([192, 0, 2, 100], 25));
    let mut stream = LineStream::connect(server.address(address));
    stream.send(&Header::Proxied { source, destination, secure }.encode());
    stream
}

#[test]
fn failed_logins_from_one_address_block_only_that_address() {
    let dir = TestDir::with_config(FAILURE_LIMITS);
    let mut server = dir.serve();
    let (smtp, pop3) = (server.address("smtp"), server.address("pop3"));
    let from = |last: u8, address| LineStream::connect_from([127, 0, 0, last], address);
    assert_eq!(smtp_login(from(2, smtp), "ag", "guess"), WRONG);
    assert_eq!(smtp_login(from(2, smtp), "nobody", "guess"), WRONG);
    assert_eq!(pop3_login(from(2, pop3), "../gb", "guess"), POP3_WRONG);
    // Blocked over both protocols and for any account, even with the right password.
    for (user, password) in [("gb", "other"), ("ag", "guess"), ("nobody", "guess")] {
        assert_eq!(smtp_login(from(2, smtp), user, password), TOO_MANY);
        assert_eq!(pop3_login(from(2, pop3), user, password), POP3_TOO_MANY);
    }
    assert!(smtp_login(from(3, smtp), "gb", "other").starts_with("235 "));
    assert!(pop3_login(from(3, pop3), "ag", "secret").starts_with("+OK "));

    assert!(server.wait_for_log("authentication failed").contains("address=127.0.0.2 account=ag"));
    assert!(server.wait_for_log("authentication failed").contains("account=nobody"));
    assert!(server.wait_for_log("authentication failed").contains("account=../gb"));
    assert!(server.wait_for_log("WARN").contains("failed-login limit of the address"));
}

#[test]
fn failed_logins_to_one_account_block_it_except_from_known_addresses() {
    let dir = TestDir::with_config(FAILURE_LIMITS);
    let mut server = dir.serve();
    let pop3 = server.address("pop3");
    let from = |last: u8| LineStream::connect_from([127, 0, 0, last], pop3);
    assert!(pop3_login(from(1), "ag", "secret").starts_with("+OK "));
    // The replies do not reveal which of these accounts exists.
    for user in ["ag", "nobody"] {
        for guess in 10..15 {
            assert_eq!(pop3_login(from(guess), user, "guess"), POP3_WRONG);
        }
        assert_eq!(pop3_login(from(15), user, "secret"), POP3_TOO_MANY);
    }
    assert!(pop3_login(from(1), "ag", "secret").starts_with("+OK "));
    assert!(pop3_login(from(15), "gb", "other").starts_with("+OK "));
    assert!(server.wait_for_log("failed-login limit").contains("of the account"));
}

#[test]
fn unknown_names_in_user_count_as_failed_logins() {
    let dir = TestDir::with_config(&format!("{FAILURE_LIMITS}[pop3]\nrefuse_unknown_user = true\n"));
    let mut server = dir.serve();
    let from = |last: u8| {
        Pop3Client::from_stream(LineStream::connect_from([127, 0, 0, last], server.address("pop3")))
    };
    let mut probing = from(2);
    for name in ["nobody", "../gb"] {
        let start = Instant::now();
        assert_eq!(probing.command(&format!("USER {name}")), "-ERR no mailbox for that name here");
        assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    }
    assert!(probing.command("USER gb").starts_with("+OK"), "an existing name does not count");
    assert_eq!(from(2).command("USER somebody"), "-ERR no mailbox for that name here");
    // After the limit, no name is confirmed and no password is checked.
    for name in ["ag", "gb", "nobody"] {
        assert_eq!(from(2).command(&format!("USER {name}")), POP3_TOO_MANY);
    }
    let smtp = LineStream::connect_from([127, 0, 0, 2], server.address("smtp"));
    assert_eq!(smtp_login(smtp, "ag", "secret"), TOO_MANY);
    from(3).login("ag", "secret");
    assert!(server.wait_for_log("authentication failed").contains("address=127.0.0.2 account=nobody"));
    assert!(server.wait_for_log("WARN").contains("account=../gb"));
    assert!(server.wait_for_log("failed-login limit").contains("of the address"));
}

#[test]
fn failed_logins_through_a_proxy_block_the_client_and_not_the_proxy() {
    let dir = TestDir::with_config(&format!("{FAILURE_LIMITS}[smtp]\nproxy_listen = ['127.0.0.1:0']\n"));
    let server = ServerProcess::start(
        env!("CARGO_BIN_EXE_smtp-server"),
        &["--smtp", "127.0.0.1:0"],
        &dir,
        &["smtp", "smtp-proxy"],
    );
    let login = |client: &str, user: &str, password: &str| {
        smtp_login(proxied(&server, "smtp-proxy", client, true), user, password)
    };
    for n in 0..3 {
        // Addresses of one /64 network count together.
        assert_eq!(login(&format!("2001:db8::{n}"), &format!("user{n}"), "guess"), WRONG);
    }
    assert_eq!(login("2001:db8::ffff", "ag", "secret"), TOO_MANY);
    assert!(login("2001:db8:0:1::1", "ag", "secret").starts_with("235 "));
    assert!(login("192.0.2.7", "gb", "other").starts_with("235 "));
    assert!(smtp_login(LineStream::connect(server.address("smtp")), "gb", "other").starts_with("235 "));
}

#[test]
fn trusted_network_has_no_limit_per_address() {
    let dir = TestDir::with_config(&format!("{FAILURE_LIMITS}[limits]\ntrusted = ['127.0.0.0/30']\n"));
    let server = dir.serve();
    let from = |last: u8| LineStream::connect_from([127, 0, 0, last], server.address("smtp"));
    for n in 0..8 {
        assert_eq!(smtp_login(from(3), &format!("user{n}"), "guess"), WRONG);
    }
    assert!(smtp_login(from(3), "ag", "secret").starts_with("235 "));
    for guess in 0..5 {
        assert_eq!(smtp_login(from(2), "gb", &format!("guess{guess}")), WRONG);
    }
    assert_eq!(smtp_login(from(2), "gb", "other"), TOO_MANY, "the limit per account still applies");
}

#[test]
fn reply_to_failed_login_is_delayed_longer_each_time() {
    let dir = TestDir::new();
    let server = dir.serve();
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    for delay_min in [250, 500, 1_000] {
        let start = Instant::now();
        assert_eq!(smtp.command(&auth_plain("ag", "guess")), WRONG);
        assert!(
            start.elapsed() >= Duration::from_millis(delay_min),
            "{:?} < {delay_min} ms",
            start.elapsed()
        );
    }
    assert!(smtp.command(&auth_plain("ag", "secret")).starts_with("235 "));
    // The delay keeps growing on the next connection from the address.
    let start = Instant::now();
    assert_eq!(smtp_login(LineStream::connect(server.address("smtp")), "gb", "guess"), WRONG);
    assert!(start.elapsed() >= Duration::from_millis(2_000), "{:?}", start.elapsed());
}

#[test]
fn delayed_reply_does_not_delay_shutdown() {
    let dir = TestDir::new();
    let mut server = dir.serve();
    let mut send_wrong_password = |count: usize| {
        let mut smtp = server.smtp();
        smtp.command("EHLO iit.edu");
        smtp.stream.send(format!("{}\r\n", auth_plain("ag", "guess")).repeat(count).as_bytes());
        server.wait_for_log("authentication failed");
        smtp
    };
    let mut others: Vec<_> = (0..5).map(|_| send_wrong_password(1)).collect();
    // Four delays of eight seconds exceed the grace period of twenty seconds.
    let mut last = send_wrong_password(4);
    server.signal_terminate();
    for _ in 0..4 {
        assert_eq!(last.reply(), WRONG);
    }
    for smtp in others.iter_mut().chain([&mut last]) {
        assert!(smtp.stream.read_to_end().ends_with(b"421 4.3.2 Service shutting down, try again later\r\n"));
    }
    let line = server.wait_for_log("stopped");
    assert!(!line.contains("still open"), "{line}");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn submission_works_over_implicit_tls_and_starttls() {
    let dir = TestDir::with_config(
        "[smtp]\nlisten = []\nsubmission_listen = ['127.0.0.1:0']\nsubmission_tls_listen = ['127.0.0.1:0']\n\
         [tls]\nself_signed = true\n",
    );
    let listeners = ["submission", "submissions"];
    let server = ServerProcess::start(env!("CARGO_BIN_EXE_smtp-server"), &[], &dir, &listeners);
    let tls = TlsClient::new(&dir.path("data/.tls/certificate.pem"));
    let mut starttls = SmtpClient::from_stream(LineStream::connect(server.address("submission")));
    assert!(starttls.command("EHLO iit.edu").contains("-STARTTLS"));
    assert!(starttls.command(&auth_plain("ag", "secret")).starts_with("235 "));
    assert!(starttls.command("STARTTLS").starts_with("220 "));
    let starttls = SmtpClient { stream: tls.encrypt(starttls.stream, "iitkgp.edu") };
    let implicit = SmtpClient::from_stream(
        tls.encrypt(LineStream::connect(server.address("submissions")), "iitkgp.edu"),
    );
    for mut smtp in [starttls, implicit] {
        assert!(smtp.command("EHLO iit.edu").contains("-AUTH PLAIN LOGIN"));
        // STARTTLS resets the session, including authentication.
        assert!(smtp.command("MAIL FROM:<ag@iit.edu>").starts_with("530 5.7.0 "));
        assert!(smtp.command(&auth_plain("gb", "other")).starts_with("235 "));
        assert!(smtp.command("MAIL FROM:<ag@iit.edu>").starts_with("550 5.7.1 "));
        let reply = smtp.deliver("gb@iit.edu", &["ag@iit.edu"], b"Subject: submitted\r\n\r\nbody\r\n");
        assert!(reply.starts_with("250 "), "{reply}");
    }
    let mailbox = dir.mailbox("ag");
    assert_eq!(String::from_utf8_lossy(&mailbox).matches(" with ESMTPSA ").count(), 2);
}

#[test]
fn passwords_require_tls_or_loopback_unless_plain_text_is_configured() {
    let listen = "[smtp]\nproxy_listen = ['127.0.0.1:0']\n[pop3]\nproxy_listen = ['127.0.0.1:0']\n";
    for (extra, plain_text) in [("", false), ("[auth]\nplain_text = true\n", true)] {
        let dir = TestDir::with_config(&format!("{listen}{extra}"));
        let arguments = ["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "off"];
        let listeners = ["smtp-proxy", "pop3-proxy"];
        let server = ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &arguments, &dir, &listeners);
        for (client, secure, allowed) in
            [("192.0.2.7", false, plain_text), ("192.0.2.7", true, true), ("127.0.0.9", false, true)]
        {
            let mut smtp = SmtpClient::from_stream(proxied(&server, "smtp-proxy", client, secure));
            assert_eq!(smtp.command("EHLO iit.edu").contains("-AUTH PLAIN LOGIN"), allowed, "{client}");
            let reply = smtp.command(&auth_plain("ag", "secret"));
            assert!(
                reply.starts_with(if allowed { "235 2.7.0 " } else { "538 5.7.11 " }),
                "{client}: {reply}"
            );

            let mut pop3 = Pop3Client::from_stream(proxied(&server, "pop3-proxy", client, secure));
            let (_, capabilities) = pop3.multiline("CAPA");
            for capability in [&b"USER"[..], b"SASL PLAIN LOGIN"] {
                assert_eq!(capabilities.iter().any(|line| line == capability), allowed, "{client}");
            }
            for command in ["AUTH LOGIN", "USER ag"] {
                let reply = pop3.command(command);
                let refused =
                    reply.starts_with("-ERR login is not possible on this connection: connect over TLS");
                assert_eq!(refused, !allowed, "{client}: {reply}");
                pop3.command("*");
            }
        }
    }
}

/// A check of an unknown name takes as long as one of a known name, within a factor of two. Compared checks run one after the
/// other, and the median of several rounds is used, so that load from other processes does not matter.
#[tokio::test]
async fn password_check_takes_the_same_time_for_unknown_names() {
    let dir = TestDir::with_config("");
    assert_eq!(dir.pennypost(&["user", "hash"], "").code, Some(0));
    let accounts = UserTxt::open(&dir.path("data"), &config::Auth::default(), &[]).expect("a valid file");
    let known = Username::parse("ag").expect("a name");
    let unknown = Username::parse("nobody").expect("a name");
    let wrong = Secret::new("guess".to_owned());
    let time_of = async |name: Option<&Username>| {
        let start = Instant::now();
        assert!(accounts.verify(name, &wrong).await.expect("checked").is_none());
        start.elapsed().as_secs_f64()
    };
    let mut ratios = [const { Vec::new() }; 2];
    for _ in 0..21 {
        for (other, ratios) in [Some(&unknown), None].into_iter().zip(&mut ratios) {
            let known_time = time_of(Some(&known)).await;
            ratios.push(time_of(other).await / known_time);
        }
    }
    for mut ratios in ratios {
        ratios.sort_by(f64::total_cmp);
        assert!(
            (0.5..2.0).contains(&ratios[ratios.len() / 2]),
            "ratio to the time of a known name: {ratios:?}"
        );
    }
}

#[test]
fn password_checks_are_refused_when_the_queue_is_full() {
    // More than the checks and the queue of a host with many cores.
    let dir = TestDir::with_config("[limits]\nconnections = 20_000\nconnections_per_address = 10_000\n");
    // A check against this hash takes longer than the test.
    let slow_hash =
        "$argon2id$v=19$m=65536,t=10000,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    std::fs::write(dir.path("data/User.txt"), format!("ag {slow_hash}\n")).expect("the file is written");
    let mut server = dir.serve();
    let cores = std::thread::available_parallelism().expect("the core count is known").get();
    let mut waiting: Vec<_> = (0..cores + 64 + 3).map(|_| server.pop3()).collect();
    for pop3 in &mut waiting {
        pop3.stream.send(b"USER ag\r\nPASS guess\r\n");
    }
    for _ in 0..3 {
        assert!(server.wait_for_log("password not verified").contains("too many passwords are waiting"));
    }
    let busy = "temporary authentication failure; try again later";
    assert_eq!(
        pop3_login(LineStream::connect(server.address("pop3")), "ag", "guess"),
        format!("-ERR [SYS/TEMP] {busy}")
    );
    let reply = smtp_login(LineStream::connect(server.address("smtp")), "ag", "guess");
    assert_eq!(reply, format!("454 4.7.0 {}", busy.replace("temporary", "Temporary")));
    server.kill();
}

#[test]
fn submission_requires_authentication_and_an_own_sender_address() {
    let dir = TestDir::with_config("postmaster = 'gb'\n[smtp]\nsubmission_listen = ['127.0.0.1:0']\n");
    let server = ServerProcess::start(
        env!("CARGO_BIN_EXE_smtp-server"),
        &["--smtp", "127.0.0.1:0"],
        &dir,
        &["smtp", "submission"],
    );
    let mut smtp = SmtpClient::connect(server.address("submission"));
    assert!(smtp.command("EHLO iit.edu").contains("-AUTH PLAIN LOGIN"));
    assert_eq!(smtp.command("MAIL FROM:<ag@iit.edu>"), "530 5.7.0 Authentication required; send AUTH first");
    assert_eq!(smtp.command(&auth_plain("ag", "guess")), WRONG);
    assert!(smtp.command("MAIL FROM:<ag@iit.edu>").starts_with("530 "));
    assert!(smtp.command(&auth_plain("ag", "secret")).starts_with("235 "));
    for (sender, reply) in [
        ("gb@iit.edu", "550 5.7.1 "),
        ("nobody@iit.edu", "550 5.7.1 "),
        ("ag@example.org", "550 5.7.1 "),
        ("postmaster@iit.edu", "550 5.7.1 "),
        ("AG+list@iitkgp.edu", "250 2.1.0 "),
        ("", "250 2.1.0 "),
        ("ag@iit.edu", "250 2.1.0 "),
    ] {
        smtp.command("RSET");
        let actual = smtp.command(&format!("MAIL FROM:<{sender}>"));
        assert!(actual.starts_with(reply), "{sender}: {actual}");
    }
    assert!(smtp.command("RCPT TO:<gb@example.org>").starts_with("550 5.7.1 "));
    let reply = smtp.deliver_after_mail(&["gb@iit.edu"], b"Subject: submitted\r\n\r\nbody\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    assert!(String::from_utf8_lossy(&dir.mailbox("gb")).contains(" with ESMTPA id "));
    // The SMTP listener accepts mail without authentication.
    server.smtp().deliver_to_gb(b"Subject: from afar\r\n\r\nbody\r\n");
}

/// Each verification needs 19 MiB; completed ones leave at most one allocation per core.
#[cfg(target_os = "linux")]
#[test]
fn resident_memory_stays_bounded_after_200_concurrent_sign_ins() {
    let dir = TestDir::with_config("[auth]\ncache_seconds = 0\nhash_milliseconds = 5\n");
    let hashed = dir.pennypost(&["user", "hash"], "");
    assert_eq!(hashed.code, Some(0), "{}", hashed.stderr);
    let server = dir.serve();
    let smtp = server.address("smtp");
    std::thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| {
                for _ in 0..7 {
                    let reply = smtp_login(LineStream::connect(smtp), "gb", "other");
                    assert!(reply.starts_with("235 "), "{reply}");
                }
            });
        }
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("Linux has it");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    let kib: usize = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let bound = (60 << 10) + cores * (20 << 10);
    assert!(kib < bound, "{kib} KiB are resident, more than {bound}");
}
