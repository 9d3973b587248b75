//! Where the replicas are reached, for whoever is to send requests to them.

use serde::Serialize;

/// The fleet as a router sees it from its region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// The router's region.
    pub region: String,
    /// The replicas, in the fleet's order.
    pub replicas: Vec<InventoryReplica>,
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InventoryReplica {
    /// Its name, as in a simulation's `requests.csv`.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Where it is reached over the link from the router's region; directly where links are not delayed.
    pub url: String,
}
