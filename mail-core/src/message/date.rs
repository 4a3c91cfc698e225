//! Date formats: RFC 5322 section 3.3, and the short `date : hour : minute` of MyMailBox.txt.
//!
//! Formatting is strict and parsing is lenient.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, TimeZone, Timelike, Utc};

/// Formats `Sun, 22 Nov 2026 19:15:07 +0000`, the date-time of RFC 5322 section 3.3.
#[must_use]
pub fn rfc5322(date: &DateTime<FixedOffset>) -> String {
    let offset = date.offset().local_minus_utc() / 60;
    let sign = if offset < 0 { '-' } else { '+' };
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} {sign}{:02}{:02}",
        date.weekday(),
        date.day(),
        MONTHS[date.month0() as usize],
        date.year(),
        date.hour(),
        date.minute(),
        date.second(),
        offset.abs() / 60,
        offset.abs() % 60,
    )
}

/// Parses a date-time of a header field, including obsolete and many malformed ones. The weekday is ignored.
#[must_use]
pub fn parse_rfc5322(text: &str) -> Option<DateTime<FixedOffset>> {
    super::mime::date(text)
}

/// Formats `2026-11-22 : 19 : 15`, in UTC: the fourth field of a record in MyMailBox.txt.
#[must_use]
pub fn short<Z: TimeZone>(date: &DateTime<Z>) -> String {
    let date = date.to_utc();
    format!(
        "{:04}-{:02}-{:02} : {:02} : {:02}",
        date.year(),
        date.month(),
        date.day(),
        date.hour(),
        date.minute()
    )
}

/// Parses a handwritten short date as UTC.
///
/// Spaces and colons are separators. The date is one of `2026-11-22`, `22-11-2026`, `22 Nov 2026` and `Nov 22 2026`,
/// also with slashes or dots; the day precedes a numeric month. Seconds may follow the minute.
#[must_use]
pub fn parse_short(text: &str) -> Option<DateTime<Utc>> {
    let mut parts = text.split([' ', '\t', ':', '-', '/', '.', ',']).filter(|part| !part.is_empty());
    let mut next = || parts.next();
    let date = parse_date([next()?, next()?, next()?])?;
    let (hour, minute) = (number(next()?)?, number(next()?)?);
    let second = next().map_or(Some(0), number)?;
    if next().is_some() {
        return None;
    }
    Some(date.and_hms_opt(hour, minute, second)?.and_utc())
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn parse_date([a, b, c]: [&str; 3]) -> Option<NaiveDate> {
    let (year, month, day) = if a.len() == 4 {
        (a, b, c)
    } else if month(a).is_some_and(|_| number(a).is_none()) {
        (c, a, b)
    } else {
        (c, b, a)
    };
    if year.len() != 4 {
        return None;
    }
    NaiveDate::from_ymd_opt(number(year)?.try_into().ok()?, month_number(month)?, number(day)?)
}

fn month_number(text: &str) -> Option<u32> {
    number(text).or_else(|| month(text))
}

/// The number of a month from the first three letters of its English name.
fn month(text: &str) -> Option<u32> {
    let start = text.get(..3)?;
    (1..).zip(MONTHS).find(|(_, name)| name.eq_ignore_ascii_case(start)).map(|(number, _)| number)
}

fn number(text: &str) -> Option<u32> {
    let digits = text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn rfc5322_formats_date_time() {
        let date = DateTime::parse_from_rfc3339("2026-11-02T09:05:07-03:30").unwrap();
        assert_eq!(rfc5322(&date), "Mon, 02 Nov 2026 09:05:07 -0330");
        assert_eq!(rfc5322(&date.to_utc().fixed_offset()), "Mon, 02 Nov 2026 12:35:07 +0000");
    }

    #[test]
    fn parse_rfc5322_is_lenient() {
        for (text, expected) in [
            ("Mon, 02 Nov 2026 09:05:07 -0330", "2026-11-02T09:05:07-03:30"),
            ("2 Nov 2026 09:05 +0000", "2026-11-02T09:05:00+00:00"),
            ("Sun, 2 Nov 2026 09:05:07 GMT", "2026-11-02T09:05:07+00:00"),
            ("Mon, 02 Nov 26 09:05:07 EST (comment)", "2026-11-02T09:05:07-05:00"),
            ("31 Dec 2016 23:59:60 +0000", "2016-12-31T23:59:59+00:00"),
        ] {
            assert_eq!(
                parse_rfc5322(text).map(|date| date.to_rfc3339()).as_deref(),
                Some(expected),
                "{text}"
            );
        }
        for text in ["", "yesterday", "30 Feb 2026 09:05:07 +0000", "2 Nov 2026 25:05:07 +0000"] {
            assert_eq!(parse_rfc5322(text), None, "{text}");
        }
    }

    #[test]
    fn short_formats_in_utc() {
        let date = DateTime::parse_from_rfc3339("2026-11-23T00:45:07+05:30").unwrap();
        assert_eq!(short(&date), "2026-11-22 : 19 : 15");
    }

    #[test]
    fn parse_short_accepts_handwritten_dates() {
        for text in [
            "2026-11-22 : 19 : 15",
            "2026-11-22:19:15",
            "  2026/11/22   19:15 ",
            "22-11-2026 : 19 : 15",
            "22/11/2026 : 19:15",
            "22.11.2026 : 19 : 15",
            "22 Nov 2026 : 19 : 15",
            "22-nov-2026 : 19 : 15",
            "November 22, 2026 : 19 : 15",
            "2026 November 22 : 19 : 15 : 00",
        ] {
            let date = parse_short(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(short(&date), "2026-11-22 : 19 : 15", "{text}");
        }
        for text in [
            "",
            "2026-11-22",
            "2026-11-22 : 19",
            "2026-13-22 : 19 : 15",
            "11/22/2026 : 19 : 15",
            "2026-11-22 : 24 : 00",
            "22-11-26 : 19 : 15",
            "2026-11-22 : 19 : 15 : 07 : 1",
            "2026-11-+2 : 19 : 15",
            "Sun, 22 Nov 2026 19:15:07 +0000",
            "é-11-2026 : 19 : 15",
        ] {
            assert_eq!(parse_short(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_is_the_inverse_of_formatting(seconds in -2_208_988_800_i64..=253_402_214_400, minutes in -720_i32..=840) {
            let offset = FixedOffset::east_opt(minutes * 60).unwrap();
            let date = offset.timestamp_opt(seconds, 0).unwrap();
            prop_assert_eq!(parse_rfc5322(&rfc5322(&date)), Some(date));
            let minute = DateTime::from_timestamp(seconds.div_euclid(60) * 60, 0).unwrap();
            prop_assert_eq!(parse_short(&short(&date)), Some(minute));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}", near in "[0-9]{0,5}[-:/ ]{0,2}[A-Za-zé0-9]{0,5}[-:/ ]?[0-9]{0,9}[ :]+[0-9]{1,3}:[0-9:]{1,9} ?[+-]?[0-9]{0,5}") {
            for text in [text, near] {
                let _ = (parse_rfc5322(&text), parse_short(&text));
            }
        }
    }
}
