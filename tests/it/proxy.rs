//! `gorgo proxy` as a program: its signals, and what it hears from emulated engines.

use crate::support::gorgo;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that is ended with the value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_gorgo"))
            .args(arguments)
            .env("NO_COLOR", "1")
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        Self(child)
    }

    fn stdout(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.0.stdout.take().expect("a pipe"))
    }

    fn stderr(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.0.stderr.take().expect("a pipe"))
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(name).arg(self.0.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for its end.
    fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(Instant::now() < until, "it goes on and on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The line that begins so; lines before it are passed over.
fn line(from: &mut impl BufRead, begins: &str) -> String {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        assert!(from.read_line(&mut line).expect("text") > 0, "no line begins {begins:?}: {all}");
        if line.starts_with(begins) {
            return line;
        }
        all += &line;
    }
}

/// An emulated fleet: its process, and its inventory.
fn fleet(arguments: &[&str]) -> (Process, Value) {
    let always = ["--links", "none", "--print-inventory=json", "--seconds", "180"];
    let mut process = Process::start(&[&["emulate"], arguments, &always[..]].concat());
    let inventory = line(&mut process.stdout(), "{");
    (process, serde_json::from_str(&inventory).expect("JSON"))
}

/// A running proxy: its process, what it says, and where it serves.
fn proxy(file: &Path) -> (Process, BufReader<ChildStderr>, String) {
    let mut process = Process::start(&["proxy", "--config", file.to_str().expect("a path")]);
    let mut words = process.stderr();
    let serving = line(&mut words, "serving on ");
    (process, words, serving["serving on ".len()..].trim().to_owned())
}

fn ask(address: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let head = "POST /v1/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).expect("it is sent");
    stream
}

/// Asks and gives the whole answer, head and all.
fn answer(address: &str, body: &str) -> String {
    let mut text = String::new();
    ask(address, body).read_to_string(&mut text).expect("an answer");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    text
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let wanted =
        |line: &&'a str| line.split(':').next().is_some_and(|n| n.eq_ignore_ascii_case(name));
    answer.lines().find(wanted)?.split_once(':').map(|(_, value)| value.trim())
}

fn replicas(inventory: &Value) -> String {
    let one = |replica: &Value| {
        format!(
            "[[replica]]\nname = {}\nregion = {}\nurl = {}\n",
            replica["name"], replica["region"], replica["url"]
        )
    };
    inventory["replicas"].as_array().expect("a list").iter().map(one).collect()
}

#[test]
fn a_stream_ends_whole_after_sigterm_and_sighup_reads_the_file_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_fleet, inventory) = fleet(&["--replica", "eastus-0"]);
    let file = folder.path().join("proxy.toml");
    let write = |policy: &str, more: &str| {
        let text = format!(
            "listen = \"127.0.0.1:0\"\npolicy = \"{policy}\"\n{more}[log]\ndecision_headers = true\n{}",
            replicas(&inventory)
        );
        std::fs::write(&file, text).expect("it is written");
    };
    write("round-robin", "");
    let (mut process, mut words, address) = proxy(&file);
    let short = r#"{"prompt":"once upon a time","max_tokens":2}"#;
    assert_eq!(header(&answer(&address, short), "x-gorgo-policy"), Some("round-robin"));
    // Another policy counts from the next request on.
    write("least-request", "");
    process.signal("-HUP");
    line(&mut words, &format!("{}: read again", file.display()));
    assert_eq!(header(&answer(&address, short), "x-gorgo-policy"), Some("least-request"));
    // A file that is wrong, and one that changes what is fixed, change nothing.
    for (policy, more, word) in
        [("nonesuch", "", "wanted a policy"), ("nearest", "seed = 9\n", "`seed` needs a restart")]
    {
        write(policy, more);
        process.signal("-HUP");
        let mut said = String::new();
        while !said.contains("nothing has changed") {
            assert!(words.read_line(&mut said).expect("text") > 0, "{said}");
        }
        assert!(said.contains(word), "{said}");
        assert_eq!(header(&answer(&address, short), "x-gorgo-policy"), Some("least-request"));
    }
    // A stream of some seconds; the signal comes after its first token.
    let long = r#"{"prompt":"once upon a time","max_tokens":200,"stream":true,"stream_options":{"include_usage":true}}"#;
    let mut stream = BufReader::new(ask(&address, long));
    let first = line(&mut stream, "data: ");
    assert!(first.contains("text"), "{first}");
    process.signal("-TERM");
    line(&mut words, &format!("{}: stopping", file.display()));
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the rest");
    let usage = rest.lines().find(|line| line.contains("\"completion_tokens\":200"));
    assert!(usage.is_some(), "{rest}");
    assert!(rest.contains("data: [DONE]"), "{rest}");
    assert_eq!(process.end().code(), Some(0));
    assert!(TcpStream::connect(&address).is_err(), "nobody is there any more");
}

#[test]
fn a_second_signal_is_not_needed_where_nothing_is_under_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("proxy.toml");
    let text = "listen = \"127.0.0.1:0\"\n[probe]\noff = true\n[scrape]\noff = true\n[[replica]]\nname = \"a\"\nurl = \"http://127.0.0.1:9\"\n";
    std::fs::write(&file, text).expect("it is written");
    let (mut process, _words, _) = proxy(&file);
    process.signal("-INT");
    assert_eq!(process.end().code(), Some(0));
}

/// What was sent past the proxy it can know from the engines' events alone.
#[test]
fn both_engines_tell_the_proxy_what_they_hold() {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = folder.path().join("two.toml");
    let group = |name: &str, more: &str| {
        format!(
            "[[fleet.replicas]]\nregion = \"azure:eastus\"\nname = \"{name}\"\ngpu = \"h100-sxm\"\nmodel = \"llama-3.1-8b\"\n{more}\n"
        )
    };
    let text = format!(
        "name = \"two\"\nseed = 3\n[fleet]\n{}{}[workload.prefix_groups]\nrequests = 10\n[load]\nturns = \"recorded\"\n[load.poisson]\nrate = \"1 req/s\"\n",
        group("sglang", ""),
        group("vllm", "vllm = { block_tokens = 32 }\nweight = 2")
    );
    std::fs::write(&scenario, text).expect("it is written");
    let (_fleet, inventory) = fleet(&[scenario.to_str().expect("a path"), "--kv-events", "tcp"]);
    let file = folder.path().join("proxy.toml");
    let mut text = "listen = \"127.0.0.1:0\"\npolicy = \"cache-aware\"\n[router]\nlearn_at = \"kv-event\"\n[log]\ndecision_headers = true\n".to_owned();
    for replica in inventory["replicas"].as_array().expect("a list") {
        text += &format!(
            "[[replica]]\nname = {}\nurl = {}\nkv_events = {}\nweight = {}\n",
            replica["name"],
            replica["url"],
            replica["kv_events"],
            replica["weight"].as_u64().unwrap_or(1)
        );
    }
    assert!(text.contains("weight = 2"), "{text}");
    std::fs::write(&file, text).expect("it is written");
    let (mut process, _words, address) = proxy(&file);
    for replica in inventory["replicas"].as_array().expect("a list") {
        let name = replica["name"].as_str().expect("a name");
        let direct = replica["url"].as_str().expect("a URL").trim_start_matches("http://");
        let until = Instant::now() + PATIENCE;
        // Until the subscription has reached the publisher, events go nowhere; each time another prompt.
        for number in 0.. {
            let prompt: String =
                (0..256).map(|i| format!("{:02}{:02}", number % 100, i % 97)).collect();
            let body = format!("{{\"prompt\":\"{name:>8}{prompt}\",\"max_tokens\":2}}");
            answer(direct, &body);
            std::thread::sleep(Duration::from_millis(100));
            let told = answer(&address, &body);
            let found =
                header(&told, "x-gorgo-predicted-cached-tokens").and_then(|n| n.parse().ok());
            if found.is_some_and(|found: u64| found >= 224) {
                assert_eq!(header(&told, "x-gorgo-replica"), Some(name), "{told}");
                // And what it holds no more, when its cache is emptied.
                let mut stream = TcpStream::connect(direct).expect("a connection");
                write!(stream, "POST /flush_cache HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").expect("it is sent");
                let mut flushed = String::new();
                stream.read_to_string(&mut flushed).expect("an answer");
                assert!(flushed.starts_with("HTTP/1.1 200"), "{flushed}");
                std::thread::sleep(Duration::from_millis(300));
                let told = answer(&address, &body);
                assert_eq!(header(&told, "x-gorgo-predicted-cached-tokens"), Some("0"), "{told}");
                break;
            }
            assert!(Instant::now() < until, "{name}: {told}");
        }
    }
    process.signal("-TERM");
    assert_eq!(process.end().code(), Some(0));
}

/// What the scripts of `results/live` send with, by the tokenizer they make: one trace, three counts of each prompt.
#[cfg(feature = "tokenizer")]
#[test]
fn a_traces_prompts_have_its_token_counts_for_the_proxy_and_for_the_engine() {
    use crate::support::{gorgo_ok, root};
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let script = root().join("results/live/make_model.py");
    let made = match Command::new("python3").arg(script).arg(at("model")).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: there is no python3");
            return;
        }
        made => made.expect("python3 runs"),
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // Every length once, few of them whole blocks, with a block that most prompts share.
    let lengths: Vec<usize> = (0..40).map(|n| 3 + n * 173 % 4001).collect();
    let trace: String = (0..).zip(&lengths).map(|(n, &tokens)| {
        let mut ids: Vec<usize> = (0..tokens.div_ceil(512)).map(|block| 100 * n + block).collect();
        if tokens > 512 {
            ids[0] = 7;
        }
        format!("{{\"timestamp\":{},\"input_length\":{tokens},\"output_length\":{},\"hash_ids\":{ids:?}}}\n", 20 * n, 1 + n % 5)
    }).collect();
    std::fs::write(at("trace.jsonl"), trace).expect("it is written");
    let scenario = "name = \"counts\"\nseed = 1\n[[profiles]]\nname = \"still\"\nprefill_base_ms = 2.0\n\
        decode_base_ms = 1.0\nkv_pool_tokens = 400000\n\
        [[fleet.replicas]]\nname = \"r\"\nregion = \"azure:eastus\"\nprofile = \"still\"\ncount = 2\n\
        [workload.trace]\npath = \"trace.jsonl\"\n[load.recorded]\n[router]\npolicies = [\"round-robin\"]\n";
    std::fs::write(at("counts.toml"), scenario).expect("it is written");
    let scenario = at("counts.toml").to_str().expect("a path").to_owned();
    let (_fleet, inventory) = fleet(&[&scenario]);
    let text = format!(
        "listen = \"127.0.0.1:0\"\npolicy = \"round-robin\"\n[text]\ntokenizer = \"model/tokenizer.json\"\n[log]\ndecisions = \"decisions.jsonl\"\n{}",
        replicas(&inventory)
    );
    std::fs::write(at("proxy.toml"), text).expect("it is written");
    let (mut process, _words, address) = proxy(&at("proxy.toml"));
    let (out, url) = (at("out").to_str().expect("a path").to_owned(), format!("http://{address}"));
    let live = ["live", &scenario, "--url", &url, "--max-send-lag", "30s", "--out", &out];
    let sent: Value = serde_json::from_str(&gorgo_ok(&[&live[..], &["--format", "json"]].concat()))
        .expect("JSON");
    assert_eq!(sent["runs"][0]["live"]["answers_without_usage"], 0);
    // Texts that end within a word of four, and one that begins as AIPerf's blocks do. The last is counted otherwise by who has
    // the tokenizer, for its BOS token is whole wherever it stands.
    let ends = [("a", 1), ("Once upon a time!", 5), ("<bs>of blocks", 4), ("\u{65e5}\u{672c}", 1)];
    for (text, tokens) in ends.into_iter().chain([("ab<bs>cd", 2)]) {
        let told = answer(&address, &format!("{{\"prompt\":\"{text}\",\"max_tokens\":1}}"));
        assert!(told.contains(&format!("\"prompt_tokens\":{tokens},")), "{text}: {told}");
    }
    process.signal("-TERM");
    assert_eq!(process.end().code(), Some(0));

    let mut wanted = lengths;
    wanted.sort_unstable();
    let rows = std::fs::read_to_string(at("out/round-robin/requests.csv")).expect("rows");
    let mut lines = rows.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = lines.next().expect("a head");
    let column = head.iter().position(|name| *name == "input_tokens").expect("the column");
    let mut engine: Vec<usize> = lines.map(|row| row[column].parse().expect("a number")).collect();
    engine.sort_unstable();
    assert_eq!(engine, wanted);
    let rows = std::fs::read_to_string(at("decisions.jsonl")).expect("decisions");
    let rows = rows.lines().filter_map(|row| serde_json::from_str::<Value>(row).ok());
    let mut proxy: Vec<usize> =
        rows.filter_map(|row| row["prompt_tokens"].as_u64()).map(|n| n as usize).collect();
    wanted.extend(ends.map(|(_, tokens)| tokens).into_iter().chain([3]));
    wanted.sort_unstable();
    proxy.sort_unstable();
    assert_eq!(proxy, wanted);
    // So whatever tokens a prompt is put together from, its text is as many again.
    let tokenizer = std::fs::read(at("model/tokenizer.json")).expect("a tokenizer");
    let tokenizer: Value = serde_json::from_slice(&tokenizer).expect("JSON");
    let vocabulary = tokenizer["model"]["vocab"].as_object().expect("a vocabulary");
    assert!(vocabulary.len() == 8192 && vocabulary.keys().all(|word| word.len() == 4));
}

#[test]
fn what_cannot_be_read_is_an_input_error() {
    let missing = gorgo(&["proxy", "--config", "no/such/file.toml"]);
    let error = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(missing.status.code() == Some(2) && error.contains("no/such/file.toml"), "{error}");
}
