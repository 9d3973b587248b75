//! The threads on which runs are made side by side, and runs of a sweep made on them.

use crate::exit::Failure;
use crate::progress::Progress;
use gorgo_sweep::{Plan, Pool, RunId, Store, SweepError};
use rayon::prelude::*;

/// So many threads; none: one per core.
pub fn threads(wanted: Option<u16>) -> Result<rayon::ThreadPool, Failure> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(wanted.map_or(0, usize::from))
        .build()
        .map_err(Failure::failed)
}

/// The run of every cell.
pub fn ids_of(plan: &Plan, threads: &rayon::ThreadPool) -> Result<Vec<RunId>, Failure> {
    let ids: Result<Vec<RunId>, SweepError> = threads
        .install(|| (0..plan.cells()).into_par_iter().map(|cell| plan.run_id(cell)).collect());
    ids.map_err(Failure::from)
}

/// Makes runs, each named by one of its cells, and keeps them in the folder. The pool has the requests that they share.
pub fn keep_runs(
    plan: &Plan,
    store: &Store,
    (threads, shared): (&rayon::ThreadPool, &Pool),
    runs: &[(RunId, usize)],
    progress: &Progress,
) -> Result<(), Failure> {
    // Seed by seed: policies and settings share a seed's requests while the pool still has them.
    let mut runs = runs.to_vec();
    runs.sort_by_key(|&(_, cell)| (plan.cell(cell).seed, cell));
    let ran: Result<(), SweepError> = threads.install(|| {
        runs.par_iter().try_for_each(|&(id, cell)| {
            let scenario = plan.resolve(cell)?;
            let outcome = plan.run(cell, &scenario, shared)?;
            store.keep(id, &scenario, &outcome)?;
            progress.add(1);
            Ok(())
        })
    });
    ran.map_err(Failure::from)
}
