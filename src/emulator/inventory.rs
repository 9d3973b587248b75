//! Where the replicas are reached, for whoever is to send requests to them: as data, or as the file that `gorgo proxy
//! --config` reads.

use serde::Serialize;
use std::fmt::Write;

/// The fleet as a router sees it from its region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// The router's region.
    pub region: String,
    /// Tokens per block of the replicas' caches.
    pub block_tokens: u32,
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
    /// Where its KV events are published, as ZMQ names it; none: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_events: Option<String>,
    /// Where it is reached over the link from the router's region; directly where links are not delayed.
    pub url: String,
}

impl Inventory {
    /// The part of a proxy's configuration that says where its replicas are and how their caches count.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "region = {}\n\n[text]\nblock_tokens = {}\n",
            quoted(&self.region),
            self.block_tokens
        );
        for InventoryReplica { name, region, url, .. } in &self.replicas {
            let (name, region, url) = (quoted(name), quoted(region), quoted(url));
            // Writing to a string does not fail.
            let _ = write!(text, "\n[[replica]]\nname = {name}\nregion = {region}\nurl = {url}\n");
        }
        text
    }
}

/// A basic string of TOML: JSON's escapes are among its own.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_can_read_it() {
        let replica = InventoryReplica {
            name: "eu\"0".to_owned(),
            region: "azure:eu".to_owned(),
            kv_events: None,
            url: "http://127.0.0.1:9".to_owned(),
        };
        let inventory =
            Inventory { region: "azure:us".to_owned(), block_tokens: 16, replicas: vec![replica] };
        assert_eq!(
            inventory.to_toml(),
            r#"region = "azure:us"

[text]
block_tokens = 16

[[replica]]
name = "eu\"0"
region = "azure:eu"
url = "http://127.0.0.1:9"
"#
        );
    }
}
