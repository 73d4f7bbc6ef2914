//! Which connections are opened, refused, shared and renewed.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

//= HT-PIC-02, HT-PIC-03
#[tokio::test]
async fn a_certificate_for_another_name_ends_the_call_and_both_names_are_told() {
    let peer = Peer::start("h2", "other.test", usize::MAX).await;
    let (stage, detail) = stage(&peer.client(Settings::default()), &peer.pinned(), "/").await;
    assert_eq!(
        (stage, detail.as_str()),
        (CallStage::Tls, "the certificate is for other.test, not for alpha.test")
    );
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_ends_the_call() {
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let stranger = Peer::start("h2", NAME, usize::MAX).await;
    let (stage, detail) = stage(&stranger.client(Settings::default()), &peer.pinned(), "/").await;
    assert_eq!(stage, CallStage::Tls);
    assert!(detail.contains("authority that is not trusted here"), "{detail}");
}

#[tokio::test]
async fn what_speaks_no_tls_is_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let route = Route { address: Some(Address::Socket(listener.local_addr().unwrap())), ..peer.pinned() };
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut tcp, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        tokio::time::sleep(TIME).await;
    });
    let (stage, detail) = stage(&peer.client(Settings::default()), &route, "/").await;
    assert_eq!(stage, CallStage::Tls);
    assert!(detail.contains("speaks no TLS"), "{detail}");
}

//= HT-ASK-21, HT-ASK-22, NODE-PIN-01
#[tokio::test]
async fn loopback_is_refused_unless_it_is_pinned_or_private_addresses_are_allowed() {
    let peer = Peer::start("h2", "localhost", usize::MAX).await;
    for name in ["localhost", "127.0.0.1"] {
        let (stage, detail) = stage(&peer.client(Settings::default()), &peer.unpinned(name), "/").await;
        assert_eq!(stage, CallStage::Guard);
        assert!(detail.contains("is loopback (pin the peer's address, or set"), "{detail}");
    }
    assert_eq!(peer.connections(), 0, "nothing was dialled");
    let open = Settings { private_addresses: true, ..Settings::default() };
    assert!(send(&peer.client(open), &peer.unpinned("localhost"), "/").await.is_ok());
}

#[tokio::test]
async fn an_address_literal_is_called_under_a_certificate_for_it() {
    let peer = Peer::start("h2", "127.0.0.1", usize::MAX).await;
    let open = Settings { private_addresses: true, ..Settings::default() };
    assert!(send(&peer.client(open), &peer.unpinned("127.0.0.1"), "/").await.is_ok());
    assert_eq!(peer.last(|request| request.sni.clone()), None);
}

//= HT-ASK-22
#[tokio::test]
async fn a_guarded_look_up_answers_addresses_or_why_not() {
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let client = peer.client(Settings::default());
    let named = |name: &str| Route { host: PeerHost::parse(name).unwrap(), address: None, trusted: false };
    assert_eq!(client.addresses(&named("8.8.8.8"), true).await, Ok(vec!["8.8.8.8".parse().unwrap()]));
    assert_eq!(client.addresses(&named("localhost:1024"), true).await.unwrap_err().stage, CallStage::Guard);
    let error = client.addresses(&named("no-such-name.invalid"), true).await.unwrap_err();
    assert_eq!(error.stage, CallStage::Resolve, "{error}");
}

//= HT-ASK-23, NODE-CONF-10
#[tokio::test]
async fn a_low_port_is_refused_before_any_look_up() {
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let route =
        Route { host: PeerHost::parse("no-such-name.invalid:25").unwrap(), address: None, trusted: true };
    let (stage, detail) = stage(&peer.client(Settings::default()), &route, "/").await;
    assert_eq!(stage, CallStage::Guard);
    assert!(detail.contains("port 25"), "{detail}");
}

//= YMP-INFO-11
#[tokio::test]
async fn a_closed_port_and_a_bad_path_are_told_apart() {
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let client = peer.client(Settings::default());
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let route = Route { address: Some(Address::Socket(closed)), ..peer.pinned() };
    assert_eq!(stage(&client, &route, "/").await.0, CallStage::Connect);
    for path in ["", "packet", "/a b", "/a#b", "/a\r\nb", "//x:y@z\u{e4}", "https://elsewhere.test/"] {
        assert_eq!(stage(&client, &peer.pinned(), path).await.0, CallStage::LookUp, "{path:?}");
    }
}

//= HT-SEND-29
#[tokio::test]
async fn a_slow_peer_costs_no_more_than_the_deadline() {
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let (client, route) = (peer.client(Settings::default()), peer.pinned());
    let short = Duration::from_millis(200);
    let error = client.send(&route, "/slow", &token(), body(), short).await.unwrap_err();
    assert_eq!(
        (error.stage, error.detail.as_str()),
        (CallStage::Timeout, "no answer from alpha.test within 0.2 s")
    );
    let impatient = peer.client(Settings { call_time: short, ..Settings::default() });
    assert_eq!(stage(&impatient, &route, "/slow").await.0, CallStage::Timeout);
    let before = peer.connections();
    assert!(send(&client, &route, "/").await.is_ok(), "the next call is not held up");
    assert_eq!(peer.connections(), before + 1, "a connection that fell silent is not used again");
}

//= HT-SEND-31
#[tokio::test]
async fn calls_share_a_connection_until_it_is_due_for_renewal() {
    for alpn in ["h2", "http/1.1"] {
        let peer = Peer::start(alpn, NAME, usize::MAX).await;
        let client = peer.client(Settings::default());
        for _ in 0..3 {
            send(&client, &peer.pinned(), "/").await.unwrap();
        }
        assert_eq!(peer.connections(), 1, "{alpn}");
        peer.mono.store(600_000, Ordering::SeqCst);
        send(&client, &peer.pinned(), "/").await.unwrap();
        assert_eq!(peer.connections(), 2, "{alpn}");
    }
}

//= HT-SEND-18, NODE-API-20
#[tokio::test]
async fn a_call_that_was_taken_and_not_answered_is_a_try_that_failed() {
    for alpn in ["h2", "http/1.1"] {
        let peer = Peer::start(alpn, NAME, 1).await;
        let client = peer.client(Settings::default());
        for number in 1..=3 {
            let answer = send(&client, &peer.pinned(), "/").await;
            assert_eq!(answer.map(|answer| answer.status), Ok(204), "{alpn}");
            let (stage, detail) = stage(&client, &peer.pinned(), "/").await;
            assert_eq!((stage, peer.connections()), (CallStage::Exchange, number), "{alpn}: {detail}");
        }
    }
}

#[tokio::test]
async fn a_call_that_a_closing_connection_did_not_take_is_made_once_more() {
    let frame = |kind: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, 0, 0, 0, 0, stream], payload].concat()
    };
    let (refused, inner) = ([0, 0, 0, 7], [0, 0, 0, 2]);
    let going = |last: u8, reason: u8| frame(7, 0, &[0, 0, 0, last, 0, 0, 0, reason]);
    for (farewell, again) in [
        (frame(3, 3, &refused), true),
        (going(1, 0), true),
        (frame(3, 3, &inner), false),
        (going(1, 11), false),
        (Vec::new(), false),
    ] {
        let peer = Peer::start("h2", NAME, usize::MAX).await;
        let (route, connections) = once(&peer, farewell.clone()).await;
        let client = peer.client(Settings::default());
        assert_eq!(send(&client, &route, "/").await.map(|answer| answer.status), Ok(204));
        let second = send(&client, &route, "/").await;
        assert_eq!(second.is_ok(), again, "{farewell:?}: {second:?}");
        assert_eq!(connections.load(Ordering::SeqCst), 1 + usize::from(again), "{farewell:?}");
    }
}

/// A server that answers the first request of each connection; to the second it says farewell in these bytes and closes.
async fn once(peer: &Peer, farewell: Vec<u8>) -> (Route, Arc<AtomicUsize>) {
    const FRAME_HEAD: usize = 9;
    let mut config = (*identity(&peer.dir, NAME).server).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Some(Address::Socket(listener.local_addr().unwrap()));
    let connections = Arc::new(AtomicUsize::new(0));
    let opened = connections.clone();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
            opened.fetch_add(1, Ordering::SeqCst);
            stream.read_exact(&mut [0; b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()]).await.unwrap();
            stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
            let mut head = [0; FRAME_HEAD];
            while stream.read_exact(&mut head).await.is_ok() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                stream.read_exact(&mut vec![0; usize::try_from(length).unwrap()]).await.unwrap();
                let is_data_to_the_end = (head[3], head[4] & 1) == (0, 1);
                match head[8] {
                    // `:status: 204`, and no body.
                    1 if is_data_to_the_end => {
                        stream.write_all(&[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x89]).await.unwrap();
                    }
                    3 if is_data_to_the_end => {
                        stream.write_all(&farewell).await.unwrap();
                        stream.flush().await.unwrap();
                        break;
                    }
                    _ => {}
                }
                stream.flush().await.unwrap();
            }
        }
    });
    (Route { address, ..peer.pinned() }, connections)
}

#[tokio::test]
async fn a_fresh_connection_that_breaks_is_not_tried_again() {
    let peer = Peer::start("http/1.1", NAME, 0).await;
    let (stage, detail) = stage(&peer.client(Settings::default()), &peer.pinned(), "/").await;
    assert_eq!((stage, peer.connections()), (CallStage::Exchange, 1), "{detail}");
}

//= HT-SEND-18
#[tokio::test]
async fn an_answer_that_would_condemn_a_message_and_breaks_off_is_none() {
    let peer = Peer::start("http/1.1", NAME, usize::MAX).await;
    let (stage, detail) = stage(&peer.client(Settings::default()), &peer.pinned(), "/cut-off").await;
    assert_eq!(stage, CallStage::Exchange, "{detail}");
}

#[tokio::test]
async fn a_strangers_grant_shares_no_connection() {
    for alpn in ["h2", "http/1.1"] {
        let peer = Peer::start(alpn, NAME, usize::MAX).await;
        let client = peer.client(Settings::default());
        let route = Route { trusted: false, ..peer.pinned() };
        send(&client, &route, "/").await.unwrap();
        for number in 2..=3 {
            let answer = client.grant(&route, "/grant", Some(&token()), b"{}".to_vec(), TIME).await;
            assert_eq!(answer.map(|answer| answer.status), Ok(204), "{alpn}");
            assert_eq!(peer.connections(), number, "{alpn}");
        }
    }
}

//= HT-ASK-31
#[tokio::test]
async fn strangers_grants_to_one_address_are_bounded_and_known_peers_are_not() {
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let client = peer.client(Settings::default());
    let route = Route { trusted: false, ..peer.pinned() };
    let bearer = token();
    let grant = |route| client.grant(route, "/hold", Some(&bearer), b"{}".to_vec(), TIME);
    let (a, b, c) = tokio::join!(grant(&route), grant(&route), grant(&route));
    let refused: Vec<_> = [a, b, c].into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].stage, CallStage::Busy);
    assert!(refused[0].detail.starts_with("busy"), "{}", refused[0].detail);
    let mut again = grant(&route).await;
    // A connection gives its place back when it has closed, which is soon after its call.
    for _ in 0..20 {
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        again = grant(&route).await;
    }
    assert!(again.is_ok(), "the places come back");
    let known = peer.pinned();
    let (a, b, c) = tokio::join!(grant(&known), grant(&known), grant(&known));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
}

//= NODE-PIN-01
#[tokio::test]
async fn a_pin_may_be_a_name() {
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let address = format!("localhost:{}", peer.address.port()).parse().ok();
    let route = Route { address, ..peer.pinned() };
    assert!(send(&peer.client(Settings::default()), &route, "/").await.is_ok());
    assert_eq!(peer.last(|request| request.sni.clone()).as_deref(), Some(NAME));
}

//= HT-SEND-19
#[tokio::test]
async fn a_refusal_whose_body_never_ends_is_still_a_refusal() {
    let peer = Peer::start("http/1.1", NAME, usize::MAX).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let route = Route { address: Some(Address::Socket(listener.local_addr().unwrap())), ..peer.pinned() };
    let mut config = (*identity(&peer.dir, NAME).server).clone();
    config.alpn_protocols.clear();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(tcp).await.unwrap();
        let answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 100\r\n\r\nno such";
        tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
        tokio::io::AsyncWriteExt::flush(&mut stream).await.unwrap();
        tokio::time::sleep(2 * TIME).await;
    });
    let client = peer.client(Settings::default());
    let answer = client.send(&route, "/", &token(), body(), 2 * TIME).await.unwrap();
    assert_eq!((answer.status, answer.text.as_deref()), (401, Some("no such")));
}

/// A server that takes every byte and says nothing once TLS stands.
async fn deaf(peer: &Peer) -> Route {
    let mut config = (*identity(&peer.dir, NAME).server).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Some(Address::Socket(listener.local_addr().unwrap()));
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(tcp).await.unwrap();
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    });
    Route { address, ..peer.pinned() }
}

//= HT-SEND-28
#[tokio::test]
async fn a_peer_that_answers_no_ping_loses_its_connection() {
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let millis = Duration::from_millis;
    let client =
        peer.client(Settings { ping_every: millis(100), ping_time: millis(300), ..Settings::default() });
    assert_eq!(stage(&client, &deaf(&peer).await, "/").await.0, CallStage::Exchange, "long before 5 s");
    assert!(send(&client, &peer.pinned(), "/hold").await.is_ok(), "one that is slow and answers keeps it");
}

//= HT-SEND-30
#[tokio::test]
async fn an_idle_connection_is_not_used_again() {
    for alpn in ["h2", "http/1.1"] {
        let peer = Peer::start(alpn, NAME, usize::MAX).await;
        let client = peer.client(Settings { idle_time: Duration::from_millis(100), ..Settings::default() });
        for calls in 1..=3 {
            send(&client, &peer.pinned(), "/").await.unwrap();
            assert_eq!(peer.connections(), calls, "{alpn}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

#[tokio::test]
async fn an_answer_whose_stream_is_reset_before_its_end_is_none_whatever_the_code() {
    for (code, whole) in
        [(None, true), (Some(h2::Reason::NO_ERROR), false), (Some(h2::Reason::CANCEL), false)]
    {
        let dir = TempDir::new().unwrap();
        let mut config = (*identity(&dir, NAME).server).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Some(Address::Socket(listener.local_addr().unwrap()));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                let mut body = respond.send_response(Response::new(()), false).unwrap();
                let text = Bytes::from_static(br#"{"token":"t","expires-in":60,"refresh-token":"r"}"#);
                body.send_data(text, code.is_none()).unwrap();
                tokio::spawn(async move {
                    // The data is on its way before the end of the stream is.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    code.into_iter().for_each(|code| body.send_reset(code));
                });
            }
        });
        let clock = || Now { mono: Mono(0), wall: wall() };
        let client = Client::new(Settings::default(), identity(&dir, NAME).client, Arc::new(clock));
        let route = Route { host: PeerHost::parse(NAME).unwrap(), address, trusted: true };
        let token = HeldToken::parse("old").unwrap();
        let refreshed = client.refresh(&route, "/refresh", &token, TIME).await;
        assert_eq!(matches!(refreshed, Refreshed::Fresh(_)), whole, "{code:?}: {refreshed:?}");
        assert_eq!(matches!(refreshed, Refreshed::Failed(_)), !whole, "{code:?}: {refreshed:?}");
    }
}
