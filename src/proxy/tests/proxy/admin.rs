//! The admin API: nothing without the token, and what it changes.

use crate::support::*;
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
        ("POST", "/servers/r0/drain"),
        ("GET", "/policy"),
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
    proxy.shutdown().await;
}
