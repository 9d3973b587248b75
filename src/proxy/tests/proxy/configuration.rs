//! Files that are wrong are refused with the place, the value and what was wanted.

use gorgo_proxy::Config;

fn refused(text: &str) -> String {
    match Config::parse("proxy.toml", text) {
        Ok(_) => panic!("this is taken: {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_wrong_stands_on_the_value() {
    let mut wrong = Vec::new();
    for (text, place, word) in [
        ("listen = 8080", "1:10", "string"),
        ("listen = \"localhost\"", "1:10", "an address and a port"),
        ("listn = \"x\"", "1:1", "listen"),
        ("policy = \"gorgoo\"", "1:10", "gorgo"),
        ("policy = { name = \"gorgo\", w_rtt = -1 }", "1:36", "w_rtt"),
        ("policy = { name = \"gorgo\", w_what = 1 }", "1:28", "w_what"),
        ("policy = { w_rtt = 1 }", "1:10", "name"),
        ("[router]\nrtt_ewma_alpha = 0", "2:18", "above 0"),
        ("[router]\nattempts = 0", "2:12", "at least 1"),
        ("[router]\nqueue_timeout = \"5\"", "2:17", "unit"),
        ("[router]\nqueue_timeout = \"-5s\"", "2:17", "more"),
        ("[router]\nlearn_at = \"never\"", "2:12", "headers"),
        ("[router]\nlearn_from_usage = true", "2:20", "finished"),
        ("[router]\nindex = { lru = { capacity_tokens_per_replica = 3 } }", "2:9", "block"),
        (
            "[router]\nindex = { lru = { capacity_tokens_per_replica = 64 }, unbounded = {} }",
            "2:9",
            "one of",
        ),
        ("[text]\nblock_tokens = 0", "2:16", "at least 1"),
        ("[text]\ntemplate_tokens = 100000", "2:19", "at most"),
        ("[health.circuit]\nopen_for = \"9s\"\nopen_at_most = \"1s\"", "1:2", "open_at_most"),
        ("[probe]\npath = \"health\"", "2:8", "a path"),
        ("[limits]\nbody_size = \"0 B\"", "2:13", "from 1 B"),
        ("[limits]\nheader_size = \"1 B\"", "2:15", "8 KiB"),
        ("[limits]\nconnections = 99999999999", "2:15", "from 1 to"),
        ("[admin]\nlisten = \"127.0.0.1:0\"", "1:1", "token_file"),
        ("[admin]\ntoken = \"short\"", "2:9", "at least 16"),
        ("[admin]\ntoken_env = \"GORGO_NO_SUCH_VARIABLE\"", "2:13", "not set"),
        ("[admin]\ntoken_file = \"no/such/file\"", "2:14", "cannot be read"),
        ("[tuner]\nweights = {}\npaired = {}\none_fifth = {}", "1:1", "exactly one"),
        ("[tuner]\nweights = { w_what = [1.0, 2.0] }\npaired = {}", "1:1", "w_what"),
        ("[log]\ndecisions_kept = 99999", "2:18", "at most 10000"),
        ("[[replica]]\nname = \"a\"", "1:1", "url"),
        ("[[replica]]\nname = \"a b\"\nurl = \"http://x\"", "2:8", "letters"),
        ("[[replica]]\nname = \"a\"\nurl = \"x\"", "3:7", "http://"),
        ("[[replica]]\nname = \"a\"\nurl = \"http://x\"\nweight = -1", "4:10", "at least 1"),
        ("[[replica]]\nname = \"a\"\nurl = \"http://x\"\nweight = 1001", "4:10", "1 to 1000"),
        ("[[replica]]\nname = \"a\"\nurl = \"http://x\"\nwieght = 1", "4:1", "weight"),
        (
            "[[replica]]\nname = \"a\"\nurl = \"http://x\"\n[[replica]]\nname = \"a\"\nurl = \"http://y\"",
            "5:8",
            "once",
        ),
        (
            "[[replica]]\nname = \"a\"\nurl = \"http://x\"\napi_key_env = \"GORGO_NO_SUCH_VARIABLE\"",
            "4:15",
            "not set",
        ),
        ("listen = ", "1:10", "TOML"),
    ] {
        let error = refused(text);
        if !error.starts_with(&format!("proxy.toml:{place}:")) || !error.contains(word) {
            wrong.push(format!("wanted {place} and {word}:\n{error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_key_of_the_page_is_taken() {
    let text = r#"
listen = "[::1]:0"
region = "aws:eu-central-1"
seed = 3
models = ["m"]
policy = { name = "gorgo", w_rtt = 1.0 }
[tuner]
weights = { w_rtt = [0.1, 10.0] }
objective = { quantile = 0.9 }
paired = {}
[text]
block_tokens = 32
template_tokens = 4
[router]
rtt_ewma_alpha = 0.5
learn_at = "finished"
release_at = "first-token"
index = { lru = { capacity_tokens_per_replica = 100000 } }
learn_from_usage = true
max_in_flight_per_replica = 8
queue_limit = 0
queue_timeout = "2s"
queue_interval = "20ms"
serial_queue = true
attempts = 2
[health]
unhealthy_after_probes = 2
unhealthy_after_scrapes = 9
healthy_after = 1
open_after_failures = 4
keep_last = false
circuit = { open_for = "1s", open_at_most = "9s", trials = 2, passes = 2 }
outliers = { interval = "5s", failed_share = 0.5, min_requests = 9, min_replicas = 2, max_ejected_share = 0.5 }
[probe]
path = "/ping?x=1"
interval = "500ms"
timeout = "1s"
[scrape]
off = true
[limits]
connections = 10
headers = 50
header_size = "16 KiB"
body_size = "1 MiB"
idle_per_replica = 4
[timeouts]
head = "1s"
body = "2s"
write = "9s"
connect = "3s"
response = "4s"
pause = "5s"
idle = "6s"
age = "7s"
drain = "8s"
[log]
decisions = "d.jsonl"
decisions_kept = 5
decision_headers = true
[admin]
listen = "127.0.0.1:9"
token = "0123456789abcdef"
[tls]
certificate = "c.pem"
key = "k.pem"
[upstream_tls]
ca = "ca.pem"
[[replica]]
name = "a"
region = "aws:eu-central-1"
url = "https://a.example/engine"
residency = "eu"
"#;
    let config = Config::parse("some/proxy.toml", text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.log.decisions.as_deref(), Some(std::path::Path::new("some/d.jsonl")));
    assert_eq!(config.router.block_tokens, 32);
    assert_eq!(config.timeouts.pause.as_secs(), 5);
    assert_eq!(config.scrape.interval, None);
    let admin = format!("{:?}", config.admin);
    assert!(!admin.contains("0123456789abcdef"), "the token is shown: {admin}");
    assert!(Config::parse("proxy.toml", "").unwrap().admin.is_none(), "off without a token");
}
