//! How many bytes a request is, and how long a link takes to carry them.
//!
//! The time is that of the last byte behind the first: bytes over bandwidth. Each message has the link to itself, so
//! there is no queue of messages, and answers, of a few hundred bytes a token, are left out.

use super::{Network, invalid};
use crate::ModelError;
use gorgo_types::{Nanos, RegionId, Tokens};

/// The size of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Payload {
    /// Bytes of text for each token of the prompt. Default 4: the estimate of 4 characters a token in English.
    pub bytes_per_token: f64,
    /// Bytes besides: headers and the JSON around the prompt. Default 1,024, an assumption.
    pub bytes_per_request: u64,
}

impl Default for Payload {
    fn default() -> Self {
        Self { bytes_per_token: 4.0, bytes_per_request: 1_024 }
    }
}

impl Payload {
    /// The bytes of a request with so many prompt tokens.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float to u64 saturates, and both factors are checked to be 0 or more"
    )]
    pub fn bytes(&self, prompt: Tokens) -> u64 {
        let text = (prompt.get() as f64 * self.bytes_per_token) as u64;
        text.saturating_add(self.bytes_per_request)
    }
}

/// Bandwidths in bits per second; none: no limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bandwidths {
    /// Row after row, as the links.
    between: Vec<Option<f64>>,
    clients: Option<f64>,
}

/// The time in which so many bytes pass at so many bits per second.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float to u64 saturates, and neither number is negative"
)]
fn carry(bytes: u64, bits_per_second: Option<f64>) -> Nanos {
    bits_per_second.map_or(Nanos::ZERO, |bits| Nanos((bytes as f64 * 8e9 / bits) as u64))
}

impl Network {
    /// The same network with another size of requests.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] where the bytes per token are no number of 0 or more.
    pub fn with_payload(mut self, payload: Payload) -> Result<Self, ModelError> {
        let each = payload.bytes_per_token;
        if !(each >= 0.0 && each.is_finite()) {
            return Err(invalid("bytes_per_token", each, "zero or more"));
        }
        self.payload = payload;
        Ok(self)
    }

    /// The same network with these bandwidths, bits per second: `all` for every link that `links` does not name (a pair
    /// named one way serves both, unless the other way is named too; unknown names are passed over).
    ///
    /// # Errors
    /// [`ModelError::Invalid`] for a bandwidth that is no positive number.
    pub fn with_bandwidth(
        mut self,
        all: Option<f64>,
        links: &[(String, String, f64)],
        clients: Option<f64>,
    ) -> Result<Self, ModelError> {
        let named = links.iter().map(|(.., bits)| Some(*bits));
        for bits in named.chain([all, clients]).flatten() {
            if !(bits > 0.0 && bits.is_finite()) {
                return Err(invalid("bandwidth", bits, "a positive number of bits per second"));
            }
        }
        if all.is_none() && clients.is_none() && links.is_empty() {
            self.bandwidths = None;
            return Ok(self);
        }
        let n = self.regions.len();
        let mut between = vec![all; n * n];
        // The way back first, so that a way that is named itself wins.
        for turned in [true, false] {
            for (from, to, bits) in links {
                if let (Some(&from), Some(&to)) = (self.by_name.get(from), self.by_name.get(to)) {
                    let (from, to) = if turned { (to, from) } else { (from, to) };
                    between[from.index() * n + to.index()] = Some(*bits);
                }
            }
        }
        self.bandwidths = Some(Box::new(Bandwidths { between, clients }));
        Ok(self)
    }

    /// The size of requests.
    #[must_use]
    pub const fn payload(&self) -> Payload {
        self.payload
    }

    /// Bits per second of a link; none: no limit.
    #[must_use]
    pub fn bandwidth(&self, from: RegionId, to: RegionId) -> Option<f64> {
        self.bandwidths.as_ref().and_then(|all| all.between[self.index(from, to)])
    }

    /// How much later than its first byte the last byte of a request arrives over a link.
    #[must_use]
    #[inline]
    pub fn sending(&self, from: RegionId, to: RegionId, prompt: Tokens) -> Nanos {
        match &self.bandwidths {
            None => Nanos::ZERO,
            Some(all) => carry(self.payload.bytes(prompt), all.between[self.index(from, to)]),
        }
    }

    /// The same from a client to its router.
    #[must_use]
    #[inline]
    pub fn client_sending(&self, prompt: Tokens) -> Nanos {
        match &self.bandwidths {
            None => Nanos::ZERO,
            Some(all) => carry(self.payload.bytes(prompt), all.clients),
        }
    }
}
