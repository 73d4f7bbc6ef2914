//! A connection.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpSocket,
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
    /// How many addresses of this machine connections come from, one after the other: 127.0.0.1 and those after it.
    pub(crate) addresses: u8,
}

impl Target {
    /// Connects, and shakes hands where TLS is spoken.
    ///
    /// # Errors
    /// The server does not take it.
    pub(crate) async fn open(&self) -> Outcome<Line> {
        self.open_from(0).await
    }

    /// The same for the connection of this place among many.
    ///
    /// # Errors
    /// As `open`.
    pub(crate) async fn open_from(&self, place: usize) -> Outcome<Line> {
        let socket = TcpSocket::new_v4()?;
        let own = u8::try_from(place % usize::from(self.addresses.max(1)))?;
        socket.bind((Ipv4Addr::new(127, 0, 0, 1 + own), 0).into())?;
        let tcp = socket.connect(self.address).await.trying(|| self.address.to_string())?;
        tcp.set_nodelay(true)?;
        let Some((config, name)) = &self.tls else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from(name.clone())?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await;
        Ok(Box::new(stream.trying(|| format!("TLS with {}", self.address))?))
    }
}
