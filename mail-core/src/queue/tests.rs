use chrono::{DateTime, Utc};
use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::message::address::{Address, ReversePath};
use crate::smtp::parameter::{MailParameters, RcptParameters};

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_972_309 + seconds, 0).unwrap()
}

fn entry() -> Entry {
    Entry {
        received: time(0),
        reverse_path: ReversePath::Address(address("ag@example.org")),
        recipients: ["gb@example.net", "\"h c\"@example.com", "用户@例え.jp"]
            .map(|to| Recipient { address: address(to), parameters: RcptParameters::default() })
            .into(),
        ret: None,
        envid: None,
        eight_bit: true,
        utf8: true,
    }
}

#[test]
fn entry_is_text_that_a_person_can_read() {
    let text = entry().format();
    assert_eq!(
        text,
        "received: 2026-11-29T17:11:49Z\nfrom: <ag@example.org>\nto: <gb@example.net>\nto: <\"h c\"@example.com>\n\
         to: <用户@例え.jp>\ncontent: 8bit utf8\n\n"
    );
    let file = format!("{text}Subject: x\r\n\r\nbody\r\n");
    assert_eq!(Entry::parse(file.as_bytes()), Ok(entry()));
    assert_eq!(Entry::message_start(file.as_bytes()), Some(text.len()));
}

#[test]
fn null_reverse_path_is_kept() {
    let entry = Entry { reverse_path: ReversePath::Null, eight_bit: false, utf8: false, ..entry() };
    assert_eq!(Entry::parse(entry.format().as_bytes()), Ok(entry));
}

#[test]
fn parameters_of_reports_are_kept() {
    let mut entry = entry();
    let MailParameters { ret, envid, .. } = MailParameters::parse(b" RET=HDRS ENVID=QQ314159+2B").unwrap();
    (entry.ret, entry.envid) = (ret, envid);
    entry.recipients[0].parameters =
        RcptParameters::parse(b" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;gb+2Bx@example.net").unwrap();
    entry.recipients[1].parameters = RcptParameters::parse(b" NOTIFY=NEVER").unwrap();
    let text = entry.format();
    assert!(text.contains("from: <ag@example.org> RET=HDRS ENVID=QQ314159+2B\n"), "{text}");
    assert!(
        text.contains("to: <gb@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;gb+2Bx@example.net\n"),
        "{text}"
    );
    assert_eq!(Entry::parse(text.as_bytes()), Ok(entry));
}

#[test]
fn line_is_parsed_as_it_was_formatted() {
    for (line, text) in [
        (
            LogLine::recipient(
                time(3),
                &address("gb@example.net"),
                Outcome::Delivered,
                "mx [192.0.2.1]: 250 ok",
            ),
            "2026-11-29T17:11:52Z <gb@example.net> delivered mx [192.0.2.1]: 250 ok",
        ),
        (
            LogLine::recipient(time(3), &address("\"h > c\"@example.com"), Outcome::Reported, ""),
            "2026-11-29T17:11:52Z <\"h > c\"@example.com> reported",
        ),
        (LogLine::entry(time(3), LogEvent::Held), "2026-11-29T17:11:52Z * held"),
        (LogLine::entry(time(3), LogEvent::Released), "2026-11-29T17:11:52Z * released"),
    ] {
        assert_eq!(line.to_string(), text);
        assert_eq!(LogLine::parse(text), Some(line));
    }
}

#[test]
fn remote_text_cannot_add_a_line_and_is_bounded() {
    let detail = format!("550 no\r\n2026-11-29T17:11:52Z * held\u{1b}[31m\u{202e}{}", "x".repeat(5_000));
    let line = LogLine::recipient(time(0), &address("gb@example.net"), Outcome::Failed, &detail);
    let text = line.to_string();
    assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text}");
    assert!(text.chars().count() < 700);
    assert_eq!(LogLine::parse(&text), Some(line));
}

#[test]
fn replay_gives_the_state_of_each_recipient() {
    let (first, second) = (address("gb@example.net"), address("\"h c\"@example.com"));
    let mut log = vec![
        LogLine::recipient(time(1), &first, Outcome::Deferred, "busy"),
        LogLine::recipient(time(2), &second, Outcome::Failed, "no such user"),
        LogLine::recipient(time(2), &address("stranger@example.com"), Outcome::Delivered, ""),
        LogLine::recipient(time(3), &first, Outcome::DelayReported, ""),
        LogLine::entry(time(4), LogEvent::Held),
    ];
    let progress = Progress::replay(&entry(), log.clone());
    let status: Vec<_> = progress.recipients.iter().map(|recipient| recipient.status).collect();
    assert_eq!(status, [Status::Pending, Status::Unreported, Status::Pending]);
    assert!(progress.is_held && progress.recipients[0].delay_reported);
    assert_eq!((progress.recipients[0].attempts, progress.recipients[0].last_attempt), (1, Some(time(1))));
    assert_eq!(progress.recipients[1].detail, "no such user");
    log.extend([
        LogLine::entry(time(5), LogEvent::Released),
        LogLine::recipient(time(6), &second, Outcome::Reported, ""),
        LogLine::recipient(time(7), &first, Outcome::Delivered, "ok"),
        LogLine::recipient(time(8), &address("用户@例え.jp"), Outcome::Delivered, "ok"),
        // A line that was written twice.
        LogLine::recipient(time(9), &second, Outcome::Failed, "no such user"),
    ]);
    let progress = Progress::replay(&entry(), log);
    assert!(!progress.is_held && progress.is_complete(), "{progress:?}");
}

#[test]
fn ids_are_file_names() {
    for text in ["", ".", "..", "a/b", "a.log", "a b", "é", &"x".repeat(71)] {
        assert_eq!(text.parse::<QueueId>(), Err(InvalidId), "{text}");
    }
    assert_eq!("01KB-x9".parse::<QueueId>().unwrap().to_string(), "01KB-x9");
}

proptest! {
    #[test]
    fn any_octets_are_read_without_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(entry) = Entry::parse(&octets) {
            prop_assert_eq!(Entry::parse(entry.format().as_bytes()), Ok(entry.clone()));
            let _ = Progress::replay(&entry, lines(&octets));
        }
        for line in lines(&octets) {
            prop_assert_eq!(LogLine::parse(&line.to_string()), Some(line));
        }
    }

    #[test]
    fn any_detail_is_kept_on_its_line(detail in any::<String>()) {
        let line = LogLine::recipient(time(0), &address("a@b.example"), Outcome::Deferred, &detail);
        let text = line.to_string();
        prop_assert_eq!(LogLine::parse(&text), Some(line));
        prop_assert!(!text.contains('\n'));
    }
}
