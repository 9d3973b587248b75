//! Prices: the scenario's own first, then the built-in ones. What has none stays without.

use super::Context;
use crate::parsed::{CostTable, EgressPriceTable, EgressTable, GpuPriceTable, ReceiverTable};
use crate::{CostParams, GpuShare, ReplicaSpec, RouterSpec, data::PriceTables};
use gorgo_config::{Diagnostic, Located, NonNegative, UsdPerGb, UsdPerHour};
use gorgo_model::{Network, ProfileSpec};
use gorgo_types::RegionId;
use std::collections::{BTreeMap, BTreeSet};

/// A prompt is sent as JSON. An assumption: 4 characters of English are a token, an eighth more for escapes and keys.
const BYTES_PER_PROMPT_TOKEN: f64 = 4.5;

/// An answer is streamed, a chunk for each token. One of SGLang's (sgl-project/sglang, pull request 9657) has 291 bytes
/// with a model of 4 letters; with `meta-llama/Llama-3.1-8B-Instruct` and a word of 5 letters it has 323. Rounded; the
/// frames of HTTP and TLS come on top.
const BYTES_PER_OUTPUT_TOKEN: f64 = 320.0;

/// More than any encoding of a token takes; sums of bytes stay finite.
const MOST_BYTES_PER_TOKEN: f64 = 1e6;

/// What traffic to clients is called among the regions that receive.
const INTERNET: &str = "internet";

/// The prices and the table that makes them again.
pub(super) struct CostPart {
    pub(super) params: CostParams,
    pub(super) table: CostTable,
}

impl Context<'_> {
    pub(super) fn cost(
        &self,
        network: &Network,
        replicas: &[ReplicaSpec],
        profiles: &[ProfileSpec],
        router: &RouterSpec,
    ) -> Result<CostPart, Diagnostic> {
        let given = &self.table.cost;
        let tables = PriceTables::built_in()?;
        let prompt = self.bytes(given.bytes_per_prompt_token.as_ref(), BYTES_PER_PROMPT_TOKEN)?;
        let output = self.bytes(given.bytes_per_output_token.as_ref(), BYTES_PER_OUTPUT_TOKEN)?;
        let count_idle = given.count_idle.unwrap_or(true);
        let shares: Vec<GpuShare> =
            replicas.iter().map(|replica| share_of(replica, profiles)).collect();
        let gpus = self.gpu_prices(&shares, &tables)?;
        let egress = self.egress_prices(network, replicas, &router.all_regions(), &tables)?;
        let name = |id: RegionId| network.regions()[id.index()].name.as_str();
        let price = |from: &str, to: &str| Some(egress.get(from)?.value.get(to)?.value.price.0);
        let regions = || (0_u32..).map(RegionId).take(network.regions().len());
        let pairs = regions().flat_map(|from| regions().map(move |to| (from, to)));
        let params = CostParams {
            count_idle,
            bytes_per_prompt_token: prompt,
            bytes_per_output_token: output,
            gpu_usd_per_hour: gpus
                .iter()
                .map(|(gpu, row)| (gpu.clone(), row.value.price.0))
                .collect(),
            replicas: shares,
            internet_usd_per_gb: regions()
                .filter_map(|from| Some((from, price(name(from), INTERNET)?)))
                .collect(),
            egress_usd_per_gb: pairs
                .filter_map(|(from, to)| Some(((from, to), price(name(from), name(to))?)))
                .collect(),
        };
        let table = CostTable {
            count_idle: Some(count_idle),
            bytes_per_prompt_token: Some(NonNegative(prompt).into()),
            bytes_per_output_token: Some(NonNegative(output).into()),
            gpus,
            egress,
        };
        Ok(CostPart { params, table })
    }

    fn bytes(&self, given: Option<&Located<NonNegative>>, default: f64) -> Result<f64, Diagnostic> {
        match given {
            Some(bytes) if bytes.value.0 > MOST_BYTES_PER_TOKEN => {
                let problem = format!("got {}, wanted at most 1000000 bytes", bytes.value.0);
                Err(self.document.blame(bytes, problem))
            }
            Some(bytes) => Ok(bytes.value.0),
            None => Ok(default),
        }
    }

    /// The prices of the fleet's GPUs, by name.
    fn gpu_prices(
        &self,
        shares: &[GpuShare],
        tables: &PriceTables,
    ) -> Result<BTreeMap<String, Located<GpuPriceTable>>, Diagnostic> {
        let mut prices = self.table.cost.gpus.clone();
        let fleet: BTreeSet<&str> = shares.iter().map(|share| share.gpu.as_str()).collect();
        for (name, row) in &prices {
            if !fleet.contains(name.as_str()) {
                let known = fleet.iter().copied();
                let problem = format!("got a price of {name:?}, wanted a GPU of this fleet");
                return Err(self.document.blame(row, problem).known("its GPUs", name, known));
            }
        }
        for gpu in fleet {
            if let Some(found) = tables.gpu(gpu)
                && !prices.contains_key(gpu)
            {
                let of_what = match found.gpus_per_machine {
                    1 => "one rented alone".to_owned(),
                    gpus => format!("one of {gpus} rented together"),
                };
                let source = format!(
                    "data/prices/gpus.csv: {}, {of_what}; {}",
                    found.provider, found.source
                );
                let price = UsdPerHour(found.usd_per_gpu_hour);
                let row = GpuPriceTable { price, source: Some(source) };
                prices.insert(gpu.to_owned(), row.into());
            }
        }
        Ok(prices)
    }

    /// The prices of traffic, by the regions that send and receive: the scenario's own, and those that these routers and
    /// replicas can need.
    fn egress_prices(
        &self,
        network: &Network,
        replicas: &[ReplicaSpec],
        routers: &BTreeSet<RegionId>,
        tables: &PriceTables,
    ) -> Result<EgressTable, Diagnostic> {
        let name = |id: RegionId| network.regions()[id.index()].name.clone();
        let mut prices = self.table.cost.egress.clone();
        for (from, row) in &prices {
            self.region_of_price(from, row, network)?;
            for (to, price) in &row.value {
                if to == from {
                    let problem =
                        format!("got a price from {from:?} to itself, wanted two regions");
                    return Err(self.document.blame(price, problem));
                }
                if to != INTERNET {
                    self.region_of_price(to, price, network)?;
                }
            }
        }
        let regions: BTreeSet<RegionId> = replicas.iter().map(|replica| replica.region).collect();
        let pairs = routers.iter().flat_map(|&router| regions.iter().map(move |&to| (router, to)));
        let legs = pairs
            .filter(|(router, region)| router != region)
            .flat_map(|(router, region)| [(router, region), (region, router)]);
        let mut add = |from: String, to: String, found: Option<(f64, String)>| {
            if let Some((usd, source)) = found {
                let row = EgressPriceTable { price: UsdPerGb(usd), source: Some(source) };
                let sender = prices.entry(from).or_insert_with(|| ReceiverTable::new().into());
                sender.value.entry(to).or_insert_with(|| row.into());
            }
        };
        for (from, to) in legs {
            let found = tables.egress(&name(from), &name(to));
            add(name(from), name(to), found);
        }
        for &router in routers {
            add(name(router), INTERNET.to_owned(), tables.internet(&name(router)));
        }
        Ok(prices)
    }

    fn region_of_price<T>(
        &self,
        region: &str,
        at: &Located<T>,
        network: &Network,
    ) -> Result<(), Diagnostic> {
        if network.region(region).is_ok() {
            return Ok(());
        }
        let known = network.regions().iter().map(|place| place.name.as_str());
        let problem = format!("got {region:?}, wanted a region of this network");
        Err(self.document.blame(at, problem).known("regions of this network", region, known))
    }
}

/// The GPUs of a replica: those that its profile's provenance counts, else those of its name (`NxGPU-tpM_MODEL`).
fn share_of(replica: &ReplicaSpec, profiles: &[ProfileSpec]) -> GpuShare {
    let name = &replica.config.profile.name;
    let (gpu, in_name) = gpu_of(name);
    let counted = profiles.iter().find(|profile| profile.name == *name);
    let counted = counted.map_or(0, |profile| profile.provenance.gpus);
    GpuShare { gpu: gpu.to_owned(), gpus: if counted > 0 { counted } else { in_name } }
}

/// GPU and their number from the name of a profile.
fn gpu_of(profile: &str) -> (&str, u32) {
    let hardware = profile.split_once('_').map_or(profile, |(hardware, _)| hardware);
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
    if let Some((gpu, gpus)) = hardware.rsplit_once("-tp")
        && let Some(gpus) = number(gpus)
    {
        return (gpu, gpus);
    }
    if let Some((gpus, gpu)) = hardware.split_once('x')
        && let Some(gpus) = number(gpus)
        && !gpu.is_empty()
    {
        return (gpu, gpus);
    }
    (hardware, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_profiles_say_which_gpus_and_how_many() {
        assert_eq!(gpu_of("h100-sxm_llama-3.1-8b"), ("h100-sxm", 1));
        assert_eq!(gpu_of("h100-sxm-tp4_llama-3.3-70b-fp8"), ("h100-sxm", 4));
        assert_eq!(gpu_of("2xl40s_qwen3.5-35b-a3b-fp8"), ("l40s", 2));
        assert_eq!(gpu_of("mine"), ("mine", 1));
        assert_eq!(gpu_of("-tp0_x"), ("-tp0", 1));
        assert_eq!(gpu_of("x_y"), ("x", 1));
        assert_eq!(gpu_of("2x"), ("2x", 1));
        assert_eq!(gpu_of(""), ("", 1));
    }
}
