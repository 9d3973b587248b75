//! What a client may ask for: paths, methods, bodies of bounded size in bounded time, and what of them the router needs.
//!
//! The way of a request that a replica answers goes on in `exchange.rs`.

use crate::answer::{Body, Refusal, json, of};
use crate::core::Ask;
use crate::exchange::{Job, exchange, get, strip, whole};
use crate::proxy::Proxy;
use bytes::{Bytes, BytesMut};
use gorgo_types::{RequestId, Tokens, ZoneId};
use gorgo_wire::{Api, Asked, headers as names};
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

/// A list of models is short.
const MOST_MODELS_BYTES: usize = 1 << 20;

/// Answers one request.
pub(crate) async fn answer(proxy: Arc<Proxy>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    let api = Api::at(path);
    let wanted = match (api, path) {
        (Some(_), _) => Method::POST,
        (None, "/v1/models" | "/health") => Method::GET,
        (None, _) => {
            let message = format!("there is no `{path}` here");
            return Refusal::new(StatusCode::NOT_FOUND, "not_found", message).answer();
        }
    };
    if *request.method() != wanted {
        let message = format!("{path} takes {wanted}");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let mut answer = Refusal::new(status, "method_not_allowed", message).answer();
        let value = HeaderValue::from_str(wanted.as_str()).unwrap_or(HeaderValue::from_static(""));
        answer.headers_mut().insert(header::ALLOW, value);
        return answer;
    }
    match (api, path) {
        (Some(api), _) => {
            proxy.metrics().arrived();
            let (head, body) = request.into_parts();
            let id = request_id(&proxy, &head.headers);
            let mut answer = match prepare(&proxy, api, head, body, id.clone()).await {
                Ok(job) => exchange(&proxy, job).await,
                Err(refusal) => {
                    proxy.metrics().refused(refusal.kind);
                    refusal.answer()
                }
            };
            answer.headers_mut().entry(names::REQUEST_ID).or_insert(id);
            answer
        }
        (None, "/health") => health(&proxy),
        (None, _) => models(&proxy, request.uri().path_and_query()).await,
    }
}

/// The client's id for a request, or one of ours.
fn request_id(proxy: &Proxy, headers: &HeaderMap) -> HeaderValue {
    match headers.get(names::REQUEST_ID).filter(|id| !id.is_empty() && id.len() <= 200) {
        Some(id) => id.clone(),
        None => proxy.fresh_id(),
    }
}

async fn prepare(
    proxy: &Arc<Proxy>,
    api: Api,
    mut head: Parts,
    body: Incoming,
    id: HeaderValue,
) -> Result<Job, Refusal> {
    let settings = proxy.settings();
    let bound = settings.body_timeout;
    let body = match tokio::time::timeout(bound, read(body, settings.most_body_bytes)).await {
        Ok(body) => body?,
        Err(_) => {
            let message = format!("the body was not here within {} ms", bound.as_millis());
            return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message));
        }
    };
    let read_at = Instant::now();
    let session = head.headers.get(names::SESSION).map(|name| session(name.as_bytes()));
    let zone = match head.headers.get(names::RESIDENCY) {
        Some(name) => Some(zone(proxy, name)?),
        None => None,
    };
    let hops = hops(proxy, &head.headers)?;
    let ask = Ask { zone, hops, ..proxy.understand(api, &body, &id, session).await? };
    strip(&mut head.headers);
    // The body is here already, whole, and goes on with its length.
    head.headers.remove(header::EXPECT);
    head.headers.remove(header::CONTENT_LENGTH);
    let target = head.uri.path_and_query().cloned();
    let target = target.unwrap_or_else(|| PathAndQuery::from_static(api.path()));
    Ok(Job { api, target, headers: head.headers, body, ask: Arc::new(ask), id, read_at })
}

/// Reads a body of at most so many bytes. One that comes in one piece is not copied.
async fn read(mut body: Incoming, most: usize) -> Result<Bytes, Refusal> {
    let too_large = || {
        let message = format!("the body is longer than {most} bytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    };
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    let (mut first, mut more) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let message = format!("the body cannot be read: {error}");
            Refusal::new(StatusCode::BAD_REQUEST, "invalid_body", message)
        })?;
        let Ok(bytes) = frame.into_data() else { continue };
        if first.len() + more.len() + bytes.len() > most {
            return Err(too_large());
        }
        if first.is_empty() && more.is_empty() {
            first = bytes;
        } else {
            if more.is_empty() {
                more.extend_from_slice(&std::mem::take(&mut first));
            }
            more.extend_from_slice(&bytes);
        }
    }
    Ok(if more.is_empty() { first } else { more.freeze() })
}

/// A zone by its name. One that no replica ever stood in cannot be served, and the request is not sent elsewhere.
fn zone(proxy: &Proxy, name: &HeaderValue) -> Result<ZoneId, Refusal> {
    let name = String::from_utf8_lossy(name.as_bytes());
    proxy.zone(name.trim()).ok_or_else(|| {
        let message = format!("no replica stands in the zone {:?}", name.trim());
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no_replica_in_zone", message)
    })
}

/// How many proxies have passed a request on. More than may is a loop, or a client's own invention.
fn hops(proxy: &Proxy, headers: &HeaderMap) -> Result<u32, Refusal> {
    let (Some(given), Some(most)) = (headers.get(names::HOPS), proxy.most_hops()) else {
        return Ok(0);
    };
    let number = given.to_str().ok().filter(|text| is_plain_number(text));
    let hops: u32 = number.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let message = format!("header `{}`: got {given:?}, wanted a whole number", names::HOPS);
        Refusal::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    })?;
    if hops > most {
        let message = format!("{hops} proxies have passed it on, wanted at most {most}");
        return Err(Refusal::new(StatusCode::LOOP_DETECTED, "too_many_hops", message));
    }
    Ok(hops)
}

/// A session's number: itself where it is one, as traces have it, else its hash.
fn session(name: &[u8]) -> u64 {
    let number = std::str::from_utf8(name).ok().filter(|name| is_plain_number(name));
    number.and_then(|name| name.parse().ok()).unwrap_or_else(|| xxh3_64(name))
}

fn is_plain_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `SESSION.TURN`, as the simulator names requests: then draws are the simulator's too.
fn simulated(id: &HeaderValue) -> Option<RequestId> {
    let (session, turn) = id.to_str().ok()?.split_once('.')?;
    if !(is_plain_number(session) && is_plain_number(turn)) {
        return None;
    }
    Some(RequestId { session: session.parse().ok()?, turn: turn.parse().ok()? })
}

/// What the router may know of a request.
pub(crate) fn understand(
    proxy: &Proxy,
    api: Api,
    body: &[u8],
    id: &HeaderValue,
    session_header: Option<u64>,
) -> Result<Ask, Refusal> {
    let refused = |error: gorgo_wire::WireError| {
        Refusal::new(StatusCode::BAD_REQUEST, "invalid_request_error", error.to_string())
    };
    let asked = Asked::parse(api, body).map_err(refused)?;
    let text = proxy.text();
    let prompt = asked
        .prompt
        .chain(&text.tokens, text.template_tokens, text.block_tokens)
        .map_err(refused)?;
    Ok(Ask {
        id: simulated(id).unwrap_or_else(|| RequestId { session: proxy.ordinal(), turn: 0 }),
        prompt,
        max_tokens: Tokens(asked.max_tokens.unwrap_or(0)),
        session: session_header.or_else(|| asked.session.map(|name| session(name.as_bytes()))),
        zone: None,
        hops: 0,
    })
}

/// Whether it is worth sending requests here.
fn health(proxy: &Proxy) -> Response<Body> {
    let (healthy, all) = proxy.with_core(|core, _| {
        let serves = core.members().filter(|member| core.serves(member)).count();
        (serves, core.members().count())
    });
    let status = if healthy > 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &json!({ "replicas_in_service": healthy, "replicas": all }))
}

/// The inventory's models, or what a replica says.
async fn models(proxy: &Arc<Proxy>, target: Option<&PathAndQuery>) -> Response<Body> {
    let settings = proxy.settings();
    if !settings.models.is_empty() {
        let one = |name: &String| json!({ "id": name, "object": "model", "owned_by": "gorgo" });
        let models: Vec<_> = settings.models.iter().map(one).collect();
        return json(StatusCode::OK, &json!({ "object": "list", "data": models }));
    }
    let replicas = proxy.with_core(|core, _| {
        let serving = core.members().filter(|member| core.serves(member));
        serving.map(|member| Arc::clone(&member.replica)).collect::<Vec<_>>()
    });
    let path = PathAndQuery::from_static("/v1/models");
    let target = target.unwrap_or(&path);
    for replica in replicas {
        let Ok((response, mut link)) = replica.pool.send(|| get(&replica.pool, target)).await
        else {
            continue;
        };
        let (head, body) = response.into_parts();
        if let Some(bytes) = whole(&mut link, body, MOST_MODELS_BYTES).await {
            replica.pool.give_back(link);
            return of(head.status, "application/json", bytes);
        }
    }
    let message = "no replica has told its models";
    Refusal::for_now(StatusCode::SERVICE_UNAVAILABLE, "no_replica", message).answer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_simulator_are_its_ids() {
        let id = |text: &'static str| simulated(&HeaderValue::from_static(text));
        assert_eq!(id("12.3"), Some(RequestId { session: 12, turn: 3 }));
        for other in ["12", "12.", ".3", "+1.2", "1.2.3", "a.b", "1.99999999999"] {
            assert_eq!(id(other), None, "{other}");
        }
        assert_eq!(session(b"17"), 17);
        assert_ne!(session(b"+17"), 17);
        assert_eq!(session(b"99999999999999999999"), xxh3_64(b"99999999999999999999"));
    }
}
