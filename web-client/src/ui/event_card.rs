//! The events of an attached calendar file.

use std::rc::Rc;

use mail_core::message::printable::printable_line;
use yew::prelude::*;

use crate::model::calendar::{Event, EventTime, events};
use crate::model::fetched_message::FetchedMessage;
use crate::platform::dates;
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct EventCardProps {
    pub(super) message: Rc<FetchedMessage>,
    /// Index of the attachment.
    pub(super) index: usize,
}

#[component]
pub(super) fn EventCard(EventCardProps { message, index }: &EventCardProps) -> Html {
    let events = use_memo((message.clone(), *index), |(message, index)| {
        let file = message.parsed.attachments.get(*index);
        file.map(|file| events(&String::from_utf8_lossy(&file.bytes))).unwrap_or_default()
    });
    html! { <>{ for events.iter().map(card) }</> }
}

fn card(event: &Event) -> Html {
    let line = |text: &str| printable_line(text).into_owned();
    let title = if event.summary.is_empty() { strings::EVENT.to_owned() } else { line(&event.summary) };
    html! {
        <section class="event-card" aria-label={strings::EVENT}>
            <h3 dir="auto">{ title }</h3>
            if event.is_cancelled { <p class="error">{ strings::THIS_EVENT_IS_CANCELLED }</p> }
            if let Some(start) = &event.start {
                <p>{ period(start, event.end.as_ref()) }if event.repeats { { strings::REPEATS_SUFFIX } }</p>
            }
            if !event.location.is_empty() { <p dir="auto">{ line(&event.location) }</p> }
            if !event.organizer.is_empty() { <p class="secondary">{ strings::ORGANIZER_PREFIX }<bdi>{ line(&event.organizer) }</bdi></p> }
        </section>
    }
}

fn period(start: &EventTime, end: Option<&EventTime>) -> String {
    match (start, end) {
        (EventTime::Day(day), Some(EventTime::Day(end))) => {
            // The end of whole days is the day after the last one.
            let last = end.pred_opt().filter(|last| last > day);
            last.map_or_else(
                || dates::day(*day),
                |last| strings::period(&dates::day(*day), &dates::day(last)),
            )
        }
        (start, Some(end)) => strings::period(&time(start), &time(end)),
        (start, None) => time(start),
    }
}

fn time(time: &EventTime) -> String {
    match time {
        EventTime::Day(day) => dates::day(*day),
        EventTime::Utc(time) => dates::date_and_time(*time),
        EventTime::Local(time, zone) => {
            let text = dates::floating_date_and_time(*time);
            if zone.is_empty() { text } else { format!("{text} ({})", printable_line(zone)) }
        }
    }
}
