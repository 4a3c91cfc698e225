//! Databases of earlier pages, which were named after the username as it was typed.
//!
//! A user who signed in as `gb` and as `gb@iit.edu` had two databases. The data of `pennypost/gb@iit.edu` moves to
//! `pennypost/gb`: all of it is copied before the old database is deleted, and an interrupted merge is repeated at the next
//! sign-in.

use wasm_bindgen::JsValue;
use yew::platform::spawn_local;

use super::{ObjectStore, Storage, draft_backup, draft_codec, filing, mark, read_and_starred};
use crate::platform::indexed_db::{self, Database};

pub(super) async fn merge_databases_with_domain(database: &Database) {
    let prefix = format!("{}@", database.name());
    let names =
        indexed_db::names().await.unwrap_or_default().into_iter().filter(|name| name.starts_with(&prefix));
    for name in names {
        let old = Storage::database(name).await;
        if copy(&old, database).await {
            draft_backup::move_all(old.name(), database.name());
            // Another window may delay the deletion.
            spawn_local(async move { old.destroy().await });
        }
    }
}

/// Returns whether everything was copied.
async fn copy(old: &Database, database: &Database) -> bool {
    for store in [
        ObjectStore::Drafts,
        ObjectStore::Sent,
        ObjectStore::SentSummaries,
        ObjectStore::SentTexts,
        ObjectStore::Marks,
        ObjectStore::Filing,
        ObjectStore::Headers,
        ObjectStore::Texts,
        ObjectStore::Messages,
        ObjectStore::Profile,
        ObjectStore::People,
    ] {
        let merged = |id: &str, existing: JsValue, old: JsValue| match store {
            ObjectStore::Marks => union(&existing, &old),
            ObjectStore::Filing => filing::merge(&existing, &old),
            ObjectStore::Drafts if is_newer(id, &old, &existing) => old,
            _ => existing,
        };
        if !old.copy_to(database, store.name(), merged).await {
            return false;
        }
    }
    true
}

/// Whether the first of two versions of a draft was changed later.
fn is_newer(id: &str, draft: &JsValue, other: &JsValue) -> bool {
    let changed = |value| draft_codec::decode(id, value).map(|draft| draft.changed);
    changed(draft) > changed(other)
}

/// Read or starred in one of the two.
fn union(existing: &JsValue, old: &JsValue) -> JsValue {
    let marks = |value: &JsValue| read_and_starred(value.as_f64().unwrap_or_default());
    let ((read, starred), (old_read, old_starred)) = (marks(existing), marks(old));
    mark(read || old_read, starred || old_starred).into()
}

#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod in_browser;
