//! The node under test: the `ymp` binary of this build, in a process of its own, with a configuration and a data folder of
//! its own.
//!
//! Of its settings these differ from the defaults, since one peer and one address make all the load:
//! `limits.packets-per-second`, `limits.outbox-messages`, `limits.outbox-messages-per-peer`, `limits.links`, `trust` (the run's own
//! authority) and the addresses. Logs go to a file at level `info`.
//!
//! - `local`: its local API, on one kept connection.
//! - `inbox`: reads an inbox to its end, acknowledges, and sees that each message is there once.
//! - `stock`: a store that is filled before its node starts; `sink`: many hosts that take what it sends.
//! - `peer`: a host of our own making that exchanges tokens with the node, so that packets can be sent to it.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use self::local::Local;
use crate::{
    ground::{Ground, free_port},
    load::{Head, Http, line::Target},
    machine::Cores,
    outcome::{Outcome, Trying as _, failed},
    process::Process,
};

pub(crate) mod inbox;
pub(crate) mod local;
pub(crate) mod peer;
pub(crate) mod sink;
pub(crate) mod stock;

/// The token of the one app, an admin.
pub(crate) const TOKEN: &str = "token-of-the-app-of-the-benchmark";

/// A host before its node runs.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Its name.
    pub(crate) name: String,
    /// Where peers reach it.
    pub(crate) peer: SocketAddr,
    local: SocketAddr,
    readers: usize,
}

impl Host {
    /// Free ports for a name.
    ///
    /// # Errors
    /// None is free.
    pub(crate) fn new(name: &str) -> Outcome<Self> {
        Ok(Self { name: name.to_owned(), peer: free_port()?, local: free_port()?, readers: 0 })
    }

    /// With so many apps beside the one, each with its own place in the inbox.
    pub(crate) fn with_readers(self, readers: usize) -> Self {
        Self { readers, ..self }
    }

    /// Starts its node with an empty store; else as `resume`.
    ///
    /// # Errors
    /// It does not become ready.
    pub(crate) fn start<'a>(
        &self,
        ground: &Ground,
        cores: Cores,
        peers: impl IntoIterator<Item = (&'a str, SocketAddr)>,
    ) -> Outcome<Node> {
        self.empty(ground)?;
        self.resume(ground, cores, peers)
    }

    /// Deletes its store.
    ///
    /// # Errors
    /// It cannot be deleted.
    pub(crate) fn empty(&self, ground: &Ground) -> Outcome<()> {
        let data = self.data(ground);
        if data.exists() {
            fs::remove_dir_all(data)?;
        }
        Ok(())
    }

    /// Writes its configuration and starts its node, with the store that is there, on the servers' core. `peers` are pinned:
    /// name and address.
    ///
    /// # Errors
    /// It does not become ready.
    pub(crate) fn resume<'a>(
        &self,
        ground: &Ground,
        cores: Cores,
        peers: impl IntoIterator<Item = (&'a str, SocketAddr)>,
    ) -> Outcome<Node> {
        ground.certify(&[&self.name])?;
        let config = ground.path().join(format!("{}.toml", self.name));
        fs::write(&config, self.config(peers))?;
        let log = fs::File::create(ground.path().join(format!("{}.log", self.name)))?;
        let mut command = cores.server(Path::new(env!("CARGO_BIN_EXE_ymp")));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("YMP_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--config"]).arg(&config).stderr(Stdio::from(log));
        let process = Process::start(&mut command).trying(|| format!("the node {}", self.name))?;
        Ok(Node { host: self.clone(), process, ground: ground.clone() })
    }

    /// Where its store lies.
    pub(crate) fn data(&self, ground: &Ground) -> PathBuf {
        ground.path().join(format!("{}.data", self.name))
    }

    fn config<'a>(&self, peers: impl IntoIterator<Item = (&'a str, SocketAddr)>) -> String {
        let Self { name, peer, local, readers } = self;
        let mut text = format!(
            "host = \"{name}\"\ndata-dir = \"{name}.data\"\n\n[peer]\nlisten = \"{peer}\"\n\n\
             [local]\nlisten = \"{local}\"\n\n[trust]\nweb-pki = false\nroots = [\"certs/ca.pem\"]\n\n\
             [limits]\npackets-per-second = 1000000\noutbox-messages = 10000000\n\
             outbox-messages-per-peer = 10000000\nlinks = 1000000\n\n\
             [[services]]\nprotocol = \"example\"\nversion = \"1.0.0\"\nservices = [\"form\"]\n\n\
             [[apps]]\nname = \"app\"\ntoken = \"{TOKEN}\"\nservices = [\"example/form\"]\nadmin = true\n\n"
        );
        // Writing to a string does not fail.
        for place in 0..*readers {
            let token = reader_token(place);
            let _ = write!(
                text,
                "[[apps]]\nname = \"reader-{place}\"\ntoken = \"{token}\"\nservices = [\"example/form\"]\n\n"
            );
        }
        for (host, address) in peers {
            let _ = write!(
                text,
                "[[peers]]\nhost = \"{host}\"\naddress = \"{address}\"\nrequest-path = \"/request\"\n\
                 grant-path = \"/grant\"\nrefresh-path = \"/refresh\"\npacket-path = \"/packet\"\n\n"
            );
        }
        text
    }
}

fn reader_token(place: usize) -> String {
    format!("token-of-reader-{place}-of-the-benchmark")
}

/// A node that runs. Killed when dropped.
pub(crate) struct Node {
    /// Its host.
    pub(crate) host: Host,
    /// Its process.
    pub(crate) process: Process,
    ground: Ground,
}

impl Node {
    /// Its peer port.
    ///
    /// # Errors
    /// The authority's certificate cannot be read.
    pub(crate) fn target(&self, http: Http) -> Outcome<Target> {
        let alpn = if http == Http::Two { "h2" } else { "http/1.1" };
        let tls = Some((self.ground.client(alpn)?, self.host.name.clone()));
        Ok(Target { address: self.host.peer, tls, http, addresses: 1 })
    }

    /// Its local API.
    pub(crate) fn local_target(&self) -> Target {
        Target { address: self.host.local, tls: None, http: Http::One, addresses: 1 }
    }

    /// The head of submissions.
    pub(crate) fn local_head(&self) -> Head {
        Head {
            authority: self.host.local.to_string(),
            path: "/v1/messages".to_owned(),
            bearer: TOKEN.to_owned(),
            expect: 202,
        }
    }

    /// The head of packets under this token.
    pub(crate) fn packet_head(&self, token: &str) -> Head {
        Head {
            authority: self.host.name.clone(),
            path: "/packet".to_owned(),
            bearer: token.to_owned(),
            expect: 204,
        }
    }

    /// A connection to its local API.
    ///
    /// # Errors
    /// It takes none.
    pub(crate) async fn local(&self) -> Outcome<Local> {
        Local::open(self.host.local, TOKEN).await
    }

    /// The same as the reader of this place.
    ///
    /// # Errors
    /// It takes none.
    pub(crate) async fn reader(&self, place: usize) -> Outcome<Local> {
        Local::open(self.host.local, &reader_token(place)).await
    }

    /// Ends the node, deletes its store, and refuses a log that holds an error.
    ///
    /// # Errors
    /// As said.
    pub(crate) fn end(self) -> Outcome<()> {
        let Self { host, process, ground } = self;
        drop(process);
        fs::remove_dir_all(host.data(&ground))?;
        let log = fs::read_to_string(ground.path().join(format!("{}.log", host.name)))?;
        match log.lines().find(|line| line.contains(" ERROR ")) {
            Some(line) => failed(format!("{} logged: {line}", host.name)),
            None => Ok(()),
        }
    }
}
