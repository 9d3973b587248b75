//! The admin API: nothing without the token, and what it changes.

use crate::support::*;
use gorgo_routing::tuner::{TuneHead, TuneStep};
use serde_json::Value;

const ADMIN: &str =
    "policy = \"round-robin\"\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef\"";

async fn good() -> Mock {
    Mock::fixed(whole("200 OK", "application/json", "{}")).await
}

fn request(method: &str, path: &str, token: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: admin\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Asks with the right token: status and JSON.
async fn ask(client: &mut Client, method: &str, path: &str, body: &str) -> (u16, Value) {
    client.send(&request(method, path, "0123456789abcdef", body)).await;
    let (head, body) = client.answer().await;
    let status = head[9..12].parse().unwrap();
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn nothing_is_told_without_the_token() {
    let mock = good().await;
    let proxy = proxy(ADMIN, &[&mock]).await;
    let address = proxy.admin_address().unwrap();
    let mut client = Client::at(address).await;
    for (method, path) in [
        ("GET", "/proxy/status"),
        ("GET", "/servers"),
        ("POST", "/servers"),
        ("DELETE", "/servers/r0"),
        ("PUT", "/servers/r0"),
        ("POST", "/servers/r0/drain"),
        ("GET", "/policy"),
        ("PUT", "/policy"),
        ("GET", "/tune"),
        ("PUT", "/tune"),
        ("POST", "/cache/clear"),
        ("POST", "/flush"),
        ("GET", "/prefix/stats"),
        ("GET", "/decisions"),
    ] {
        for token in ["", "0123456789abcdeg", "0123456789abcdef0", "0123456789abcde"] {
            client.send(&request(method, path, token, "{}")).await;
            let (head, body) = client.answer().await;
            assert!(head.starts_with("HTTP/1.1 401") && !body.contains("r0"), "{path}: {head}");
        }
        client
            .send(&format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"))
            .await;
        assert!(client.answer().await.0.starts_with("HTTP/1.1 401"), "{path}");
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn replicas_come_drain_and_go() {
    let (a, b) = (good().await, good().await);
    let proxy = proxy(ADMIN, &[&a]).await;
    let mut admin = Client::at(proxy.admin_address().unwrap()).await;
    let mut client = Client::to(&proxy).await;
    let new = format!("{{\"name\":\"new\",\"region\":\"there\",\"url\":\"http://{}\"}}", b.address);
    assert_eq!(ask(&mut admin, "POST", "/servers", &new).await.0, 201);
    assert_eq!(ask(&mut admin, "POST", "/servers", &new).await.0, 409, "twice");
    for bad in [
        "{\"name\":\"x\",\"url\":\"file:///etc/passwd\"}",
        "{\"name\":\"x y\",\"url\":\"http://a\"}",
        "{",
        "{\"name\":\"x\",\"url\":\"http://a\",\"what\":1}",
    ] {
        assert_eq!(ask(&mut admin, "POST", "/servers", bad).await.0, 400, "{bad}");
    }
    let mut both = async |n: usize| {
        for _ in 0..n {
            client.post("{\"prompt\":\"x\"}").await;
            client.answer().await;
        }
        (a.seen().len(), b.seen().len())
    };
    assert_eq!(both(4).await, (2, 2));
    assert_eq!(ask(&mut admin, "POST", "/servers/r0/drain", "").await.0, 200);
    assert_eq!(both(2).await, (2, 4));
    let (_, servers) = ask(&mut admin, "GET", "/servers", "").await;
    assert_eq!(servers["servers"][0]["draining"], true);
    assert_eq!(servers["servers"][1]["region"], "there");
    assert_eq!(ask(&mut admin, "DELETE", "/servers/r0", "").await.0, 200);
    assert_eq!(ask(&mut admin, "DELETE", "/servers/r0", "").await.0, 409);
    assert_eq!(both(2).await, (2, 6));
    // Its number is free again.
    let old = format!("{{\"name\":\"old\",\"url\":\"http://{}\"}}", a.address);
    assert_eq!(ask(&mut admin, "POST", "/servers", &old).await.0, 201);
    assert_eq!(both(2).await, (3, 7));
    let (_, status) = ask(&mut admin, "GET", "/proxy/status", "").await;
    assert_eq!((&status["replicas"], &status["policy"]), (&2.into(), &"round-robin".into()));
    let (_, decisions) = ask(&mut admin, "GET", "/decisions", "").await;
    assert_eq!(decisions.as_array().unwrap().len(), 10);
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_replica_of_three_times_the_weight_has_three_turns() {
    let (a, b) = (good().await, good().await);
    let proxy = proxy(ADMIN, &[&a]).await;
    let mut admin = Client::at(proxy.admin_address().unwrap()).await;
    let mut client = Client::to(&proxy).await;
    let new = |weight: u32| {
        format!("{{\"name\":\"r1\",\"url\":\"http://{}\",\"weight\":{weight}}}", b.address)
    };
    assert_eq!(ask(&mut admin, "POST", "/servers", &new(0)).await.0, 400);
    assert_eq!(ask(&mut admin, "POST", "/servers", &new(1001)).await.0, 400);
    assert_eq!(ask(&mut admin, "POST", "/servers", &new(3)).await.0, 201);
    let mut both = async |n: usize| {
        for _ in 0..n {
            client.post("{\"prompt\":\"x\"}").await;
            client.answer().await;
        }
        (a.seen().len(), b.seen().len())
    };
    assert_eq!(both(8).await, (2, 6));
    let (status, _) = ask(&mut admin, "PUT", "/servers/r0", "{\"weight\":9}").await;
    assert_eq!(status, 200);
    assert_eq!(both(12).await, (11, 9));
    for (path, body, status) in [
        ("/servers/r0", "{\"weight\":0}", 400),
        ("/servers/r0", "{\"weight\":-1}", 400),
        ("/servers/r0", "{\"weight\":1.5}", 400),
        ("/servers/r0", "{\"weight\":2,\"what\":1}", 400),
        ("/servers/r9", "{\"weight\":2}", 409),
    ] {
        assert_eq!(ask(&mut admin, "PUT", path, body).await.0, status, "{path} {body}");
    }
    let (_, servers) = ask(&mut admin, "GET", "/servers", "").await;
    let weights = [&servers["servers"][0]["weight"], &servers["servers"][1]["weight"]];
    assert_eq!(weights, [&Value::from(9), &Value::from(3)]);
    let (_, decisions) = ask(&mut admin, "GET", "/decisions", "").await;
    assert_eq!(decisions[0]["candidates"]["weight"], serde_json::json!([9, 3]));
    assert_eq!(decisions[0]["rule"], "weighted-turn");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_file_changes_weights_and_takes_drained_replicas_back() {
    let (a, b) = (good().await, good().await);
    let text = |weight: u32| {
        format!(
            "listen = \"127.0.0.1:0\"\n{ADMIN}\n[probe]\noff = true\n[scrape]\noff = true\n[[replica]]\nname = \"a\"\nurl = \"http://{}\"\n[[replica]]\nname = \"b\"\nurl = \"http://{}\"\nweight = {weight}\n",
            a.address, b.address
        )
    };
    let config = |weight| gorgo_proxy::Config::parse("proxy.toml", &text(weight)).unwrap();
    let proxy = gorgo_proxy::start(config(1)).await.unwrap();
    let mut client = Client::to(&proxy).await;
    let mut both = async |n: usize| {
        for _ in 0..n {
            client.post("{\"prompt\":\"x\"}").await;
            client.answer().await;
        }
        (a.seen().len(), b.seen().len())
    };
    assert_eq!(both(2).await, (1, 1));
    let mut admin = Client::at(proxy.admin_address().unwrap()).await;
    assert_eq!(ask(&mut admin, "POST", "/servers/b/drain", "").await.0, 200);
    assert_eq!(both(2).await, (3, 1));
    proxy.reload(config(3)).unwrap();
    assert_eq!(both(8).await, (5, 7));
    proxy.reload(config(1)).unwrap();
    assert_eq!(both(2).await, (6, 8));
    proxy.shutdown().await;
}

#[tokio::test]
async fn another_file_is_taken_over_or_refused_as_a_whole() {
    let (a, b) = (good().await, good().await);
    let text = |policy: &str, replica: &Mock| {
        gorgo_proxy::Config::parse(
            "proxy.toml",
            &format!(
                "listen = \"127.0.0.1:0\"\npolicy = \"{policy}\"\n[probe]\noff = true\n[scrape]\noff = true\n[[replica]]\nname = \"only\"\nurl = \"http://{}\"\n",
                replica.address
            ),
        )
        .unwrap()
    };
    let proxy = gorgo_proxy::start(text("round-robin", &a)).await.unwrap();
    let mut client = Client::to(&proxy).await;
    client.post("{\"prompt\":\"x\"}").await;
    client.answer().await;
    // The same name at another place is another replica.
    proxy.reload(text("round-robin", &b)).unwrap();
    client.post("{\"prompt\":\"x\"}").await;
    client.answer().await;
    assert_eq!((a.seen().len(), b.seen().len()), (1, 1));
    // Another policy, whose session stays where it is.
    proxy.reload(text("session-affinity", &b)).unwrap();
    proxy.reload(text("round-robin", &b)).unwrap();
    let mut other = text("round-robin", &a);
    other.seed = 7;
    assert!(proxy.reload(other).unwrap_err().to_string().contains("`seed` needs a restart"));
    client.post("{\"prompt\":\"x\"}").await;
    client.answer().await;
    assert_eq!((a.seen().len(), b.seen().len()), (1, 2));
    proxy.shutdown().await;
}

#[tokio::test]
async fn metrics_name_what_the_page_of_the_crate_names() {
    let mock = good().await;
    let proxy = proxy(ADMIN, &[&mock]).await;
    let mut client = Client::to(&proxy).await;
    client.post("{\"prompt\":\"x\"}").await;
    client.answer().await;
    client.post("{}").await;
    client.answer().await;
    let mut admin = Client::at(proxy.admin_address().unwrap()).await;
    admin.send("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let (_, page) = admin.answer().await;
    assert!(page.contains("gorgo_proxy_requests_total 2"), "{page}");
    assert!(page.contains("gorgo_proxy_refused_total{reason=\"invalid_request_error\"} 1"));
    assert!(page.contains("gorgo_proxy_attempts_total{replica=\"r0\",end=\"completed\"} 1"));
    let readme = include_str!("../../README.md");
    for name in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(readme.contains(&format!("`{name}`")), "README.md lacks {name}");
    }
    // The dashboard asks for nothing that is not there.
    let dashboard: Value = serde_json::from_str(include_str!("../../grafana.json")).unwrap();
    let mut asked = 0;
    for target in dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
    {
        let expression = target["expr"].as_str().unwrap();
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for name in words.filter(|word| word.starts_with("gorgo_proxy_")) {
            let plain =
                ["_total", "_bucket"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(page.contains(&format!("# TYPE {plain} ")), "the dashboard asks for {name}");
            asked += 1;
        }
        for signal in
            expression.split("signal=\"").skip(1).filter_map(|rest| rest.split('"').next())
        {
            let source = include_str!("../../metrics.rs");
            assert!(source.contains(&format!("\"{signal}\"")), "the dashboard asks for {signal}");
        }
    }
    assert!(asked > 15);
    proxy.shutdown().await;
}

#[tokio::test]
async fn policies_and_weights_change_while_it_serves() {
    let (a, b) = (good().await, good().await);
    let proxy = proxy(ADMIN, &[&a, &b]).await;
    let mut admin = Client::at(proxy.admin_address().unwrap()).await;
    let mut client = Client::to(&proxy).await;
    let new = r#"{"name":"session-affinity"}"#;
    assert_eq!(ask(&mut admin, "PUT", "/policy", new).await.0, 200);
    for _ in 0..6 {
        client.post(r#"{"prompt":"x","user":"me"}"#).await;
        client.answer().await;
    }
    assert_eq!(a.seen().len() * b.seen().len(), 0, "one replica has all of a session");
    for (wrong, status) in [
        (r#"{"name":"nobody"}"#, 409),
        (r#"{"name":"gorgo","parameters":{"w_rtt":-1}}"#, 409),
        (r#"{"name":"gorgo","parameters":{"w_what":1}}"#, 409),
        (r#"{"parameters":{"w_rtt":1}}"#, 400),
        (r#"{"weights":{"w_rtt":1}}"#, 409),
        ("{", 400),
    ] {
        assert_eq!(ask(&mut admin, "PUT", "/policy", wrong).await.0, status, "{wrong}");
    }
    let new = r#"{"name":"gorgo","parameters":{"w_rtt":0.5},"weights":{"w_queue":0.25}}"#;
    let (status, policy) = ask(&mut admin, "PUT", "/policy", new).await;
    assert_eq!(status, 200, "{policy}");
    assert_eq!(
        (&policy["weights"]["w_rtt"], &policy["parameters"]["w_queue"]),
        (&0.5.into(), &0.25.into())
    );
    // All or none.
    let wrong = r#"{"weights":{"w_queue":0.75,"w_rtt":-1}}"#;
    assert_eq!(ask(&mut admin, "PUT", "/policy", wrong).await.0, 409);
    let (_, policy) = ask(&mut admin, "GET", "/policy", "").await;
    assert_eq!(policy["weights"]["w_queue"], 0.25);
    proxy.shutdown().await;
}

#[tokio::test]
async fn the_tuner_is_off_goes_on_within_its_bounds_and_off_again() {
    let mock = good().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let more = format!(
        "{}\n[log]\ntuner = \"{}\"",
        ADMIN.replace("\"round-robin\"", "\"gorgo-proxy\""),
        folder.path().join("tune.jsonl").display()
    );
    let proxy = proxy(&more, &[&mock]).await;
    let mut admin = Client::at(proxy.admin_address().unwrap()).await;
    assert_eq!(ask(&mut admin, "GET", "/tune", "").await.1["on"], false);
    assert_eq!(ask(&mut admin, "PUT", "/tune", r#"{"on":true}"#).await.0, 409, "no bounds");
    let on = |low: &str| {
        format!(
            "{{\"on\":true,\"config\":{{\"weights\":[{{\"name\":\"running_factor\",\"low\":{low},\"high\":4.0}}],\"strategy\":{{\"one-fifth\":{{\"window\":8}}}}}}}}"
        )
    };
    assert_eq!(ask(&mut admin, "PUT", "/tune", &on("0")).await.0, 409);
    let (status, told) = ask(&mut admin, "PUT", "/tune", &on("0.25")).await;
    assert_eq!((status, &told["on"]), (200, &true.into()), "{told}");
    let mut client = Client::to(&proxy).await;
    for _ in 0..40 {
        client.post(r#"{"prompt":"x"}"#).await;
        client.answer().await;
    }
    let (_, told) = ask(&mut admin, "GET", "/tune", "").await;
    let steps = told["steps"].as_array().unwrap();
    assert!(!steps.is_empty(), "{told}");
    for step in steps {
        let tried = step["candidate"][0].as_f64().unwrap();
        assert!((0.25..=4.0).contains(&tried), "{step}");
    }
    let tuned = ask(&mut admin, "PUT", "/policy", r#"{"weights":{"running_factor":1}}"#).await;
    assert_eq!(tuned.0, 409, "the tuner has it");
    assert_eq!(ask(&mut admin, "PUT", "/tune", r#"{"on":false}"#).await.1["on"], false);
    let (_, policy) = ask(&mut admin, "GET", "/policy", "").await;
    assert_eq!(policy["weights"]["running_factor"], steps[0]["best"][0], "the best stays");
    // Off is off: nothing is tried any more, whatever comes.
    for _ in 0..40 {
        client.post(r#"{"prompt":"x"}"#).await;
        client.answer().await;
    }
    let (_, after) = ask(&mut admin, "GET", "/tune", "").await;
    assert_eq!(after["steps"].as_array().unwrap().len(), steps.len());
    let (_, policy) = ask(&mut admin, "GET", "/policy", "").await;
    assert_eq!(policy["weights"]["running_factor"], steps[0]["best"][0], "and still does");
    // On again, in a file of its own.
    let (_, told) = ask(&mut admin, "PUT", "/tune", r#"{"on":true}"#).await;
    assert_eq!(told["on"], true, "{told}");
    proxy.shutdown().await;
    let written = file("tune.jsonl");
    let head: TuneHead = serde_json::from_str(&written[0]).unwrap();
    assert_eq!((head.policy.as_str(), head.strategy.as_str()), ("gorgo-proxy", "one_fifth"));
    assert_eq!(head.weights, ["running_factor"]);
    let rows: Vec<TuneStep> =
        written[1..].iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let told: Vec<TuneStep> =
        steps.iter().rev().map(|step| serde_json::from_value(step.clone()).unwrap()).collect();
    assert_eq!(rows, told, "every step, the oldest first");
    let again = file("tune-1.jsonl");
    let head: TuneHead = serde_json::from_str(&again[0]).unwrap();
    assert_eq!((again.len(), &head.start), (1, &rows.last().unwrap().best));
}

#[tokio::test]
async fn caches_are_forgotten_and_flushed() {
    let sglang = Mock::fixed(whole("200 OK", "application/json", "{}")).await;
    let vllm = Mock::start(|seen, tcp| async move {
        use tokio::io::AsyncWriteExt;
        let found = !seen.head.starts_with("POST /flush_cache");
        let status = if found { "200 OK" } else { "404 Not Found" };
        tcp.lock().await.write_all(whole(status, "text/plain", "").as_bytes()).await.is_ok()
    })
    .await;
    let more = ADMIN.replace("round-robin", "cache-aware");
    let proxy = proxy(&more, &[&sglang, &vllm]).await;
    let mut admin = Client::at(proxy.admin_address().unwrap()).await;
    let mut client = Client::to(&proxy).await;
    client.post(&format!("{{\"prompt\":\"{}\"}}", "x".repeat(400))).await;
    client.answer().await;
    let (_, stats) = ask(&mut admin, "GET", "/prefix/stats", "").await;
    let held = |stats: &Value| {
        let all = stats["tokens_per_replica"].as_object().unwrap();
        all.values().filter_map(Value::as_u64).sum::<u64>()
    };
    assert!(held(&stats) >= 96, "{stats}");
    assert_eq!(ask(&mut admin, "POST", "/cache/clear", "").await.0, 200);
    let (_, stats) = ask(&mut admin, "GET", "/prefix/stats", "").await;
    assert_eq!(held(&stats), 0, "{stats}");
    let (status, told) = ask(&mut admin, "POST", "/flush", "").await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["engines"]["r0"]["path"], "/flush_cache");
    assert_eq!(told["engines"]["r1"]["path"], "/reset_prefix_cache");
    drop(vllm);
    let (status, told) = ask(&mut admin, "POST", "/flush", "").await;
    assert_eq!(
        (status, &told["engines"]["r0"]["ok"], &told["engines"]["r1"]["ok"]),
        (502, &true.into(), &false.into())
    );
    proxy.shutdown().await;
}
