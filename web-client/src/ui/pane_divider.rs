//! The divider between the message list and the reader. Dragging it, or the arrow keys, change the width of the list.

use web_sys::{Element, HtmlElement, PointerEvent};
use yew::prelude::*;

use crate::control::Control;
use crate::model::settings::{LIST_WIDTH_DEFAULT, LIST_WIDTH_MAX, LIST_WIDTH_MIN};

/// Pixels of an arrow key.
const STEP: u32 = 16;

#[derive(Properties, PartialEq)]
pub(super) struct PaneDividerProps {
    /// Width of the list in pixels.
    pub(super) width: u32,
    /// Receives the width while the divider is moved; the settings have it afterwards.
    pub(super) onmove: Callback<u32>,
}

#[component]
pub(super) fn PaneDivider(PaneDividerProps { width, onmove }: &PaneDividerProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let node = use_node_ref();
    // The distance between the pointer and the width, while the divider is dragged.
    let offset = use_mut_ref(|| None::<i32>);
    let width = *width;
    let pointerdown = {
        let (node, offset) = (node.clone(), offset.clone());
        Callback::from(move |event: PointerEvent| {
            if event.button() != 0 {
                return;
            }
            *offset.borrow_mut() = Some(event.client_x() - width.cast_signed());
            if let Some(divider) = node.cast::<Element>() {
                // Without it, a fast pointer leaves the divider behind.
                let _ = divider.set_pointer_capture(event.pointer_id());
            }
            event.prevent_default();
            if let Some(divider) = node.cast::<HtmlElement>() {
                let _ = divider.focus();
            }
        })
    };
    let pointermove = {
        let (offset, onmove) = (offset.clone(), onmove.clone());
        Callback::from(move |event: PointerEvent| {
            if let Some(offset) = *offset.borrow() {
                onmove.emit(clamped(event.client_x() - offset));
            }
        })
    };
    let pointerup = {
        let control = control.clone();
        Callback::from(move |_: PointerEvent| {
            if offset.take().is_some() {
                control.set_list_width(width);
            }
        })
    };
    let keydown = {
        let control = control.clone();
        Callback::from(move |event: KeyboardEvent| {
            let width = match event.key().as_str() {
                "ArrowLeft" => width.saturating_sub(STEP).max(LIST_WIDTH_MIN),
                "ArrowRight" => (width + STEP).min(LIST_WIDTH_MAX),
                "Home" => LIST_WIDTH_MIN,
                "End" => LIST_WIDTH_MAX,
                _ => return,
            };
            event.prevent_default();
            event.stop_propagation();
            control.set_list_width(width);
        })
    };
    let reset = Callback::from(move |_: MouseEvent| control.set_list_width(LIST_WIDTH_DEFAULT));
    html! {
        <div class="divider" ref={node} role="separator" tabindex="0" aria-orientation="vertical" aria-label="Width of the list"
            aria-valuemin={LIST_WIDTH_MIN.to_string()} aria-valuemax={LIST_WIDTH_MAX.to_string()}
            aria-valuenow={width.to_string()} title="Drag to resize. Double-click to reset."
            onpointerdown={pointerdown} onpointermove={pointermove} onpointerup={pointerup.clone()}
            onpointercancel={pointerup} onkeydown={keydown} ondblclick={reset}></div>
    }
}

fn clamped(width: i32) -> u32 {
    u32::try_from(width).unwrap_or_default().clamp(LIST_WIDTH_MIN, LIST_WIDTH_MAX)
}
