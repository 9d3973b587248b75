//! Load for a long time: memory must stay where it was after the first sixth, when caches, pools and the index are full.

use super::load::{Acks, Load};
use super::target::{Mocks, Target};
use std::time::{Duration, Instant};

/// How much more memory may be in use at the end: allocators keep what bursts have asked for.
const MOST_GROWTH: f64 = 1.1;

/// Sends load through a proxy of the last of these policies.
pub fn run(seconds: f64, policies: &[String]) -> Result<(), String> {
    let mocks = Mocks::start()?;
    let target = Target::gorgo(&mocks, policies.last().map_or("gorgo", String::as_str))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let began = Instant::now();
    let (mut first, mut last, mut requests) = (None, 0.0, 0);
    // Connections come and go: each piece opens its own.
    let time = Duration::from_secs_f64((seconds / 60.0).clamp(0.5, 10.0));
    while began.elapsed().as_secs_f64() < seconds {
        let load = Load { concurrency: 32, acks: Acks::Default, time };
        requests += runtime.block_on(load.run(target.address))?.count();
        let at = began.elapsed().as_secs_f64();
        last = target.memory_mib().ok_or("the proxy is gone")?;
        if at >= seconds / 6.0 {
            first.get_or_insert(last);
        }
        println!("{at:.0} s, {requests} requests: memory: {last:.1} MiB");
    }
    let first = first.unwrap_or(last);
    println!(
        "memory: {first:.1} MiB after a sixth of {seconds:.0} s, {last:.1} MiB after {requests} requests"
    );
    if last > first * MOST_GROWTH {
        return Err(format!("it grew by more than {:.0} %", (MOST_GROWTH - 1.0) * 100.0));
    }
    Ok(())
}
