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
use support::{Daemon, Place, Pop3, Smtp, Wire};

/// So few that the delays between them take no time worth mentioning.
const CAPS: &str = "[auth]\nfailures_per_address = 3\nfailures_per_account = 5\n";

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
fn smtp_sign_in(wire: Wire, user: &str, password: &str) -> String {
    let mut smtp = Smtp::greeted(wire);
    smtp.command("EHLO iit.edu");
    smtp.command(&auth_plain(user, password))
}

fn pop3_sign_in(wire: Wire, user: &str, password: &str) -> String {
    let mut pop3 = Pop3::greeted(wire);
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
fn proxied(server: &Daemon, door: &str, client: &str, secure: bool) -> Wire {
    let source = SocketAddr::new(client.parse().expect("an address"), 50_000);
    let destination = SocketAddr::from(([192, 0, 2, 100], 25));
    let mut wire = Wire::connect(server.door(door));
    wire.send(&Header::Proxied { source, destination, secure }.encode());
    wire
}

#[test]
fn failed_logins_from_one_address_block_only_that_address() {
    let place = Place::with(CAPS);
    let mut server = place.serve();
    let (smtp, pop3) = (server.door("smtp"), server.door("pop3"));
    let from = |last: u8, door| Wire::connect_from([127, 0, 0, last], door);
    assert_eq!(smtp_sign_in(from(2, smtp), "ag", "guess"), WRONG);
    assert_eq!(smtp_sign_in(from(2, smtp), "nobody", "guess"), WRONG);
    assert_eq!(pop3_sign_in(from(2, pop3), "../gb", "guess"), POP3_WRONG);
    // Blocked over both protocols and for any account, even with the right password.
    for (user, password) in [("gb", "other"), ("ag", "guess"), ("nobody", "guess")] {
        assert_eq!(smtp_sign_in(from(2, smtp), user, password), TOO_MANY);
        assert_eq!(pop3_sign_in(from(2, pop3), user, password), POP3_TOO_MANY);
    }
    assert!(smtp_sign_in(from(3, smtp), "gb", "other").starts_with("235 "));
    assert!(pop3_sign_in(from(3, pop3), "ag", "secret").starts_with("+OK "));

    assert!(server.wait_for_log("sign-in refused").contains("address=127.0.0.2 account=ag"));
    assert!(server.wait_for_log("sign-in refused").contains("account=nobody"));
    assert!(server.wait_for_log("sign-in refused").contains("account=../gb"));
    assert!(server.wait_for_log("WARN").contains("sign-in limit of this address"));
}

#[test]
fn failed_logins_to_one_account_block_it_except_from_known_addresses() {
    let place = Place::with(CAPS);
    let mut server = place.serve();
    let pop3 = server.door("pop3");
    let from = |last: u8| Wire::connect_from([127, 0, 0, last], pop3);
    assert!(pop3_sign_in(from(1), "ag", "secret").starts_with("+OK "));
    // The replies do not reveal which of these accounts exists.
    for user in ["ag", "nobody"] {
        for guess in 10..15 {
            assert_eq!(pop3_sign_in(from(guess), user, "guess"), POP3_WRONG);
        }
        assert_eq!(pop3_sign_in(from(15), user, "secret"), POP3_TOO_MANY);
    }
    assert!(pop3_sign_in(from(1), "ag", "secret").starts_with("+OK "));
    assert!(pop3_sign_in(from(15), "gb", "other").starts_with("+OK "));
    assert!(server.wait_for_log("sign-in limit").contains("of this account"));
}

#[test]
fn unknown_names_in_user_count_as_failed_logins() {
    let place = Place::with(&format!("{CAPS}[pop3]\nrefuse_unknown_user = true\n"));
    let mut server = place.serve();
    let from = |last: u8| Pop3::greeted(Wire::connect_from([127, 0, 0, last], server.door("pop3")));
    let mut asking = from(2);
    for name in ["nobody", "../gb"] {
        let start = Instant::now();
        assert_eq!(asking.command(&format!("USER {name}")), "-ERR no mailbox for that name here");
        assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    }
    assert!(asking.command("USER gb").starts_with("+OK"), "an existing name does not count");
    assert_eq!(from(2).command("USER somebody"), "-ERR no mailbox for that name here");
    // After the limit, no name is confirmed and no password is checked.
    for name in ["ag", "gb", "nobody"] {
        assert_eq!(from(2).command(&format!("USER {name}")), POP3_TOO_MANY);
    }
    let smtp = Wire::connect_from([127, 0, 0, 2], server.door("smtp"));
    assert_eq!(smtp_sign_in(smtp, "ag", "secret"), TOO_MANY);
    from(3).login("ag", "secret");
    assert!(server.wait_for_log("sign-in refused").contains("address=127.0.0.2 account=nobody"));
    assert!(server.wait_for_log("WARN").contains("account=../gb"));
    assert!(server.wait_for_log("sign-in limit").contains("of this address"));
}

#[test]
fn failed_logins_through_a_proxy_block_the_client_and_not_the_proxy() {
    let place = Place::with(&format!("{CAPS}[smtp]\nproxy_listen = ['127.0.0.1:0']\n"));
    let server = Daemon::start(
        env!("CARGO_BIN_EXE_smtp-server"),
        &["--smtp", "127.0.0.1:0"],
        &place,
        &["smtp", "smtp-proxy"],
    );
    let sign_in = |client: &str, user: &str, password: &str| {
        smtp_sign_in(proxied(&server, "smtp-proxy", client, true), user, password)
    };
    for n in 0..3 {
        // Addresses of one /64 network count together.
        assert_eq!(sign_in(&format!("2001:db8::{n}"), &format!("user{n}"), "guess"), WRONG);
    }
    assert_eq!(sign_in("2001:db8::ffff", "ag", "secret"), TOO_MANY);
    assert!(sign_in("2001:db8:0:1::1", "ag", "secret").starts_with("235 "));
    assert!(sign_in("192.0.2.7", "gb", "other").starts_with("235 "));
    assert!(smtp_sign_in(Wire::connect(server.door("smtp")), "gb", "other").starts_with("235 "));
}

#[test]
fn trusted_network_has_no_limit_per_address() {
    let place = Place::with(&format!("{CAPS}[limits]\ntrusted = ['127.0.0.0/30']\n"));
    let server = place.serve();
    let from = |last: u8| Wire::connect_from([127, 0, 0, last], server.door("smtp"));
    for n in 0..8 {
        assert_eq!(smtp_sign_in(from(3), &format!("user{n}"), "guess"), WRONG);
    }
    assert!(smtp_sign_in(from(3), "ag", "secret").starts_with("235 "));
    for guess in 0..5 {
        assert_eq!(smtp_sign_in(from(2), "gb", &format!("guess{guess}")), WRONG);
    }
    assert_eq!(smtp_sign_in(from(2), "gb", "other"), TOO_MANY, "the limit per account still applies");
}

#[test]
fn reply_to_failed_login_is_delayed_longer_each_time() {
    let place = Place::new();
    let server = place.serve();
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    for least in [250, 500, 1_000] {
        let start = Instant::now();
        assert_eq!(smtp.command(&auth_plain("ag", "guess")), WRONG);
        assert!(start.elapsed() >= Duration::from_millis(least), "{:?} < {least} ms", start.elapsed());
    }
    assert!(smtp.command(&auth_plain("ag", "secret")).starts_with("235 "));
    // The delay keeps growing on the next connection from the address.
    let start = Instant::now();
    assert_eq!(smtp_sign_in(Wire::connect(server.door("smtp")), "gb", "guess"), WRONG);
    assert!(start.elapsed() >= Duration::from_millis(2_000), "{:?}", start.elapsed());
}

#[test]
fn delayed_reply_does_not_delay_shutdown() {
    let place = Place::new();
    let mut server = place.serve();
    let mut guess = |count: usize| {
        let mut smtp = server.smtp();
        smtp.command("EHLO iit.edu");
        smtp.wire.send(format!("{}\r\n", auth_plain("ag", "guess")).repeat(count).as_bytes());
        server.wait_for_log("sign-in refused");
        smtp
    };
    let mut others: Vec<_> = (0..5).map(|_| guess(1)).collect();
    // Four delays of eight seconds exceed the grace period of twenty seconds.
    let mut last = guess(4);
    server.signal_terminate();
    for _ in 0..4 {
        assert_eq!(last.reply(), WRONG);
    }
    for smtp in others.iter_mut().chain([&mut last]) {
        assert!(smtp.wire.rest().ends_with(b"421 4.3.2 Service shutting down, try again later\r\n"));
    }
    let line = server.wait_for_log("stopped");
    assert!(!line.contains("still open"), "{line}");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn submission_works_over_implicit_tls_and_starttls() {
    let place = Place::with(
        "[smtp]\nlisten = []\nsubmission_listen = ['127.0.0.1:0']\nsubmission_tls_listen = ['127.0.0.1:0']\n\
         [tls]\nself_signed = true\n",
    );
    let doors = ["submission", "submissions"];
    let server = Daemon::start(env!("CARGO_BIN_EXE_smtp-server"), &[], &place, &doors);
    let tls = TlsClient::new(&place.path("data/.tls/certificate.pem"));
    let mut behind = Smtp::greeted(Wire::connect(server.door("submission")));
    assert!(behind.command("EHLO iit.edu").contains("-STARTTLS"));
    assert!(behind.command(&auth_plain("ag", "secret")).starts_with("235 "));
    assert!(behind.command("STARTTLS").starts_with("220 "));
    let behind = Smtp { wire: tls.encrypt(behind.wire, "iitkgp.edu") };
    let first = Smtp::greeted(tls.encrypt(Wire::connect(server.door("submissions")), "iitkgp.edu"));
    for mut smtp in [behind, first] {
        assert!(smtp.command("EHLO iit.edu").contains("-AUTH PLAIN LOGIN"));
        // STARTTLS resets the session, including authentication.
        assert!(smtp.command("MAIL FROM:<ag@iit.edu>").starts_with("530 5.7.0 "));
        assert!(smtp.command(&auth_plain("gb", "other")).starts_with("235 "));
        assert!(smtp.command("MAIL FROM:<ag@iit.edu>").starts_with("550 5.7.1 "));
        let reply = smtp.deliver("gb@iit.edu", &["ag@iit.edu"], b"Subject: submitted\r\n\r\nbody\r\n");
        assert!(reply.starts_with("250 "), "{reply}");
    }
    let mailbox = place.mailbox("ag");
    assert_eq!(String::from_utf8_lossy(&mailbox).matches(" with ESMTPSA ").count(), 2);
}

#[test]
fn passwords_require_tls_or_loopback_unless_plain_text_is_configured() {
    let listen = "[smtp]\nproxy_listen = ['127.0.0.1:0']\n[pop3]\nproxy_listen = ['127.0.0.1:0']\n";
    for (more, plain_text) in [("", false), ("[auth]\nplain_text = true\n", true)] {
        let place = Place::with(&format!("{listen}{more}"));
        let free = ["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "off"];
        let doors = ["smtp-proxy", "pop3-proxy"];
        let server = Daemon::start(env!("CARGO_BIN_EXE_pennypost"), &free, &place, &doors);
        for (client, secure, may) in
            [("192.0.2.7", false, plain_text), ("192.0.2.7", true, true), ("127.0.0.9", false, true)]
        {
            let mut smtp = Smtp::greeted(proxied(&server, "smtp-proxy", client, secure));
            assert_eq!(smtp.command("EHLO iit.edu").contains("-AUTH PLAIN LOGIN"), may, "{client}");
            let reply = smtp.command(&auth_plain("ag", "secret"));
            assert!(reply.starts_with(if may { "235 2.7.0 " } else { "538 5.7.11 " }), "{client}: {reply}");

            let mut pop3 = Pop3::greeted(proxied(&server, "pop3-proxy", client, secure));
            let (_, capabilities) = pop3.multi("CAPA");
            for capability in [&b"USER"[..], b"SASL PLAIN LOGIN"] {
                assert_eq!(capabilities.iter().any(|line| line == capability), may, "{client}");
            }
            for command in ["AUTH LOGIN", "USER ag"] {
                let reply = pop3.command(command);
                let refused =
                    reply.starts_with("-ERR login is not possible on this connection: connect over TLS");
                assert_eq!(refused, !may, "{client}: {reply}");
                pop3.command("*");
            }
        }
    }
}

/// A check of an unknown name takes as long as one of a known name, within a factor of two. Compared checks run one after the
/// other, and the median of several rounds is used, so that load from other processes does not matter.
#[tokio::test]
async fn password_check_takes_the_same_time_for_unknown_names() {
    let place = Place::with("");
    assert_eq!(place.pennypost(&["user", "hash"], "").code, Some(0));
    let accounts = UserTxt::open(&place.path("data"), &config::Auth::default()).expect("a valid file");
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
            let time_of_known = time_of(Some(&known)).await;
            ratios.push(time_of(other).await / time_of_known);
        }
    }
    for mut ratios in ratios {
        ratios.sort_by(f64::total_cmp);
        assert!((0.5..2.0).contains(&ratios[ratios.len() / 2]), "times the time of a known name: {ratios:?}");
    }
}

#[test]
fn password_checks_are_refused_when_the_queue_is_full() {
    // More than the checks and the queue of a host with many cores.
    let place = Place::with("[limits]\nconnections = 20_000\nconnections_per_address = 10_000\n");
    // A hash of nobody's that takes longer than this test.
    let dear =
        "$argon2id$v=19$m=65536,t=10000,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    std::fs::write(place.path("data/User.txt"), format!("ag {dear}\n")).expect("written");
    let mut server = place.serve();
    let cores = std::thread::available_parallelism().expect("there are some").get();
    let mut rush: Vec<_> = (0..cores + 64 + 3).map(|_| server.pop3()).collect();
    for pop3 in &mut rush {
        pop3.wire.send(b"USER ag\r\nPASS guess\r\n");
    }
    for _ in 0..3 {
        assert!(server.wait_for_log("password not verified").contains("too many passwords are waiting"));
    }
    let busy = "temporary authentication failure; try again later";
    assert_eq!(
        pop3_sign_in(Wire::connect(server.door("pop3")), "ag", "guess"),
        format!("-ERR [SYS/TEMP] {busy}")
    );
    let reply = smtp_sign_in(Wire::connect(server.door("smtp")), "ag", "guess");
    assert_eq!(reply, format!("454 4.7.0 {}", busy.replace("temporary", "Temporary")));
    server.kill();
}

#[test]
fn submission_requires_authentication_and_an_own_sender_address() {
    let place = Place::with("postmaster = 'gb'\n[smtp]\nsubmission_listen = ['127.0.0.1:0']\n");
    let server = Daemon::start(
        env!("CARGO_BIN_EXE_smtp-server"),
        &["--smtp", "127.0.0.1:0"],
        &place,
        &["smtp", "submission"],
    );
    let mut smtp = Smtp::connect(server.door("submission"));
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
        let got = smtp.command(&format!("MAIL FROM:<{sender}>"));
        assert!(got.starts_with(reply), "{sender}: {got}");
    }
    assert!(smtp.command("RCPT TO:<gb@example.org>").starts_with("550 5.7.1 "));
    let reply = smtp.deliver_after_mail(&["gb@iit.edu"], b"Subject: submitted\r\n\r\nbody\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    assert!(String::from_utf8_lossy(&place.mailbox("gb")).contains(" with ESMTPA id "));
    // The SMTP listener accepts mail without authentication.
    server.smtp().deliver_one(b"Subject: from afar\r\n\r\nbody\r\n");
}
