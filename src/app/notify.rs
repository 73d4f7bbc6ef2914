//! Tells a supervisor that asks for it how far the node is: `READY=1`, `STOPPING=1` to the socket that `NOTIFY_SOCKET` names
//! (systemd's `Type=notify`, sd_notify(3)). Where nobody asks, nothing happens.

use std::{env, ffi::OsStr, io, os::unix::net::UnixDatagram};

/// How far the node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It can be reached.
    Ready,
    /// It finishes what is in hand.
    Stopping,
}

/// Tells it; that it cannot be told is a line in the log.
pub(super) fn tell(news: News) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else { return };
    let words = match news {
        News::Ready => "READY=1\n",
        News::Stopping => "STOPPING=1\n",
    };
    if let Err(cause) = send(&socket, words.as_bytes()) {
        tracing::warn!(%cause, "the supervisor at NOTIFY_SOCKET could not be told: {}", words.trim_end());
    }
}

fn send(socket: &OsStr, words: &[u8]) -> io::Result<()> {
    let from = UnixDatagram::unbound()?;
    // A supervisor that does not listen must not hold the node up.
    from.set_nonblocking(true)?;
    match socket.as_encoded_bytes() {
        [b'@', name @ ..] => from.send_to_addr(words, &hidden(name)?),
        _ => from.send_to(words, socket),
    }
    .map(drop)
}

/// A name outside the file system.
#[cfg(target_os = "linux")]
fn hidden(name: &[u8]) -> io::Result<std::os::unix::net::SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    std::os::unix::net::SocketAddr::from_abstract_name(name)
}

/// Elsewhere there is no such thing.
#[cfg(not(target_os = "linux"))]
fn hidden(_: &[u8]) -> io::Result<std::os::unix::net::SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}
