//! The frame of an HTML mail, as high as what it holds.
//!
//! The frame that is looked at is a stranger to the page: it runs no script and has no origin, so that the page cannot
//! ask it for its height. A second one holds the same document at the same width to be measured. It is of the page's
//! origin and runs no script either; nobody sees it or can press anything in it.

use std::rc::Rc;

use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{HtmlElement, HtmlIFrameElement, ResizeObserver};
use yew::prelude::*;

/// Until the document has been measured, in pixels.
const HEIGHT_AT_FIRST: i32 = 320;
/// What is higher scrolls inside: a mail may claim any height.
const HEIGHT_MAX: i32 = 20_000;
/// What a horizontal scroll bar may take.
const SCROLL_BAR: i32 = 16;

#[derive(Properties, PartialEq)]
pub(super) struct Props {
    pub(super) document: Rc<str>,
}

#[component]
pub(super) fn Frame(Props { document }: &Props) -> Html {
    let height = use_state_eq(|| HEIGHT_AT_FIRST);
    let measured = use_node_ref();
    let watch = use_mut_ref(|| None::<Watch>);
    let loaded = {
        let (height, measured) = (height.setter(), measured.clone());
        Callback::from(move |_: Event| {
            let frame = measured.cast::<HtmlIFrameElement>();
            *watch.borrow_mut() = frame.and_then(|frame| Watch::new(&frame, height.clone()));
        })
    };
    let document = AttrValue::from(document.clone());
    html! {
        <div class="frame">
            <iframe title="Message" srcdoc={document.clone()} referrerpolicy="no-referrer" style={format!("height:{}px", *height)}
                sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>
            <iframe class="measured" ref={measured} srcdoc={document} referrerpolicy="no-referrer" sandbox="allow-same-origin"
                aria-hidden="true" tabindex="-1" onload={loaded}></iframe>
        </div>
    }
}

/// Tells of a document's height whenever it changes, for as long as this lives.
struct Watch {
    observer: ResizeObserver,
    _changed: Closure<dyn FnMut()>,
}

impl Watch {
    fn new(frame: &HtmlIFrameElement, height: UseStateSetter<i32>) -> Option<Self> {
        // Of another document's own kind of HTMLElement, which the page's is not.
        let root: HtmlElement = frame.content_document()?.document_element()?.unchecked_into();
        // The frame has no height of its own, and a scroll bar would take some of its width.
        root.style().set_property("overflow", "hidden").ok()?;
        let changed = Closure::<dyn FnMut()>::new({
            let root = root.clone();
            move || {
                let bar = if root.scroll_width() > root.client_width() { SCROLL_BAR } else { 0 };
                height.set((root.scroll_height() + bar).min(HEIGHT_MAX));
            }
        });
        let observer = ResizeObserver::new(changed.as_ref().unchecked_ref()).ok()?;
        observer.observe(&root);
        Some(Self { observer, _changed: changed })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.observer.disconnect();
    }
}
