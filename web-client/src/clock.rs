//! The browser's clock, time zone and randomness.

use chrono::{DateTime, FixedOffset, Utc};
use js_sys::Date;
use wasm_bindgen::JsValue;

pub(crate) fn now() -> DateTime<Utc> {
    // A double holds milliseconds of any year that a clock shows.
    #[expect(clippy::cast_possible_truncation, reason = "the float-to-int cast saturates")]
    let milliseconds = Date::now() as i64;
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}

/// The time by the clock on the wall here, on that day.
pub(crate) fn local(at: DateTime<Utc>) -> DateTime<FixedOffset> {
    #[expect(clippy::cast_precision_loss, reason = "the years in question are exact in a double")]
    let date = Date::new(&JsValue::from_f64(at.timestamp_millis() as f64));
    #[expect(clippy::cast_possible_truncation, reason = "an offset is a whole number of minutes")]
    let seconds_east = -(date.get_timezone_offset() * 60.0) as i32;
    match FixedOffset::east_opt(seconds_east) {
        Some(zone) => at.with_timezone(&zone),
        None => at.fixed_offset(),
    }
}

/// A number that nobody uses twice.
pub(crate) fn random() -> u128 {
    let mut octets = [0; 16];
    let crypto = web_sys::window().and_then(|window| window.crypto().ok());
    let drawn = crypto.is_some_and(|crypto| crypto.get_random_values_with_u8_array(&mut octets).is_ok());
    if drawn {
        return u128::from_le_bytes(octets);
    }
    // A browser without it still has these two, and a Message-ID is no secret.
    u128::from(Date::now().to_bits()) << 64 | u128::from(js_sys::Math::random().to_bits())
}
