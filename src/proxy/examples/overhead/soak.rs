//! Load for a long time: the second half must not take more memory than the first, in which caches, pools and the index
//! fill up.

use super::load::{Acks, Load};
use super::target::{Mocks, Target};
use std::time::{Duration, Instant};

/// How much more the second half may take: allocators keep what bursts have asked for.
const MOST_GROWTH: f64 = 1.1;

/// Sends load through a proxy of the last of these policies.
pub fn run(seconds: f64, policies: &[String]) -> Result<(), String> {
    let mocks = Mocks::start()?;
    let target = Target::gorgo(&mocks, policies.last().map_or("gorgo", String::as_str))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let began = Instant::now();
    // The most memory seen in each half.
    let (mut most, mut requests) = ([0.0_f64; 2], 0);
    // Connections come and go: each piece opens its own.
    let time = Duration::from_secs_f64((seconds / 60.0).clamp(0.5, 10.0));
    while began.elapsed().as_secs_f64() < seconds {
        let load = Load { concurrency: 32, acks: Acks::Default, time };
        requests += runtime.block_on(load.run(target.address))?.count();
        let at = began.elapsed().as_secs_f64();
        let memory = target.memory_mib().ok_or("the proxy is gone")?;
        let half = &mut most[usize::from(at >= seconds / 2.0)];
        *half = half.max(memory);
        println!("{at:.0} s, {requests} requests: memory: {memory:.1} MiB");
    }
    let [first, second] = most;
    println!(
        "memory: at most {first:.1} MiB in the first half of {seconds:.0} s, {second:.1} MiB in the second, {requests} requests"
    );
    if second > first * MOST_GROWTH {
        return Err(format!("it grew by more than {:.0} %", (MOST_GROWTH - 1.0) * 100.0));
    }
    Ok(())
}
