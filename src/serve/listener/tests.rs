//! The listener under callers that are slow, many, silent, or still there when the node stops.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, StatusCode,
    body::Incoming as HyperBody,
    client::conn::{http1, http2},
    header::HeaderValue,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{PrivateKeyDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client};

use super::*;
use crate::serve::{
    body::Incoming,
    respond::{Answer, Door, Fault, no_content, text},
    stop::{Stop, stop},
};

/// Answers 204; `/slow` after 600 ms, `/never` never; reads at most 10 bytes of body.
#[derive(Clone, Default)]
struct Trivial {
    begun: Arc<AtomicUsize>,
    /// Bodies that came whole.
    read: Arc<AtomicUsize>,
}

impl Handler for Trivial {
    async fn handle(&self, from: IpAddr, request: Request<HyperBody>) -> Answer {
        self.begun.fetch_add(1, Ordering::Relaxed);
        match request.uri().path() {
            "/slow" => sleep(Duration::from_millis(600)).await,
            "/text" => return text(StatusCode::OK, "text/plain", "text"),
            "/never" => std::future::pending().await,
            _ => {}
        }
        let (head, body) = request.into_parts();
        let mut share = Shares::new(1000, 1000).open(from);
        match Incoming::new(head.version, &head.headers, body)
            .read(10, Duration::from_secs(5), &mut share)
            .await
        {
            Ok(_) => {
                self.read.fetch_add(1, Ordering::Relaxed);
                no_content()
            }
            Err(error) => Fault::from(error).answer(Door::Plain),
        }
    }
}

struct Server {
    address: SocketAddr,
    tls: Arc<ArcSwap<ServerConfig>>,
    roots: RootCertStore,
    metrics: Arc<Metrics>,
    handler: Trivial,
    stop: Stop,
    task: JoinHandle<usize>,
}

fn short() -> ConnectionSettings {
    ConnectionSettings {
        handshake_time: Duration::from_millis(200),
        header_time: Duration::from_millis(200),
        idle_time: Duration::from_millis(400),
        drain_time: Duration::from_millis(1500),
        ..ConnectionSettings::default()
    }
}

/// A certificate for `a.test`, and what trusts it.
fn certificate() -> (ServerConfig, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    (tls, roots)
}

fn start(settings: ConnectionSettings) -> Server {
    let (tls, roots) = certificate();
    let tls = Arc::new(ArcSwap::from_pointee(tls));
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (metrics, handler, (stop, stopping)) = (Arc::<Metrics>::default(), Trivial::default(), stop());
    let settings = Arc::new(ArcSwap::from_pointee(settings));
    let served = serve_peers(listener, tls.clone(), handler.clone(), settings, metrics.clone(), stopping);
    Server { address, tls, roots, metrics, handler, stop, task: tokio::spawn(served) }
}

type Tls = client::TlsStream<TcpStream>;

impl Server {
    async fn connect(&self, alpn: &[u8]) -> Tls {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        tls.alpn_protocols = vec![alpn.to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("a.test").unwrap();
        TlsConnector::from(Arc::new(tls)).connect(name, stream).await.unwrap()
    }

    async fn http1(&self) -> http1::SendRequest<Full<Bytes>> {
        let stream = TokioIo::new(self.connect(b"http/1.1").await);
        let (sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn http2(&self) -> http2::SendRequest<Full<Bytes>> {
        let stream = TokioIo::new(self.connect(b"h2").await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Waits until this many requests have reached the handler.
    async fn begun(&self, count: usize) {
        while self.handler.begun.load(Ordering::Relaxed) < count {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn get(path: &str) -> Request<Full<Bytes>> {
    let uri = format!("https://a.test{path}");
    Request::builder().uri(uri).header("host", "a.test").body(Full::default()).unwrap()
}

/// Everything until the other side closes; fails when it does not within 1.2 s.
async fn until_closed(stream: &mut Tls) -> String {
    let mut all = Vec::new();
    // A reset or a missing close_notify is an end, too.
    let _ = timeout(Duration::from_millis(1200), stream.read_to_end(&mut all)).await.expect("still open");
    String::from_utf8_lossy(&all).into_owned()
}

//= SEED-HTTP-1
#[tokio::test]
async fn both_versions_are_served_as_alpn_chose() {
    let server = start(ConnectionSettings::default());
    assert_eq!(server.http1().await.send_request(get("/")).await.unwrap().status(), 204);
    let answer = server.http2().await.send_request(get("/")).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (204, hyper::Version::HTTP_2));
    assert_eq!(server.metrics.connections_in.value(), 2);
    // HTTP/2's first bytes on a connection where HTTP/1.1 was chosen are no HTTP/1.1.
    let mut stream = server.connect(b"http/1.1").await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn a_swapped_certificate_is_shown_to_the_next_caller_and_the_last_one_stays() {
    let mut server = start(ConnectionSettings::default());
    let mut before = server.http1().await;
    let (tls, roots) = certificate();
    server.tls.store(Arc::new(tls));
    server.roots = roots;
    assert_eq!(server.http1().await.send_request(get("/")).await.unwrap().status(), 204);
    assert_eq!(before.send_request(get("/")).await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_silent_caller_is_closed_and_counted() {
    let server = start(short());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let closed = timeout(Duration::from_secs(1), stream.read(&mut [0; 8])).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))));
    assert_eq!(server.metrics.handshakes_failed.value(), 1);
}

#[tokio::test]
async fn a_caller_that_never_asks_is_closed_in_both_versions() {
    let settings = ConnectionSettings { idle_time: Duration::from_secs(60), ..short() };
    let server = start(settings);
    until_closed(&mut server.connect(b"http/1.1").await).await;
    until_closed(&mut server.connect(b"h2").await).await;
}

#[tokio::test]
async fn a_header_that_comes_byte_by_byte_is_late_also_on_a_used_connection() {
    let settings = ConnectionSettings { idle_time: Duration::from_secs(60), ..short() };
    let server = start(settings);
    let mut stream = server.connect(b"http/1.1").await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await.unwrap();
    assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
    let slow = async {
        for _ in 0..40 {
            if stream.write_all(b"G").await.is_err() {
                break;
            }
            let _ = timeout(Duration::from_millis(30), stream.read(&mut [0; 64])).await.map(|read| {
                assert!(matches!(read, Ok(0) | Err(_)), "answered");
            });
        }
        until_closed(&mut stream).await;
    };
    timeout(Duration::from_secs(3), slow).await.unwrap();
}

#[tokio::test]
async fn a_header_that_stops_is_late_by_its_own_time_whatever_was_looked_at_first() {
    let (header_time, idle_time) = (Duration::from_secs(1), Duration::from_secs(60));
    let server = start(ConnectionSettings { header_time, idle_time, ..short() });
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let mut stream = server.connect(b"http/1.1").await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        callers.spawn(async move {
            sleep(Duration::from_millis(300)).await;
            stream.write_all(b"GET /v").await.unwrap();
            timeout(header_time * 3 / 2, stream.read(&mut [0; 64])).await
        });
    }
    for closed in callers.join_all().await {
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_with_a_request_in_hand_is_not() {
    let server = start(short());
    let (mut one, mut two) = (server.http1().await, server.http2().await);
    // Longer in hand than the idle time.
    let (first, second) = tokio::join!(one.send_request(get("/slow")), two.send_request(get("/slow")));
    assert_eq!(
        (first.unwrap().status(), second.unwrap().status()),
        (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT)
    );
    // Still open: the idle time starts with the answer.
    sleep(Duration::from_millis(150)).await;
    assert!(!one.is_closed() && !two.is_closed());
    sleep(Duration::from_millis(900)).await;
    assert!(one.is_closed() && two.is_closed());
}

//= NODE-CONF-12
#[tokio::test]
async fn one_address_has_so_many_connections_and_the_next_is_closed_at_once() {
    let server = start(ConnectionSettings { connections_per_address: 1, ..ConnectionSettings::default() });
    let first = server.http1().await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    assert!(matches!(timeout(Duration::from_secs(1), second.read(&mut [0; 8])).await, Ok(Ok(0) | Err(_))));
    assert_eq!(server.metrics.connections_refused.value(), 1);
    drop(first);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(server.http1().await.send_request(get("/")).await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_stop_answers_what_is_in_hand_and_closes_the_rest() {
    let server = start(ConnectionSettings::default());
    let idle = server.http1().await;
    let (mut one, mut two) = (server.http1().await, server.http2().await);
    let in_hand = tokio::spawn(async move { (one.send_request(get("/slow")).await.unwrap(), one) });
    let also = tokio::spawn(async move { (two.send_request(get("/slow")).await.unwrap(), two) });
    server.begun(2).await;
    server.stop.now();
    assert_eq!(in_hand.await.unwrap().0.status(), 204);
    assert_eq!(also.await.unwrap().0.status(), 204);
    assert_eq!(timeout(Duration::from_secs(2), server.task).await.expect("it returns").unwrap(), 0);
    assert!(idle.is_closed());
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let server = start(ConnectionSettings { drain_time: Duration::from_millis(100), ..short() });
    let mut caller = server.http1().await;
    let call = tokio::spawn(async move { caller.send_request(get("/never")).await });
    server.begun(1).await;
    server.stop.now();
    let left = timeout(Duration::from_secs(2), server.task).await.expect("it returns").unwrap();
    assert_eq!(left, 1, "it says what it dropped");
    assert!(call.await.unwrap().is_err());
}

//= HT-CHK-09
#[tokio::test]
async fn an_over_long_body_is_taken_so_that_its_answer_arrives() {
    let server = start(ConnectionSettings::default());
    let body = Bytes::from(vec![b'x'; 4 * 1024 * 1024]);
    let post = |body: Bytes| {
        Request::post("https://a.test/").header("host", "a.test").body(Full::new(body)).unwrap()
    };
    let mut one = server.http1().await;
    let answer = one.send_request(post(body.clone())).await.unwrap();
    assert_eq!(answer.status(), 413);
    let problem = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(problem.starts_with(b"{\"type\":\"urn:ymp:problem:too-large\""));
    // The connection is still good.
    assert_eq!(one.send_request(get("/")).await.unwrap().status(), 204);
    assert_eq!(server.http2().await.send_request(post(body)).await.unwrap().status(), 413);
}

#[tokio::test]
async fn a_body_over_what_is_thrown_away_gets_its_answer_over_http2() {
    let server = start(ConnectionSettings::default());
    let body = Bytes::from(vec![b'x'; 9 * 1024 * 1024]);
    let mut request = get("/");
    *request.method_mut() = hyper::Method::POST;
    *request.body_mut() = Full::new(body);
    let mut two = server.http2().await;
    assert_eq!(two.send_request(request).await.unwrap().status(), 413);
    assert_eq!(two.send_request(get("/")).await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_stream_that_is_reset_before_its_end_is_no_body_whatever_its_code() {
    let server = start(ConnectionSettings::default());
    let (two, connection) = h2::client::handshake(server.connect(b"h2").await).await.unwrap();
    tokio::spawn(connection);
    for code in [Some(h2::Reason::NO_ERROR), Some(h2::Reason::CANCEL), None] {
        let post = Request::post("https://a.test/").body(()).unwrap();
        let (answer, mut stream) = two.clone().ready().await.unwrap().send_request(post, false).unwrap();
        stream.send_data(Bytes::from_static(b"{}"), code.is_none()).unwrap();
        // It is on its way before the end of the stream is.
        sleep(Duration::from_millis(100)).await;
        code.into_iter().for_each(|code| stream.send_reset(code));
        assert_eq!(answer.await.is_ok(), code.is_none());
    }
    assert_eq!(server.handler.begun.load(Ordering::Relaxed), 3);
    assert_eq!(server.handler.read.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn head_is_answered_without_a_body_in_both_versions() {
    let server = start(ConnectionSettings::default());
    let mut request = get("/text");
    *request.method_mut() = hyper::Method::HEAD;
    let one = server.http1().await.send_request(request.clone()).await.unwrap();
    let two = server.http2().await.send_request(request).await.unwrap();
    for answer in [one, two] {
        assert_eq!(
            (answer.status(), &answer.headers()["content-length"]),
            (StatusCode::OK, &HeaderValue::from(4))
        );
        assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
}

#[tokio::test]
async fn a_header_over_its_bound_is_refused() {
    let server = start(ConnectionSettings::default());
    let big = "x".repeat(17 * 1024);
    let mut request = get("/");
    request.headers_mut().insert("x-big", big.parse().unwrap());
    assert_eq!(server.http1().await.send_request(request.clone()).await.unwrap().status(), 431);
    let mut two = server.http2().await;
    assert!(two.send_request(request).await.map_or(true, |answer| answer.status() == 431));
    assert_eq!(server.handler.begun.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn local_apps_are_served_without_tls() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = stop();
    let settings = Arc::new(ArcSwap::from_pointee(short()));
    let task = tokio::spawn(serve_local(listener, Trivial::default(), settings, Arc::default(), stopping));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 204");
    stop.now();
    timeout(Duration::from_secs(1), task).await.expect("it returns").unwrap();
}
