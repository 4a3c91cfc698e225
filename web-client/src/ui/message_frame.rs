//! The frame of an HTML message, as high as its content.
//!
//! The visible frame is sandboxed without scripts and without an origin, so the page cannot read its height. A second,
//! invisible frame with the same document and width is measured instead. It has the page's origin and no scripts, and
//! it receives no input.

use std::rc::Rc;

use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{HtmlElement, HtmlIFrameElement, ResizeObserver};
use yew::prelude::*;

/// Height before the document is measured, in pixels.
const HEIGHT_INITIAL: i32 = 320;
/// Higher documents scroll inside the frame.
const HEIGHT_MAX: i32 = 20_000;
/// Height reserved for a horizontal scroll bar.
const SCROLL_BAR_HEIGHT: i32 = 16;

#[derive(Properties, PartialEq)]
pub(super) struct MessageFrameProps {
    pub(super) document: Rc<str>,
}

#[component]
pub(super) fn MessageFrame(MessageFrameProps { document }: &MessageFrameProps) -> Html {
    let height = use_state_eq(|| HEIGHT_INITIAL);
    let measuring = use_node_ref();
    let observer = use_mut_ref(|| None::<HeightObserver>);
    let loaded = {
        let (height, measuring) = (height.setter(), measuring.clone());
        Callback::from(move |_: Event| {
            let frame = measuring.cast::<HtmlIFrameElement>();
            *observer.borrow_mut() = frame.and_then(|frame| HeightObserver::new(&frame, height.clone()));
        })
    };
    let document = AttrValue::from(document.clone());
    html! {
        <div class="frame">
            <iframe title="Message" srcdoc={document.clone()} referrerpolicy="no-referrer" style={format!("height:{}px", *height)}
                sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>
            <iframe class="measuring" ref={measuring} srcdoc={document} referrerpolicy="no-referrer" sandbox="allow-same-origin"
                aria-hidden="true" tabindex="-1" onload={loaded}></iframe>
        </div>
    }
}

/// Reports the height of a document whenever it changes.
struct HeightObserver {
    observer: ResizeObserver,
    _changed: Closure<dyn FnMut()>,
}

impl HeightObserver {
    fn new(frame: &HtmlIFrameElement, height: UseStateSetter<i32>) -> Option<Self> {
        // Unchecked: the element is an instance of the other document's `HTMLElement`.
        let root: HtmlElement = frame.content_document()?.document_element()?.unchecked_into();
        // The measuring frame has no height, and a scroll bar would reduce its width.
        root.style().set_property("overflow", "hidden").ok()?;
        let changed = Closure::<dyn FnMut()>::new({
            let root = root.clone();
            move || {
                let bar = if root.scroll_width() > root.client_width() { SCROLL_BAR_HEIGHT } else { 0 };
                height.set((root.scroll_height() + bar).min(HEIGHT_MAX));
            }
        });
        let observer = ResizeObserver::new(changed.as_ref().unchecked_ref()).ok()?;
        observer.observe(&root);
        Some(Self { observer, _changed: changed })
    }
}

impl Drop for HeightObserver {
    fn drop(&mut self) {
        self.observer.disconnect();
    }
}
