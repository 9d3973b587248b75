//! `gorgo emulate`: where it says that replicas are, they are, and it ends when it is told.

use crate::support::gorgo;

#[cfg(not(feature = "live"))]
#[test]
fn a_build_without_it_names_the_flag() {
    let output = gorgo(&["emulate"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("--features live"), "{error}");
}

#[cfg(feature = "live")]
#[test]
fn replicas_are_where_the_inventory_says() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::{Command, Stdio};
    let arguments =
        ["emulate", "--replica", "southeastasia-0", "--print-inventory=json", "--seconds", "3"];
    let mut process = Command::new(env!("CARGO_BIN_EXE_gorgo"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut line = String::new();
    let stdout = process.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let inventory: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(inventory["region"], "azure:eastus");
    assert_eq!(inventory["block_tokens"], 16);
    assert_eq!(inventory["replicas"].as_array().map(Vec::len), Some(1));
    let url = inventory["replicas"][0]["url"].as_str().expect("a URL");
    let mut stream = std::net::TcpStream::connect(url.trim_start_matches("http://")).expect(url);
    stream
        .write_all(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .expect(url);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("emulated"), "{answer}");
    assert!(process.wait().expect("it ends").success());
}

#[cfg(feature = "live")]
#[test]
fn what_cannot_be_is_refused() {
    for (arguments, wanted) in [
        (["--replica", "nowhere"], "replica: got `nowhere`, wanted one of eastus-0"),
        (["--port-base", "65530"], "port_base: got 65530, wanted room"),
        (["--kv-events", "udp"], "wanted tcp or ipc:DIR"),
        (["--block-tokens", "0"], "number would be zero"),
        (["--control-token-file", "not/there"], "not/there"),
        (["--tun-network", "a.b.c.d"], "invalid IPv4"),
        (["--priority", "highest"], "auto, normal"),
        (["--links", "tun"], "ends in .0.0"),
    ] {
        // A network that is none, where a device is asked for: whatever this machine allows, none is made.
        let more = if arguments[1] == "tun" { &["--tun-network", "127.0.0.0"][..] } else { &[] };
        let output = gorgo(&[&["emulate", "--seconds", "1"], &arguments[..], more].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(wanted), "{arguments:?}: {error}");
    }
}
