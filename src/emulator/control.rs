//! The control port: faults at run time, the scenario's time zero, and how late the machine is.
//!
//! Whoever calls it must show the token, or where none is set call from this machine.

use crate::body::Body;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::host::{Served, make_room};
use crate::routes::{collect, error_response, response};
use crate::running::{ReplicaAddress, Report};
use gorgo_types::Nanos;
use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::json;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// What the control port acts on.
pub(crate) struct Control {
    pub served: Vec<Arc<Served>>,
    pub replicas: Vec<ReplicaAddress>,
    pub clock: Clock,
    pub zero_set: Arc<Notify>,
    pub report: Report,
    pub token: Option<String>,
}

/// A fault, of which replica, for how long.
#[derive(Deserialize)]
struct Asked {
    replica: String,
    #[serde(default)]
    seconds: Option<f64>,
    #[serde(flatten)]
    fault: serde_json::Map<String, serde_json::Value>,
}

/// Larger bodies hold no fault.
const MOST_BODY_BYTES: usize = 64 << 10;
/// Longer faults are asked for without an end.
const MOST_SECONDS: f64 = 86_400.0;

impl Control {
    /// The scenario's events count from now on, unless they do already.
    pub fn start_events(&self) {
        if self.clock.set_zero() {
            self.zero_set.notify_waiters();
        }
    }

    /// Breaks or mends a replica. The error is in words.
    pub fn set_fault(
        &self,
        replica: &str,
        fault: Fault,
        lasts: Option<Duration>,
    ) -> Result<(), String> {
        fault.validate()?;
        let found = self.served.iter().find(|served| served.station.name() == replica);
        let Some(served) = found else {
            let known: Vec<&str> = self.served.iter().map(|served| served.station.name()).collect();
            return Err(format!("replica: got {replica:?}, wanted one of {}", known.join(", ")));
        };
        tracing::info!(replica, ?fault, ?lasts, "fault");
        served.set_fault(fault);
        let number = served.faults.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        if let Some(lasts) = lasts {
            // It ends with the runtime, or finds that another fault has come since.
            let served = Arc::clone(served);
            tokio::spawn(async move {
                tokio::time::sleep(lasts).await;
                if served.faults.load(std::sync::atomic::Ordering::SeqCst) == number {
                    served.set_fault(Fault::None);
                }
            });
        }
        Ok(())
    }
}

/// Serves the control port until the task is aborted.
pub(crate) async fn serve_control(control: Arc<Control>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        make_room(&mut connections).await;
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        drop(stream.set_nodelay(true));
        let control = Arc::clone(&control);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let control = Arc::clone(&control);
                async move { Ok::<_, Infallible>(answer(&control, request, peer).await) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(60))
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = served.await {
                tracing::debug!(%error, "a connection to the control port ended");
            }
        });
    }
}

fn may(control: &Control, request: &Request<Incoming>, peer: SocketAddr) -> bool {
    let Some(token) = &control.token else { return peer.ip().is_loopback() };
    let shown = request.headers().get(header::AUTHORIZATION);
    let shown = shown.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    shown.is_some_and(|shown| same(shown, token.as_bytes()))
}

/// Compares in a time that tells nothing of where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

async fn answer(control: &Control, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
    if !may(control, &request, peer) {
        return error_response(StatusCode::UNAUTHORIZED, "wanted the control port's bearer token");
    }
    let (head, body) = request.into_parts();
    match (head.method, head.uri.path()) {
        (Method::POST, "/emulator/fault") => {
            let body = match collect(body, MOST_BODY_BYTES).await {
                Ok(body) => body.concat(),
                Err(refused) => return refused,
            };
            match read_fault(&body)
                .and_then(|(replica, fault, lasts)| control.set_fault(&replica, fault, lasts))
            {
                Ok(()) => json_response(&json!({"ok": true})),
                Err(problem) => error_response(StatusCode::BAD_REQUEST, &problem),
            }
        }
        (Method::POST, "/emulator/start") => {
            control.start_events();
            json_response(&json!({"ok": true}))
        }
        (Method::GET, "/emulator/status") => json_response(&status(control)),
        (_, "/emulator/fault" | "/emulator/start" | "/emulator/status") => {
            error_response(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        }
        _ => error_response(StatusCode::NOT_FOUND, "Not Found"),
    }
}

fn read_fault(body: &[u8]) -> Result<(String, Fault, Option<Duration>), String> {
    let asked: Asked =
        serde_json::from_slice(body).map_err(|error| format!("the request body: {error}"))?;
    let fault = serde_json::from_value(serde_json::Value::Object(asked.fault))
        .map_err(|error| format!("the request body: {error}"))?;
    let lasts = match asked.seconds {
        None => None,
        Some(seconds) if seconds > 0.0 && seconds <= MOST_SECONDS => {
            Some(Duration::from_secs_f64(seconds))
        }
        Some(seconds) => {
            return Err(format!(
                "seconds: got {seconds}, wanted above 0 and at most {MOST_SECONDS}"
            ));
        }
    };
    Ok((asked.replica, fault, lasts))
}

fn json_response(value: &serde_json::Value) -> Response<Body> {
    response(StatusCode::OK, "application/json", value.to_string())
}

fn status(control: &Control) -> serde_json::Value {
    let replica = |address: &ReplicaAddress| {
        let links: serde_json::Map<_, _> = address
            .links
            .iter()
            .map(|link| (link.from.clone(), json!(link.address.to_string())))
            .collect();
        let mut all = json!({
            "name": address.name,
            "region": address.region,
            "direct": address.direct.to_string(),
            "links": links,
        });
        // Of one that is served elsewhere no more is known.
        let served = control.served.iter().find(|served| served.station.name() == address.name);
        if let Some(served) = served {
            let observation = served.station.look().observation;
            all["up"] = json!(*served.up.borrow());
            all["running"] = json!(observation.running_requests);
            all["queued"] = json!(observation.queued_requests);
            all["used_tokens"] = json!(observation.used_tokens);
            all["cached_tokens"] = json!(observation.cached_tokens);
        }
        all
    };
    let late = |lateness: &crate::Lateness| {
        let ms = |share| lateness.quantile(share).map(Nanos::as_ms);
        json!({"count": lateness.count(), "p50_ms": ms(0.5), "p99_ms": ms(0.99), "max_ms": lateness.most().as_ms()})
    };
    let scenario_ms =
        control.clock.zero().map(|_| control.clock.in_scenario(control.clock.now()).as_ms());
    json!({
        "scenario_ms": scenario_ms,
        "replicas": control.replicas.iter().map(replica).collect::<Vec<_>>(),
        "lateness": {"tokens": late(&control.report.tokens), "links": late(&control.report.links)},
        "timing": control.report.timing,
    })
}
