//! Gestures on the message list: swipe a row to the left to delete it, to the right to mark it as read or unread; pull the
//! list down to check for mail.
//!
//! The style sheet leaves only vertical gestures to the browser (`touch-action`).

use std::cell::RefCell;
use std::rc::Rc;

use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{Element, Event, HtmlElement};
use yew::prelude::*;

use super::element_ids::ROW_PREFIX;
use crate::control::Control;
use crate::platform::js;

/// Movement after which a gesture has a direction, in CSS pixels.
const DIRECTION_MIN: f64 = 10.0;
/// Movement after which a swipe acts.
const SWIPE_MIN: f64 = 96.0;
/// Movement after which a pull acts.
const PULL_MIN: f64 = 80.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Swipe,
    Pull,
    /// The browser scrolls.
    Scroll,
}

struct Gesture {
    start: (f64, f64),
    moved: (f64, f64),
    direction: Option<Direction>,
    row: Option<HtmlElement>,
    at_top: bool,
}

/// Adds the gestures to the element of the list.
#[hook]
pub(super) fn use_gestures(node: &NodeRef) {
    let control = use_context::<Control>().expect("the app provides the control");
    let node = node.clone();
    use_effect_with((), move |()| {
        let list = node.cast::<HtmlElement>();
        let listeners = list.map(|list| listen(&list, &control));
        move || drop(listeners)
    });
}

type Listener = Closure<dyn Fn(Event)>;

fn listen(list: &HtmlElement, control: &Control) -> Vec<Listener> {
    let gesture = Rc::new(RefCell::new(None::<Gesture>));
    let begin = {
        let (list, gesture) = (list.clone(), gesture.clone());
        move |event: Event| *gesture.borrow_mut() = begin(&list, &event)
    };
    let advance = {
        let (list, gesture) = (list.clone(), gesture.clone());
        move |event: Event| {
            if let Some(gesture) = &mut *gesture.borrow_mut() {
                advance(&list, gesture, &event);
            }
        }
    };
    let end = {
        let (list, gesture, control) = (list.clone(), gesture.clone(), control.clone());
        move |_: Event| {
            if let Some(gesture) = gesture.take() {
                reset(&list, &gesture);
                act(&control, &gesture);
            }
        }
    };
    let cancel = {
        let list = list.clone();
        move |_: Event| {
            if let Some(gesture) = gesture.take() {
                reset(&list, &gesture);
            }
        }
    };
    let add = |name: &str, act: Box<dyn Fn(Event)>| {
        let closure = Listener::wrap(act);
        let _ = list.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
        closure
    };
    vec![
        add("touchstart", Box::new(begin)),
        add("touchmove", Box::new(advance)),
        add("touchend", Box::new(end)),
        add("touchcancel", Box::new(cancel)),
    ]
}

fn begin(list: &HtmlElement, event: &Event) -> Option<Gesture> {
    let start = point(event)?;
    let target = event.target()?.dyn_into::<Element>().ok()?;
    let row = target.closest(".row").ok().flatten().and_then(|row| row.dyn_into().ok());
    Some(Gesture { start, moved: (0.0, 0.0), direction: None, row, at_top: list.scroll_top() == 0 })
}

fn advance(list: &HtmlElement, gesture: &mut Gesture, event: &Event) {
    let Some((x, y)) = point(event) else { return };
    let (across, down) = (x - gesture.start.0, y - gesture.start.1);
    gesture.moved = (across, down);
    if gesture.direction.is_none() && across.abs().max(down.abs()) > DIRECTION_MIN {
        gesture.direction = Some(match across.abs() > down.abs() {
            true if gesture.row.is_some() => Direction::Swipe,
            false if gesture.at_top && down > 0.0 => Direction::Pull,
            _ => Direction::Scroll,
        });
    }
    match gesture.direction {
        Some(Direction::Swipe) => {
            if let Some(row) = &gesture.row {
                let class = if across < 0.0 { "swipe-delete" } else { "swipe-read" };
                let acts = if across.abs() > SWIPE_MIN { " acts" } else { "" };
                row.set_class_name(&format!("{} {class}{acts}", base_class(row)));
                let _ = row.style().set_property("--swipe", &format!("{across}px"));
            }
        }
        Some(Direction::Pull) => {
            let _ = list.style().set_property("--pull", &format!("{}px", (down / 2.0).clamp(0.0, 48.0)));
        }
        _ => {}
    }
}

fn reset(list: &HtmlElement, gesture: &Gesture) {
    if let Some(row) = &gesture.row {
        row.set_class_name(&base_class(row));
        let _ = row.style().remove_property("--swipe");
    }
    let _ = list.style().remove_property("--pull");
}

fn act(control: &Control, gesture: &Gesture) {
    let (across, down) = gesture.moved;
    match (gesture.direction, &gesture.row) {
        (Some(Direction::Swipe), Some(row)) if across.abs() > SWIPE_MIN => {
            let button = row.query_selector(".open").ok().flatten();
            let id = button.and_then(|button| button.id().strip_prefix(ROW_PREFIX).map(str::to_owned));
            let Some(id) = id else { return };
            if across < 0.0 {
                control.remove(&[id]);
            } else {
                let is_read = row.class_list().contains("unread");
                control.set_read(&[id], is_read);
            }
        }
        (Some(Direction::Pull), _) if down > PULL_MIN => control.synchronize(),
        _ => {}
    }
}

/// The classes of a row without those of a gesture.
fn base_class(row: &HtmlElement) -> String {
    let classes = row.class_name();
    let is_own = |class: &&str| !matches!(*class, "swipe-delete" | "swipe-read" | "acts");
    classes.split_whitespace().filter(is_own).collect::<Vec<_>>().join(" ")
}

fn point(event: &Event) -> Option<(f64, f64)> {
    let touches = js::property(event, "touches")?;
    if js::property(&touches, "length")?.as_f64()? != 1.0 {
        return None;
    }
    let touch = js::property(&touches, "0")?;
    Some((js::property(&touch, "clientX")?.as_f64()?, js::property(&touch, "clientY")?.as_f64()?))
}
