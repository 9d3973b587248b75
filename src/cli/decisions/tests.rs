//! Whatever a file holds, verifying it ends with a count or with an error that names the file, never with a panic.

use super::*;
use proptest::prelude::*;

/// A log as `gorgo run --decisions` writes it.
const LOG: &str = r#"{"gorgo_decisions":1,"policy":"power-of-two","parameters":{"load":"in-flight"},"block_tokens":16}
{"request":"0.0","now_ns":21287079,"prompt_tokens":255,"max_tokens":62,"session":"0000000000000000","prefix":"07203227aab566ee","draw":"8d884d8fd5df73ea","memory":null,"candidates":{"replica":[0,1],"region":[0,0],"rtt_ewma_ms":[0.995597,0.98401],"scrape_latency_ms":[0.93596,1.009555],"rtt_at_ns":[0,0],"running_requests":[0,0],"queued_requests":[0,0],"used_tokens":[0,0],"kv_pool_tokens":[419019,419019],"scraped_at_ns":[0,0],"in_flight_requests":[0,0],"queued_tokens":[0,0],"cached_tokens":[0,0],"eligible":[true,true]},"rule":"two-choices","chosen":{"replica":1},"tied":2,"scores":[0.0,0.0],"term_names":["load"],"terms":[[0.0],[0.0]]}
{"request":"1.0","now_ns":675236315,"prompt_tokens":493,"max_tokens":306,"session":"0000000000000001","prefix":"759d70ac82abe34b","draw":"a8f431a26b8ed32c","memory":null,"candidates":{"replica":[0,1],"region":[0,0],"rtt_ewma_ms":[0.995597,0.98401],"scrape_latency_ms":[0.93596,1.009555],"rtt_at_ns":[0,0],"running_requests":[0,0],"queued_requests":[0,0],"used_tokens":[0,0],"kv_pool_tokens":[419019,419019],"scraped_at_ns":[0,0],"in_flight_requests":[0,0],"queued_tokens":[0,0],"cached_tokens":[0,0],"eligible":[true,true]},"rule":"two-choices","chosen":{"replica":1},"tied":2,"scores":[0.0,0.0],"term_names":["load"],"terms":[[0.0],[0.0]]}
{"request":"1.1","now_ns":23561265978,"prompt_tokens":803,"max_tokens":532,"session":"0000000000000001","prefix":"759d70ac82abe34b","draw":"95294df25e788ca0","memory":null,"candidates":{"replica":[0,1],"region":[0,0],"rtt_ewma_ms":[0.9966137981112784,0.9987191288883344],"scrape_latency_ms":[0.951359,1.004828],"rtt_at_ns":[23001026349,23000993845],"running_requests":[0,0],"queued_requests":[0,0],"used_tokens":[0,0],"kv_pool_tokens":[419019,419019],"scraped_at_ns":[23000475679,23000502414],"in_flight_requests":[0,0],"queued_tokens":[0,0],"cached_tokens":[0,0],"eligible":[true,true]},"rule":"two-choices","chosen":{"replica":1},"tied":2,"scores":[0.0,0.0],"term_names":["load"],"terms":[[0.0],[0.0]]}
"#;

/// A recorded table of two replicas.
const TABLE: &str = "\
request_id,decided_s,request_tokens,engine_prompt_tokens,completion_tokens,status,metrics_age_s,chosen,\
r0_scrape_latency_ms,r0_rtt_ewma_ms,r0_running,r0_queued_requests,r0_used_tokens,r0_queued_tokens,r0_cached_tokens,\
r1_scrape_latency_ms,r1_rtt_ewma_ms,r1_running,r1_queued_requests,r1_used_tokens,r1_queued_tokens,r1_cached_tokens,\
ttft_ms,e2e_ms
a,0.0,8,18,64,200,5.5,1,997.5,,0,0,0,0,0,29.6,,0,0,0,0,0,853.9,5674.7
b,0.1,90,,0,400,5.6,0,997.5,210.0,1,0,100,8,0,29.6,25.0,2,1,300,90,16,,594.8
";

fn verified(name: &str, bytes: &[u8], policy: &str) -> Result<bool, DecisionsError> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(name);
    std::fs::write(&file, bytes).expect("the file is written");
    let args = VerifyArgs { file, policy: policy.to_owned(), set: Vec::new() };
    verify(&args, &mut io::sink())
}

fn read_for_prediction(bytes: &[u8]) -> Result<gorgo_predict::RecordedLog, DecisionsError> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("table.csv");
    std::fs::write(&file, bytes).expect("the file is written");
    predict::read_log(&file)
}

#[test]
fn the_samples_are_good() {
    let log = read_for_prediction(TABLE.as_bytes()).expect("it can be read");
    assert_eq!((log.rows().len(), log.served()), (2, 1));
    assert!(verified("log.jsonl", LOG.as_bytes(), "power-of-two").expect("it can be read"));
    assert!(verified("table.csv", TABLE.as_bytes(), "gorgo").is_ok());
}

/// A sample with some bytes replaced, inserted or cut away.
fn damaged(sample: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let change = (0..sample.len(), any::<u8>(), 0..3_u8);
    prop::collection::vec(change, 1..6).prop_map(move |changes| {
        let mut bytes = sample.as_bytes().to_vec();
        for (at, byte, kind) in changes {
            let at = at.min(bytes.len().saturating_sub(1));
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_logs_never_panic(bytes in damaged(LOG)) {
        if let Err(error) = verified("log.jsonl", &bytes, "power-of-two") {
            prop_assert!(error.to_string().contains("log.jsonl"), "{}", error);
        }
    }

    #[test]
    fn damaged_tables_never_panic(bytes in damaged(TABLE)) {
        if let Err(error) = verified("table.csv", &bytes, "gorgo") {
            prop_assert!(error.to_string().contains("table.csv"), "{}", error);
        }
    }

    #[test]
    fn damaged_tables_are_read_for_predictions_or_refused(bytes in damaged(TABLE)) {
        if let Err(error) = read_for_prediction(&bytes) {
            prop_assert!(error.to_string().contains("table.csv"), "{}", error);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = verified("bytes", &bytes, "least-load");
        let _ = read_for_prediction(&bytes);
    }
}
