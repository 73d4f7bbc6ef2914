//! A connection.

use std::{net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::Http;
use crate::outcome::{Outcome, Trying as _};

/// What a connection carries.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection.
pub(crate) type Line = Box<dyn Stream>;

/// Where connections lead.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The server's address.
    pub(crate) address: SocketAddr,
    /// With TLS: the client's configuration, which names the version of HTTP, and the server's name.
    pub(crate) tls: Option<(Arc<ClientConfig>, String)>,
    /// The version.
    pub(crate) http: Http,
}

impl Target {
    /// Connects, and shakes hands where TLS is spoken.
    ///
    /// # Errors
    /// The server does not take it.
    pub(crate) async fn open(&self) -> Outcome<Line> {
        let tcp = TcpStream::connect(self.address).await.trying(|| self.address.to_string())?;
        tcp.set_nodelay(true)?;
        let Some((config, name)) = &self.tls else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from(name.clone())?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await;
        Ok(Box::new(stream.trying(|| format!("TLS with {}", self.address))?))
    }
}
