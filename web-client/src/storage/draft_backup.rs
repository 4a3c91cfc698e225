//! Backups of drafts for pages that are being closed.
//!
//! IndexedDB is asynchronous, and a page that is being closed cannot wait for it. `localStorage` is synchronous: it
//! holds the text of a draft until IndexedDB has the same version. Attachments and large quoted messages are too large for
//! it; they are in IndexedDB from the moment they are attached.

use std::rc::Rc;

use js_sys::JSON;

use super::draft_codec;
use crate::model::draft_form::DraftForm;
use crate::platform::web_storage::LOCAL;

/// The longest quoted or forwarded message that a backup contains. Browsers limit the sum to 5 MiB.
pub(crate) const ORIGINAL_OCTETS_MAX: usize = 512 * 1_024;

/// `database` is the name of the account's database.
pub(super) fn store(database: &str, form: &DraftForm) {
    let mut without_attachments = DraftForm { attachments: Vec::new(), ..form.clone() };
    if let Some(rich) = &mut without_attachments.rich
        && rich.original.as_ref().is_some_and(|original| original.html.len() > ORIGINAL_OCTETS_MAX)
    {
        Rc::make_mut(rich).original = None;
    }
    if let Ok(json) = JSON::stringify(&draft_codec::encode(&without_attachments))
        && let Some(json) = json.as_string()
    {
        LOCAL.set(&key(database, &form.id), &json);
    }
}

pub(super) fn load_all(database: &str) -> Vec<DraftForm> {
    ids(database).iter().filter_map(|id| load(database, id)).collect()
}

/// Deletes the backup of a draft unless it is newer than `form`.
pub(super) fn delete_older(database: &str, form: &DraftForm) {
    if load(database, &form.id).is_some_and(|backup| backup.changed <= form.changed) {
        delete(database, &form.id);
    }
}

pub(super) fn delete(database: &str, id: &str) {
    LOCAL.remove(&key(database, id));
}

/// Moves the backups of one database to another, where a newer backup stays.
pub(super) fn move_all(from: &str, to: &str) {
    for form in load_all(from) {
        if load(to, &form.id).is_none_or(|existing| existing.changed < form.changed) {
            store(to, &form);
        }
    }
    delete_all(from);
}

pub(super) fn delete_all(database: &str) {
    for id in ids(database) {
        delete(database, &id);
    }
}

fn load(database: &str, id: &str) -> Option<DraftForm> {
    let json = LOCAL.value(&key(database, id))?;
    draft_codec::decode(id, &JSON::parse(&json).ok()?)
}

fn ids(database: &str) -> Vec<String> {
    let prefix = key(database, "");
    let ids = LOCAL.keys().into_iter().filter_map(|key| Some(key.strip_prefix(&prefix)?.to_owned()));
    // An account's name may start with another account's name and a slash.
    ids.filter(|id| !id.contains('/')).collect()
}

fn key(database: &str, id: &str) -> String {
    format!("{database}/{id}")
}

#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod in_browser;
