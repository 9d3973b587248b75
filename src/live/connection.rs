//! Connections to one target: HTTP/1.1, one request at a time each, kept alive, Nagle's algorithm off. The most
//! recently used one is taken first, as in most clients' pools.

use crate::LiveError;
use bytes::Bytes;
use http::{HeaderValue, Uri};
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection that is ready for a request.
pub(crate) type Connection = SendRequest<Full<Bytes>>;

/// One target and the connections to it that are idle.
pub(crate) struct Endpoint {
    /// What it is called in errors.
    pub name: String,
    host: String,
    port: u16,
    /// The `host` header.
    pub authority: HeaderValue,
    /// What stands before the API's path.
    base: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    idle: Mutex<Vec<Connection>>,
    opened: AtomicU64,
}

impl Endpoint {
    /// A target; with `https`, TLS with these certificates.
    ///
    /// # Errors
    /// When its host is no name for TLS, or no header.
    pub fn new(url: &Uri, tls: Option<&TlsConnector>) -> Result<Self, LiveError> {
        let refuse = |wanted: &str| LiveError::Option {
            option: "url",
            got: format!("`{url}`"),
            wanted: wanted.to_owned(),
        };
        let wanted = "http://HOST:PORT or https://HOST:PORT";
        let host = url.host().ok_or_else(|| refuse(wanted))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = url.scheme_str() == Some("https");
        let authority = url.authority().ok_or_else(|| refuse(wanted))?;
        let tls = match tls.filter(|_| secure) {
            None => None,
            Some(tls) => {
                let name = ServerName::try_from(host.clone());
                Some((tls.clone(), name.map_err(|_| refuse("a host that TLS can name"))?))
            }
        };
        Ok(Self {
            name: url.to_string().trim_end_matches('/').to_owned(),
            host,
            port: url.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| refuse(wanted))?,
            base: url.path().trim_end_matches('/').to_owned(),
            tls,
            idle: Mutex::new(Vec::new()),
            opened: AtomicU64::new(0),
        })
    }

    /// The path of an API at this target.
    pub fn path(&self, of: &str) -> String {
        format!("{}{of}", self.base)
    }

    /// How many connections were opened.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// An idle connection, where there is one that its server has not closed.
    pub fn idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let connection = idle.pop()?;
            if connection.is_ready() {
                return Some(connection);
            }
        }
    }

    /// Opens a connection.
    pub async fn open(&self) -> Result<Connection, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| format!("connect: {error}"))?;
        stream.set_nodelay(true).map_err(|error| format!("connect: {error}"))?;
        let connection = match &self.tls {
            None => drive(stream).await,
            Some((tls, name)) => {
                let stream = tls.connect(name.clone(), stream).await;
                drive(stream.map_err(|error| format!("TLS: {error}"))?).await
            }
        };
        self.opened.fetch_add(1, Ordering::Relaxed);
        connection
    }

    /// A connection whose answer has been read to its end.
    pub fn give_back(&self, connection: Connection) {
        if !connection.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}

/// Speaks HTTP over a stream; what reads and writes ends when the connection is dropped.
async fn drive(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Connection, String> {
    let (connection, driver) =
        handshake(TokioIo::new(stream)).await.map_err(|error| format!("connect: {error}"))?;
    tokio::spawn(async move {
        // Whoever waits for the answer hears of its errors.
        drop(driver.await);
    });
    Ok(connection)
}

/// TLS for targets with `https`: the system's certificates, or those of a file.
///
/// # Errors
/// When the file or the system has no certificate that can be used.
pub(crate) fn tls(ca: Option<&Path>) -> Result<TlsConnector, LiveError> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let what = ca
        .map_or_else(|| "the system's certificates".to_owned(), |path| path.display().to_string());
    let refuse = |problem: String| LiveError::Tls { what: what.clone(), problem };
    match ca {
        Some(path) => {
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| refuse(format!("cannot be read as PEM: {error}")))?;
            for certificate in certificates {
                roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
            }
        }
        None => {
            // A certificate of the system's that cannot be read is as if it were not there.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(refuse("got no certificate, wanted at least one".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
