//! Dates and times in the language and the time zone of the browser (ECMA-402, `Intl.DateTimeFormat`).

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use js_sys::{Array, Date, Function, Intl};
use wasm_bindgen::JsValue;

use super::{clock, js};
use crate::model::format::ListDate;
use crate::strings;

/// Creating a format is slow.
struct Formats {
    time: Function,
    day: Function,
    day_of_year: Function,
    date_and_time: Function,
}

thread_local! {
    static FORMATS: Formats = Formats::new(&Array::new());
}

impl Formats {
    /// In the first of these languages that the browser has; without any, in that of the browser.
    fn new(languages: &Array) -> Self {
        let [short, medium] = ["short", "medium"].map(JsValue::from);
        let format = |options| Intl::DateTimeFormat::new(languages, &options).format();
        Self {
            time: format(js::object([("timeStyle", short.clone())])),
            day: format(js::object([("dateStyle", medium.clone())])),
            day_of_year: format(js::object([("day", "numeric".into()), ("month", short.clone())])),
            date_and_time: format(js::object([("dateStyle", medium), ("timeStyle", short)])),
        }
    }
}

fn formatted(format: &Function, at: DateTime<Utc>) -> String {
    #[expect(clippy::cast_precision_loss, reason = "realistic dates are exact in a double")]
    let date = Date::new(&JsValue::from_f64(at.timestamp_millis() as f64));
    // Only dates in the distant future or past are refused.
    let text = format.call1(&JsValue::UNDEFINED, &date).ok().and_then(|text| text.as_string());
    text.unwrap_or_else(|| at.to_string())
}

/// For a list row: `7:15 PM` today, `Yesterday`, `Nov 20` this year, `Nov 20, 2025` before. In a group of a day, the time.
pub(crate) fn list_date(at: DateTime<Utc>, now: DateTime<FixedOffset>, is_grouped: bool) -> String {
    FORMATS.with(|formats| match ListDate::of(clock::local(at), now, is_grouped) {
        ListDate::Time => formatted(&formats.time, at),
        ListDate::Yesterday => strings::YESTERDAY.to_owned(),
        ListDate::DayOfYear => formatted(&formats.day_of_year, at),
        ListDate::Day => formatted(&formats.day, at),
    })
}

/// `Nov 22, 2026, 7:15 PM`
pub(crate) fn date_and_time(at: DateTime<Utc>) -> String {
    FORMATS.with(|formats| formatted(&formats.date_and_time, at))
}

/// `7:15 PM`
pub(crate) fn time(at: DateTime<Utc>) -> String {
    FORMATS.with(|formats| formatted(&formats.time, at))
}

/// The time of today, or the date and time.
pub(crate) fn time_or_date(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let is_today = clock::local(at).date_naive() == clock::local(now).date_naive();
    if is_today { time(at) } else { date_and_time(at) }
}

/// `Nov 22, 2026`
pub(crate) fn day(day: NaiveDate) -> String {
    // Noon exists on every day.
    let noon = NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default();
    FORMATS.with(|formats| formatted(&formats.day, clock::from_local(day.and_time(noon))))
}

/// As [`date_and_time`], of a time that is the same in every time zone.
pub(crate) fn floating_date_and_time(at: NaiveDateTime) -> String {
    date_and_time(clock::from_local(at))
}

/// JavaScript values exist on WebAssembly only.
#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn dates_follow_the_language() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 22).and_then(|day| day.and_hms_opt(19, 15, 0));
        let at = clock::from_local(date.unwrap());
        let texts = |language: &str| {
            let formats = Formats::new(&Array::of1(&language.into()));
            let Formats { time, day, day_of_year, date_and_time } = &formats;
            // The separators depend on the version of the language data.
            [time, day, day_of_year, date_and_time]
                .map(|format| formatted(format, at).replace(['\u{202f}', '\u{a0}'], " "))
        };
        assert_eq!(texts("en-US"), ["7:15 PM", "Nov 22, 2026", "Nov 22", "Nov 22, 2026, 7:15 PM"]);
        assert_eq!(texts("de"), ["19:15", "22.11.2026", "22. Nov.", "22.11.2026, 19:15"]);
        assert_eq!(day(at.date_naive()), FORMATS.with(|formats| formatted(&formats.day, at)));
    }
}
