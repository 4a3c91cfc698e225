//! The fuzz targets: one function per parser and state machine. Each asserts properties that hold for every input. The
//! binaries in `fuzz/fuzz_targets` and `fuzz_corpus.rs` call them.

use std::sync::Arc;

use bytes::BytesMut;
use mail_core::dot::{DotDecoder, DotEncoder, Piece};
use mail_core::line::{LineEndChecker, LineNormaliser, LineReader};
use mail_core::machine::Machine;
use mail_core::mailbox::scan::{Scanner, records};
use mail_core::message::address::{Address, Domain, ForwardPath, ReversePath};
use mail_core::message::authentication_results::MethodResult;
use mail_core::message::draft::{self, Draft, Subject};
use mail_core::message::parsed::{ParsedMessage, Summary};
use mail_core::message::report::{DeliveryReport, Notification, TEXT_OCTETS_MAX};
use mail_core::message::{authentication_results, compose, date, header, id, mime, recipients};
use mail_core::mta_sts::{POLICY_OCTETS_MAX, Policy, PolicyId};
use mail_core::proxy::{self, Header};
use mail_core::queue::{self, Entry, LogLine, Progress};
use mail_core::{aliases, pop3, sasl, smtp, users};

mod machines;

/// Asserts the properties for one input.
pub(crate) type Target = fn(&[u8]);

/// Targets by name. The corpus folder has the same name.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("addresses", addresses),
    ("aliases", alias_file),
    ("authentication_results", authentication_results_fields),
    ("dates", dates),
    ("dots", dots),
    ("draft", draft),
    ("header", header_fields),
    ("lines", lines),
    ("mime", mime_parts),
    ("mta_sts", mta_sts_texts),
    ("pop3_client", machines::pop3_client),
    ("pop3_command", pop3_command),
    ("pop3_server", machines::pop3_server),
    ("proxy", proxy_header),
    ("replies", replies),
    ("queue", queue_files),
    ("report", delivery_report),
    ("sasl", sasl_messages),
    ("scan", scan),
    ("smtp_client", machines::smtp_client),
    ("smtp_command", smtp_command),
    ("smtp_server", machines::smtp_server),
    ("users", user_file),
    ("view", view),
];

/// Runs a target by name.
pub(crate) fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a known target");
    target(data);
}

/// Piece lengths for splitting `data`, derived from `data` so that they are reproducible.
fn piece_lengths(data: &[u8]) -> impl Iterator<Item = usize> {
    let seed = data.iter().fold(7_u32, |sum, octet| sum.wrapping_mul(31).wrapping_add(u32::from(*octet)));
    let next = |state: &u32| Some(state.wrapping_mul(1_103_515_245).wrapping_add(12_345));
    std::iter::successors(Some(seed), next).map(|state| 1 + (state >> 16) as usize % 7)
}

/// Splits `data` into pieces.
fn pieces(data: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut pieces) = (data, Vec::new());
    for length in piece_lengths(data) {
        if rest.is_empty() {
            break;
        }
        let (piece, tail) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

fn addresses(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        if let Ok(address) = Address::parse(text) {
            assert_single_line(&address.to_string());
            assert_eq!(Address::parse(&address.to_string()).as_ref(), Ok(&address));
        }
        if let Ok(domain) = Domain::parse(text) {
            assert_single_line(domain.as_str());
            assert_eq!(Domain::parse(domain.as_str()).as_ref(), Ok(&domain));
        }
        let _ = (draft::parse_addresses("To", text), recipients::split_recipients(text));
        let _ = users::Username::parse(text).map(|name| assert_single_line(name.as_str()));
    }
    if let Ok((path, rest)) = ReversePath::parse(data) {
        assert!(data.ends_with(rest));
        assert_single_line(&path.to_string());
        assert_eq!(ReversePath::parse(path.to_string().as_bytes()), Ok((path, &b""[..])));
    }
    if let Ok((path, rest)) = ForwardPath::parse(data) {
        assert!(data.ends_with(rest));
        assert_single_line(&path.to_string());
        assert_eq!(ForwardPath::parse(path.to_string().as_bytes()), Ok((path, &b""[..])));
    }
}

fn assert_single_line(text: &str) {
    assert!(!text.contains(['\r', '\n', '\0']), "{text:?}");
}

fn dates(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let _ = date::parse_rfc5322(text);
    let _ = date::parse_short(text);
}

fn dots(data: &[u8]) {
    let decode = |pieces: &[&[u8]]| {
        let (mut decoder, mut input, mut text, mut ends) =
            (DotDecoder::default(), BytesMut::new(), Vec::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            while let Some(piece) = decoder.decode(&mut input) {
                match piece {
                    Piece::Text(octets) => text.extend_from_slice(&octets),
                    Piece::End => ends.push(text.len()),
                }
            }
            assert!(input.len() <= 2, "the decoder buffers more than an incomplete end");
        }
        (text, ends)
    };
    assert_eq!(decode(&[data]), decode(&pieces(data)));

    let (mut text, mut stuffed) = (Vec::new(), Vec::new());
    LineNormaliser::default().normalise(data, &mut text);
    if !text.ends_with(b"\r\n") {
        text.extend_from_slice(b"\r\n");
    }
    let mut encoder = DotEncoder::default();
    pieces(&text).iter().for_each(|piece| encoder.encode(piece, &mut stuffed));
    encoder.finish(&mut stuffed);
    let ends: Vec<_> = memchr::memmem::find_iter(&stuffed, b"\r\n.\r\n").collect();
    assert!(ends.len() <= 1, "the encoder produced an early end from {:?}", data.escape_ascii().to_string());
    assert_eq!(decode(&[&stuffed]), (text.clone(), vec![text.len()]));
}

fn draft(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let _ = Subject::parse(text).map(|subject| assert_single_line(subject.as_str()));
    let Ok(draft) = Draft::parse_dialogue(text) else { return };
    let id = id::MessageId::unique(1, &draft.from.host);
    let date = chrono::DateTime::UNIX_EPOCH.fixed_offset();
    let message = compose::compose(&draft, &date, &id);
    let mut line_ends = LineEndChecker::default();
    line_ends.check(&message);
    assert!(!line_ends.is_malformed(), "{}", message.escape_ascii());
    let view = ParsedMessage::parse(&message);
    assert_eq!(view.from.first().map(|from| from.address.as_str()), Some(draft.from.to_string().as_str()));
}

fn header_fields(data: &[u8]) {
    let (fields, body) = header::split(data);
    assert!(fields.len() + body.len() <= data.len() && data.starts_with(fields) && data.ends_with(body));
    let raw: Vec<u8> = header::fields(fields).flat_map(|field| field.raw.to_vec()).collect();
    assert!(raw.len() <= fields.len());
    let _ = header::first(data, "Subject");
}

fn lines(data: &[u8]) {
    let read = |pieces: &[&[u8]]| {
        let (mut reader, mut input, mut lines) = (LineReader::new(64), BytesMut::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            while let Some(line) = reader.next_line(&mut input) {
                lines.push(line);
            }
            assert!(input.len() < 64 + piece.len());
        }
        lines
    };
    assert_eq!(read(&[data]), read(&pieces(data)));
    let is_broken = |pieces: &[&[u8]]| {
        let mut line_ends = LineEndChecker::default();
        pieces.iter().for_each(|piece| line_ends.check(piece));
        line_ends.is_malformed()
    };
    assert_eq!(is_broken(&[data]), is_broken(&pieces(data)));
    let (mut whole, mut split) = (Vec::new(), Vec::new());
    LineNormaliser::default().normalise(data, &mut whole);
    let mut normaliser = LineNormaliser::default();
    pieces(data).iter().for_each(|piece| normaliser.normalise(piece, &mut split));
    assert_eq!(whole, split);
}

fn smtp_command(data: &[u8]) {
    use smtp::command::Command;
    assert_round_trip(data, |line| Command::parse(line).ok(), Command::encode);
}

fn pop3_command(data: &[u8]) {
    use pop3::command::Command;
    assert_round_trip(data, |line| Command::parse(line).ok(), Command::encode);
}

/// A parsed command is encoded as one line that parses to the same command.
fn assert_round_trip<C: std::fmt::Debug + PartialEq>(
    data: &[u8],
    parse: impl Fn(&[u8]) -> Option<C>,
    encode: impl Fn(&C, &mut BytesMut),
) {
    let Some(command) = parse(data) else { return };
    let mut line = BytesMut::new();
    encode(&command, &mut line);
    let text = line.strip_suffix(b"\r\n").expect("CRLF at the end");
    assert!(!text.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)), "{}", text.escape_ascii());
    assert_eq!(parse(text).as_ref(), Some(&command), "{}", text.escape_ascii());
}

fn proxy_header(data: &[u8]) {
    let Some((fixed, rest)) = data.split_first_chunk::<{ proxy::FIXED_HEADER_OCTETS }>() else { return };
    let _ = proxy::payload_octets(fixed);
    let Ok(header) = Header::decode(fixed, rest) else { return };
    let encoded = header.encode();
    let (fixed, rest) = encoded.split_first_chunk().expect("the fixed part");
    assert_eq!(Header::decode(fixed, rest), Ok(header));
}

fn replies(data: &[u8]) {
    let read = |pieces: &[&[u8]]| {
        let (mut reader, mut input, mut replies) =
            (smtp::reply::ReplyReader::default(), BytesMut::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                match reader.next_reply(&mut input) {
                    Ok(Some(reply)) => replies.push(reply),
                    Ok(None) => break,
                    Err(_) => return (replies, true),
                }
            }
        }
        (replies, false)
    };
    assert_eq!(read(&[data]), read(&pieces(data)));
    let _ = pop3::reply::Reply::parse(data);
    let _ = pop3::capability::Capability::parse(data);
    if let Ok(text) = str::from_utf8(data) {
        let _ = smtp::reply::Reply::parse(text);
        let _ = pop3::listing::ScanListing::parse(text);
        let _ = pop3::listing::DropListing::parse(text);
    }
}

/// A parsed report is bounded and printable, and is formatted as one that has the same recipients.
fn delivery_report(data: &[u8]) {
    let Some(report) = DeliveryReport::parse(data) else { return };
    for recipient in &report.recipients {
        let sentence = recipient.sentence();
        let diagnostic = recipient.diagnostic().unwrap_or_default();
        assert!(sentence.len() <= 1_000 && diagnostic.len() <= TEXT_OCTETS_MAX);
        assert!(![&sentence, diagnostic].into_iter().any(|text| text.contains(char::is_control)));
    }
    let host = Domain::parse("iit.edu").expect("a domain");
    let notification = Notification {
        report: &report,
        sender: &Address::parse("ag@iit.edu").expect("an address"),
        host: &host,
        date: &chrono::DateTime::UNIX_EPOCH.fixed_offset(),
        id: &id::MessageId::parse("1@iit.edu").expect("an identifier"),
        original: data,
        ret: (data.len().is_multiple_of(2)).then_some(smtp::dsn::Ret::Full),
        utf8: data.len().is_multiple_of(3),
    };
    let message = notification.format();
    let mut line_ends = LineEndChecker::default();
    line_ends.check(&message);
    assert!(!line_ends.is_malformed(), "{}", message.escape_ascii());
    let again = ParsedMessage::parse(&message).report.expect("a report");
    let actions =
        |report: &DeliveryReport| report.recipients.iter().map(|one| one.action).collect::<Vec<_>>();
    assert_eq!(actions(&again), actions(&report));
}

fn sasl_messages(data: &[u8]) {
    for message in [sasl::decode(data), sasl::decode_initial(data)].into_iter().flatten() {
        let line = sasl::encode(&message);
        let decoded = sasl::decode(line.expose().as_bytes()).expect("an encoded message decodes");
        assert_eq!(decoded.expose(), message.expose());
    }
    let _ = sasl::Mechanism::parse(data);
}

/// Scanning the whole file and scanning growing windows find the same records.
fn scan(data: &[u8]) {
    let all = records(data, "iitkgp.edu");
    let mut end = 0;
    for record in &all {
        assert!(record.offset >= end && record.end() <= data.len() as u64, "{record:?}");
        end = record.end();
        let sent: u64 = record.wire_ranges().iter().map(|stretch| stretch.end - stretch.start).sum();
        assert!(sent <= record.length);
        assert!(
            record.wire_ranges().iter().all(|part| part.start >= record.offset && part.end <= record.end())
        );
    }
    let (mut scanner, mut start, mut end, mut found) = (Scanner::new("iitkgp.edu"), 0, 0, Vec::new());
    let mut lengths = piece_lengths(data);
    loop {
        let at_end = end == data.len();
        let (consumed, record) = scanner.scan(&data[start..end], at_end);
        start += consumed;
        match record {
            Some(record) => found.push(record),
            None if at_end => break,
            None => end = data.len().min(end + lengths.next().expect("an infinite iterator")),
        }
    }
    assert_eq!(format!("{all:?}"), format!("{found:?}"));
}

fn mime_parts(data: &[u8]) {
    let message = mime::Message::parse(data, |_, _| None);
    let leaves = || message.parts().iter().filter(|part| !part.is_multipart());
    let bodies: usize = leaves().map(|part| part.body().len()).sum();
    assert!(bodies <= data.len(), "the parts are longer than the message");
    let mut decoded = 0;
    for part in leaves() {
        assert!(!message.file_name(part).is_empty());
        let _ = (message.content_id(part), message.content_location(part));
        let (text, files) = message.text(part);
        decoded += part.bytes().len() + text.len() + files.iter().map(|file| file.bytes.len()).sum::<usize>();
    }
    // A line of uuencode without data stands for up to 45 octets.
    assert!(decoded <= 64 * data.len() + 64, "{decoded} octets from {}", data.len());
    let layout = message.layout();
    let last = layout.text.iter().chain(&layout.html).chain(&layout.attachments).max();
    assert!(last.is_none_or(|last| *last < message.parts().len()));
    assert!(layout.text.is_sorted() && layout.attachments.is_sorted());
}

fn alias_file(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let domains = ["example.org", "iit.edu"].map(|name| Domain::parse(name).expect("a domain"));
    let Ok(file) = aliases::parse(text, &domains) else { return };
    let again = aliases::parse(&file.to_string(), &domains).expect("a formatted file is valid");
    assert!(file.aliases().eq(again.aliases()));
}

fn user_file(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let _ = users::parse(text);
}

fn view(data: &[u8]) {
    let view = ParsedMessage::parse(data);
    let _ = view.plain_text();
    let parts: usize = view.attachments.iter().map(|attachment| attachment.bytes.len()).sum();
    assert!(parts <= 64 * data.len() + 4_096, "{parts} octets of attachments in {}", data.len());
    let _ = Summary::parse(data);
}

fn mta_sts_texts(data: &[u8]) {
    if let Ok(policy) = Policy::parse(data) {
        let text = policy.to_string();
        assert_eq!(text.lines().count(), policy.hosts.len() + 3);
        // Spaces and A-labels make it longer.
        if text.len() <= POLICY_OCTETS_MAX {
            assert_eq!(Policy::parse(text.as_bytes()), Ok(policy));
        }
    }
    let Ok(text) = str::from_utf8(data) else { return };
    if let Some(id) = PolicyId::from_records(text.lines()) {
        assert_single_line(&id.record());
        assert_eq!(PolicyId::from_records([id.record().as_str()].into_iter()), Some(id));
    }
}

/// A reader finds no result of this server after the removal of forged fields, and only the server's own in its field.
fn authentication_results_fields(data: &[u8]) {
    const SERVER: &str = "mx.iit.edu";
    let mut rest = Vec::new();
    authentication_results::remove(SERVER, data, &mut rest);
    assert!(rest.len() <= data.len());
    assert_eq!(authentication_results::parse(&rest, SERVER), [], "{}", rest.escape_ascii());
    let mut again = Vec::new();
    authentication_results::remove(SERVER, &rest, &mut again);
    assert_eq!(again, rest);
    for (method, result) in authentication_results::parse(data, SERVER) {
        assert!(![method, result].iter().any(|word| word.contains(|c: char| !c.is_ascii_graphic())));
    }
    // Values of a message cannot add a result or a line.
    let value = String::from_utf8_lossy(data).into_owned();
    let results = [MethodResult { method: "spf", result: "none", properties: vec![("smtp.helo", value)] }];
    let field = authentication_results::format(SERVER, &results);
    assert!(field.is_ascii() && field.matches("\r\n").count() == 2 && field.ends_with("\r\n"), "{field:?}");
    assert_eq!(header::fields(field.as_bytes()).count(), 1, "{field:?}");
    assert_eq!(authentication_results::parse(field.as_bytes(), SERVER), [("spf".into(), "none".into())]);
}

/// An entry, or a log after an entry with its recipients.
fn queue_files(data: &[u8]) {
    if let Ok(entry) = Entry::parse(data) {
        assert!(Entry::message_start(data).is_some_and(|start| start <= data.len()));
        let text = entry.format();
        // The format has no fractions of a second.
        let again = Entry::parse(text.as_bytes()).expect("a formatted entry is valid");
        assert_eq!(again.format(), text);
        assert_eq!(again.recipients, entry.recipients);
        let (_, log) = data.split_at(Entry::message_start(data).unwrap_or_default());
        let progress = Progress::replay(&entry, queue::lines(log));
        assert_eq!(progress.recipients.len(), entry.recipients.len());
        let attempts: u64 = progress.recipients.iter().map(|recipient| u64::from(recipient.attempts)).sum();
        let events = queue::lines(log).count() * entry.recipients.len();
        assert!(attempts <= events as u64, "{attempts} attempts in {events} events");
    }
    for line in queue::lines(data) {
        let formatted = line.to_string();
        assert_single_line(&formatted);
        assert_eq!(LogLine::parse(&formatted).map(|again| again.to_string()), Some(formatted));
    }
    // A torn last line changes nothing.
    let complete = data.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
    assert!(queue::lines(data).eq(queue::lines(&data[..complete])));
}
