//! Dates of header fields (RFC 5322 sections 3.3 and 4.3) and non-standard forms that programs write.
//!
//! Non-standard forms: `asctime`, ISO 8601, month before day, dots between hour and minute, years of two and three
//! digits, zones such as `+02:00`, `GMT+0200` and `CEST`. The weekday is ignored. A missing or unknown zone is UTC.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveTime, TimeZone};

/// Reads a date; `None` if day, month, year or time is missing or out of range.
#[must_use]
pub fn date(text: &str) -> Option<DateTime<FixedOffset>> {
    let text = without_comments(text);
    let mut parts = Parts::default();
    for token in text.split([' ', '\t', '\r', '\n', ',']).filter(|token| !token.is_empty()) {
        parts.token(token);
    }
    parts.date()
}

#[derive(Default)]
struct Parts {
    day: Option<u32>,
    month: Option<u32>,
    year: Option<i32>,
    time: Option<NaiveTime>,
    /// Seconds east of UTC.
    offset: Option<i32>,
}

impl Parts {
    fn token(&mut self, token: &str) {
        let first = token.as_bytes()[0];
        if matches!(first, b'+' | b'-') {
            if self.time.is_some() {
                self.offset = self.offset.or_else(|| offset(token));
            }
        } else if first.is_ascii_digit() {
            self.number(token);
        } else if let Some(month) = month(token).filter(|_| self.month.is_none()) {
            self.month = Some(month);
        } else if self.time.is_some() {
            if token.eq_ignore_ascii_case("PM") || token.eq_ignore_ascii_case("AM") {
                self.half_day(token);
            } else {
                self.offset = self.offset.or_else(|| zone(token));
            }
        }
    }

    fn number(&mut self, token: &str) {
        if token.bytes().all(|byte| byte.is_ascii_digit()) {
            self.day_or_year(token);
        } else if let Some((date, time)) = token.split_once(['T', 't']).filter(|(date, _)| date.contains('-'))
        {
            // ISO 8601
            self.dashed(date);
            self.clock(time);
        } else if self.time.is_none()
            && (token.contains(':') || token.matches('.').count() == 2 && self.day.is_some())
        {
            self.clock(token);
        } else if token.contains(['-', '/', '.']) {
            self.dashed(token);
        } else {
            // "2nd", "24th"
            let digits = token.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            if digits.bytes().all(|byte| byte.is_ascii_digit()) {
                self.day_or_year(digits);
            }
        }
    }

    fn day_or_year(&mut self, digits: &str) {
        if self.day.is_none() && digits.len() <= 2 {
            self.day = digits.parse().ok();
        } else if self.year.is_none() {
            self.year = year(digits);
        }
    }

    /// `2026-11-02`, `2-Nov-2026` and `02.11.2026`.
    fn dashed(&mut self, token: &str) {
        let mut fields = token.split(['-', '/', '.']);
        let (Some(first), Some(second), Some(third)) = (fields.next(), fields.next(), fields.next()) else {
            return;
        };
        let (day, year_digits) = if first.len() == 4 { (third, first) } else { (first, third) };
        if self.day.is_none() && self.month.is_none() && self.year.is_none() {
            self.day = day.parse().ok();
            self.month = month(second).or_else(|| second.parse().ok());
            self.year = year(year_digits);
        }
    }

    /// `10:00`, `10:00:00`, `10.00.00`, `10:00:00.123` and `10:00:00+0200`.
    fn clock(&mut self, token: &str) {
        let end = token.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.')).unwrap_or(token.len());
        let (clock, rest) = token.split_at(end);
        let mut fields = clock.split([':', '.']).map(|field| field.parse::<u32>().ok());
        let (Some(Some(hour)), Some(Some(minute))) = (fields.next(), fields.next()) else { return };
        let second = match fields.next() {
            // chrono does not represent a leap second; it becomes the second before it.
            Some(Some(second)) => {
                if second == 60 {
                    59
                } else {
                    second
                }
            }
            Some(None) => return,
            None => 0,
        };
        self.time = NaiveTime::from_hms_opt(hour, minute, second);
        if rest.eq_ignore_ascii_case("PM") || rest.eq_ignore_ascii_case("AM") {
            self.half_day(rest);
        } else if !rest.is_empty() {
            self.offset = offset(rest).or_else(|| zone(rest));
        }
    }

    fn half_day(&mut self, token: &str) {
        use chrono::Timelike as _;
        let is_afternoon = token.eq_ignore_ascii_case("PM");
        self.time = self.time.and_then(|time| match (time.hour(), is_afternoon) {
            (12, false) => time.with_hour(0),
            (1..=11, true) => time.with_hour(time.hour() + 12),
            _ => Some(time),
        });
    }

    fn date(&self) -> Option<DateTime<FixedOffset>> {
        let offset = FixedOffset::east_opt(self.offset.unwrap_or(0))?;
        let day = NaiveDate::from_ymd_opt(self.year?, self.month?, self.day?)?;
        offset.from_local_datetime(&day.and_time(self.time?)).single()
    }
}

/// RFC 5322 section 4.3: 00 to 49 are 2000 to 2049, other years of two or three digits count from 1900.
fn year(digits: &str) -> Option<i32> {
    let year: i32 = digits.parse().ok()?;
    match digits.len() {
        1 | 2 if year < 50 => Some(year + 2000),
        1..=3 => Some(year + 1900),
        4 => Some(year),
        _ => None,
    }
}

fn month(text: &str) -> Option<u32> {
    let names = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let start = text.get(..3)?;
    (1..).zip(names).find(|(_, name)| name.eq_ignore_ascii_case(start)).map(|(number, _)| number)
}

/// `+0200`, `-05:00`, `+2`, `-03`.
fn offset(text: &str) -> Option<i32> {
    let (sign, digits) =
        if let Some(rest) = text.strip_prefix('+') { (1, rest) } else { (-1, text.strip_prefix('-')?) };
    let digits: String = digits.chars().filter(|c| *c != ':').take_while(char::is_ascii_digit).collect();
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.parse::<i32>().ok()?, 0),
        3 | 4 => {
            let (hours, minutes) = digits.split_at(digits.len() - 2);
            (hours.parse().ok()?, minutes.parse::<i32>().ok()?)
        }
        _ => return None,
    };
    Some(sign * (hours * 3600 + minutes * 60))
}

/// A named zone, or `GMT+0200`. Military letters other than Z count as UTC (RFC 5322 section 4.3).
fn zone(text: &str) -> Option<i32> {
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let hours = match name.to_ascii_uppercase().as_str() {
        "UT" | "UTC" | "GMT" | "Z" if !rest.is_empty() => return offset(rest),
        "UT" | "UTC" | "GMT" | "Z" | "WET" => 0,
        "EST" => -5,
        "EDT" => -4,
        "CST" => -6,
        "CDT" => -5,
        "MST" => -7,
        "MDT" | "PST" => {
            if name.eq_ignore_ascii_case("MDT") {
                -6
            } else {
                -8
            }
        }
        "PDT" => -7,
        "CET" | "MET" | "BST" | "WEST" => 1,
        "CEST" | "MEST" | "EET" => 2,
        "EEST" | "MSK" => 3,
        "JST" | "KST" => 9,
        _ => return None,
    };
    Some(hours * 3600)
}

/// The text with nested comments removed; an unclosed comment ends it.
fn without_comments(text: &str) -> String {
    let mut depth = 0_u32;
    let mut is_escaped = false;
    text.chars()
        .filter(|c| {
            let is_plain = !std::mem::take(&mut is_escaped);
            match c {
                '\\' if is_plain => is_escaped = true,
                '(' if is_plain => depth += 1,
                ')' if is_plain && depth > 0 => {
                    depth -= 1;
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn dates_are_read_in_all_forms() {
        for (text, expected) in [
            ("Mon, 02 Nov 2026 09:05:07 -0330", "2026-11-02T09:05:07-03:30"),
            ("2 Nov 2026 09:05 +0000", "2026-11-02T09:05:00+00:00"),
            ("Mon,2 Nov 2026 09:05:07 UT", "2026-11-02T09:05:07+00:00"),
            ("Mon, 02 Nov 26 09:05:07 EST (comment)", "2026-11-02T09:05:07-05:00"),
            ("Mon, 2 Nov 126 09:05:07 +0000", "2026-11-02T09:05:07+00:00"),
            ("2 Nov 85 09:05:07 +0000", "1985-11-02T09:05:07+00:00"),
            ("31 Dec 2016 23:59:60 +0000", "2016-12-31T23:59:59+00:00"),
            ("Mon Nov  2 09:05:07 2026", "2026-11-02T09:05:07+00:00"),
            ("Mon Nov  2 09:05:07 PST 2026", "2026-11-02T09:05:07-08:00"),
            ("Mon, Nov 02 2026 09:05:07 -0700", "2026-11-02T09:05:07-07:00"),
            ("Thu, 2 Nov 2026 09:05:07 +0200 (GMT+02:00)", "2026-11-02T09:05:07+02:00"),
            ("2 Nov 2026 09:05:07 GMT+0200", "2026-11-02T09:05:07+02:00"),
            ("2 Nov 2026 09:05:07 UTC-5", "2026-11-02T09:05:07-05:00"),
            ("2 Nov 2026 09:05:07 +02:00", "2026-11-02T09:05:07+02:00"),
            ("2 Nov 2026 09:05:07+0200", "2026-11-02T09:05:07+02:00"),
            ("2 Nov 2026 09.05.07 +0100", "2026-11-02T09:05:07+01:00"),
            ("2026-11-02T09:05:07Z", "2026-11-02T09:05:07+00:00"),
            ("2026-11-02 09:05:07.25+01:00", "2026-11-02T09:05:07+01:00"),
            ("2-Nov-2026 9:05 PM CET", "2026-11-02T21:05:00+01:00"),
            ("Monday, 2nd November 2026 12:05AM", "2026-11-02T00:05:00+00:00"),
            ("2 Nov 2026 09:05:07 K", "2026-11-02T09:05:07+00:00"),
            ("Mon, 2 Nov 2026\r\n 09:05:07 \"GMT\"", "2026-11-02T09:05:07+00:00"),
        ] {
            assert_eq!(date(text).map(|date| date.to_rfc3339()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_text_is_no_date() {
        for text in [
            "",
            "yesterday",
            "30 Feb 2026 09:05:07 +0000",
            "2 Nov 2026 25:05:07 +0000",
            "2 Nov 2026",
            "09:05:07",
            "2 Nov 2026 09:05:07 +9999",
            "2 Foo 2026 09:05:07",
            "é-11-2026 : 19 : 15",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}", near in "([0-9]{0,5}|[-:/ .+T]|Nov|Mon|GMT|PM|é|\\(|\\)|\\\\){0,20}") {
            let _ = (date(&text), date(&near));
        }
    }
}
