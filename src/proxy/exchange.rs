//! One request's way: a place, an attempt, perhaps another one, and the response's headers. As long as no byte has
//! reached the client, a failed attempt is made up for at another replica.
//!
//! The body of the response is `relay.rs`'s.

use crate::answer::{Body, Refusal};
use crate::core::{Ask, Place, Placed};
use crate::fleet::Replica;
use crate::flight::{Flight, is_down};
use crate::proxy::Proxy;
use crate::relay::{Relay, Watch};
use crate::upstream::Fault;
use bytes::Bytes;
use gorgo_types::ReplicaId;
use gorgo_wire::{Api, headers as names};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A request that has been read.
pub(crate) struct Job {
    pub(crate) api: Api,
    pub(crate) target: PathAndQuery,
    /// Without those that concern the connection alone.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) ask: Arc<Ask>,
    pub(crate) id: HeaderValue,
    /// When its last byte was read.
    pub(crate) read_at: Instant,
}

/// When things happened, for the headers that explain a decision.
#[derive(Clone, Copy, Debug)]
struct Times {
    read_at: Instant,
    first_dispatch: Option<Instant>,
    queued: Duration,
    attempts: u32,
}

/// Carries a request to a replica, and the response's head back.
pub(crate) async fn exchange(proxy: &Arc<Proxy>, job: Job) -> Response<Body> {
    let settings = proxy.settings();
    let mut excluded: Vec<ReplicaId> = Vec::new();
    let mut last: Option<Refusal> = None;
    let read_at = job.read_at;
    let mut times = Times { read_at, first_dispatch: None, queued: Duration::ZERO, attempts: 0 };
    loop {
        let place =
            proxy.with_core(|core, now| core.place(now, &job.ask, times.attempts, &excluded));
        let placed = match place {
            Place::At(placed) => Ok(placed),
            Place::Waiting(key, placed) => wait(proxy, key, placed, &mut times).await,
            Place::Nowhere(refusal) => Err(last.take().unwrap_or(refusal)),
        };
        let placed = match placed {
            Ok(placed) => placed,
            Err(refusal) => {
                proxy.metrics().refused(refusal.kind);
                return refusal.answer();
            }
        };
        times.attempts += 1;
        let mut flight = Flight::new(proxy, &job.ask, placed);
        times.first_dispatch.get_or_insert(flight.dispatched());
        let replica = Arc::clone(flight.replica());
        let sent = replica.gate().send(|| request(&job, &replica)).await;
        excluded.push(replica.id);
        let may_retry = times.attempts < settings.attempts;
        match sent {
            Ok((response, _))
                if may_retry
                    && is_down(response.status())
                    && proxy.has_other(&job.ask, &excluded) =>
            {
                let status = response.status();
                flight.failed(&format!("status {status}"));
                let message = format!("replica `{}` answered with status {status}", replica.name);
                last = Some(Refusal::for_now(status, "upstream_error", message));
            }
            Ok((response, link)) => {
                flight.headers(response.status());
                let explain = settings.decision_headers.then(|| explain(proxy, &flight, times));
                let (mut head, body) = response.into_parts();
                strip(&mut head.headers);
                head.headers.insert(names::REQUEST_ID, job.id.clone());
                head.headers.extend(explain.into_iter().flatten());
                let watch = Watch::new(job.api, is_event_stream(&head.headers));
                let mut relay = Relay::new(link, body, flight, watch, settings.pause);
                // A replica that dies between its head and the first piece is made up for, too.
                let begun = if may_retry { relay.first().await } else { Ok(()) };
                match begun {
                    Ok(()) => return Response::from_parts(head, Body::Relay(Box::new(relay))),
                    Err(error) => {
                        let message = format!("replica `{}`: {error}", replica.name);
                        let status = StatusCode::BAD_GATEWAY;
                        let refusal = Refusal::for_now(status, "upstream_error", message);
                        if !proxy.has_other(&job.ask, &excluded) {
                            proxy.metrics().refused(refusal.kind);
                            return refusal.answer();
                        }
                        last = Some(refusal);
                    }
                }
            }
            Err(fault) => {
                flight.failed(&fault.to_string());
                let refusal = refusal(&replica.name, &fault);
                if !may_retry || !proxy.has_other(&job.ask, &excluded) {
                    proxy.metrics().refused(refusal.kind);
                    return refusal.answer();
                }
                last = Some(refusal);
            }
        }
        proxy.metrics().retried();
    }
}

fn refusal(replica: &str, fault: &Fault) -> Refusal {
    let message = format!("replica `{replica}`: {fault}");
    if fault.is_timeout() {
        Refusal::for_now(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", message)
    } else {
        Refusal::for_now(StatusCode::BAD_GATEWAY, "upstream_error", message)
    }
}

/// A request's place in the queue; dropped, it is given up.
struct InQueue<'a> {
    proxy: &'a Proxy,
    key: u32,
    placed: oneshot::Receiver<Result<Placed, Refusal>>,
}

impl Drop for InQueue<'_> {
    fn drop(&mut self) {
        let Self { proxy, key, placed } = self;
        proxy.with_core(|core, now| {
            core.leave_queue(now, *key);
            // It may have been sent on its way in the moment before.
            if let Ok(Ok(placed)) = placed.try_recv() {
                core.router.cancelled(now, placed.ticket);
            }
        });
    }
}

async fn wait(
    proxy: &Proxy,
    key: u32,
    placed: oneshot::Receiver<Result<Placed, Refusal>>,
    times: &mut Times,
) -> Result<Placed, Refusal> {
    let since = Instant::now();
    let mut place = InQueue { proxy, key, placed };
    let gone = || Refusal::for_now(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the proxy stops");
    let placed = (&mut place.placed).await.unwrap_or_else(|_| Err(gone()));
    let waited = since.elapsed();
    proxy.metrics().waited(waited);
    if times.first_dispatch.is_none() {
        times.queued = waited;
    }
    placed
}

/// The request as a replica gets it: the same bytes, and headers without those of the client's connection.
fn request(job: &Job, replica: &Replica) -> Request<Full<Bytes>> {
    let endpoint = replica.gate().endpoint();
    let mut request = Request::new(Full::new(job.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = endpoint.uri(&job.target);
    let mut headers = job.headers.clone();
    headers.insert(header::HOST, endpoint.authority.clone());
    headers.insert(names::REQUEST_ID, job.id.clone());
    if replica.via.is_some() {
        headers.insert(names::HOPS, (job.ask.hops + 1).into());
    }
    if let Some(authorization) = &endpoint.authorization {
        headers.insert(header::AUTHORIZATION, authorization.clone());
    }
    *request.headers_mut() = headers;
    request
}

/// A request without a body, for probes and models.
pub(crate) fn get(pool: &crate::upstream::Pool, path: &PathAndQuery) -> Request<Full<Bytes>> {
    let endpoint = pool.endpoint();
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = endpoint.uri(path);
    request.headers_mut().insert(header::HOST, endpoint.authority.clone());
    if let Some(authorization) = &endpoint.authorization {
        request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
    }
    request
}

/// Headers that concern one connection alone (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Takes the headers of one connection away, those that it names itself included.
pub(crate) fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"))
}

/// The headers that say where a request went and why, and what of its time was the proxy's.
fn explain(
    proxy: &Proxy,
    flight: &Flight,
    times: Times,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
    let (replica, placed) = (flight.replica(), flight.placed());
    let first = times.first_dispatch.unwrap_or(flight.dispatched());
    let routing = (first - times.read_at).saturating_sub(times.queued);
    let number = |value: String| HeaderValue::try_from(value).ok();
    let ms = |span: Duration| number(format!("{:.6}", span.as_secs_f64() * 1e3));
    [
        (names::POLICY, Some(HeaderValue::from_static(proxy.policy_name()))),
        (names::REPLICA, Some(replica.name_header.clone())),
        (names::REGION, Some(replica.region_header.clone())),
        (names::SCORE, placed.score.filter(|s| s.is_finite()).and_then(|s| number(s.to_string()))),
        (names::PREDICTED_CACHED_TOKENS, Some(placed.predicted_cached_tokens.into())),
        (names::ROUTER_QUEUE_MS, ms(times.queued)),
        (names::ROUTING_MS, ms(routing)),
        (names::FAILED_ATTEMPTS_MS, ms(flight.dispatched() - first)),
        (names::ATTEMPTS, Some(times.attempts.into())),
        (names::UPSTREAM_HEADERS_MS, ms(flight.dispatched().elapsed())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((HeaderName::from_static(name), value?)))
}

/// Reads a response's body whole, up to `most` bytes; none: it is longer, or broke off.
pub(crate) async fn whole(
    link: &mut crate::upstream::Link,
    mut body: Incoming,
    most: usize,
) -> Option<Bytes> {
    let mut all = Vec::new();
    loop {
        match std::future::poll_fn(|cx| link.poll_body(cx, &mut body)).await {
            None => return Some(all.into()),
            Some(Err(_)) => return None,
            Some(Ok(frame)) => {
                if let Some(bytes) = frame.data_ref() {
                    if all.len() + bytes.len() > most {
                        return None;
                    }
                    all.extend_from_slice(bytes);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_do_not_pass() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("x-yours", "2"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["x-yours"], "2");
    }
}
