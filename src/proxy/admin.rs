//! The admin API: who the replicas are and how they fare, and changes. On a listener of its own, for those who know the
//! token; every path asks for it, `/metrics` excepted, which tells nothing that can be changed.
//!
//! What the changes do is in `control.rs`.

use crate::config::{AdminConfig, Endpoint, ReplicaConfig, check_name};
use crate::control::Control;
use crate::error::ProxyError;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, body::Bytes};
use gorgo_routing::MAX_WEIGHT;
use gorgo_routing::tuner::TunerConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A change is short.
const MOST_BYTES: usize = 64 << 10;

/// What all answers need.
struct Admin {
    control: Arc<Control>,
    token: String,
}

type Shared = State<Arc<Admin>>;

/// An answer that says what is wrong.
struct Wrong(StatusCode, String);

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let error = json!({ "error": { "message": self.1, "code": self.0.as_u16() } });
        (self.0, Json(error)).into_response()
    }
}

impl From<ProxyError> for Wrong {
    fn from(error: ProxyError) -> Self {
        Self(StatusCode::CONFLICT, error.to_string())
    }
}

/// The paths of the admin API.
pub(crate) fn paths(control: &Arc<Control>, config: &AdminConfig) -> Router {
    let admin = Arc::new(Admin { control: Arc::clone(control), token: config.token.clone() });
    Router::new()
        .route("/proxy/status", get(status))
        .route("/servers", get(servers).post(add))
        .route("/servers/{name}", delete(remove).put(change))
        .route("/servers/{name}/drain", post(drain))
        .route("/policy", get(policy).put(set_policy))
        .route("/tune", get(tune).put(set_tune))
        .route("/prefix/stats", get(prefix))
        .route("/cache/clear", post(clear))
        .route("/flush", post(flush))
        .route("/decisions", get(decisions))
        .layer(from_fn_with_state(Arc::clone(&admin), authenticate))
        .route("/metrics", get(metrics))
        .layer(axum::extract::DefaultBodyLimit::max(MOST_BYTES))
        .with_state(admin)
}

/// Lets only those pass who know the token.
async fn authenticate(State(admin): Shared, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let given = given.and_then(|value| value.strip_prefix(b"Bearer "));
    if given.is_some_and(|given| same(given, admin.token.as_bytes())) {
        return next.run(request).await;
    }
    let answer = Wrong(StatusCode::UNAUTHORIZED, "wanted `Authorization: Bearer TOKEN`".to_owned());
    ([(header::WWW_AUTHENTICATE, "Bearer")], answer).into_response()
}

/// Compares in a time that depends on the lengths alone.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    let differences = given.iter().zip(wanted).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differences) == 0 && given.len() == wanted.len()
}

async fn status(State(admin): Shared) -> Json<Value> {
    let config = admin.control.config();
    let proxy = admin.control.proxy();
    let settings = proxy.settings();
    let status = proxy.with_core(|core, now| {
        json!({
            "policy": core.router.name(),
            "region": config.region,
            "listen": config.listen,
            "uptime_s": now.as_s(),
            "replicas": core.members().count(),
            "replicas_in_service": core.members().filter(|m| core.serves(m)).count(),
            "in_flight_requests": core.router.in_flight(),
            "queued_requests": core.router.queued(),
            "attempts": settings.attempts,
            "decision_headers": settings.decision_headers,
        })
    });
    Json(status)
}

async fn servers(State(admin): Shared) -> Json<Value> {
    let servers: Vec<Value> = admin.control.proxy().with_core(|core, now| {
        let signals = core.router.signals();
        let one = |member: &crate::core::Member| {
            let replica = &member.replica;
            let known = signals.iter().find(|known| known.replica == replica.id);
            let health = core.router.health_of(replica.id);
            json!({
                "name": replica.name,
                "id": replica.id,
                "region": replica.region_name,
                "residency": replica.config.residency,
                "url": replica.config.endpoint.url,
                "fit": health.is_none_or(|health| health.fit),
                "circuit": health.map(|health| format!("{:?}", health.circuit).to_lowercase()),
                "draining": member.draining,
                "weight": known.map(|k| k.weight),
                "eligible": known.map(|k| k.eligible),
                "in_flight_requests": known.map(|k| k.in_flight_requests),
                "queued_tokens": known.map(|k| k.queued_tokens),
                "rtt_ewma_ms": known.and_then(|k| k.rtt_ewma_ms),
                "running_requests": known.map(|k| k.running_requests),
                "queued_requests": known.map(|k| k.queued_requests),
                "used_tokens": known.map(|k| k.used_tokens),
                "kv_pool_tokens": known.map(|k| k.kv_pool_tokens),
                "scrape_age_ms": known.and_then(|k| Some(now.saturating_sub(k.scraped_at?).as_ms())),
                "idle_connections": replica.pool.idle(),
            })
        };
        core.members().map(one).collect()
    });
    Json(json!({ "servers": servers }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewServer {
    name: String,
    url: String,
    region: Option<String>,
    residency: Option<String>,
    weight: Option<u32>,
}

/// A request's body.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Wrong> {
    let wrong = |error| Wrong(StatusCode::BAD_REQUEST, format!("the body: {error}"));
    serde_json::from_slice(body).map_err(wrong)
}

async fn add(State(admin): Shared, body: Bytes) -> Result<Response, Wrong> {
    let refuse = |problem: String| Wrong(StatusCode::BAD_REQUEST, problem);
    let new: NewServer = read(&body)?;
    let region = new.region.unwrap_or_else(|| "default".to_owned());
    for (field, name) in [
        ("name", Some(&new.name)),
        ("region", Some(&region)),
        ("residency", new.residency.as_ref()),
    ] {
        if let Some(name) = name {
            check_name(name).map_err(|problem| refuse(format!("field `{field}`: {problem}")))?;
        }
    }
    let endpoint =
        Endpoint::parse(&new.url).map_err(|problem| refuse(format!("field `url`: {problem}")))?;
    let replica = ReplicaConfig {
        name: new.name,
        region,
        endpoint,
        residency: new.residency,
        kv_events: None,
        weight: checked_weight(new.weight.unwrap_or(1))?,
    };
    admin.control.add(&replica)?;
    Ok((StatusCode::CREATED, Json(json!({ "added": replica.name }))).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerChange {
    weight: u32,
}

/// A weight that the router takes.
fn checked_weight(weight: u32) -> Result<u32, Wrong> {
    if (1..=MAX_WEIGHT).contains(&weight) {
        return Ok(weight);
    }
    let problem = format!("field `weight`: got {weight}, wanted 1 to {MAX_WEIGHT}");
    Err(Wrong(StatusCode::BAD_REQUEST, problem))
}

/// Another weight.
async fn change(
    State(admin): Shared,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Wrong> {
    let ServerChange { weight } = read(&body)?;
    admin.control.set_replica_weight(&name, checked_weight(weight)?)?;
    Ok(Json(json!({ "changed": name, "weight": weight })))
}

async fn remove(State(admin): Shared, Path(name): Path<String>) -> Result<Json<Value>, Wrong> {
    admin.control.remove(&name)?;
    Ok(Json(json!({ "removed": name })))
}

async fn drain(State(admin): Shared, Path(name): Path<String>) -> Result<Json<Value>, Wrong> {
    admin.control.drain(&name)?;
    Ok(Json(json!({ "draining": name })))
}

async fn policy(State(admin): Shared) -> Json<Value> {
    let config = admin.control.config().policy;
    let weights = admin.control.proxy().with_core(|core, _| {
        let policy = core.router.policy();
        let all = policy.tunable().iter().enumerate();
        all.map(|(at, weight)| (weight.name.to_owned(), json!(policy.weight(at))))
            .collect::<serde_json::Map<_, _>>()
    });
    Json(json!({ "name": config.name, "parameters": config.parameters, "weights": weights }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPolicy {
    /// Another policy; without it only weights change.
    name: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(default)]
    weights: BTreeMap<String, f64>,
}

/// Another policy, or other weights of the one that decides.
async fn set_policy(state: Shared, body: Bytes) -> Result<Json<Value>, Wrong> {
    let new: NewPolicy = read(&body)?;
    let control = &state.0.control;
    match &new.name {
        Some(name) => control.set_policy(name, new.parameters)?,
        None if !new.parameters.is_empty() => {
            let problem = "parameters go with a `name`; `weights` change what may change alone";
            return Err(Wrong(StatusCode::BAD_REQUEST, problem.to_owned()));
        }
        None => {}
    }
    control.set_weights(&new.weights)?;
    Ok(policy(state).await)
}

/// What the tuner does, and its last steps.
async fn tune(State(admin): Shared) -> Json<Value> {
    let config = admin.control.config().tuner;
    let proxy = admin.control.proxy();
    let state = proxy.with_core(|core, _| {
        let steps: Vec<Value> =
            core.steps.iter().filter_map(|step| serde_json::to_value(step).ok()).collect();
        let weights: Option<Map<String, Value>> = core.router.tuned_weights().map(|weights| {
            weights.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
        });
        json!({ "on": core.router.tuner().is_some(), "config": config, "weights": weights, "steps": steps })
    });
    Json(state)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTuner {
    on: bool,
    /// Weights, boxes, objective and strategy; none: those that it had last.
    config: Option<TunerConfig>,
}

/// Switches the tuner on, with other bounds perhaps, or off: then the policy keeps the best weights found.
async fn set_tune(state: Shared, body: Bytes) -> Result<Json<Value>, Wrong> {
    let new: NewTuner = read(&body)?;
    state.0.control.set_tuner(new.on, new.config)?;
    Ok(tune(state).await)
}

/// Forgets what is believed to be cached; the engines keep it.
async fn clear(State(admin): Shared) -> Json<Value> {
    admin.control.proxy().with_core(|core, _| core.router.index_clear());
    Json(json!({ "cleared": true }))
}

/// Has every engine drop its cache, and forgets what is believed.
async fn flush(State(admin): Shared) -> (StatusCode, Json<Value>) {
    let engines = admin.control.flush().await;
    let good = engines.values().all(|told| told["ok"] == true);
    let status = if good { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
    (status, Json(json!({ "ok": good, "engines": engines })))
}

async fn prefix(State(admin): Shared) -> Json<Value> {
    let stats = admin.control.proxy().with_core(|core, _| {
        let stats = core.router.index_stats();
        let tokens = |member: &crate::core::Member| {
            let held = stats.tokens_per_replica.get(member.replica.id.index()).copied();
            (member.replica.name.clone(), json!(held.unwrap_or(0)))
        };
        let per_replica: serde_json::Map<_, _> = core.members().map(tokens).collect();
        json!({
            "nodes": stats.nodes,
            "blocks": stats.blocks,
            "evicted_tokens": stats.evicted_tokens,
            "tokens_per_replica": per_replica,
        })
    });
    Json(stats)
}

async fn decisions(State(admin): Shared) -> Response {
    let rows = admin.control.proxy().with_core(|core, _| {
        let mut all = b"[".to_vec();
        for row in core.log.last() {
            if all.len() > 1 {
                all.push(b',');
            }
            all.extend_from_slice(row);
        }
        all.push(b']');
        all
    });
    ([(header::CONTENT_TYPE, "application/json")], rows).into_response()
}

async fn metrics(State(admin): Shared) -> Response {
    let proxy = admin.control.proxy();
    let page = proxy.with_core(|core, now| proxy.metrics().page(core, now.as_ms()));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], page).into_response()
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn tokens_are_the_same_or_not() {
        assert!(same(b"0123456789abcdef", b"0123456789abcdef"));
        for other in [&b""[..], b"0123456789abcde", b"0123456789abcdef0", b"0123456789abcdeg"] {
            assert!(!same(other, b"0123456789abcdef"));
        }
    }
}
