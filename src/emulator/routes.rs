//! The endpoints of a replica: which path is answered by what.
//!
//! `/get_server_info` names no model path and `/get_model_info` is not there, for a router that finds a path would try to
//! load a tokenizer from it. `/health_generate` asks no token of the replica: it answers as `/health` does.

use crate::body::Body;
use crate::generate::{Outcome, generate};
use crate::host::Served;
use crate::metrics;
use crate::wire::Desk;
use bytes::Bytes;
use gorgo_wire::Api;
use gorgo_wire::reply::error_body;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::json;
use std::sync::Arc;

/// The largest request body: 16 million tokens of text.
pub(crate) const MOST_BODY_BYTES: usize = 64 << 20;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// A response.
pub(crate) fn response(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

/// All of a request's body, in the parts in which it came.
pub(crate) async fn collect(body: Incoming, most: usize) -> Result<Vec<Bytes>, Response<Body>> {
    let (mut body, mut parts) = (Limited::new(body, most), Vec::new());
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => parts.push(data),
            // Trailers say nothing here.
            Ok(Err(_)) => {}
            Err(error) if error.is::<LengthLimitError>() => {
                let message = format!("the body is larger than {most} bytes");
                return Err(error_response(StatusCode::PAYLOAD_TOO_LARGE, &message));
            }
            Err(error) => {
                let message = format!("the body cannot be read: {error}");
                return Err(error_response(StatusCode::BAD_REQUEST, &message));
            }
        }
    }
    Ok(parts)
}

pub(crate) fn error_response(status: StatusCode, message: &str) -> Response<Body> {
    let kind = status.canonical_reason().unwrap_or("error");
    response(status, JSON, error_body(Api::Chat, message, kind, status.as_u16()))
}

/// Answers a request. None: the replica has crashed under it, and the connection ends without an answer.
pub(crate) async fn answer(
    served: Arc<Served>,
    desk: Arc<Desk>,
    request: Request<Incoming>,
) -> Option<Response<Body>> {
    let (head, body) = request.into_parts();
    served.health.answers().await;
    if let Some(api) = Api::at(head.uri.path()) {
        if head.method != Method::POST {
            return Some(not_allowed("POST"));
        }
        if let Some(status) = served.health.next_error() {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            return Some(error_response(status, "a fault that was asked for"));
        }
        let body = match collect(body, MOST_BODY_BYTES).await {
            Ok(body) => body,
            Err(refused) => return Some(refused),
        };
        let received = desk.came();
        served.first_request();
        return match generate(&served, &desk, api, body, received).await {
            Outcome::Answer(body, kind) => Some(response(StatusCode::OK, kind, body)),
            Outcome::Refused(body) => Some(response(StatusCode::BAD_REQUEST, JSON, body)),
            Outcome::Lost => None,
        };
    }
    Some(plain(&served, &head.method, head.uri.path()))
}

fn not_allowed(wanted: &'static str) -> Response<Body> {
    let mut response = error_response(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(wanted));
    response
}

fn plain(served: &Served, method: &Method, path: &str) -> Response<Body> {
    let get = method == Method::GET || method == Method::HEAD;
    match path {
        "/flush_cache" if get || method == Method::POST => flush(served),
        "/health" | "/health_generate" | "/metrics" | "/v1/models" | "/get_server_info"
        | "/server_info"
            if !get =>
        {
            not_allowed("GET")
        }
        "/health" | "/health_generate" => response(StatusCode::OK, TEXT, Vec::new()),
        "/metrics" => {
            let look = served.station.look();
            let page = metrics::page(served.engine_metrics, &served.model, &look, &served.lateness);
            response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page)
        }
        "/v1/models" => {
            let model = json!({"id": served.model, "object": "model", "created": served.started,
                "owned_by": "gorgo", "root": served.model, "max_model_len": served.station.kv_pool_tokens()});
            let list = json!({"object": "list", "data": [model]});
            response(StatusCode::OK, JSON, list.to_string())
        }
        "/get_server_info" | "/server_info" => {
            response(StatusCode::OK, JSON, server_info(served).to_string())
        }
        _ => error_response(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// The words are SGLang's, the same for both ends.
fn flush(served: &Served) -> Response<Body> {
    let status = match served.station.flush() {
        true => StatusCode::OK,
        false => StatusCode::BAD_REQUEST,
    };
    let words = "Cache flushed.\nPlease check backend logs for more details. (When there are running or waiting \
                 requests, the operation will not be performed.)\n";
    response(status, TEXT, words.to_owned())
}

fn server_info(served: &Served) -> serde_json::Value {
    let config = served.station.config();
    let (limits, look) = (&config.limits, served.station.look());
    let pool = config.kv_pool_tokens;
    json!({
        "served_model_name": served.model,
        "max_total_num_tokens": pool,
        "max_req_input_len": pool.saturating_sub(1),
        "max_prefill_tokens": limits.max_prefill_tokens,
        "chunked_prefill_size": limits.chunked_prefill_tokens,
        "max_running_requests": limits.max_running_requests,
        "schedule_policy": limits.schedule,
        "disable_radix_cache": !config.prefix_cache,
        "page_size": served.block_tokens,
        "internal_states": [{
            "num_running_reqs": look.observation.running_requests,
            "num_queue_reqs": look.observation.queued_requests,
            "num_used_tokens": look.observation.used_tokens,
            "effective_max_running_requests_per_dp": limits.max_running_requests,
        }],
        "version": concat!("gorgo-emulator ", env!("CARGO_PKG_VERSION")),
    })
}
