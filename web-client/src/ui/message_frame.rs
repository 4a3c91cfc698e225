//! The frame of an HTML message, as high as its content.
//!
//! The visible frame is sandboxed without scripts and without an origin, so the page cannot read its height. A second,
//! invisible frame with the same document and width is measured instead. It has the page's origin and no scripts, and
//! it receives no input.
//!
//! Browsers do not split a frame by its content into printed pages and do not print what scrolls, so for printing the
//! frame gets a width that fits on paper, and the height that its content has in this width.

use std::rc::Rc;

use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{Element, HtmlElement, HtmlIFrameElement, HtmlImageElement, ResizeObserver, Window};
use yew::prelude::*;

/// Height before the document is measured, in pixels.
pub(super) const HEIGHT_INITIAL: i32 = 320;
/// Higher documents scroll inside the frame.
pub(super) const HEIGHT_MAX: i32 = 20_000;
/// Height reserved for a horizontal scroll bar.
const SCROLL_BAR_HEIGHT: i32 = 16;
/// Width in print, in pixels: that of A4 and Letter without margins of 15 mm. Wider documents are scaled down by the
/// browser.
const PRINT_WIDTH: i32 = 680;
/// About 500 pages.
const PRINT_HEIGHT_MAX: i32 = 500_000;

#[derive(Properties, PartialEq)]
pub(super) struct MessageFrameProps {
    pub(super) document: Rc<str>,
    /// Receives the positions of the images that the browser could not draw.
    pub(super) onbroken: Callback<Vec<usize>>,
}

#[component]
pub(super) fn MessageFrame(MessageFrameProps { document, onbroken }: &MessageFrameProps) -> Html {
    let height = use_state_eq(|| HEIGHT_INITIAL);
    let (container, measuring) = (use_node_ref(), use_node_ref());
    let observer = use_mut_ref(|| None::<FrameObserver>);
    let loaded = {
        let (height, container, measuring) = (height.setter(), container.clone(), measuring.clone());
        let onbroken = onbroken.clone();
        Callback::from(move |_: Event| {
            if let (Some(container), Some(frame)) =
                (container.cast::<HtmlElement>(), measuring.cast::<HtmlIFrameElement>())
            {
                onbroken.emit(broken_images(&frame));
                *observer.borrow_mut() = FrameObserver::new(container, frame, height.clone());
            }
        })
    };
    let document = AttrValue::from(document.clone());
    html! {
        <div class="frame" ref={container}>
            <iframe title="Message" srcdoc={document.clone()} referrerpolicy="no-referrer" style={format!("height:{}px", *height)}
                sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>
            <iframe class="measuring" ref={measuring} srcdoc={document} referrerpolicy="no-referrer" sandbox="allow-same-origin"
                aria-hidden="true" tabindex="-1" onload={loaded}></iframe>
        </div>
    }
}

/// The positions of the images without a size, once the document is loaded.
fn broken_images(frame: &HtmlIFrameElement) -> Vec<usize> {
    let images = frame.content_document().and_then(|document| document.query_selector_all("img").ok());
    let Some(images) = images else { return Vec::new() };
    let is_broken = |at: &u32| {
        // Unchecked: the element is an instance of the other document's `HTMLImageElement`.
        images.get(*at).is_some_and(|image| image.unchecked_into::<HtmlImageElement>().natural_width() == 0)
    };
    (0..images.length()).filter(is_broken).map(|at| at as usize).collect()
}

/// Reports the height of a document whenever it changes, and sets the size of the frame before the page is printed.
struct FrameObserver {
    resize: ResizeObserver,
    _changed: Closure<dyn FnMut()>,
    window: Window,
    before_print: Closure<dyn FnMut()>,
}

impl FrameObserver {
    fn new(container: HtmlElement, frame: HtmlIFrameElement, height: UseStateSetter<i32>) -> Option<Self> {
        let window = web_sys::window()?;
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
        let resize = ResizeObserver::new(changed.as_ref().unchecked_ref()).ok()?;
        resize.observe(&root);
        // Fails only for invalid property names.
        let before_print =
            Closure::<dyn FnMut()>::new(move || drop(set_print_size(&container, &frame, &root)));
        window.add_event_listener_with_callback("beforeprint", before_print.as_ref().unchecked_ref()).ok()?;
        Some(Self { resize, _changed: changed, window, before_print })
    }
}

impl Drop for FrameObserver {
    fn drop(&mut self) {
        self.resize.disconnect();
        let listener = self.before_print.as_ref().unchecked_ref();
        let _ = self.window.remove_event_listener_with_callback("beforeprint", listener);
    }
}

/// Measures the document in the width of the paper. The style sheet applies the result in print only.
fn set_print_size(
    container: &HtmlElement,
    frame: &HtmlIFrameElement,
    root: &Element,
) -> Result<(), wasm_bindgen::JsValue> {
    let style = frame.style();
    style.set_property("width", &format!("{PRINT_WIDTH}px"))?;
    let width = root.scroll_width().max(PRINT_WIDTH);
    style.set_property("width", &format!("{width}px"))?;
    let height = root.scroll_height().min(PRINT_HEIGHT_MAX);
    style.remove_property("width")?;
    container.style().set_property("--print-width", &format!("{width}px"))?;
    container.style().set_property("--print-height", &format!("{height}px"))
}
