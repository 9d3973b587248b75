//! TLS towards a target, with an authority of the test's own.

use crate::support::{Mock, scenario, streamed};
use gorgo_live::{LiveError, Options, Target};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// An authority, and what a server with one of its certificates for 127.0.0.1 is made of.
fn authority() -> (tempfile::NamedTempFile, TlsAcceptor) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(issuer.pem().as_bytes()).unwrap();
    (file, TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_with_tls_is_spoken_to_with_its_authority_alone() {
    let (file, acceptor) = authority();
    let mock = Mock::start_on(
        |_, _| streamed(&[1], [10, 1, 0]),
        move |stream| {
            let acceptor = acceptor.clone();
            async move { acceptor.accept(stream).await.ok() }
        },
        "https",
    )
    .await;
    let target = Target::parse(&mock.url).unwrap();
    let lead = Duration::from_millis(100);
    let good =
        Options { lead, ca: Some(file.path().to_owned()), ..Options::new(vec![target.clone()]) };
    let outcome = gorgo_live::run(&scenario(5, ""), &good).await.unwrap();
    assert_eq!(outcome.policies[0].pooled.summary.requests.completed, 5);
    // Another authority's, and a file that is none.
    let (other, _) = authority();
    let wrong = Options { ca: Some(other.path().to_owned()), ..good.clone() };
    let error = gorgo_live::run(&scenario(5, ""), &wrong).await.unwrap_err();
    assert!(matches!(&error, LiveError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("TLS"), "{error}");
    let mut none = tempfile::NamedTempFile::new().unwrap();
    none.write_all(b"nothing").unwrap();
    for path in [none.path().to_owned(), "/nowhere/at/all.pem".into()] {
        let wrong = Options { ca: Some(path.clone()), ..good.clone() };
        let error = gorgo_live::run(&scenario(5, ""), &wrong).await.unwrap_err();
        assert!(matches!(&error, LiveError::Tls { .. }), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}
