//! The text of a draft whose page goes away.
//!
//! The browser's database answers later, and a page that is closed is not there any more to be answered: what was being
//! written is also left in `localStorage`, which takes it at once, until the database has it. Attachments are too large
//! for that; they are in the database since they were chosen or a message that has them was forwarded.

use js_sys::JSON;
use web_sys::Storage;

use crate::form::Form;
use crate::keeping;

/// Leaves what stands in the draft now; `database` is the name of the account's.
pub(crate) fn leave(database: &str, form: &Form) {
    let text = Form { attachments: Vec::new(), ..form.clone() };
    if let (Some(storage), Ok(json)) = (storage(), JSON::stringify(&keeping::value(&text)))
        && let Some(json) = json.as_string()
    {
        // A browser that has no room here still has the database.
        let _ = storage.set_item(&key(database, &form.id), &json);
    }
}

/// All that was left and not kept since.
pub(crate) fn left(database: &str) -> Vec<Form> {
    ids(database).iter().filter_map(|id| one(database, id)).collect()
}

/// The database has this draft: what was left of it is needed no more, unless it is newer.
pub(crate) fn kept(database: &str, form: &Form) {
    if one(database, &form.id).is_some_and(|left| left.changed <= form.changed) {
        forget(database, &form.id);
    }
}

pub(crate) fn forget(database: &str, id: &str) {
    if let Some(storage) = storage() {
        // It fails for no key.
        let _ = storage.remove_item(&key(database, id));
    }
}

pub(crate) fn forget_all(database: &str) {
    for id in ids(database) {
        forget(database, &id);
    }
}

fn one(database: &str, id: &str) -> Option<Form> {
    let json = storage()?.get_item(&key(database, id)).ok()??;
    keeping::form(id, &JSON::parse(&json).ok()?)
}

fn ids(database: &str) -> Vec<String> {
    let Some(storage) = storage() else { return Vec::new() };
    let keys = (0..storage.length().unwrap_or_default()).filter_map(|index| storage.key(index).ok()?);
    let prefix = key(database, "");
    // An account's name may begin with another's and a slash.
    keys.filter_map(|key| Some(key.strip_prefix(&prefix)?.to_owned()))
        .filter(|id| !id.contains('/'))
        .collect()
}

fn key(database: &str, id: &str) -> String {
    format!("{database}/{id}")
}

/// Some private windows have none.
fn storage() -> Option<Storage> {
    web_sys::window()?.local_storage().ok()?
}

#[cfg(all(test, target_arch = "wasm32"))]
mod in_browser;
