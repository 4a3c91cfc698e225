//! Dates, times, sizes and counts as text.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, Timelike, Utc};
use mail_core::message::date;
use mail_core::message::printable::printable_line;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// For a list row: `19:15` today, `Yesterday`, `20 Nov` this year, `20 Nov 2025` before. In a group of a day, the time.
pub(crate) fn list_date(at: DateTime<FixedOffset>, now: DateTime<FixedOffset>, is_grouped: bool) -> String {
    match (now.date_naive() - at.date_naive()).num_days() {
        0 => time(at),
        1 if is_grouped => time(at),
        1 => "Yesterday".to_owned(),
        _ if at.year() == now.year() => format!("{} {}", at.day(), MONTHS[at.month0() as usize]),
        _ => format!("{} {} {}", at.day(), MONTHS[at.month0() as usize], at.year()),
    }
}

/// `22 Nov 2026, 19:15`
pub(crate) fn date_and_time(at: DateTime<FixedOffset>) -> String {
    format!("{} {} {}, {}", at.day(), MONTHS[at.month0() as usize], at.year(), time(at))
}

/// The `date : hour : minute` form of the guide: `2026-11-22 : 19 : 15 UTC`.
pub(crate) fn guide_date(at: DateTime<Utc>) -> String {
    format!("{} UTC", date::short(&at))
}

/// `19:15`
pub(crate) fn time(at: DateTime<FixedOffset>) -> String {
    format!("{:02}:{:02}", at.hour(), at.minute())
}

/// `812 B`, `6 KB`, `1.4 MB`.
pub(crate) fn size(octets: u64) -> String {
    let tenths = |unit: u64| (octets * 10 + unit / 2) / unit;
    match octets {
        0..1_000 => format!("{octets} B"),
        1_000..999_500 => format!("{} KB", (octets + 500) / 1_000),
        999_500..999_950_000 => {
            let tenths = tenths(1_000_000);
            if tenths >= 100 {
                format!("{} MB", tenths / 10)
            } else {
                format!("{}.{} MB", tenths / 10, tenths % 10)
            }
        }
        _ => format!("{}.{} GB", tenths(1_000_000_000) / 10, tenths(1_000_000_000) % 10),
    }
}

/// `22 Nov 2026`
pub(crate) fn day(day: NaiveDate) -> String {
    format!("{} {} {}", day.day(), MONTHS[day.month0() as usize], day.year())
}

/// The file name of a message.
pub(crate) fn eml_name(subject: &str) -> String {
    let name: String = printable_line(subject).chars().take(80).collect();
    let name = name.replace(['/', '\\', ':', '*', '?', '"', '<', '>', '|'], "_");
    format!("{}.eml", if name.trim().is_empty() { "message" } else { name.trim() })
}

/// `1 message`, `1,240 messages`.
pub(crate) fn count(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {one}s", number(count)) }
}

/// `999`, `1,240`.
pub(crate) fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `40 MB` for 40 MiB: a limit as an administrator writes it.
pub(crate) fn binary_size(octets: u64) -> String {
    const MEBIBYTE: u64 = 1_024 * 1_024;
    if octets < MEBIBYTE {
        return size(octets);
    }
    let tenths = (octets * 10 + MEBIBYTE / 2) / MEBIBYTE;
    if tenths.is_multiple_of(10) || tenths >= 100 {
        format!("{} MB", tenths / 10)
    } else {
        format!("{}.{} MB", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn list_date_shortens_with_recency() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap();
        let now = at("2026-11-22T20:00:00+01:00");
        for (text, label) in [
            ("2026-11-22T00:05:00+01:00", "00:05"),
            ("2026-11-21T23:59:00+01:00", "Yesterday"),
            ("2026-11-20T12:00:00+01:00", "20 Nov"),
            ("2026-01-02T12:00:00+01:00", "2 Jan"),
            ("2025-12-31T12:00:00+01:00", "31 Dec 2025"),
            // The sender's clock is ahead.
            ("2026-11-24T12:00:00+01:00", "24 Nov"),
        ] {
            assert_eq!(list_date(at(text), now, false), label);
        }
        assert_eq!(list_date(at("2026-11-21T23:59:00+01:00"), now, true), "23:59");
        assert_eq!(date_and_time(now), "22 Nov 2026, 20:00");
        assert_eq!(guide_date(now.to_utc()), "2026-11-22 : 19 : 00 UTC");
    }

    #[test]
    fn size_is_rounded_to_two_or_three_digits() {
        for (octets, label) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1 KB"),
            (1_499, "1 KB"),
            (999_499, "999 KB"),
            (999_500, "1.0 MB"),
            (1_449_999, "1.4 MB"),
            (26_214_400, "26 MB"),
            (1_500_000_000, "1.5 GB"),
        ] {
            assert_eq!(size(octets), label);
        }
        assert_eq!((count(1, "file"), count(0, "file")), ("1 file".to_owned(), "0 files".to_owned()));
        assert_eq!([999, 1_000, 1_234_567].map(number), ["999", "1,000", "1,234,567"]);
        assert_eq!([41_943_040, 67_108_864, 1_500_000].map(binary_size), ["40 MB", "64 MB", "1.4 MB"]);
    }
}
