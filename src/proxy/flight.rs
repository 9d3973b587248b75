//! A request at a replica: what the router is told of it, each thing once, whatever happens. One that is dropped before
//! its end was given up by its client.

use crate::core::{Ask, Placed};
use crate::fleet::Replica;
use crate::metrics::End;
use crate::proxy::Proxy;
use gorgo_routing::Ticket;
use gorgo_types::Tokens;
use gorgo_wire::Usage;
use http::StatusCode;
use std::sync::Arc;
use std::time::Instant;

/// See the module.
pub(crate) struct Flight {
    proxy: Arc<Proxy>,
    ask: Arc<Ask>,
    placed: Placed,
    /// None: the router has been told of the end.
    ticket: Option<Ticket>,
    dispatched: Instant,
    status: StatusCode,
    began: bool,
}

impl Flight {
    pub(crate) fn new(proxy: &Arc<Proxy>, ask: &Arc<Ask>, placed: Placed) -> Self {
        let ticket = Some(placed.ticket);
        let (proxy, ask) = (Arc::clone(proxy), Arc::clone(ask));
        let dispatched = Instant::now();
        Self { proxy, ask, placed, ticket, dispatched, status: StatusCode::OK, began: false }
    }

    pub(crate) const fn replica(&self) -> &Arc<Replica> {
        &self.placed.replica
    }

    pub(crate) const fn placed(&self) -> &Placed {
        &self.placed
    }

    pub(crate) const fn dispatched(&self) -> Instant {
        self.dispatched
    }

    /// The response's headers have come.
    pub(crate) fn headers(&mut self, status: StatusCode) {
        self.status = status;
        let Some(ticket) = self.ticket else { return };
        let ok = status.is_success();
        self.proxy.with_core(|core, now| core.router.response_headers(now, ticket, ok));
    }

    /// The first piece of a good answer's text has come.
    pub(crate) fn first_token(&mut self) {
        let Some(ticket) = self.ticket.filter(|_| self.status.is_success() && !self.began) else {
            return;
        };
        self.began = true;
        self.proxy.metrics().first_token(self.dispatched.elapsed());
        self.proxy.with_core(|core, now| core.tell(|router| router.first_token(now, ticket)));
    }

    /// The response is whole.
    pub(crate) fn finished(&mut self, usage: Option<Usage>) {
        let Some(ticket) = self.ticket.take() else { return };
        let status = self.status;
        let replica = self.placed.replica.id;
        let cached = usage.and_then(|usage| usage.cached_tokens);
        let reports = self.proxy.learns_from_reports();
        self.proxy.with_core(|core, now| {
            if !status.is_success() {
                // A client's mistake is no failure of the replica's, and its time tells a tuner nothing.
                if status.is_server_error() {
                    core.tell(|router| router.failed(now, ticket));
                } else {
                    core.tell(|router| router.cancelled(now, ticket));
                }
                return;
            }
            if let Some(cached) = cached.filter(|_| reports) {
                core.router.cache_reported(now, replica, &self.ask.prompt, Tokens(cached));
            }
            core.tell(|router| router.finished(now, ticket, None));
        });
        let end = if status.is_success() { End::Completed } else { End::Refused };
        self.count(end);
        if status.is_success() {
            let predicted = self.placed.predicted_cached_tokens;
            self.proxy.metrics().usage(self.ask.prompt.tokens(), predicted, usage);
        }
    }

    /// No answer, or one that broke off.
    pub(crate) fn failed(&mut self, why: &str) {
        let Some(ticket) = self.ticket.take() else { return };
        let replica = &self.placed.replica;
        tracing::warn!(replica = %replica.name, request = %self.ask.id, why, "an attempt failed");
        self.proxy.with_core(|core, now| core.tell(|router| router.failed(now, ticket)));
        self.count(End::Failed);
    }

    fn count(&self, end: End) {
        self.proxy.metrics().attempt(&self.placed.replica, end, self.dispatched.elapsed());
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.proxy.with_core(|core, now| core.tell(|router| router.cancelled(now, ticket)));
            self.count(End::Cancelled);
        }
    }
}

/// A status that says that the replica itself is in trouble, or that something before it is.
pub(crate) fn is_down(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}
