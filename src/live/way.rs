//! The way between clients and router, where the scenario's is emulated: the simulator's draws, waited for here.

use gorgo_metrics::OriginLeg;
use gorgo_model::network::{ClientConnections, Connect};
use gorgo_model::{Network, halves};
use gorgo_random::Key;
use gorgo_sim::{Ingress, SimError, client_draw};
use gorgo_types::{Nanos, Origin, RegionId, Request};
use gorgo_workload::info::origin_name;

/// What a request waits on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// Opening its connection.
    pub connect: Nanos,
    /// To the router.
    pub out: Nanos,
    /// Back from it.
    pub back: Nanos,
}

/// The ways of all origins.
pub(crate) struct Ways {
    pub network: Network,
    pub key: Key,
    pub routers: Vec<RegionId>,
    pub geo_proxy: Option<RegionId>,
    pub connect: Option<Connect>,
    /// By origin, as far as they have been met.
    pub known: Vec<Ingress>,
}

impl Ways {
    /// The way of a request that is sent then.
    ///
    /// # Errors
    /// When the network does not know its origin.
    pub fn of(
        &mut self,
        request: &Request,
        sent: Nanos,
        origins: &[Origin],
    ) -> Result<Way, SimError> {
        self.learn(request, origins)?;
        let Some(ingress) = self.known.get(request.origin.index()) else {
            return Ok(Way::default());
        };
        let rtt = self.network.client_rtt_at(&ingress.leg, sent, client_draw(self.key, request.id));
        let (out, back) = halves(rtt);
        let prompt = request.prompt.tokens();
        let out = out + self.network.client_sending(prompt);
        let (connect, slow_start) = match &self.connect {
            Some(spec) if spec.clients == ClientConnections::New => {
                let bytes = self.network.payload().bytes(prompt);
                (spec.set_up(rtt), spec.slow_start(rtt, bytes))
            }
            _ => (Nanos::ZERO, Nanos::ZERO),
        };
        Ok(Way { connect, out: out + slow_start, back })
    }

    fn learn(&mut self, request: &Request, origins: &[Origin]) -> Result<(), SimError> {
        while let Some(origin) = origins.get(self.known.len()) {
            let routers = self.routers.iter().copied();
            let ingress = Ingress::nearest(&self.network, routers, self.geo_proxy, origin)
                .map_err(|source| SimError::Origin { id: request.id, source: Box::new(source) })?;
            self.known.push(ingress.of_origin(self.known.len() as u32));
        }
        Ok(())
    }

    /// The ways of the origins that have sent something, for the result.
    pub fn legs(&self, origins: &[Origin]) -> Vec<OriginLeg> {
        let known = origins.iter().zip(&self.known);
        let leg = |(origin, way): (&Origin, &Ingress)| OriginLeg {
            origin: origin_name(origin),
            rtt_p50_ms: way.leg.median.as_ms(),
            how: self.network.leg_in_words(origin, self.routers[way.site as usize], &way.leg),
        };
        known.map(leg).collect()
    }
}
