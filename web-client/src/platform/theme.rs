//! The colours of the page: an attribute of the root element, for the style sheet. index.html sets it before the page starts, from
//! `localStorage`, which has the theme of the account that was shown last.

use wasm_bindgen::JsCast as _;
use web_sys::Element;

use super::dom::document;
use super::web_storage::LOCAL;
use crate::model::settings::Theme;

/// Also in index.html.
const KEY: &str = "pennypost-theme";

/// Shows a theme, and remembers it for the next start.
pub(crate) fn choose(theme: Theme) {
    match theme {
        Theme::System => forget(),
        theme => LOCAL.set(KEY, theme.id()),
    }
    apply(theme);
}

/// Shows the theme that was chosen last.
pub(crate) fn restore() {
    apply(LOCAL.value(KEY).and_then(|id| Theme::from_id(&id)).unwrap_or_default());
}

pub(crate) fn forget() {
    LOCAL.remove(KEY);
}

fn apply(theme: Theme) {
    let Some(document) = document() else { return };
    if let Some(root) = document.document_element() {
        // A valid name.
        let _ = root.set_attribute("data-theme", theme.id());
    }
    let colours = document.query_selector_all("meta[name=theme-color]");
    let Ok(colours) = colours else { return };
    // The colours of the browser's own bars, in the order of index.html.
    for (at, scheme) in [Theme::Light, Theme::Dark].into_iter().enumerate() {
        let media = match theme {
            Theme::System => format!("(prefers-color-scheme: {})", scheme.id()),
            theme => if theme == scheme { "all" } else { "not all" }.to_owned(),
        };
        let colour = u32::try_from(at).ok().and_then(|at| colours.get(at));
        if let Some(colour) = colour.and_then(|colour| colour.dyn_into::<Element>().ok()) {
            let _ = colour.set_attribute("media", &media);
        }
    }
}
