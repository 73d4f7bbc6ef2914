//! The accept loops: TLS for peers, plain HTTP/1.1 for local apps.
//!
//! - A connection over a bound is closed at once and counted; one whose handshake fails or takes too long, too.
//! - An accept() that fails never ends the loop: it is tried again after a pause.
//! - When the node stops, its port is closed, every connection is told to finish, and what is not done when the drain time
//!   is over is dropped. The functions return then, and answer how many connections those were.

use std::{future::Future, io, net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tracing::{error, warn};

use super::{
    ConnectionSettings,
    connection::{self, Handler, Protocol},
    entrance::{Entrance, take_one},
    shares::{Share, Shares},
    stop::Stopping,
};
use crate::{
    telemetry::metrics::{Held, Metrics},
    wire::limits,
};

/// Connections that the system holds before they are accepted.
const BACKLOG: u32 = 1024;

/// Opens a listening socket; a port that a predecessor has just left is taken.
///
/// # Errors
/// As the system says: in use, not permitted, not an address of this machine.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves peers over TLS until asked to stop. `tls` and `settings` are read for every connection, so that both can be swapped;
/// the ALPN list of `tls` decides which HTTP versions are spoken.
pub async fn serve_peers<H: Handler>(
    listener: TcpListener,
    tls: Arc<ArcSwap<ServerConfig>>,
    handler: H,
    settings: Arc<ArcSwap<ConnectionSettings>>,
    metrics: Arc<Metrics>,
    stopping: Stopping,
) -> usize {
    let entrance = Arc::new(Entrance::new(shares(&settings.load()), Arc::clone(&metrics)));
    accept_all(listener, &settings, stopping.clone(), |stream, address, settings| {
        let (entrance, tls) = (Arc::clone(&entrance), TlsAcceptor::from(tls.load_full()));
        let arrived = entrance.admit(address.ip().to_canonical(), &settings)?;
        let open = metrics.peer_connections.hold();
        let (handler, stopping) = (handler.clone(), stopping.clone());
        Some(async move {
            let mut stopped = stopping.clone();
            let shaken = tokio::select! {
                shaken = entrance.shake_hands(tls, stream, arrived, &settings) => shaken,
                () = stopped.asked() => None,
            };
            let Some((stream, from, share)) = shaken else { return };
            let protocol = Protocol::of_alpn(stream.get_ref().1.alpn_protocol());
            connection::serve(stream, protocol, from, handler, &settings, stopping).await;
            drop::<(Share, Held)>((share, open));
        })
    })
    .await
}

/// Serves plain HTTP/1.1 until asked to stop: local apps, or the host information alone.
pub async fn serve_local<H: Handler>(
    listener: TcpListener,
    handler: H,
    settings: Arc<ArcSwap<ConnectionSettings>>,
    metrics: Arc<Metrics>,
    stopping: Stopping,
) -> usize {
    let shares = shares(&settings.load());
    accept_all(listener, &settings, stopping.clone(), |stream, address, settings| {
        let share = take_one(&shares, &settings, address.ip(), &metrics)?;
        let open = metrics.local_connections.hold();
        let (handler, stopping) = (handler.clone(), stopping.clone());
        Some(async move {
            let from = address.ip().to_canonical();
            connection::serve(stream, Protocol::Http1, from, handler, &settings, stopping).await;
            drop::<(Share, Held)>((share, open));
        })
    })
    .await
}

/// Accepts until asked to stop, runs what `open` makes of each connection, then waits for them within the drain time. Answers
/// how many it had to drop.
async fn accept_all<F, C>(
    listener: TcpListener,
    settings: &ArcSwap<ConnectionSettings>,
    mut stopping: Stopping,
    open: F,
) -> usize
where
    F: Fn(TcpStream, SocketAddr, Arc<ConnectionSettings>) -> Option<C>,
    C: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopping.asked() => break,
            Some(ended) = running.join_next() => {
                if let Err(failure) = ended && failure.is_panic() {
                    error!("a connection's task panicked");
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                // Answers are small and waited for: they are not held back to be joined.
                let _ = stream.set_nodelay(true);
                if let Some(connection) = open(stream, address, settings.load_full()) {
                    running.spawn(connection);
                }
            }
            Err(failure) => {
                warn!(%failure, "accept failed: is the limit of open files too low?");
                sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
    // Who comes now is refused, and does not wait for a node that goes.
    drop(listener);
    let all = async { while running.join_next().await.is_some() {} };
    // What ends within the time leaves none.
    let _ = timeout(settings.load().drain_time, all).await;
    let left = running.len();
    if left > 0 {
        warn!(connections = left, "connections are dropped: they did not finish in time");
    }
    running.shutdown().await;
    left
}

fn shares(settings: &ConnectionSettings) -> Shares {
    Shares::new(settings.connections, settings.connections_per_address)
}

#[cfg(test)]
mod tests;
