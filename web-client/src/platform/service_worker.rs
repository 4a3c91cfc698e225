//! The service worker `sw.js`, which starts the page without the network.
//!
//! Only the bridge serves what it needs, and marks the page. Browsers have service workers in secure contexts only: on pages
//! with TLS, and on localhost.

use mail_core::time::Duration;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ServiceWorker, ServiceWorkerContainer, ServiceWorkerRegistration, ServiceWorkerState, Window};
use yew::Callback;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::{dom, js};

const SCRIPT: &str = "/sw.js";
/// The element that the bridge adds to index.html.
const MARK: &str = "meta[name=pennypost-service-worker]";
/// The page starts before its service worker fetches the files again.
const REGISTER_DELAY: Duration = Duration::from_millis(500);
/// Interval of the checks for a new version. An installed page may be open for weeks.
const UPDATE_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Time for the new version to become active before the page reloads anyway.
const ACTIVATE_TIMEOUT: Duration = Duration::from_millis(900);

/// Registers the service worker and looks for new versions. `on_update` is called when the server has a new version of the
/// page and the browser has stored it, or when another tab has activated it.
pub(crate) fn register(on_update: Callback<()>) {
    let is_marked =
        dom::document().is_some_and(|document| matches!(document.query_selector(MARK), Ok(Some(_))));
    let Some(container) = container().filter(|_| is_marked) else { return };
    spawn_local(async move {
        if container.controller().is_some() {
            let activated = Closure::<dyn Fn()>::new({
                let on_update = on_update.clone();
                move || on_update.emit(())
            });
            container.set_oncontrollerchange(Some(activated.into_js_value().unchecked_ref()));
        }
        sleep(REGISTER_DELAY).await;
        let Ok(registration) = JsFuture::from(container.register(SCRIPT)).await else { return };
        let registration: ServiceWorkerRegistration = registration.unchecked_into();
        report_updates(&container, &registration, &on_update);
        loop {
            sleep(UPDATE_INTERVAL).await;
            if let Ok(update) = registration.update() {
                // Fails while the server is away.
                let _ = JsFuture::from(update).await;
            }
        }
    });
}

/// Activates the new version, if one is waiting, and reloads the page.
pub(crate) fn reload() {
    spawn_local(async {
        let waiting = async { registration().await?.waiting() };
        if let (Some(waiting), Some(container)) = (waiting.await, container()) {
            let activated = Closure::<dyn Fn()>::new(reload_page);
            container.set_oncontrollerchange(Some(activated.into_js_value().unchecked_ref()));
            let _ = waiting.post_message(&"activate".into());
            sleep(ACTIVATE_TIMEOUT).await;
        }
        reload_page();
    });
}

fn report_updates(
    container: &ServiceWorkerContainer,
    registration: &ServiceWorkerRegistration,
    on_update: &Callback<()>,
) {
    if registration.waiting().is_some() && container.controller().is_some() {
        on_update.emit(());
    }
    let (container, on_update) = (container.clone(), on_update.clone());
    let found = {
        let registration = registration.clone();
        Closure::<dyn Fn()>::new(move || {
            if let Some(worker) = registration.installing() {
                report_when_installed(worker, container.clone(), on_update.clone());
            }
        })
    };
    registration.set_onupdatefound(Some(found.into_js_value().unchecked_ref()));
}

/// The first version of all is not reported: the page has it already.
fn report_when_installed(worker: ServiceWorker, container: ServiceWorkerContainer, on_update: Callback<()>) {
    let changed = {
        let worker = worker.clone();
        Closure::<dyn Fn()>::new(move || {
            if worker.state() == ServiceWorkerState::Installed && container.controller().is_some() {
                on_update.emit(());
            }
        })
    };
    worker.set_onstatechange(Some(changed.into_js_value().unchecked_ref()));
}

async fn registration() -> Option<ServiceWorkerRegistration> {
    JsFuture::from(container()?.get_registration()).await.ok()?.dyn_into().ok()
}

fn container() -> Option<ServiceWorkerContainer> {
    // Undefined on insecure pages, contrary to the declared type.
    let navigator: JsValue = web_sys::window()?.navigator().into();
    js::property(&navigator, "serviceWorker")?.dyn_into().ok()
}

fn reload_page() {
    if let Some(location) = web_sys::window().as_ref().map(Window::location) {
        let _ = location.reload();
    }
}
