//! TLS on both sides: the proxy's own certificate, and whom it trusts at replicas' URLs. TLS 1.2 and 1.3, HTTP/1.1 alone.

use crate::config::ServerTls;
use crate::error::ProxyError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

const ALPN: &[u8] = b"http/1.1";

fn wrong(path: &Path, problem: impl std::fmt::Display) -> ProxyError {
    ProxyError::Tls { path: path.to_owned(), problem: problem.to_string() }
}

/// All certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ProxyError> {
    let all = CertificateDer::pem_file_iter(path).map_err(|error| wrong(path, error))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|error| wrong(path, error))?;
    if all.is_empty() {
        return Err(wrong(path, "got no certificate, wanted at least one in PEM form"));
    }
    Ok(all)
}

/// What clients are shown.
pub(crate) fn acceptor(config: &ServerTls) -> Result<TlsAcceptor, ProxyError> {
    let chain = certificates(&config.certificate)?;
    let key =
        PrivateKeyDer::from_pem_file(&config.key).map_err(|error| wrong(&config.key, error))?;
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&config.certificate, error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong(&config.certificate, error))?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

/// Whom to trust at replicas: those of a file, or the system's roots.
pub(crate) fn trust(file: Option<&Path>) -> Result<Arc<ClientConfig>, ProxyError> {
    let (path, given) = match file {
        Some(path) => (path.to_owned(), certificates(path)?),
        None => (PathBuf::from("(system)"), rustls_native_certs::load_native_certs().certs),
    };
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(given);
    if taken == 0 {
        return Err(wrong(&path, "got no root certificate that can be used, wanted at least one"));
    }
    let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&path, error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(client))
}
