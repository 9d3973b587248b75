//! The list of distinct origins that a reader has met.

use crate::json_cursor::Fault;
use crate::trace_line::Line;
use gorgo_types::{LatLon, Origin, OriginId};
use rustc_hash::FxHashMap;

/// Distinct origins in the order of their first appearance; index 0 is the unknown origin.
pub(crate) struct OriginTable {
    list: Vec<Origin>,
    /// From an origin's spelling to its index.
    index: FxHashMap<Box<[u8]>, OriginId>,
    spelling: Vec<u8>,
}

impl OriginTable {
    pub(crate) fn new() -> Self {
        Self { list: vec![Origin::default()], index: FxHashMap::default(), spelling: Vec::new() }
    }

    pub(crate) fn list(&self) -> &[Origin] {
        &self.list
    }

    /// The index of a line's origin; moves its names out of the line.
    pub(crate) fn intern(&mut self, line: &mut Line) -> Result<OriginId, Box<Fault>> {
        let names = [&line.country, &line.state, &line.region, &line.residency];
        if names.iter().all(|name| name.is_none()) && line.lat.is_none() {
            return Ok(OriginId(0));
        }
        self.spelling.clear();
        for name in names {
            // 0xff is in no UTF-8 text, so no two origins are spelled alike.
            self.spelling.extend_from_slice(name.as_deref().unwrap_or_default().as_bytes());
            self.spelling.push(0xff);
        }
        let position = line.lat.zip(line.lon).map(|(lat, lon)| LatLon { lat, lon });
        if let Some(LatLon { lat, lon }) = position {
            self.spelling.extend_from_slice(&lat.to_bits().to_le_bytes());
            self.spelling.extend_from_slice(&lon.to_bits().to_le_bytes());
        }
        if let Some(&id) = self.index.get(self.spelling.as_slice()) {
            return Ok(id);
        }
        let id = OriginId(u32::try_from(self.list.len()).map_err(|_| {
            Fault::field("origin", "another origin", "at most 4294967295 different ones")
        })?);
        self.index.insert(self.spelling.as_slice().into(), id);
        self.list.push(Origin {
            country: line.country.take(),
            state: line.state.take(),
            position,
            region: line.region.take(),
            residency: line.residency.take(),
        });
        Ok(id)
    }
}
