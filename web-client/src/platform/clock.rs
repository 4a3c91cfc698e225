//! Time, time zone and random numbers.

use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _, Utc};
use js_sys::Date;
use wasm_bindgen::JsValue;

pub(crate) fn now() -> DateTime<Utc> {
    // A double represents milliseconds exactly for any realistic date.
    #[expect(clippy::cast_possible_truncation, reason = "the float-to-int cast saturates")]
    let milliseconds = Date::now() as i64;
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}

/// Converts to local time, with the UTC offset of that date.
pub(crate) fn local(at: DateTime<Utc>) -> DateTime<FixedOffset> {
    #[expect(clippy::cast_precision_loss, reason = "realistic dates are exact in a double")]
    let date = Date::new(&JsValue::from_f64(at.timestamp_millis() as f64));
    #[expect(clippy::cast_possible_truncation, reason = "an offset is a whole number of minutes")]
    let seconds_east = -(date.get_timezone_offset() * 60.0) as i32;
    match FixedOffset::east_opt(seconds_east) {
        Some(zone) => at.with_timezone(&zone),
        None => at.fixed_offset(),
    }
}

/// The time at which a day starts in the local time zone.
pub(crate) fn midnight(date: NaiveDate) -> DateTime<Utc> {
    from_local(date.and_time(NaiveTime::MIN))
}

/// A date and time in the local time zone, to the minute.
pub(crate) fn from_local(at: NaiveDateTime) -> DateTime<Utc> {
    let [month, day, hour, minute] = [at.month0(), at.day(), at.hour(), at.minute()];
    let [month, day, hour, minute] =
        [month, day, hour, minute].map(|number| i32::try_from(number).unwrap_or_default());
    let at = Date::new_with_year_month_day_hr_min(at.year().unsigned_abs(), month, day, hour, minute);
    #[expect(clippy::cast_possible_truncation, reason = "the float-to-int cast saturates")]
    let milliseconds = at.get_time() as i64;
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}

/// A random number, practically unique.
pub(crate) fn random() -> u128 {
    let mut octets = [0; 16];
    let crypto = web_sys::window().and_then(|window| window.crypto().ok());
    let filled = crypto.is_some_and(|crypto| crypto.get_random_values_with_u8_array(&mut octets).is_ok());
    if filled {
        return u128::from_le_bytes(octets);
    }
    // Uniqueness suffices: draft ids and Message-IDs are not secret.
    u128::from(Date::now().to_bits()) << 64 | u128::from(js_sys::Math::random().to_bits())
}
