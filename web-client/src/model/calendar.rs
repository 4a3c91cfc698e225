//! The events of an iCalendar file (RFC 5545), as a card.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use super::content_lines::{self, ContentLine};

/// Events that are shown.
const EVENTS_MAX: usize = 5;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) summary: String,
    pub(crate) start: Option<EventTime>,
    pub(crate) end: Option<EventTime>,
    pub(crate) location: String,
    pub(crate) organizer: String,
    pub(crate) is_cancelled: bool,
    pub(crate) repeats: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventTime {
    /// A whole day.
    Day(NaiveDate),
    Utc(DateTime<Utc>),
    /// In a time zone, which may be empty.
    Local(NaiveDateTime, String),
}

pub(crate) fn events(text: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let mut open: Option<Event> = None;
    // Alarms inside an event.
    let mut nested = 0;
    let mut is_cancelled = false;
    for line in content_lines::parse(text) {
        let value = line.value.trim();
        match (line.name.as_str(), &mut open) {
            ("METHOD", None) => is_cancelled = value.eq_ignore_ascii_case("CANCEL"),
            ("BEGIN", None) if value.eq_ignore_ascii_case("VEVENT") => {
                open = Some(Event { is_cancelled, ..Event::default() });
            }
            ("BEGIN", Some(_)) => nested += 1,
            ("END", Some(_)) if nested > 0 => nested -= 1,
            ("END", Some(_)) => {
                events.extend(open.take());
                if events.len() == EVENTS_MAX {
                    return events;
                }
            }
            (_, Some(event)) if nested == 0 => property(event, &line),
            _ => {}
        }
    }
    events
}

fn property(event: &mut Event, line: &ContentLine) {
    match line.name.as_str() {
        "SUMMARY" => event.summary = line.text(),
        "LOCATION" => event.location = line.text(),
        "DTSTART" => event.start = time(line),
        "DTEND" => event.end = time(line),
        "RRULE" => event.repeats = true,
        "STATUS" => event.is_cancelled |= line.value.eq_ignore_ascii_case("CANCELLED"),
        "ORGANIZER" => {
            let address = line.value.trim();
            let address = match address.split_at_checked(7) {
                Some((scheme, rest)) if scheme.eq_ignore_ascii_case("mailto:") => rest,
                _ => address,
            };
            event.organizer = line.parameter("CN").unwrap_or(address).to_owned();
        }
        _ => {}
    }
}

fn time(line: &ContentLine) -> Option<EventTime> {
    let value = line.value.trim();
    if let Ok(day) = NaiveDate::parse_from_str(value, "%Y%m%d") {
        return Some(EventTime::Day(day));
    }
    let (value, is_utc) = value.strip_suffix('Z').map_or((value, false), |value| (value, true));
    let time = NaiveDateTime::parse_from_str(value, "%Y%m%dT%H%M%S").ok()?;
    Some(match is_utc {
        true => EventTime::Utc(time.and_utc()),
        false => EventTime::Local(time, line.parameter("TZID").unwrap_or_default().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn events_are_read() {
        let events = events(
            "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VTIMEZONE\r\nDTSTART:19700101T000000\r\nEND:VTIMEZONE\r\n\
             BEGIN:VEVENT\r\nSUMMARY:Lunch\\, long\r\nDTSTART;TZID=Asia/Kolkata:20261122T120000\r\nDTEND:20261122T073000Z\r\n\
             LOCATION:Canteen\r\nORGANIZER;CN=\"Ag Mitra\":MAILTO:ag@iit.edu\r\nRRULE:FREQ=DAILY\r\n\
             BEGIN:VALARM\r\nSUMMARY:alarm\r\nEND:VALARM\r\nEND:VEVENT\r\n\
             BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261123\r\nSTATUS:CANCELLED\r\nORGANIZER:mailto:b@iit.edu\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        );
        let [lunch, day] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((lunch.summary.as_str(), lunch.location.as_str()), ("Lunch, long", "Canteen"));
        assert_eq!(lunch.organizer, "Ag Mitra");
        let noon = NaiveDate::from_ymd_opt(2026, 11, 22).unwrap().and_hms_opt(12, 0, 0).unwrap();
        assert_eq!(lunch.start, Some(EventTime::Local(noon, "Asia/Kolkata".to_owned())));
        assert!(matches!(lunch.end, Some(EventTime::Utc(_))) && lunch.repeats && !lunch.is_cancelled);
        assert_eq!(day.start, NaiveDate::from_ymd_opt(2026, 11, 23).map(EventTime::Day));
        assert!(day.is_cancelled);
        assert_eq!(day.organizer, "b@iit.edu");
    }

    #[test]
    fn other_files_have_no_events() {
        for text in ["", "BEGIN:VCARD\r\nEND:VCARD", "BEGIN:VEVENT\r\nSUMMARY:x"] {
            assert_eq!(events(text), [], "{text}");
        }
        assert_eq!(events(&"BEGIN:VEVENT\nEND:VEVENT\n".repeat(100)).len(), EVENTS_MAX);
    }
}
