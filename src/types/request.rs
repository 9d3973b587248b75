//! A request as the world knows it, true output length included. What a router may see of it is
//! `gorgo_routing::RoutingRequest`.

use crate::{BlockChain, OriginId, RequestId, Tokens};
use serde::{Deserialize, Serialize};

/// One request of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who it is: (session, turn).
    pub id: RequestId,
    /// Who asked, where the workload knows it.
    pub user: Option<u64>,
    /// True where `id.session` names a conversation; false where it only numbers a lone request.
    pub has_session: bool,
    /// The prompt.
    pub prompt: BlockChain,
    /// Output length, at least 1. The router never sees it.
    pub output_tokens: Tokens,
    /// What the client asked for, at least `output_tokens`.
    pub max_tokens: Tokens,
    /// Prompt followed by output, where the workload knows the output's blocks: later turns can then hit them.
    pub sequence: Option<BlockChain>,
    /// Where it comes from: an index into the source's list of origins.
    pub origin: OriginId,
}

/// A position on the globe, in degrees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatLon {
    /// Degrees north, -90 to 90.
    pub lat: f64,
    /// Degrees east, -180 to 180.
    pub lon: f64,
}

/// Where requests come from; the most exact part that is given wins (region, then position, state, country). And the
/// zone that they must not leave: clients of one place with other duties are another origin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Country name.
    pub country: Option<String>,
    /// State or province name.
    pub state: Option<String>,
    /// Position.
    pub position: Option<LatLon>,
    /// A region of the network, by name: the client sits inside it.
    pub region: Option<String>,
    /// The zone whose replicas alone may serve its requests, by name.
    pub residency: Option<String>,
}
