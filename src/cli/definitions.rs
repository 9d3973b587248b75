//! What every metric means, in the words of the documentation. `gorgo help metrics` prints it.

use crate::exit::{Exit, Failure};

/// The definitions.
pub const METRICS: &str = "\
Time zero is the first scheduled arrival. Measured are the requests scheduled in [warm_up, stop). Times are ms unless
the name says otherwise; what does not exist is null (in CSV: empty).

The run
  schema                 version of the summary's form
  scenario, policy, seed   which run it is
  duration_s             from time zero to the end of the run
  window.from_s, window.to_s, window.stop_s   the measured window: warm-up; stop or end of the run; stop as asked for
  window.measured, window.measured_completed   requests scheduled in it; of these, completed
  window.warm_up, window.cool_down   requests scheduled before it and after it, which only keep up the load
  slo_ms.ttft, slo_ms.tpot, slo_ms.e2e   the objectives of a good request
  requests.injected      all requests of the run: completed + failed + rejected + cancelled + timed_out + in_flight
                         (when the run ended), checked in every run
  percentiles_from       records (exact) or histogram (three significant digits); itl_ms is always a histogram's
  warnings               what a reader must know before trusting a number

Times of the measured requests (each with mean, p50, p90, p95, p99, max)
  ttft_ms                from the scheduled time to the first token at the client, network included
  ttft_from_send_ms      the same from the actual send, as most load generators count
  e2e_ms                 from the scheduled time to the last token at the client
  tpot_ms                of a request: (e2e - ttft) / (output tokens - 1), for 2 output tokens or more
  itl_ms                 the distribution of single gaps between tokens, as the replicas made them
  ttft_parts_ms          means over completed requests; in every request they add up to its ttft exactly:
    client_queue         scheduled time to actual send
    client_to_router     the way to the router
    routing              the decision
    router_queue         held back in the router
    forward              from one router to another
    failed_attempts      attempts that came to nothing
    connect              opening connections
    network_out          router to replica
    replica_overhead     the replica's own work outside the GPU
    replica_queue        waiting in the replica
    prefill              from admission to the end of the pass that gave the first token
    network_back         the first token's way back to the client

Held back by the client (only where [client] limits it)
  client.queue_ms        from the scheduled time to the actual send: part of ttft_ms and e2e_ms, hidden from who starts
                         the clock at the send
  client.slip_ms         of that, until the client came to the request at all; the rest it waited for a worker
  client.waited_fraction   share of the measured requests that were not sent when they were due
  client.never_sent      requests that were due and that the client still held at the end; they count as in flight

Quality and load
  cache.real_token_hit_rate, cache.real_request_hit_rate   prompt tokens (requests with any) found in the replica's KV
                         cache / all, of measured completed requests
  cache.predicted_token_hit_rate, cache.predicted_request_hit_rate   what the router's prefix index believed when it
                         decided
  load.mean_in_flight          time average of requests under way, from send to last token
  load.busiest_replica_share   share of the measured requests that went to the replica that got most
  goodput_rps            measured requests that meet all their SLOs / length of the measured window
  good_fraction          measured requests that meet all their SLOs / all measured requests

Replicas (over the whole run)
  replicas.id, replicas.region   names
  replicas.requests      requests that it took in
  replicas.busy_fraction   share of the run in which its GPU worked
  replicas.kv_used_mean  mean over time of the share of its KV pool that requests held
  replicas.evicted_tokens   cached tokens thrown out
  replicas.retracted     requests that lost their KV memory and started over, each time counted

Cost of the measured window, USD (cost_usd; null where a price is missing: unpriced names it)
  gpu_hours, gpu         GPUs x length of the window (with count_idle = false: x the busy share of the run), at their price
  cross_region_gb, egress_cross_region   prompts from their router's region to a replica in another one, answers back:
                         tokens x bytes a token, GB of 10^9 bytes, at the price of the region that sends; traffic inside
                         a region is free; prompts of all measured requests that were dispatched (their last attempt),
                         answers of the completed ones
  legs                   the same by pair of regions: from, to, gb, usd
  internet_gb, egress_internet   answers from their router's region to clients
  egress, total          both kinds of traffic; GPUs and traffic
  input_tokens, output_tokens   of measured completed requests
  per_million_tokens, per_million_output_tokens   total / a million of both; of output_tokens
  unpriced               what was used and has no price

Tuner of the policy's weights (only where the policy has one)
  tuner.strategy         one_fifth, paired or schedule
  tuner.steps, tuner.accepted   candidates that were judged; of these, accepted
  tuner.start, tuner.weights   the weights at the start, and the best known at the end

Runs against real URLs (gorgo live): times are the client's own; what nobody tells is said in the warnings
  live.send_lag_ms       from when a request was to be sent until its bytes went: part of client_queue
  live.send_lag_limit_ms, live.is_valid   what its p99 may be; whether it is kept (if not, no number of the run counts)
  live.connections, live.retries   connections opened; requests that the client sent again
  live.answers_without_usage, live.answers_with_timing   whose tokens nobody counted; whose replica told its own times
  live.pieces            pieces of streams with text: itl_ms is between pieces, tokens are counted by usage alone
  live.failures          why requests came to nothing, and how many
  live.rounds            of several rounds each by itself; the other numbers are over all of them
  ttft_parts_ms          prefill: where a replica does not tell its times, everything behind the client;
                         network_back: where it does, the network both ways and what nobody told

requests.csv: one row a request
  session, turn          who it is
  origin, router_region  where it came from; where the router stands that it came in at
  region, replica        where the replica of its last attempt stands, and which it is
  score                  the policy's score of that replica
  input_tokens, output_tokens, cached_tokens, predicted_cached_tokens   lengths; found in the cache; believed to be
  scheduled_ms, sent_ms, first_token_ms, finished_ms   moments since time zero, at the client
  ttft_ms, ttft_from_send_ms, e2e_ms, tpot_ms, and NAME_ms for each part of the TTFT   as above
  slip_ms                of client_queue_ms, until the client came to the request; only where one did so late
  status                 completed, failed, rejected, cancelled, timed_out or in_flight

timeline.csv: one row a region and sample
  at_ms, region          when and where
  in_flight, running, queued   requests dispatched to the region and not ended; running on a replica; waiting in one
  first_tokens, ttft_p50_ms, ttft_p99_ms   first tokens since the sample before, and their TTFT

tune.jsonl: a head that names the weights, then one line a step of the tuner
  step, at_ns, samples   candidates proposed, the run's clock, and completed requests told of by then
  weight                 the one weight that was judged; only of paired, which judges one at a time
  candidate, score, accepted   the weights judged, how they did (higher is better; one_fifth: minus the percentile of the
                         cost, in s; paired: standard deviations of chance above what it was compared with; schedule: 0),
                         and whether they stay
  sigma, best, next      step size and best known weights after that, and the weights judged next

Percentiles are nearest rank, ceil(q n). Requests that failed, were rejected, timed out or had not finished when the
run ended count as infinite: a percentile that falls on one is null.

Warnings, and when they come:
  saturated          of the requests of the second half of the load at least 5 % piled up, and the mean number under way
                     grew over its ten tenths (Kendall's tau 0.6 or more); not for runs without records
  warm-up too short  the mean TTFT of the first tenth of the measured requests lies more than 4 deviations of the other
                     nine tenths, and more than 10 %, away from theirs; not for saturated runs or those without records
  few requests       fewer than 1,000 are measured: fewer than ten lie beyond a P99
  waited in client   more than 1 % of the requests were sent later than scheduled

Regret of a decision: the run repeated under the same draws with this decision forced to each candidate in turn;
reported are the request's own TTFT and the summed change of all others'.";

/// Prints the definitions.
#[expect(clippy::unnecessary_wraps, reason = "every command has this shape")]
pub fn print() -> Result<Exit, Failure> {
    println!("{METRICS}");
    Ok(Exit::Ok)
}
