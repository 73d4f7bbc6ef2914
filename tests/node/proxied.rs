//! Peers that come through a proxy: the address that its header carries counts, and no other.

use std::{net::Ipv4Addr, time::Duration};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::harness::*;

const ON: &str = "proxy-protocol = true\nproxies = [\"127.0.0.1\"]";

/// A header of version 2 from this client, as haproxy's `send-proxy-v2` writes it.
fn header(from: [u8; 4]) -> Vec<u8> {
    let addresses = [&from[..], &[127, 0, 0, 1, 0x30, 0x39, 1, 0xbb]].concat();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &addresses].concat()
}

/// The proxy's own health check.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// The handshake behind a header; `Err` where the node closes.
async fn shaken(yard: &Yard, node: &Node, header: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut stream = TcpStream::connect(node.peer).await.unwrap();
    stream.write_all(header).await?;
    let connector = TlsConnector::from(yard.client(&["h2"]));
    let mut stream = connector.connect(ServerName::try_from(ALPHA).unwrap(), stream).await?;
    // The first frame of HTTP/2: it is there when the node serves the connection.
    stream.read_u8().await.map(|_| stream)
}

/// The node reads nothing more: how long that took.
async fn closed(stream: &mut TcpStream) -> Duration {
    let start = now();
    let mut byte = [0];
    match tokio::time::timeout(PATIENCE, stream.read(&mut byte)).await.unwrap() {
        Ok(0) | Err(_) => start.elapsed(),
        Ok(_) => panic!("it answers"),
    }
}

async fn answers(node: &Node, first: &[u8]) -> Option<u16> {
    node.get(PLACES[0]).first(first).try_send().await.ok().map(|got| got.status)
}

#[tokio::test]
async fn limits_and_the_log_see_the_client_and_not_the_proxy() {
    let yard = Yard::new();
    let bounds = "connections-per-address = 2";
    let node = Node::new(&yard, ALPHA).with("peer", ON).with("limits", bounds).started().await;
    let (one, other) = (header([192, 0, 2, 7]), header([192, 0, 2, 8]));
    let mut open = Vec::new();
    for from in [&one, &one, &other, &other] {
        open.push(shaken(&yard, &node, from).await.unwrap());
    }
    assert!(shaken(&yard, &node, &one).await.is_err(), "a third of the same client");
    assert_eq!(node.app().metric("ymp_connections_refused_total").await, 1);
    assert!(node.log().contains("192.0.2.7"));
    open.remove(0).shutdown().await.unwrap();
    eventually("the share is given back", || async { shaken(&yard, &node, &one).await.ok() }).await;
    assert_eq!(node.get(PLACES[0]).first(LOCAL).send().await.status, 200, "the proxy's own check");
    assert_eq!(node.app().metric("ymp_proxy_headers_refused_total").await, 0);
}

#[tokio::test]
async fn who_shows_no_header_of_a_known_proxy_is_closed_counted_and_said_seldom() {
    let yard = Yard::new();
    let node = Node::new(&yard, ALPHA).with("peer", ON).started().await;
    assert_eq!(answers(&node, &header([192, 0, 2, 7])).await, Some(200));
    assert_eq!(answers(&node, b"").await, None, "without a header");
    assert_eq!(answers(&node, b"PROXY TCP4 192.0.2.7 127.0.0.1 1 443\r\n").await, None, "version 1");
    let unspecified = b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0";
    assert_eq!(answers(&node, unspecified).await, None, "without an address");
    let stranger = node.get(PLACES[0]).elsewhere().first(&header([192, 0, 2, 7])).try_send().await;
    assert!(stranger.is_err(), "a header of one who may send none");
    let counted = || async { node.app().metric("ymp_proxy_headers_refused_total").await };
    assert_eq!(counted().await, 4);
    assert_eq!(node.log().matches("connection closed: ").count(), 1, "{}", node.log());
    let mut slow = TcpStream::connect(node.peer).await.unwrap();
    let start = now();
    for byte in &header([192, 0, 2, 7])[..4] {
        slow.write_all(&[*byte]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    closed(&mut slow).await;
    assert!((9..13).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_health_check_of_the_proxy_that_ends_before_tls_counts_as_nothing() {
    let yard = Yard::new();
    let node = Node::new(&yard, ALPHA).with("peer", ON).started().await;
    let mut check = TcpStream::connect(node.peer).await.unwrap();
    check.write_all(LOCAL).await.unwrap();
    check.shutdown().await.unwrap();
    closed(&mut check).await;
    let counted = || async {
        let app = node.app();
        (app.metric("ymp_connections_in_total").await, app.metric("ymp_tls_handshakes_failed_total").await)
    };
    assert_eq!(counted().await, (0, 0));
    let mut client = TcpStream::connect(node.peer).await.unwrap();
    client.write_all(&header([192, 0, 2, 7])).await.unwrap();
    client.shutdown().await.unwrap();
    closed(&mut client).await;
    // It is counted when its connection is closed already.
    let both = || async { (counted().await == (1, 1)).then_some(()) };
    eventually("a client that does the same is counted", both).await;
    assert_eq!(answers(&node, LOCAL).await, Some(200));
}

#[tokio::test]
async fn a_reload_turns_it_on_and_off_for_connections_that_come() {
    let yard = Yard::new();
    let mut node = Node::new(&yard, ALPHA).started().await;
    let from = header(Ipv4Addr::new(192, 0, 2, 7).octets());
    assert_eq!((answers(&node, b"").await, answers(&node, &from).await), (Some(200), None));
    let mut before = shaken(&yard, &node, b"").await.unwrap();
    node.set("peer", ON);
    let said = node.reload().await;
    assert!(said.contains("peer.proxies, peer.proxy-protocol"), "{said}");
    assert_eq!((answers(&node, b"").await, answers(&node, &from).await), (None, Some(200)));
    // What was open goes on: its settings and their acknowledgement come, and it is not closed.
    before.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    before.read_u8().await.unwrap();
    node.set("peer", "proxy-protocol = true\nproxies = [\"10.0.0.0/8\"]");
    node.reload().await;
    assert_eq!((answers(&node, b"").await, answers(&node, &from).await), (None, None));
    node.set("peer", "proxy-protocol = false");
    node.reload().await;
    assert_eq!((answers(&node, b"").await, answers(&node, &from).await), (Some(200), None));
}
