//! Mailpit's lists: messages, search, read state, deletion and tags.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::params::{Object, Params};
use super::shapes::{List, Summary};
use super::{Api, ApiError, blocking, ok_json, ok_text};
use crate::query::Query;
use crate::store::Message;

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::parse(query.as_deref());
    respond(&api, &params, Query::default()).await
}

pub(super) async fn search(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::parse(query.as_deref());
    let query = required_search(&params)?;
    respond(&api, &params, query).await
}

pub(super) async fn delete_search(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = required_search(&Params::parse(query.as_deref()))?;
    blocking(&api, move |api| api.store().delete(&matching(api, &query))).await?;
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

async fn respond(api: &Arc<Api>, params: &Params, query: Query) -> Result<Response, ApiError> {
    let page = params.page()?;
    blocking(api, move |api| page_of(api, page, &query)).await
}

fn page_of(api: &Api, (start, limit): (usize, usize), query: &Query) -> Response {
    let matching = matching(api, query);
    let totals = api.store().totals();
    let messages: Vec<_> =
        matching.iter().skip(start).take(limit).map(|message| Summary::of(message)).collect();
    ok_json(&List {
        total: totals.messages,
        unread: totals.unread,
        count: messages.len(),
        messages_count: matching.len(),
        messages_unread: matching.iter().filter(|message| !message.state().read).count(),
        start,
        tags: totals.tags.into_keys().collect(),
        messages,
    })
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
    if !ids.is_empty() && !search.is_empty() {
        let reason = "You may specify either IDs or a search query, not both";
        return Err(ApiError::invalid("search", reason));
    }
    // The parameter `tz` is validated.
    Params::parse(query.as_deref()).search("query")?;
    let query = Query::parse(&search).map_err(|reason| ApiError::invalid("search", reason))?;
    blocking(&api, move |api| {
        let messages = if ids.is_empty() { matching(api, &query) } else { by_ids(api, &ids) };
        for message in messages {
            api.store().update(&message, |state| state.read = read);
        }
    })
    .await?;
    Ok(ok_text())
}

pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let ids = Object::parse(&headers, &body)?.strings("ids")?;
    blocking(&api, move |api| {
        if ids.is_empty() {
            api.store().clear();
        } else {
            api.store().delete(&by_ids(api, &ids));
        }
    })
    .await?;
    Ok(ok_text())
}

pub(super) async fn tags(State(api): State<Arc<Api>>) -> Response {
    ok_json(&api.store().totals().tags.into_keys().collect::<Vec<_>>())
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
    blocking(&api, move |api| {
        for message in by_ids(api, &ids) {
            api.store().update(&message, |state| state.tags.clone_from(&tags));
        }
    })
    .await?;
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
    let name = name.trim().to_owned();
    blocking(&api, move |api| replace_tag(api, &tag, Some(&name))).await?
}

pub(super) async fn delete_tag(
    State(api): State<Arc<Api>>,
    Path(tag): Path<String>,
) -> Result<Response, ApiError> {
    blocking(&api, move |api| replace_tag(api, &tag, None)).await?
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
