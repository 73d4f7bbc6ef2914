//! `ymp init --beside DIR`: a second node on this machine, paired with the one in DIR from the start.
//!
//! The new node's certificate comes from the authority of the other (`DIR/certs/ca.pem` and its key), which both then
//! trust; its ports are free ones; each stands under `[[peers]]` of the other. In DIR one table is added to the end of
//! `ymp.toml`, last of all, and nothing else is changed.

use std::{
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use super::{
    output::{CliError, Outcome},
    rooms,
};
use crate::{config::Config, wire::host::OwnHost};

const CONFIG: &str = "ymp.toml";
/// Where a node is reached that listens on all addresses.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// From one node's ports to the next one's.
const STEP: u16 = 1000;
/// From here on ports need no rights.
const UNPRIVILEGED: u16 = 1024;

/// The node in DIR.
pub(super) struct Neighbour {
    dir: PathBuf,
    config: Config,
}

/// Ports of the new node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) peer: u16,
    pub(super) local: u16,
}

impl Neighbour {
    /// Reads it, and sees that `host` can be put beside it; nothing is written.
    pub(super) fn read(dir: &Path, host: &OwnHost) -> Result<Self, CliError> {
        let file = dir.join(CONFIG);
        let config = match Config::load(&file, []) {
            Ok((config, _)) => config,
            Err(error) => {
                return Err(CliError::failed(error, "name the folder of a node that `ymp check` finds good"));
            }
        };
        if let Some((what, mend)) = wrong(dir, &config, host) {
            return Err(CliError::failed(what, mend));
        }
        // Such as where its peers are written in one line: then it is for a person.
        let text = fs::read_to_string(&file).map_err(|error| unwritable(&file, &error))?;
        if let Err(error) = Config::read(&file, &format!("{text}{}", table(host.as_str(), HERE, 1)), []) {
            let mend = format!("write each peer of {} as a table of its own: [[peers]]", file.display());
            return Err(CliError::failed(error, mend));
        }
        Ok(Self { dir: dir.to_owned(), config })
    }

    /// Free ones, equally far above its own two, which none of its peers has either, running or not; the peers' is the one
    /// that the new host's name carries, if it carries one, and then the local one is as far from it as its own two are from
    /// each other. So from a peer's port it is known which local port went with it.
    pub(super) fn ports(&self, named: Option<u16>) -> Result<Ports, CliError> {
        let own = Ports { peer: self.config.peer_listen.port(), local: self.config.local_listen.port() };
        let addresses = self.config.node.peers.values().filter_map(|pin| pin.address.as_ref());
        let here = addresses.filter(|address| address.ip().is_some_and(|ip| ip.is_loopback()));
        let peers = here.map(|address| address.port()).chain([own.peer]);
        let beside = |peer: u16| local_of(own, peer).or_else(|| local_of(own, peer.checked_add(STEP)?));
        let taken: Vec<_> = peers.flat_map(|peer| [Some(peer), beside(peer)]).flatten().collect();
        if let Some(port) = named.filter(|port| taken.contains(port)) {
            let what = format!("port {port} is one of another node's here");
            return Err(CliError::failed(what, "name the host with another port"));
        }
        let free = |port: &u16| !taken.contains(port) && is_free(*port);
        let ports = (0..=u16::MAX / STEP).find_map(|n| {
            let above = |port: u16| port.checked_add(n * STEP).filter(free);
            let peer = named.or_else(|| above(own.peer))?;
            let local = above(named.and_then(beside).unwrap_or(own.local))?;
            (peer != local).then_some(Ports { peer, local })
        });
        let full = || CliError::failed("no port is free above the other node's", "give that one lower ports");
        ports.ok_or_else(full)
    }

    /// A certificate for `host` from its authority, and that authority, in `certs`.
    pub(super) fn certify(&self, host: &OwnHost, certs: &Path) -> Result<Vec<PathBuf>, CliError> {
        let own = self.dir.join("certs");
        rooms::write_development(&own, std::slice::from_ref(host))?;
        fs::create_dir_all(certs).map_err(|error| unwritable(certs, &error))?;
        let [certificate, key] = own_files(host);
        for name in ["ca.pem", &certificate, &key] {
            let to = certs.join(name);
            fs::copy(own.join(name), &to).map_err(|error| unwritable(&to, &error))?;
        }
        for name in [&certificate, &key] {
            let from = own.join(name);
            fs::remove_file(&from).map_err(|error| unwritable(&from, &error))?;
        }
        Ok(["ca.pem", &certificate, &key].map(|name| certs.join(name)).into())
    }

    /// Its table for the new node's file.
    pub(super) fn table(&self) -> String {
        let listen = self.config.peer_listen;
        let ip = Some(listen.ip()).filter(|ip| !ip.is_unspecified()).unwrap_or(HERE);
        table(self.config.node.host.as_str(), ip, listen.port())
    }

    /// Adds the new node's table to its file.
    pub(super) fn learn(&self, host: &OwnHost, port: u16) -> Outcome {
        let file = self.file();
        let added = table(host.as_str(), HERE, port);
        let append = || fs::OpenOptions::new().append(true).open(&file)?.write_all(added.as_bytes());
        append().map_err(|error| unwritable(&file, &error))
    }

    /// Its name.
    pub(super) fn host(&self) -> &OwnHost {
        &self.config.node.host
    }

    /// Its configuration file.
    pub(super) fn file(&self) -> PathBuf {
        self.dir.join(CONFIG)
    }
}

/// What stands against putting `host` beside the node in `dir`, and what to do about it.
fn wrong(dir: &Path, config: &Config, host: &OwnHost) -> Option<(String, String)> {
    let file = dir.join(CONFIG);
    let (ca, key) = (dir.join("certs/ca.pem"), dir.join("certs/ca.key"));
    let trusts = config.tls.roots.iter().any(|root| same(root, &ca));
    let name = config.node.host.clone();
    if name.name() == host.name() {
        let port = if name == *host { "" } else { ", and a certificate is for all ports of a name" };
        Some((
            format!("{name} is the host in {} itself{port}", dir.display()),
            "name another host".to_owned(),
        ))
    } else if config.node.peers.keys().any(|peer| host.is(peer)) {
        let what = format!("{} has {host} under [[peers]] already", file.display());
        Some((what, "name another host, or remove that table".to_owned()))
    } else if !ca.exists() || !key.exists() {
        let what = format!("{} and its key are not both there", ca.display());
        Some((what, "set the two up by themselves, as the README says under \"Pair two hosts\"".to_owned()))
    } else if !trusts {
        let what = format!("{} does not trust {}", file.display(), ca.display());
        Some((what, "add it to `roots` under [trust]".to_owned()))
    } else if let Some(there) =
        own_files(host).map(|file| dir.join("certs").join(file)).iter().find(|file| taken(file))
    {
        Some((
            format!("nothing was written: {} is there already", there.display()),
            "move it to another folder".to_owned(),
        ))
    } else if config.peer_listen.port() == 0 {
        Some((format!("{} listens on any port", file.display()), "give peer.listen a port".to_owned()))
    } else {
        None
    }
}

/// The local port that goes with this peers' port, where that is one that anybody may listen on.
fn local_of(own: Ports, peer: u16) -> Option<u16> {
    let local = i32::from(peer) + i32::from(own.local) - i32::from(own.peer);
    u16::try_from(local).ok().filter(|port| *port >= UNPRIVILEGED)
}

/// Names of the certificate and the key of a host.
fn own_files(host: &OwnHost) -> [String; 2] {
    [format!("{}.pem", host.name()), format!("{}.key", host.name())]
}

fn taken(file: &Path) -> bool {
    file.symlink_metadata().is_ok()
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

fn table(host: &str, ip: IpAddr, port: u16) -> String {
    let address = SocketAddr::new(ip, port);
    format!("\n[[peers]]\nhost = \"{host}\"\naddress = \"{address}\"\n")
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::failed(format!("{} cannot be written: {error}", path.display()), "")
}
