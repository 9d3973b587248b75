//! Reading back what was written.

use gorgo_import::ImportOptions;
use gorgo_model::network::PlaceTable;
use gorgo_types::{Nanos, Request};
use gorgo_workload::{Due, Source, TraceOptions};
use std::path::Path;

/// A request with its time and origin.
#[derive(Debug)]
pub struct Read {
    pub at: Nanos,
    pub request: Request,
    pub origin: String,
}

/// Every request of a trace, by the reader that everybody uses.
pub fn read(trace: &Path) -> Vec<Read> {
    let mut source = gorgo_workload::open(trace, TraceOptions::default()).expect("the trace opens");
    let mut all = Vec::new();
    while let Due::At(_) = source.next_due().expect("a line") {
        let (at, request) = source.take().expect("a line");
        let origin = gorgo_workload::info::origin_name(&source.origins()[request.origin.index()]);
        all.push(Read { at, request, origin });
    }
    all
}

/// Options with the built-in places.
pub fn options() -> ImportOptions {
    let places = gorgo_scenario::data::places().expect("the built-in places");
    ImportOptions { places: PlaceTable::new(&places).expect("places"), ..ImportOptions::default() }
}
