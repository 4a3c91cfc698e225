//! Round trip over SMTP and POP3: every mail is unchanged except for the trace fields and the position of From, To and
//! Subject. STAT, LIST, UIDL and TOP are consistent with RETR.

mod support;

use std::collections::HashSet;

use support::mails;

/// A mail and its name for assertion messages.
type Mail = (String, Vec<u8>);

fn samples() -> Vec<Mail> {
    let small = mails::BUILT_IN.iter().map(|(name, mail)| ((*name).to_owned(), mail.to_vec()));
    small.chain(mails::large().into_iter().map(|(name, mail)| (name.to_owned(), mail))).collect()
}

/// Includes the collection of real mail if present.
#[test]
fn mails_sent_by_data_are_retrieved_unchanged() {
    let mut all = samples();
    assert_eq!(all.len(), mails::BUILT_IN.len() + 3);
    all.extend(mails::collected());
    let without_nul = all.iter().filter(|(_, mail)| !mail.contains(&0)).count();
    assert_eq!(round_trip(all, Sending::Data), without_nul);
}

#[test]
fn mails_sent_by_bdat_are_retrieved_unchanged() {
    let sent = round_trip(samples(), Sending::Bdat);
    assert_eq!(sent, mails::BUILT_IN.len() + 3);
}

#[derive(Clone, Copy, PartialEq)]
enum Sending {
    Data,
    Bdat,
}

/// Sends and retrieves the mails. Returns how many were accepted.
fn round_trip(mails: Vec<Mail>, sending: Sending) -> usize {
    let dir = support::TestDir::new();
    let server = dir.serve();
    let accepted = send(&server, mails, sending);
    let mut pop3 = server.pop3();
    pop3.login("gb", "other");
    let (count, total) = pop3.stat();
    assert_eq!(count, accepted.len());
    let sizes = numbers(&pop3.multiline("LIST").1);
    let unique_ids = pop3.multiline("UIDL").1;
    assert_eq!((sizes.len(), unique_ids.len()), (count, count));
    assert_eq!(unique_ids.iter().collect::<HashSet<_>>().len(), count);

    let mut octets = 0;
    for (at, (name, mail)) in accepted.iter().enumerate() {
        let number = at + 1;
        let message = pop3.retrieve(number);
        let (trace, rest) = mails::split_trace(&message);
        assert!(trace.escape_ascii().to_string().contains("by iitkgp.edu with ESMTP id "), "{name}");
        let expected = mails::reordered(&mails::with_crlf(mail));
        assert!(rest == expected, "{name}: sent\n{}\ngot\n{}", excerpt(&expected), excerpt(rest));
        assert_eq!(sizes[at], (number, message.len()), "{name}");
        octets += message.len();
        check_top(&mut pop3, number, &message, name);
    }
    assert_eq!(octets, total);
    accepted.len()
}

/// Sends the mails and returns the accepted ones. Mails with a NUL are refused.
fn send(server: &support::ServerProcess, mails: Vec<Mail>, sending: Sending) -> Vec<Mail> {
    let mut smtp = server.smtp();
    assert!(smtp.command("EHLO iit.edu").contains("CHUNKING"));
    let mut accepted = Vec::new();
    for (name, mail) in mails {
        let text = mails::with_crlf(&mail);
        let reply = match sending {
            Sending::Data => smtp.deliver("ag@iit.edu", &["gb@iit.edu"], &text),
            Sending::Bdat => deliver_by_chunks(&mut smtp, &text),
        };
        if mail.contains(&0) {
            assert!(reply.starts_with("554 5.6.0 "), "{name}: {reply}");
        } else {
            assert_eq!(reply, "250 2.0.0 OK Message accepted for delivery", "{name}");
            accepted.push((name, mail));
        }
    }
    accepted
}

fn deliver_by_chunks(smtp: &mut support::SmtpClient, text: &[u8]) -> String {
    assert!(smtp.command("MAIL FROM:<ag@iit.edu>").starts_with("250 "));
    assert!(smtp.command("RCPT TO:<gb@iit.edu>").starts_with("250 "));
    for chunk in text.chunks(70_001) {
        smtp.stream.send(format!("BDAT {}\r\n", chunk.len()).as_bytes());
        smtp.stream.send(chunk);
        assert_eq!(smtp.reply(), format!("250 2.0.0 {} octets", chunk.len()));
    }
    smtp.command("BDAT 0 LAST")
}

/// TOP returns the header, the blank line and the requested number of body lines.
fn check_top(pop3: &mut support::Pop3Client, number: usize, message: &[u8], name: &str) {
    let lines: Vec<&[u8]> = message.split_inclusive(|byte| *byte == b'\n').collect();
    let blank = lines.iter().position(|line| *line == b"\r\n").unwrap_or(lines.len());
    for count in [0, 1, 1_000_000] {
        let expected = lines[..lines.len().min(blank.saturating_add(1).saturating_add(count))].concat();
        let (_, top) = pop3.multiline(&format!("TOP {number} {count}"));
        let top: Vec<u8> = top.iter().flat_map(|line| [line, &b"\r\n"[..]].concat()).collect();
        assert!(top == expected, "{name}: TOP {count} gave\n{}", excerpt(&top));
    }
}

fn numbers(listing: &[Vec<u8>]) -> Vec<(usize, usize)> {
    let parse = |line: &Vec<u8>| {
        let line = String::from_utf8_lossy(line).into_owned();
        let (number, octets) = line.split_once(' ')?;
        Some((number.parse().ok()?, octets.parse().ok()?))
    };
    listing.iter().map(|line| parse(line).expect("a scan listing")).collect()
}

fn excerpt(octets: &[u8]) -> String {
    octets[..octets.len().min(3_000)].escape_ascii().to_string().replace("\\r\\n", "\\r\\n\n")
}
