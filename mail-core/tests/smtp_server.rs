//! The SMTP server machine: the transcripts in `transcripts/smtp_server`, and tests that depend on time or on how bytes
//! arrive.

#![allow(clippy::disallowed_methods, reason = "virtual time needs a start")]
#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]
#![allow(missing_docs, reason = "a test binary has no public docs")]

mod smtp_script;
#[macro_use]
mod transcript;

use bytes::BytesMut;
use mail_core::machine::{Machine as _, OUTPUT_OCTETS_MAX, ProtocolError, Step};
use mail_core::message::address::ForwardPath;
use mail_core::smtp::limits::{COMMANDS_MAX, MESSAGE_OCTETS_MIN, MESSAGE_TIMEOUT, SERVER_TIMEOUT};
use mail_core::smtp::parameter::Recipient;
use mail_core::smtp::reply::Reply;
use mail_core::smtp::server::{AuthOffer, Config, DialogueContent, Event};
use mail_core::time::Duration;
use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use smtp_script::{Script, default_config, server};
use transcript::transmitted;

transcripts! {
    "smtp_server", Script;
    auth_credentials_refused auth_errors auth_line_limit auth_login auth_plain auth_requires_tls
    bare_line_ends bdat bdat_bare_lf bdat_malformed_content bdat_out_of_order bdat_refused bdat_syntax_error
    command_events command_line_limit command_order command_syntax connection_refused consecutive_errors_limit data_refused
    disconnect_between_commands disconnect_during_message dot_transparency dsn error_count_resets
    errors_after_pipelined_refusal guide_session guide_session_with_ehlo hello_repeated
    help_noop_vrfy http_request_after_hello http_request_before_hello login_attempts_limit
    mail_parameters mail_refused message_refused message_size_at_limit message_size_limit pipelining
    policy_reply_421 recipients_limit recipients_refused require_tls rset shutdown_between_commands
    shutdown_during_message smtp_smuggling smtputf8 starttls starttls_unavailable
    submission_requires_auth submission_requires_tls timeout_between_commands timeout_during_message
}

/// RFC 3207 section 6, CVE-2011-0411. A transcript cannot express that the bytes arrive with the command.
#[test]
fn plain_text_after_starttls_closes_the_session() {
    let config = Config { starttls: true, ..default_config() };
    let (mut machine, now) = server(config.clone());
    let mut input = BytesMut::from("EHLO a\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\n");
    assert_eq!(machine.receive(now, &mut input), Err(ProtocolError::InjectedBeforeTls));
    let output = transmitted(&mut machine);
    assert!(
        output.ends_with("421 4.7.0 Data after STARTTLS before the TLS handshake, closing connection\r\n"),
        "{output}"
    );
    assert_eq!(machine.receive(now, &mut input), Ok(Step::Closed));

    let (mut machine, now) = server(config);
    let mut input = BytesMut::from("EHLO a\r\nSTARTTLS\r\n");
    assert_eq!(machine.receive(now, &mut input), Ok(Step::UpgradeTls));
    input.extend_from_slice(b"MAIL FROM:<a@b>\r\n");
    assert_eq!(machine.receive(now, &mut input), Err(ProtocolError::InjectedBeforeTls));
}

#[test]
fn pending_decision_pauses_machine_and_timeout() {
    let (mut machine, now) = server(default_config());
    let mut input = BytesMut::from("HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
    assert!(matches!(machine.receive(now, &mut input), Ok(Step::Event(Event::Mail(_)))));
    assert_eq!(machine.receive(now, &mut input), Ok(Step::Paused));
    assert_eq!(machine.poll_timeout(), None);
    machine.accept();
    assert!(machine.in_transaction() && !machine.authenticated());
    assert!(matches!(
        machine.receive(now, &mut input),
        Ok(Step::Event(Event::Recipient(Recipient { path: ForwardPath::Address(_), .. })))
    ));
    assert!(machine.poll_timeout().is_none() && input.is_empty());
}

/// Answers every question and returns the recorded lines.
fn dialogue(config: Config, wire: &str) -> Vec<String> {
    let (mut machine, now) = server(config);
    machine.record_dialogue(now);
    let mut input = BytesMut::from(wire);
    while let Ok(Step::Event(event)) = machine.receive(now, &mut input) {
        match event {
            Event::Chunk(_) | Event::Reset | Event::Refused(_) => {}
            Event::EndOfData => {
                machine.replace_acceptance(Reply::new(451, None, "lost"));
                machine.accept();
            }
            _ => machine.accept(),
        }
    }
    let lines = machine.take_dialogue().into_iter();
    lines
        .map(|line| match line.content {
            DialogueContent::Client(text) => format!("C: {text}"),
            DialogueContent::Server(text) => format!("S: {text}"),
            DialogueContent::Message(octets) => format!("{octets} octets"),
        })
        .collect()
}

#[test]
fn dialogue_has_all_lines_but_no_credentials() {
    let wire = "HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\none\r\n..two\r\n.\r\nQUIT\r\n";
    let expected = [
        "S: 220 <iitkgp.edu> Service ready",
        "C: HELO a",
        "S: 250 OK Hello a",
        "C: MAIL FROM:<a@b>",
        "S: 250 <a@b>... Sender ok",
        "C: RCPT TO:<c@d>",
        "S: 250 root... Recipient ok",
        "C: DATA",
        "S: 354 Enter mail, end with \".\" on a line by itself",
        "11 octets",
        "S: 451 lost",
        "C: QUIT",
        "S: 221 iitkgp.edu closing connection",
    ];
    for command_events in [false, true] {
        assert_eq!(dialogue(Config { command_events, ..default_config() }, wire), expected);
    }
    let config = Config { auth: AuthOffer::Always, ..default_config() };
    let wire = "EHLO a\r\nAUTH PLAIN AGEAc2VjcmV0\r\n";
    let lines = dialogue(config.clone(), wire);
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("C: ")).collect::<Vec<_>>(),
        ["C: EHLO a", "C: AUTH PLAIN ***"]
    );
    let lines = dialogue(config, "EHLO a\r\nAUTH LOGIN\r\nYQ==\r\nc2VjcmV0\r\n");
    assert_eq!(
        lines[lines.len() - 5..],
        [
            "S: 334 VXNlcm5hbWU6",
            "C: ***",
            "S: 334 UGFzc3dvcmQ6",
            "C: ***",
            "S: 235 2.7.0 Authentication successful"
        ]
    );
}

#[test]
fn replaced_acceptance_ends_with_its_message() {
    let (mut machine, now) = server(default_config());
    let message = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\none\r\n.\r\n";
    let mut input = BytesMut::from(format!("HELO a\r\n{message}{message}").as_str());
    let mut messages = 0;
    while let Ok(Step::Event(event)) = machine.receive(now, &mut input) {
        match event {
            Event::Chunk(_) | Event::Reset | Event::Refused(_) => {}
            Event::EndOfData if messages == 0 => {
                messages += 1;
                machine.replace_acceptance(Reply::new(451, None, "lost"));
                machine.reject(Reply::new(550, None, "refused"));
            }
            _ => machine.accept(),
        }
    }
    let mut output = BytesMut::new();
    machine.poll_transmit(&mut output);
    let output = String::from_utf8_lossy(&output).into_owned();
    assert!(output.contains("550 refused") && !output.contains("451 lost"), "{output}");
    assert_eq!(output.matches("354 ").count(), 2, "{output}");
}

#[test]
fn refused_steps_of_a_transaction_are_reported() {
    let config = Config { message_size_max: 20, ..default_config() };
    let (mut machine, now) = server(config);
    let mut input = BytesMut::from(
        &b"EHLO a\r\nNOPE\r\nMAIL FROM:<a b@c>\r\nmail from:<a@b> SIZE=21\r\nMAIL FROM:<a@b>\r\nDATA\r\n\
           RCPT TO:<c@d> X=1\r\nRCPT TO:<c@d>\r\nBDAT 30\r\n0123456789012345678901234\r\n.\r\nRSET\r\nMAIL FROM:<a@b>\r\n\
           RCPT TO:<c@d>\r\nDATA\r\n0123456789\r\n0123456789\r\n.\r\nQUIT\r\n"[..],
    );
    let mut refused = Vec::new();
    while let Ok(Step::Event(event)) = machine.receive(now, &mut input) {
        match event {
            Event::Chunk(_) | Event::Reset => {}
            Event::Refused(refusal) => {
                let command = refusal.command.map(|line| String::from_utf8_lossy(&line).into_owned());
                refused.push((command, refusal.reply.code().to_string()));
            }
            _ => machine.accept(),
        }
    }
    let expected = [
        (Some("MAIL FROM:<a b@c>"), "501"),
        (Some("mail from:<a@b> SIZE=21"), "552"),
        (Some("DATA"), "503"),
        (Some("RCPT TO:<c@d> X=1"), "555"),
        (Some("BDAT 30"), "552"),
        (None, "552"),
    ];
    let expected = expected.map(|(command, code)| (command.map(str::to_owned), code.to_owned()));
    assert_eq!(refused, expected);
}

#[test]
fn message_chunk_shares_the_read_buffer() {
    let (mut machine, now) = server(default_config());
    let mut input = BytesMut::from("HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    while let Ok(Step::Event(_)) = machine.receive(now, &mut input) {
        machine.accept();
    }
    let mut input = BytesMut::from(&b"one\r\ntwo\r\n.\r\n"[..]);
    let start = input.as_ptr();
    let Ok(Step::Event(Event::Chunk(text))) = machine.receive(now, &mut input) else {
        panic!("expected a chunk");
    };
    assert_eq!((text.as_ptr(), &text[..]), (start, &b"one\r\ntwo\r\n"[..]));
}

#[test]
fn commands_wait_until_output_is_transmitted() {
    let (mut machine, now) = server(default_config());
    let wire = b"EHLO a\r\n".repeat(8_192);
    let mut input = BytesMut::from(&wire[..]);
    let mut replies = 0;
    while !input.is_empty() {
        assert_eq!(machine.receive(now, &mut input), Ok(Step::NeedInput));
        let output = transmitted(&mut machine);
        assert!(output.len() < OUTPUT_OCTETS_MAX + 1_024, "{}", output.len());
        replies += output.matches("\r\n250 ").count();
    }
    assert_eq!(replies, 8_192);
}

#[test]
fn too_many_commands_without_a_message_close_the_session() {
    let config = default_config();
    let commands_max = COMMANDS_MAX + config.recipients_max;
    let (mut machine, now) = server(config);
    let mut exchange = |wire: &[u8]| {
        let mut input = BytesMut::from(wire);
        loop {
            match machine.receive(now, &mut input) {
                Ok(Step::Event(Event::Chunk(_) | Event::Reset | Event::Refused(_))) => {}
                Ok(Step::Event(_)) => machine.accept(),
                ended => return (ended, transmitted(&mut machine)),
            }
        }
    };
    // A message resets the count; large BDAT chunks do not count as commands.
    for _ in 0..2 {
        for _ in 0..commands_max - 10 {
            assert_eq!(exchange(b"NOOP\r\n").0, Ok(Step::NeedInput));
        }
        assert_eq!(exchange(b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n").0, Ok(Step::NeedInput));
        let chunk = [&b"BDAT 1024\r\n"[..], &[b'x'; 1_024]].concat();
        for _ in 0..20 {
            assert!(exchange(&chunk).1.starts_with("250 2.0.0 1024 octets"));
        }
        let (step, output) = exchange(b"BDAT 0 LAST\r\n");
        assert!(step == Ok(Step::NeedInput) && output.starts_with("250 2.0.0 OK"), "{step:?} {output}");
    }
    for _ in 0..commands_max {
        assert_eq!(exchange(b"RSET\r\n").0, Ok(Step::NeedInput));
    }
    let (step, output) = exchange(b"RSET\r\n");
    assert_eq!(step, Err(ProtocolError::TooManyCommands));
    assert_eq!(output, "421 4.7.0 Too many commands without a message, closing connection\r\n");
}

/// One octet per second, for DATA, an accepted BDAT and a refused BDAT.
#[test]
fn message_below_the_minimum_rate_closes_the_session() {
    for (begin, refused) in [("DATA\r\n", false), ("BDAT 99999\r\n", false), ("BDAT 999999999\r\n", true)] {
        let (mut machine, start) = server(default_config());
        let mut input = BytesMut::from(&b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"[..]);
        input.extend_from_slice(begin.as_bytes());
        let mut reset = false;
        while let Ok(Step::Event(event)) = machine.receive(start, &mut input) {
            match event {
                Event::Reset => reset = true,
                Event::Refused(_) => {}
                _ => machine.accept(),
            }
        }
        assert_eq!(reset, refused);
        transmitted(&mut machine);
        let mut now = start;
        let error = loop {
            now += Duration::from_secs(1);
            assert!(now <= start + MESSAGE_TIMEOUT, "{begin}");
            input.extend_from_slice(b"x");
            let mut step = machine.receive(now, &mut input);
            while let Ok(Step::Event(event)) = step {
                reset |= event == Event::Reset;
                step = machine.receive(now, &mut input);
            }
            match step {
                Ok(step) => assert_eq!(step, Step::NeedInput),
                Err(error) => break error,
            }
        };
        assert_eq!((error, reset, now), (ProtocolError::TooSlow, true, start + MESSAGE_TIMEOUT));
        let output = transmitted(&mut machine);
        assert_eq!(output, "421 4.4.2 Message transfer too slow, closing connection\r\n");
    }
}

#[test]
fn message_at_the_minimum_rate_is_accepted() {
    let (mut machine, mut now) = server(default_config());
    let mut input = BytesMut::from(&b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"[..]);
    while let Ok(Step::Event(_)) = machine.receive(now, &mut input) {
        machine.accept();
    }
    for _ in 0..100 {
        now += Duration::from_secs(299);
        input.extend_from_slice(&b"x".repeat(MESSAGE_OCTETS_MIN / 2));
        assert!(matches!(machine.receive(now, &mut input), Ok(Step::Event(Event::Chunk(_)))));
        assert_eq!(machine.receive(now, &mut input), Ok(Step::NeedInput));
    }
    input.extend_from_slice(b"x");
    now += Duration::from_secs(200);
    assert!(matches!(machine.receive(now, &mut input), Ok(Step::Event(Event::Chunk(_)))));
    assert_eq!(machine.poll_timeout(), Some(now + SERVER_TIMEOUT));
    let last = now;
    while machine.poll_timeout().is_some_and(|deadline| deadline == now + SERVER_TIMEOUT) {
        input.extend_from_slice(b"x");
        now += Duration::from_secs(50);
        assert!(matches!(machine.receive(now, &mut input), Ok(Step::Event(Event::Chunk(_)))));
    }
    let deadline = machine.poll_timeout().unwrap();
    assert!(deadline > last && deadline <= last + MESSAGE_TIMEOUT);
    transmitted(&mut machine);
    machine.handle_timeout(deadline);
    assert!(transmitted(&mut machine).starts_with("421 4.4.2 Message transfer too slow"));
}

/// Fragments of sessions, complete and incomplete, for random order.
const FRAGMENTS: [&[u8]; 26] = [
    b"EHLO a\r\n",
    b"HELO a\r\n",
    b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n",
    b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
    b"MAIL FROM:<a@b> SIZE=10\r\n",
    b"MAIL FROM:<a@b> SIZE=1000\r\n",
    b"RCPT TO:<c@d>\r\n",
    b"DATA\r\n",
    b"BDAT 3\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 99 LAST\r\n",
    b"AUTH PLAIN\r\n",
    b"AUTH LOGIN\r\n",
    b"AGEAYg==\r\n",
    b"*\r\n",
    b"RSET\r\n",
    b"QUIT\r\n",
    b"NOOP\n",
    b"some words of a message",
    b"\r\n",
    b"\r",
    b"\n",
    b".",
    b"\r\n.\r\n",
    b"\0",
    b"\xFF",
];

/// The server's output and end for `wire`, which arrives in pieces of these lengths, repeated.
fn exchange(wire: &[u8], lengths: &[usize]) -> (String, Option<String>) {
    let config = Config { message_size_max: 60, auth: AuthOffer::Always, ..default_config() };
    let (mut machine, now) = server(config);
    let (mut input, mut rest, mut lengths) = (BytesMut::new(), wire, lengths.iter().cycle());
    loop {
        match machine.receive(now, &mut input) {
            Ok(Step::Event(Event::Chunk(_) | Event::Reset | Event::Refused(_))) => {}
            Ok(Step::Event(_)) => machine.accept(),
            Ok(Step::NeedInput) if rest.is_empty() => return (transmitted(&mut machine), None),
            Ok(Step::NeedInput) => {
                let (piece, tail) = rest.split_at((*lengths.next().unwrap()).min(rest.len()));
                input.extend_from_slice(piece);
                rest = tail;
            }
            Ok(Step::Closed) => return (transmitted(&mut machine), Some("closed".to_owned())),
            Ok(step) => panic!("unexpected step: {step:?}"),
            Err(error) => return (transmitted(&mut machine), Some(error.to_string())),
        }
    }
}

proptest! {
    #[test]
    fn output_does_not_depend_on_how_input_is_split(
        pieces in proptest::collection::vec(proptest::sample::select(&FRAGMENTS[..]), 0..24),
        lengths in proptest::collection::vec(1_usize..30, 1..6),
    ) {
        let wire = pieces.concat();
        let whole = exchange(&wire, &[usize::MAX]);
        prop_assert_eq!(exchange(&wire, &[1]), whole.clone());
        prop_assert_eq!(exchange(&wire, &lengths), whole);
    }
}
