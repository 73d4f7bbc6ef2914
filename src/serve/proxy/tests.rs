//! Headers as proxies send them, cut anywhere, and bytes that are none.

use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use super::*;

/// A header for these bytes after the first 16.
fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[0x20 | command, family], &length, rest].concat()
}

const V4: [u8; 12] = [192, 0, 2, 7, 127, 0, 0, 1, 0x30, 0x39, 1, 0xbb];

/// What comes of these bytes, written in pieces of this length, and what is left after the header.
async fn read_in_pieces(bytes: &[u8], piece: usize) -> (Result<Option<IpAddr>, NoHeader>, Vec<u8>) {
    let (mut near, mut far) = tokio::io::duplex(16);
    let bytes = bytes.to_vec();
    let writing = tokio::spawn(async move {
        for piece in bytes.chunks(piece.max(1)) {
            if far.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    let outcome = read(&mut near).await;
    let mut rest = Vec::new();
    near.read_to_end(&mut rest).await.unwrap();
    writing.await.unwrap();
    (outcome, rest)
}

fn at_once(bytes: &[u8], piece: usize) -> (Result<Option<IpAddr>, NoHeader>, Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(read_in_pieces(bytes, piece))
}

#[test]
fn the_address_is_the_clients_and_no_byte_after_the_header_is_read() {
    let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 12], &[0; 16], &[0, 1, 0, 2]].concat();
    let values = [&V4[..], &[4, 0, 3, 9, 9, 9]].concat();
    for (bytes, from) in [
        (header(1, 0x11, &V4), Some("192.0.2.7")),
        (header(1, 0x11, &values), Some("192.0.2.7")),
        (header(1, 0x21, &v6), Some("2001:db8::")),
        (header(0, 0x00, &[]), None),
        (header(0, 0x11, &V4), None),
        (header(0, 0xff, &[1, 2, 3]), None),
    ] {
        let sent = [&bytes[..], b"\x16\x03\x01"].concat();
        let (outcome, rest) = at_once(&sent, sent.len());
        assert_eq!(outcome.unwrap(), from.map(|from| from.parse().unwrap()));
        assert_eq!(rest, b"\x16\x03\x01");
    }
}

#[test]
fn what_carries_no_address_of_a_tcp_client_is_refused() {
    let mut version = header(1, 0x11, &V4);
    version[12] = 0x11;
    let long = vec![0; PROXY_HEADER_BYTES_MAX - HEAD_BYTES + 1];
    for (bytes, words) in [
        (b"GET / HTTP/1.1\r\nhost: a".to_vec(), "does not begin"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(), "does not begin"),
        (version, "does not begin"),
        (header(2, 0x11, &V4), "unknown command"),
        (header(1, 0x00, &[]), "not of a TCP connection"),
        (header(1, 0x12, &V4), "not of a TCP connection"),
        (header(1, 0x31, &[0; 216]), "not of a TCP connection"),
        (header(1, 0x11, &V4[..11]), "ends within its addresses"),
        (header(1, 0x21, &[0; 35]), "ends within its addresses"),
        (header(1, 0x11, &long), "longer than"),
        (header(1, 0x11, &V4)[..20].to_vec(), "connection ended"),
        (Vec::new(), "connection ended"),
    ] {
        let error = at_once(&bytes, bytes.len()).0.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert!(at_once(&header(1, 0x11, &long[1..]), 4096).0.is_ok(), "as long as it may be");
}

#[test]
fn networks_hold_what_lies_in_them() {
    for (network, inside, outside) in [
        ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
        ("0.0.0.0/0", "203.0.113.9", "::1"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
        ("::/0", "::1", "127.0.0.1"),
        ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"),
    ] {
        let parsed: Network = network.parse().unwrap();
        assert!(parsed.holds(inside.parse().unwrap()), "{network} {inside}");
        assert!(!parsed.holds(outside.parse().unwrap()), "{network} {outside}");
    }
    for (text, error) in [
        ("10.0.0.1/8", NoNetwork::Bits),
        ("::ffff:10.0.0.1/104", NoNetwork::Bits),
        ("10.0.0.0/33", NoNetwork::Length),
        ("10.0.0.0/", NoNetwork::Length),
        ("::/129", NoNetwork::Length),
        ("proxy", NoNetwork::Address),
        ("", NoNetwork::Address),
    ] {
        assert_eq!(text.parse::<Network>(), Err(error), "{text}");
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same(
        ip in any::<[u8; 4]>(), values in proptest::collection::vec(any::<u8>(), 0..200),
        after in proptest::collection::vec(any::<u8>(), 0..40), piece in 1usize..64,
    ) {
        let rest = [&ip[..], &[1, 2, 3, 4, 5, 6, 7, 8], &values].concat();
        let sent = [header(1, 0x11, &rest), after.clone()].concat();
        let (outcome, left) = at_once(&sent, piece);
        prop_assert_eq!(outcome.unwrap(), Some(IpAddr::from(ip)));
        prop_assert_eq!(left, after);
    }

    #[test]
    fn no_bytes_make_it_panic(
        whole in any::<bool>(), command in any::<u8>(), family in any::<u8>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..64,
    ) {
        let mut sent = header(0, family, &bytes);
        sent[12] = command;
        let _ = at_once(if whole { &sent } else { &bytes }, piece);
    }

    #[test]
    fn no_text_makes_a_network_panic(text in "[0-9a-f:./]{0,24}") {
        if let Ok(network) = text.parse::<Network>() {
            prop_assert_eq!(network.to_string().parse::<Network>().unwrap(), network);
        }
    }
}
