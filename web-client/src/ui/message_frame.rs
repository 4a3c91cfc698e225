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

use super::frame_fit::{BORDERS, Fit, Sizing};

/// Attempts to find the width of a document whose content grows with it.
const MEASUREMENTS_MAX: u32 = 3;
/// Width in print, in pixels: that of A4 and Letter without margins of 15 mm. Wider documents are scaled down by the
/// browser.
const PRINT_WIDTH: i32 = 680;
/// About 500 pages.
const PRINT_HEIGHT_MAX: i32 = 500_000;

#[derive(Properties, PartialEq)]
pub(super) struct MessageFrameProps {
    pub(super) document: Rc<str>,
    /// The document has the colours of the page.
    pub(super) is_themed: bool,
    #[prop_or(Sizing::Fitted)]
    pub(super) sizing: Sizing,
    /// Receives the positions of the images that the browser could not draw.
    pub(super) onbroken: Callback<Vec<usize>>,
}

#[component]
pub(super) fn MessageFrame(props: &MessageFrameProps) -> Html {
    let MessageFrameProps { document, is_themed, sizing, onbroken } = props;
    let fit = use_state_eq(|| None::<Fit>);
    let (space, container, measuring) = (use_node_ref(), use_node_ref(), use_node_ref());
    let observer = use_mut_ref(|| None::<FrameObserver>);
    let loaded = {
        let (fit, space, container) = (fit.setter(), space.clone(), container.clone());
        let (measuring, onbroken, sizing) = (measuring.clone(), onbroken.clone(), *sizing);
        Callback::from(move |_: Event| {
            if let (Some(space), Some(container), Some(frame)) = (
                space.cast::<HtmlElement>(),
                container.cast::<HtmlElement>(),
                measuring.cast::<HtmlIFrameElement>(),
            ) {
                onbroken.emit(broken_images(&frame));
                *observer.borrow_mut() = FrameObserver::new(space, container, frame, sizing, fit.clone());
            }
        })
    };
    let document = AttrValue::from(document.clone());
    html! {
        <div class="frame-space" ref={space}>
            <div class={classes!("frame", is_themed.then_some("themed"))} ref={container} style={Fit::container_style(*fit)}>
                <iframe title="Message" srcdoc={document.clone()} referrerpolicy="no-referrer" style={Fit::document_style(*fit)}
                    sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>
                <iframe class="measuring" ref={measuring} srcdoc={document} referrerpolicy="no-referrer" sandbox="allow-same-origin"
                    aria-hidden="true" tabindex="-1" onload={loaded}></iframe>
            </div>
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

/// Reports the size of a document whenever it or the space for it changes, and sets the size of the frame before the page
/// is printed.
struct FrameObserver {
    resize: ResizeObserver,
    _changed: Closure<dyn FnMut()>,
    window: Window,
    before_print: Closure<dyn FnMut()>,
}

impl FrameObserver {
    fn new(
        space: HtmlElement,
        container: HtmlElement,
        frame: HtmlIFrameElement,
        sizing: Sizing,
        fit: UseStateSetter<Option<Fit>>,
    ) -> Option<Self> {
        let window = web_sys::window()?;
        // Unchecked: the element is an instance of the other document's `HTMLElement`.
        let root: HtmlElement = frame.content_document()?.document_element()?.unchecked_into();
        // The measuring frame has no height, and a scroll bar would reduce its width.
        root.style().set_property("overflow", "hidden").ok()?;
        let changed = Closure::<dyn FnMut()>::new({
            let (root, frame, space) = (root.clone(), frame.clone(), space.clone());
            move || {
                if let Some(measured) = measure(&space, &frame, &root, sizing) {
                    fit.set(Some(measured));
                }
            }
        });
        let resize = ResizeObserver::new(changed.as_ref().unchecked_ref()).ok()?;
        resize.observe(&root);
        resize.observe(&space);
        // Fails only for invalid property names.
        let before_print =
            Closure::<dyn FnMut()>::new(move || drop(set_print_size(&container, &frame, &root)));
        window.add_event_listener_with_callback("beforeprint", before_print.as_ref().unchecked_ref()).ok()?;
        Some(Self { resize, _changed: changed, window, before_print })
    }
}

/// Lays the document out in the width that it needs. `None` while the pane is hidden, and in print, where the document is not measured.
fn measure(
    space: &HtmlElement,
    frame: &HtmlIFrameElement,
    root: &HtmlElement,
    sizing: Sizing,
) -> Option<Fit> {
    let available = space.client_width() - BORDERS;
    if available <= 0 || root.scroll_height() == 0 {
        return None;
    }
    let mut width = sizing.first_width(available);
    for _ in 0..MEASUREMENTS_MAX {
        frame.style().set_property("width", &format!("{width}px")).ok()?;
        let next = sizing.next_width(available, width, root.scroll_width());
        if next == width {
            break;
        }
        width = next;
    }
    frame.style().set_property("width", &format!("{width}px")).ok()?;
    Some(Fit::new(available, width, (root.scroll_width(), root.scroll_height())))
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
    let shown = style.get_property_value("width")?;
    style.set_property("width", &format!("{PRINT_WIDTH}px"))?;
    let width = root.scroll_width().max(PRINT_WIDTH);
    style.set_property("width", &format!("{width}px"))?;
    let height = root.scroll_height().min(PRINT_HEIGHT_MAX);
    style.set_property("width", &shown)?;
    container.style().set_property("--print-width", &format!("{width}px"))?;
    container.style().set_property("--print-height", &format!("{height}px"))
}
