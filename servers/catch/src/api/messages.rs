//! Mailpit's lists: messages, search, read state, deletion and tags.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::params::{Object, Params};
use super::shapes::{List, Summary};
use super::{Api, ApiError, ok_json, ok_text};
use crate::query::Query;
use crate::store::Message;

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::parse(query.as_deref());
    respond(&api, &params, &Query::default())
}

pub(super) async fn search(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::parse(query.as_deref());
    let query = required_search(&params)?;
    respond(&api, &params, &query)
}

pub(super) async fn delete_search(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = required_search(&Params::parse(query.as_deref()))?;
    api.store().delete(&matching(&api, &query));
    Ok(ok_text())
}

fn required_search(params: &Params) -> Result<Query, ApiError> {
    if params.get("query").is_none_or(|query| query.trim().is_empty()) {
        return Err(ApiError::invalid("query", "no search query"));
    }
    params.search("query")
}

fn matching(api: &Api, query: &Query) -> Vec<Arc<Message>> {
    let store = api.store();
    store.newest(|message| query.matches(message, store.files()))
}

fn respond(api: &Api, params: &Params, query: &Query) -> Result<Response, ApiError> {
    let (start, limit) = params.page()?;
    let matching = matching(api, query);
    let messages: Vec<_> =
        matching.iter().skip(start).take(limit).map(|message| Summary::of(message)).collect();
    Ok(ok_json(&List {
        total: api.store().len(),
        unread: api.store().unread(),
        count: messages.len(),
        messages_count: matching.len(),
        messages_unread: matching.iter().filter(|message| !message.state().read).count(),
        start,
        tags: all_tags(api).into_keys().collect(),
        messages,
    }))
}

/// The messages with these ids; unknown ids are skipped, as in Mailpit.
fn by_ids(api: &Api, ids: &[String]) -> Vec<Arc<Message>> {
    ids.iter().filter_map(|id| api.store().message(id)).collect()
}

pub(super) async fn set_read(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let object = Object::parse(&headers, &body)?;
    let (read, ids, search) = (object.boolean("read")?, object.strings("ids")?, object.string("search")?);
    let messages = match (ids.is_empty(), search.is_empty()) {
        (false, false) => {
            return Err(ApiError::invalid(
                "search",
                "You may specify either IDs or a search query, not both",
            ));
        }
        (false, true) => by_ids(&api, &ids),
        (true, true) => api.store().newest(|_| true),
        (true, false) => {
            // Checks the time zone.
            Params::parse(query.as_deref()).search("query")?;
            let query = Query::parse(&search).map_err(|reason| ApiError::invalid("search", reason))?;
            matching(&api, &query)
        }
    };
    for message in messages {
        api.store().update(&message, |state| state.read = read);
    }
    Ok(ok_text())
}

pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let ids = Object::parse(&headers, &body)?.strings("ids")?;
    if ids.is_empty() {
        api.store().clear();
    } else {
        api.store().delete(&by_ids(&api, &ids));
    }
    Ok(ok_text())
}

/// All tags with the number of their messages.
pub(super) fn all_tags(api: &Api) -> std::collections::BTreeMap<String, usize> {
    let mut tags = std::collections::BTreeMap::new();
    for message in api.store().newest(|_| true) {
        for tag in &message.state().tags {
            *tags.entry(tag.clone()).or_default() += 1;
        }
    }
    tags
}

pub(super) async fn tags(State(api): State<Arc<Api>>) -> Response {
    ok_json(&all_tags(&api).into_keys().collect::<Vec<_>>())
}

pub(super) async fn set_tags(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let object = Object::parse(&headers, &body)?;
    let (ids, mut tags) = (object.strings("ids")?, object.strings("tags")?);
    tags.sort_unstable();
    tags.dedup();
    for message in by_ids(&api, &ids) {
        api.store().update(&message, |state| state.tags.clone_from(&tags));
    }
    Ok(ok_text())
}

pub(super) async fn rename_tag(
    State(api): State<Arc<Api>>,
    Path(tag): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let name = Object::parse(&headers, &body)?.string("name")?;
    if name.trim().is_empty() {
        return Err(ApiError::invalid("name", "the new name of the tag is empty"));
    }
    replace_tag(&api, &tag, Some(name.trim()))
}

pub(super) async fn delete_tag(
    State(api): State<Arc<Api>>,
    Path(tag): Path<String>,
) -> Result<Response, ApiError> {
    replace_tag(&api, &tag, None)
}

fn replace_tag(api: &Api, tag: &str, name: Option<&str>) -> Result<Response, ApiError> {
    let tagged = api.store().newest(|message| message.state().tags.iter().any(|own| own == tag));
    if tagged.is_empty() {
        return Err(ApiError::invalid("tag", format!("no message has the tag `{tag}`")));
    }
    for message in tagged {
        api.store().update(&message, |state| {
            state.tags.retain(|own| own != tag);
            state.tags.extend(name.map(str::to_owned));
            state.tags.sort_unstable();
            state.tags.dedup();
        });
    }
    Ok(ok_text())
}
