//! What every metric means, in the words of the documentation. `gorgo help metrics` prints it.

use crate::exit::{Exit, Failure};

/// The definitions.
pub const METRICS: &str = "\
Time zero is the first scheduled arrival. Measured are the requests scheduled in [warm_up, stop).

  ttft_ms            from the scheduled time to the first token at the client, network included
  ttft_from_send_ms  the same from the actual send, as most load generators count
  ttft_parts_ms      client_queue + client_to_router + routing + router_queue + forward + failed_attempts + connect
                     + network_out + replica_overhead + replica_queue + prefill + network_back = ttft, exactly, in
                     every request
  client.queue_ms    from the scheduled time to the actual send, where the client has a limit ([client] in a
                     scenario): part of ttft_ms and e2e_ms, hidden from who starts the clock at the send
  client.slip_ms     of that, until the client came to the request at all; the rest it waited for a worker
  client.never_sent  requests that were due and that the client still held at the end; they count as in flight
  e2e_ms             from the scheduled time to the last token at the client
  tpot_ms            of a request: (e2e - ttft) / (output tokens - 1), for 2 output tokens or more
  itl_ms             the distribution of single gaps between tokens
  goodput_rps        measured requests that meet all their SLOs / length of the measured window
  good_fraction      measured requests that meet all their SLOs / all measured requests
  cache.real_*       tokens (or requests) served from the replica's KV cache
  cache.predicted_*  what the router's prefix index believed when it decided
  load.mean_in_flight          time average of requests under way, from send to last token
  load.busiest_replica_share   share of the requests that went to the replica that got most

Percentiles are nearest rank, ceil(q n). Requests that failed, were rejected, timed out or had not finished when the
run ended count as infinite: a percentile that falls on one is null. Percentiles of a run with records are exact;
without records they come from histograms of three significant digits, and the summary says so.

Conservation, checked in every run: injected = completed + failed + rejected + cancelled + timed out + in flight.

Regret of a decision: the run repeated under the same draws with this decision forced to each candidate in turn;
reported are the request's own TTFT and the summed change of all others'.";

/// Prints the definitions.
#[expect(clippy::unnecessary_wraps, reason = "every command has this shape")]
pub fn print() -> Result<Exit, Failure> {
    println!("{METRICS}");
    Ok(Exit::Ok)
}
