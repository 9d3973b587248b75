//! Headers of our own, beside `x-request-id`. Names are in lower case, as HTTP/2 wants them.

/// The request's id: taken from the client, or made by the proxy; passed on, answered, and written in logs.
pub const REQUEST_ID: &str = "x-request-id";
/// The conversation that a request belongs to; `user` or `session_id` in the body say it too.
pub const SESSION: &str = "x-session-id";
/// The zone that a request may not leave.
pub const RESIDENCY: &str = "x-gorgo-residency";
/// Where the client is: a region of the network, by name.
pub const ORIGIN_REGION: &str = "x-gorgo-origin-region";

/// How many proxies have passed the request on to another region's before this one.
pub const HOPS: &str = "x-gorgo-hops";

/// Answered by the proxy where it is asked to explain itself: the policy.
pub const POLICY: &str = "x-gorgo-policy";
/// The replica's name in the inventory.
pub const REPLICA: &str = "x-gorgo-replica";
/// The replica's region.
pub const REGION: &str = "x-gorgo-region";
/// The policy's score of the chosen replica.
pub const SCORE: &str = "x-gorgo-score";
/// Prompt tokens that the proxy took to be in the replica's cache.
pub const PREDICTED_CACHED_TOKENS: &str = "x-gorgo-predicted-cached-tokens";
/// How long the request waited in the proxy's queue, milliseconds.
pub const ROUTER_QUEUE_MS: &str = "x-gorgo-router-queue-ms";
/// From the request's last byte to its dispatch without the queue, milliseconds.
pub const ROUTING_MS: &str = "x-gorgo-routing-ms";
/// From the first dispatch to the last one, milliseconds: attempts that came to nothing.
pub const FAILED_ATTEMPTS_MS: &str = "x-gorgo-failed-attempts-ms";
/// How often it was sent to a replica.
pub const ATTEMPTS: &str = "x-gorgo-attempts";
/// From the last dispatch to the replica's response headers, milliseconds.
pub const UPSTREAM_HEADERS_MS: &str = "x-gorgo-upstream-headers-ms";
