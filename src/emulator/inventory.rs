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
    /// How much it is meant to bear against the others, from 1.
    #[serde(skip_serializing_if = "is_one")]
    pub weight: u32,
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
        if self.replicas.iter().any(|replica| replica.kv_events.is_some()) {
            text += "\n[router]\nlearn_at = \"kv-event\"\n";
        }
        // Writing to a string does not fail.
        for InventoryReplica { name, region, weight, kv_events, url } in &self.replicas {
            let (name, region, url) = (quoted(name), quoted(region), quoted(url));
            let _ = write!(text, "\n[[replica]]\nname = {name}\nregion = {region}\nurl = {url}\n");
            if *weight != 1 {
                let _ = writeln!(text, "weight = {weight}");
            }
            if let Some(endpoint) = kv_events {
                let _ = writeln!(text, "kv_events = {}", quoted(endpoint));
            }
        }
        text
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_one(weight: &u32) -> bool {
    *weight == 1
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
            weight: 1,
            kv_events: None,
            url: "http://127.0.0.1:9".to_owned(),
        };
        let inventory = Inventory {
            region: "azure:us".to_owned(),
            block_tokens: 16,
            replicas: vec![replica.clone()],
        };
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
        let told = InventoryReplica {
            weight: 3,
            kv_events: Some("tcp://127.0.0.1:8".to_owned()),
            ..replica
        };
        let text = Inventory { replicas: vec![told], ..inventory }.to_toml();
        assert!(text.contains("[router]\nlearn_at = \"kv-event\"\n\n[[replica]]"), "{text}");
        assert!(text.ends_with("weight = 3\nkv_events = \"tcp://127.0.0.1:8\"\n"), "{text}");
    }
}
