//! Hosts that are broken in one way, and the doctor who looks at them.
//!
//! ```text
//!   let beta = Broken::host(&yard, BETA, says(document(true))).await;      a host whose answers are scripted by path
//!   Doctor::of(&yard).knows(BETA, beta.address).looks_at(BETA).await       `ymp doctor`, without a node
//! ```

use std::{
    fmt::Write as _,
    future::Future,
    net::SocketAddr,
    process::Command,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use ymp::{
    tls::authority::{Existing, write_development},
    wire::{host::OwnHost, time::Wall},
};

use super::{
    ALPHA, Node, Yard, unix_seconds,
    yard::{bind, free_port},
};

const BOTH: &[&str] = &["h2", "http/1.1"];

/// What a host says at a path.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Said {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::status(200).header("content-type", "application/json").body(&value.to_string())
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }
}

/// What a host says, by path.
pub(crate) type Says = Arc<dyn Fn(&str) -> Said + Send + Sync>;

/// A host information as R1 has it, or as R3 does.
pub(crate) fn document(refresh: bool) -> Value {
    let mut parameters = json!({"request-path": "/q", "grant-path": "/g", "packet-path": "/p"});
    if refresh {
        parameters["refresh-path"] = json!("/f");
    }
    json!({"ymp-version": "0.0.0", "connection-protocols":
           [{"name": "https-token", "version": "0.0.0", "parameters": parameters}]})
}

/// A host with this document, whose paths do what they should with a call that says nothing.
pub(crate) fn usual(document: Value, path: &str) -> Said {
    match path {
        "/.well-known/ymp" => Said::json(&document),
        "/q" => Said::status(204),
        "/g" | "/f" | "/p" => Said::status(401),
        _ => Said::status(404),
    }
}

/// The same as a script.
pub(crate) fn says(document: Value) -> Says {
    Arc::new(move |path| usual(document.clone(), path))
}

/// A call that came: its path and its body.
pub(crate) type Call = (String, Bytes);

/// A host on loopback; ends with its test.
pub(crate) struct Broken {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Call>>>,
    serving: JoinHandle<()>,
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Broken {
    /// With a good certificate and both versions of HTTP.
    pub(crate) async fn host(yard: &Yard, name: &str, says: Says) -> Self {
        Self::with(yard.server(name, BOTH), says).await
    }

    /// With HTTP/1.1 alone.
    pub(crate) async fn old_http(yard: &Yard, name: &str, says: Says) -> Self {
        Self::with(yard.server(name, &["http/1.1"]), says).await
    }

    /// With the certificate of another name, good for nothing else.
    pub(crate) async fn named(yard: &Yard, other: &str) -> Self {
        Self::host(yard, other, says(document(true))).await
    }

    /// With a certificate that was made so many days ago, or will be.
    pub(crate) async fn dated(yard: &Yard, name: &str, days: i64) -> Self {
        let seconds = i64::try_from(unix_seconds()).unwrap() + days * 86_400;
        let now = Wall(u64::try_from(seconds).unwrap() * 1000);
        let host = OwnHost::parse(name).unwrap();
        write_development(&yard.path().join("certs"), &[host], Existing::Replace, now).unwrap();
        Self::host(yard, name, says(document(true))).await
    }

    /// With a certificate of an authority that nobody knows.
    pub(crate) async fn strange(yard: &Yard, name: &str) -> Self {
        let folder = yard.path().join("strange");
        let host = OwnHost::parse(name).unwrap();
        write_development(&folder, &[host], Existing::Keep, Wall(unix_seconds() * 1000)).unwrap();
        let certs = CertificateDer::pem_file_iter(folder.join(format!("{name}.pem"))).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).unwrap();
        let mut config = (*yard.server(name, BOTH)).clone();
        let provider = Arc::clone(config.crypto_provider());
        let signer = provider.key_provider.load_private_key(key).unwrap();
        let certified = rustls::sign::CertifiedKey::new(certs.map(Result::unwrap).collect(), signer);
        config.cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certified));
        Self::with(Arc::new(config), says(document(true))).await
    }

    /// That writes these bytes to whoever has said something.
    pub(crate) async fn raw(bytes: &'static [u8]) -> Self {
        Self::listening(move |mut tcp, _| async move {
            let mut hello = [0; 4096];
            let read = tcp.read(&mut hello).await;
            if read.is_ok() && tcp.write_all(bytes).await.is_ok() {
                // So that what was written arrives before the end.
                let _ = tcp.read(&mut hello).await;
            }
        })
        .await
    }

    async fn with(config: Arc<rustls::ServerConfig>, says: Says) -> Self {
        let acceptor = TlsAcceptor::from(config);
        Self::listening(move |tcp, seen| serve(tcp, acceptor.clone(), says.clone(), seen)).await
    }

    async fn listening<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream, Arc<Mutex<Vec<Call>>>) -> F + Send + 'static,
    ) -> Self {
        let seen: Arc<Mutex<Vec<Call>>> = Arc::default();
        let listener = bind(free_port()).await;
        let address = listener.local_addr().unwrap();
        let kept = Arc::clone(&seen);
        let serving = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, Arc::clone(&kept)));
            }
        });
        Self { address, seen, serving }
    }

    /// The bodies that came to a path; a call that says nothing has an empty one.
    pub(crate) fn seen(&self, path: &str) -> Vec<Bytes> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(at, _)| at == path).map(|(_, body)| body.clone()).collect()
    }
}

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor, says: Says, seen: Arc<Mutex<Vec<Call>>>) {
    let Ok(stream) = acceptor.accept(tcp).await else { return };
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request: Request<Incoming>| {
        let (says, seen) = (says.clone(), Arc::clone(&seen));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
            let path = head.uri.path().to_owned();
            let said = says(&path);
            seen.lock().unwrap().push((path, body));
            let mut answer = Response::builder().status(said.status);
            for (name, value) in said.headers {
                answer = answer.header(name, value);
            }
            Ok::<_, std::io::Error>(answer.body(Full::new(Bytes::from(said.body))).unwrap())
        }
    });
    let io = TokioIo::new(stream);
    // How a connection ends is the caller's business.
    let _ = if h2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
    };
}

/// `ymp doctor` with a configuration of alpha's, and no node.
pub(crate) struct Doctor {
    yard: Yard,
    before: String,
    tables: String,
}

impl Doctor {
    pub(crate) fn of(yard: &Yard) -> Self {
        yard.certify(ALPHA);
        Self { yard: yard.clone(), before: String::new(), tables: String::new() }
    }

    /// More settings, before the tables.
    pub(crate) fn with(mut self, text: &str) -> Self {
        let _ = writeln!(self.before, "{text}");
        self
    }

    /// A peer at this address; all else is looked up.
    pub(crate) fn knows(mut self, host: &str, address: SocketAddr) -> Self {
        let _ = writeln!(self.tables, "[[peers]]\nhost = \"{host}\"\naddress = \"{address}\"");
        self
    }

    /// More of the peer that was named last.
    pub(crate) fn pinned(mut self, lines: &str) -> Self {
        let _ = writeln!(self.tables, "{lines}");
        self
    }

    /// What it finds.
    pub(crate) async fn looks_at(self, host: &str) -> Findings {
        let file = self.yard.path().join("doctor.toml");
        let (before, tables) = (self.before, self.tables);
        let text = format!(
            "host = \"{ALPHA}\"\n{before}\n[trust]\nweb-pki = false\nroots = [\"certs/ca.pem\"]\n\n{tables}"
        );
        std::fs::write(&file, text).unwrap();
        let call = |json: bool| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ymp"));
            for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("YMP_")) {
                command.env_remove(name);
            }
            command.args(["doctor", host, "--config"]).arg(&file).env("COLUMNS", "80");
            command.args(json.then_some("--json"));
            command
        };
        let (mut told, mut listed) = (call(false), call(true));
        let both = tokio::task::spawn_blocking(move || (told.output().unwrap(), listed.output().unwrap()));
        let (told, listed) = both.await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = told.status.code().unwrap();
        assert_eq!(listed.status.code().unwrap(), code);
        assert_eq!(text(told.stderr), "");
        Findings::new(code, text(told.stdout), &text(listed.stdout))
    }
}

/// What a doctor found.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) code: i32,
    /// As told to people; empty where only JSON was asked for.
    pub(crate) text: String,
    steps: Vec<Value>,
}

impl Findings {
    fn new(code: i32, text: String, listed: &str) -> Self {
        let listed: Value = serde_json::from_str(listed).unwrap_or_else(|error| panic!("{error}: {listed}"));
        assert_eq!(listed["ok"], code == 0, "{listed}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "too wide:\n{text}");
        let steps = listed["steps"].as_array().unwrap().clone();
        Self { code, text, steps }
    }

    /// All steps of a name.
    pub(crate) fn steps(&self, name: &str) -> Vec<&Value> {
        self.steps.iter().filter(|step| step["name"] == name).collect()
    }

    /// Sees that the last step of this name came to this, in words that hold these; the mend too.
    #[track_caller]
    pub(crate) fn shows(&self, name: &str, state: &str, words: &[&str]) -> &Self {
        let step = self.steps(name).pop().unwrap_or_else(|| panic!("no step {name}: {self:#?}"));
        assert_eq!(step["state"], state, "{step}");
        let said =
            format!("{} | {}", step["what"].as_str().unwrap(), step["mend"].as_str().unwrap_or_default());
        for word in words {
            assert!(said.contains(word), "{name} says {said}, not {word}");
        }
        assert!(state != "wrong" || step["mend"].is_string(), "no mend: {step}");
        self
    }

    /// Sees that this is the only thing wrong, and that it is told so.
    #[track_caller]
    pub(crate) fn is_wrong_at(&self, name: &str, words: &[&str]) -> &Self {
        self.shows(name, "wrong", words);
        let wrong: Vec<_> = self.steps.iter().filter(|step| step["state"] == "wrong").collect();
        assert_eq!((self.code, wrong.len()), (1, 1), "{self:#?}");
        assert!(self.text.is_empty() || self.text.contains("not good"), "{}", self.text);
        self
    }
}

impl Node {
    /// The doctor beside the running node, with more flags.
    pub(crate) async fn doctor(&self, host: &str, flags: &[&str]) -> Findings {
        let config = self.config();
        let args = [&["doctor", host, "--config", config.to_str().unwrap(), "--json"], flags].concat();
        let (code, out, err) = self.ymp(&args).await;
        assert_eq!(err, "");
        Findings::new(code, String::new(), &out)
    }
}
