//! The frame of an HTML message with its remote images.
//!
//! The document is shown by `/frame.html`, whose policy allows images of other hosts. It has no origin, so the page sends the
//! document as a message. The only script of the frame reports the height.

use std::cell::Cell;
use std::rc::Rc;

use mail_core::time::Duration;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{HtmlElement, HtmlIFrameElement, MessageEvent, Window};
use yew::platform::spawn_local;
use yew::platform::time::sleep;
use yew::prelude::*;

use super::frame_fit::{BORDERS, Fit, HEIGHT_MAX, Sizing};
use crate::platform::js;

/// Time for the frame to load. It is small, but it is not available offline.
const LOAD_TIMEOUT: Duration = Duration::from_secs(3);
/// Positions of broken images that the page accepts.
const BROKEN_MAX: u32 = 10_000;

#[derive(Properties, PartialEq)]
pub(super) struct RemoteImagesFrameProps {
    pub(super) document: Rc<str>,
    /// The document has the colours of the page.
    pub(super) is_themed: bool,
    /// Receives the positions of the images that the browser could not draw.
    pub(super) onbroken: Callback<Vec<usize>>,
    /// The frame could not be loaded.
    pub(super) onfailed: Callback<()>,
}

#[component]
pub(super) fn RemoteImagesFrame(props: &RemoteImagesFrameProps) -> Html {
    let RemoteImagesFrameProps { document, is_themed, onbroken, onfailed } = props;
    let reported = use_memo((), |()| Cell::new(false));
    {
        let reported = reported.clone();
        use_effect_with(onfailed.clone(), move |onfailed| {
            let (mounted, onfailed) = (Rc::new(()), onfailed.clone());
            let watched = Rc::downgrade(&mounted);
            spawn_local(async move {
                sleep(LOAD_TIMEOUT).await;
                if watched.upgrade().is_some() && !reported.get() {
                    onfailed.emit(());
                }
            });
            move || drop(mounted)
        });
    }
    let fit = use_state_eq(|| None::<Fit>);
    // The space for the frame, and the width in which the document is laid out.
    let layout = use_memo((), |()| Cell::new((0, 0)));
    let (space, frame) = (use_node_ref(), use_node_ref());
    {
        let (fit, space, frame) = (fit.setter(), space.clone(), frame.clone());
        use_effect_with(onbroken.clone(), move |onbroken| {
            let onbroken = onbroken.clone();
            let listener = Listener::new(move |event| {
                let Some(report) = own_report(&frame, &event) else { return };
                reported.set(true);
                let Some(space) = space.cast::<HtmlElement>().map(|space| space.client_width() - BORDERS)
                else {
                    return;
                };
                let (known, width) = layout.get();
                let width = if space == known { width } else { Sizing::Fitted.first_width(space) };
                let next = Sizing::Fitted.next_width(space, width, report.width);
                layout.set((space, next));
                // It is printed as it is shown.
                fit.set(Some(Fit::new(space, next, (report.width, report.height))));
                onbroken.emit(report.broken);
            });
            move || drop(listener)
        });
    }
    let loaded = {
        let (frame, document) = (frame.clone(), document.clone());
        Callback::from(move |_: Event| {
            if let Some(window) = window(&frame) {
                // The frame has no origin that could be named.
                let _ = window.post_message(&(&*document).into(), "*");
            }
        })
    };
    html! {
        <div class="frame-space" ref={space}>
            <div class={classes!("frame", is_themed.then_some("themed"))} style={Fit::container_style(*fit)}>
                <iframe title="Message" ref={frame} src="frame.html" referrerpolicy="no-referrer" onload={loaded}
                    style={Fit::document_style(*fit)}
                    sandbox="allow-scripts allow-popups allow-popups-to-escape-sandbox"></iframe>
            </div>
        </div>
    }
}

struct Report {
    /// Width of the content, laid out in the width of the frame.
    width: i32,
    height: i32,
    broken: Vec<usize>,
}

/// The report of the frame. `None` for a message of another window.
fn own_report(frame: &NodeRef, event: &MessageEvent) -> Option<Report> {
    let source: JsValue = event.source()?.into();
    if source != JsValue::from(window(frame)?) {
        return None;
    }
    let data = event.data();
    let (width, height) = (js::property(&data, "width")?.as_f64()?, js::property(&data, "height")?.as_f64()?);
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    let (width, height) = ((width as i32).max(0), (height as i32).clamp(0, HEIGHT_MAX));
    let broken = js::property(&data, "broken")?.dyn_into::<js_sys::Array>().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    let broken =
        (0..broken.length().min(BROKEN_MAX)).filter_map(|at| broken.get(at).as_f64().map(|at| at as usize));
    Some(Report { width, height, broken: broken.collect() })
}

fn window(frame: &NodeRef) -> Option<Window> {
    frame.cast::<HtmlIFrameElement>()?.content_window()
}

/// Listens for messages to the page until it is dropped.
struct Listener(Closure<dyn Fn(MessageEvent)>);

impl Listener {
    fn new(listen: impl Fn(MessageEvent) + 'static) -> Self {
        let listener = Closure::<dyn Fn(MessageEvent)>::new(listen);
        if let Some(window) = web_sys::window() {
            let _ = window.add_event_listener_with_callback("message", listener.as_ref().unchecked_ref());
        }
        Self(listener)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(window) = web_sys::window() {
            let _ = window.remove_event_listener_with_callback("message", self.0.as_ref().unchecked_ref());
        }
    }
}
