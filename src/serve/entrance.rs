//! The way into the peers' listener: whose connection it is, its share, and the TLS handshake.
//!
//! ```text
//! straight        accept -> share of the address -> TLS
//! by a proxy      accept -> a known proxy? -> PROXY header -> share of the address that it carries -> TLS
//! ```
//!
//! Header and handshake have one time together. Connections whose header has not come yet are bounded in all.

use std::{net::IpAddr, sync::Arc};

use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{debug, warn};

use super::{
    ConnectionSettings, proxy,
    seldom::Seldom,
    shares::{Share, Shares},
};
use crate::telemetry::metrics::Metrics;

/// See above.
pub(super) struct Entrance {
    shares: Shares,
    /// Connections whose header has not come yet.
    unnamed: Shares,
    metrics: Arc<Metrics>,
    /// Connections that come from elsewhere than a proxy, or without a header.
    refused: Seldom,
}

/// A connection that was let in.
pub(super) enum Arrived {
    /// From this address.
    Straight(IpAddr, Share),
    /// Through the proxy at this address.
    ByProxy(IpAddr, Share),
}

impl Entrance {
    pub(super) fn new(shares: Shares, metrics: Arc<Metrics>) -> Self {
        Self { shares, unnamed: Shares::new(0, 0), metrics, refused: Seldom::default() }
    }

    /// A connection from this address; `None`: it is closed, and counted.
    pub(super) fn admit(&self, address: IpAddr, settings: &ConnectionSettings) -> Option<Arrived> {
        let Some(proxies) = &settings.proxies else {
            let share = take_one(&self.shares, settings, address, &self.metrics)?;
            return Some(Arrived::Straight(address, share));
        };
        if !proxies.iter().any(|proxy| proxy.holds(address)) {
            self.refuse(address, "it comes from none of peer.proxies");
            return None;
        }
        self.unnamed.bound(settings.connections, settings.connections);
        let mut share = self.unnamed.open(address);
        if share.grow(1).is_err() {
            self.metrics.connections_refused.up();
            return None;
        }
        Some(Arrived::ByProxy(address, share))
    }

    /// The stream, whose it is, and its share; `None`: it is closed, and counted.
    pub(super) async fn shake_hands(
        &self,
        tls: TlsAcceptor,
        mut stream: TcpStream,
        arrived: Arrived,
        settings: &ConnectionSettings,
    ) -> Option<(TlsStream<TcpStream>, IpAddr, Share)> {
        let (Arrived::Straight(client, _) | Arrived::ByProxy(client, _)) = arrived;
        let shaking = async {
            let (from, share) = match arrived {
                Arrived::Straight(from, share) => (from, share),
                Arrived::ByProxy(proxy, unnamed) => {
                    // Dropped where the time is over within the header: counted as any other that took too long.
                    let from = self.named(&mut stream, proxy).await?;
                    let share = take_one(&self.shares, settings, from, &self.metrics)?;
                    drop::<Share>(unnamed);
                    (from, share)
                }
            };
            self.metrics.connections_in.up();
            match tls.accept(stream).await {
                Ok(stream) => Some((stream, from, share)),
                Err(failure) => {
                    self.metrics.handshakes_failed.up();
                    debug!(client = %from, %failure, "TLS handshake failed");
                    None
                }
            }
        };
        timeout(settings.handshake_time, shaking).await.unwrap_or_else(|_| {
            self.metrics.handshakes_failed.up();
            debug!(%client, "TLS handshake failed: it took too long");
            None
        })
    }

    /// Whose connection it is, by its header; `None` where it has none that is taken, or is a health check: the proxy's own,
    /// which ends before TLS and counts as nothing.
    async fn named(&self, stream: &mut TcpStream, proxy: IpAddr) -> Option<IpAddr> {
        match proxy::read(stream).await {
            Ok(Some(client)) => Some(client.to_canonical()),
            Ok(None) => {
                let begins = stream.peek(&mut [0]).await.is_ok_and(|bytes| bytes > 0);
                begins.then(|| proxy.to_canonical())
            }
            Err(why) => {
                self.refuse(proxy, &why.to_string());
                None
            }
        }
    }

    fn refuse(&self, address: IpAddr, why: &str) {
        self.metrics.proxies_refused.up();
        if let Some(unsaid) = self.refused.say() {
            warn!(%address, unsaid, "connection closed: {why}");
        }
    }
}

//= NODE-CONF-12: per address
/// One connection's share; `None` is over a bound, and counted.
pub(super) fn take_one(
    shares: &Shares,
    settings: &ConnectionSettings,
    address: IpAddr,
    metrics: &Metrics,
) -> Option<Share> {
    shares.bound(settings.connections, settings.connections_per_address);
    let mut share = shares.open(address);
    if share.grow(1).is_err() {
        metrics.connections_refused.up();
        debug!(client = %address, "connection closed: over a limit");
        return None;
    }
    Some(share)
}
