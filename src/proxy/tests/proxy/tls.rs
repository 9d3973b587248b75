//! TLS towards clients and towards replicas. The replica behind TLS is another proxy with a certificate.

use crate::support::*;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

/// A certificate for `localhost` that signs itself, and its key, as PEM files.
fn certificate(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

const QUIET: &str = "[probe]\noff = true\n[scrape]\noff = true\n";

#[tokio::test]
async fn both_sides_are_encrypted_and_strangers_are_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let at = folder.path().display();
    let mock = Mock::fixed(whole("200 OK", "application/json", "{}")).await;
    let back = start(&format!(
        "listen = \"127.0.0.1:0\"\n{QUIET}[tls]\ncertificate = \"{at}/cert.pem\"\nkey = \"{at}/key.pem\"\n[[replica]]\nname = \"r\"\nurl = \"http://{}\"\n",
        mock.address
    ))
    .await;
    let url = format!("https://localhost:{}", back.address().port());
    let front = |trust: &str| {
        format!(
            "listen = \"127.0.0.1:0\"\n{QUIET}{trust}[[replica]]\nname = \"back\"\nurl = \"{url}\"\n"
        )
    };
    let trusting = start(&front(&format!("[upstream_tls]\nca = \"{at}/cert.pem\"\n"))).await;
    let mut client = Client::to(&trusting).await;
    for _ in 0..3 {
        client.post("{\"prompt\":\"x\"}").await;
        assert!(client.answer().await.0.starts_with("HTTP/1.1 200"));
    }
    // Another certificate of the same name is not this one.
    let other = tempfile::tempdir().unwrap();
    certificate(other.path());
    let ca = format!("[upstream_tls]\nca = \"{}/cert.pem\"\n", other.path().display());
    let wary = start(&front(&ca)).await;
    let mut client = Client::to(&wary).await;
    client.post("{\"prompt\":\"x\"}").await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 502") && body.contains("cannot connect"), "{head}\n{body}");
    assert_eq!(mock.seen().len(), 3);
    // A client of the encrypted one, by hand.
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.path().join("cert.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = tokio::net::TcpStream::connect(back.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let ask = post("/v1/completions", "connection: close\r\n", "{\"prompt\":\"x\"}");
    tls.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tls.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // In the clear it says nothing.
    let mut clear = Client::to(&back).await;
    clear.post("{\"prompt\":\"x\"}").await;
    assert!(find(&clear.until_closed().await, b"HTTP").is_none());
    for proxy in [trusting, wary, back] {
        proxy.shutdown().await;
    }
}

#[tokio::test]
async fn files_that_are_no_certificates_are_named() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let at = folder.path().display();
    std::fs::write(folder.path().join("empty.pem"), "nothing").unwrap();
    for (table, word) in [
        (format!("[tls]\ncertificate = \"{at}/none.pem\"\nkey = \"{at}/key.pem\""), "none.pem"),
        (format!("[tls]\ncertificate = \"{at}/empty.pem\"\nkey = \"{at}/key.pem\""), "empty.pem"),
        (format!("[tls]\ncertificate = \"{at}/cert.pem\"\nkey = \"{at}/cert.pem\""), "cert.pem"),
        (
            format!(
                "[upstream_tls]\nca = \"{at}/empty.pem\"\n[[replica]]\nname = \"a\"\nurl = \"https://localhost:1\""
            ),
            "empty.pem",
        ),
    ] {
        let text = format!("listen = \"127.0.0.1:0\"\n{QUIET}{table}\n");
        let config = gorgo_proxy::Config::parse("proxy.toml", &text).unwrap();
        let error = gorgo_proxy::start(config).await.err().expect("it is refused").to_string();
        assert!(error.contains(word), "{error}");
    }
}
