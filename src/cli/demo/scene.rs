//! What the demo needs on the disk: a folder with certificates and two nodes' configurations.
//!
//! ```text
//!   ymp-demo-ab12cd/
//!     certs/   ca.pem ca.key alpha.test.pem alpha.test.key beta.test.pem beta.test.key
//!     alpha/   ymp.toml node.log data/
//!     beta/    ymp.toml node.log data/
//! ```
//!
//! The nodes pin each other's address, so their ports are chosen before they start. They are looked for below the ports
//! that systems give to outgoing connections: while a node is down, nobody is given its port by chance. Between the
//! look and the start another process may still take one; then the demo begins again with other ports.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    cli::{output::CliError, rooms},
    wire::host::OwnHost,
};

/// Below 32768, where Linux begins to give ports to outgoing connections, and above what servers commonly take.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// One of the two hosts.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// The name that the other knows it by.
    pub(super) name: OwnHost,
    /// Its folder.
    pub(super) dir: PathBuf,
    /// Where it listens for the other.
    pub(super) port: u16,
    /// Its app's token.
    pub(super) token: String,
}

impl Host {
    /// Its configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("ymp.toml")
    }

    /// What it logs.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("node.log")
    }
}

/// The folder and the two hosts in it.
pub(super) struct Scene {
    folder: TempDir,
    pub(super) alpha: Host,
    pub(super) beta: Host,
}

impl Scene {
    /// Makes the folder, certificates and configurations; `attempt` moves the ports.
    pub(super) fn new(attempt: u16) -> Result<Self, CliError> {
        let folder = tempfile::Builder::new().prefix("ymp-demo-").tempdir();
        let folder = folder.map_err(|error| {
            let mend = "set TMPDIR to a folder that can be written";
            CliError::failed(format!("no temporary folder can be made: {error}"), mend)
        })?;
        let mut ports = Ports::new(attempt);
        let mut host = |name: &str| -> Result<Host, CliError> {
            let dir = folder.path().join(name);
            let name =
                OwnHost::parse(&format!("{name}.test")).map_err(|error| CliError::failed(error, ""))?;
            let token = rooms::fresh_token().reveal().to_owned();
            Ok(Host { name, dir, port: ports.free()?, token })
        };
        let (alpha, beta) = (host("alpha")?, host("beta")?);
        rooms::write_development(&folder.path().join("certs"), &[alpha.name.clone(), beta.name.clone()])?;
        write(&alpha, &beta)?;
        write(&beta, &alpha)?;
        Ok(Self { folder, alpha, beta })
    }

    /// Where it all lies.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether a node did not start because another process had taken its port.
    pub(super) fn lost_a_port(&self) -> bool {
        let lost = |host: &Host| {
            fs::read_to_string(host.log())
                .is_ok_and(|log| log.contains("ymp: peer.listen") && log.contains("in use"))
        };
        lost(&self.alpha) || lost(&self.beta)
    }

    /// Leaves the folder where it is.
    pub(super) fn keep(self) -> PathBuf {
        self.folder.keep()
    }
}

fn write(host: &Host, peer: &Host) -> Result<(), CliError> {
    let text = include_str!("node.toml")
        .replace("{host}", host.name.as_str())
        .replace("{port}", &host.port.to_string())
        .replace("{token}", &host.token)
        .replace("{peer}", peer.name.as_str())
        .replace("{peer-port}", &peer.port.to_string());
    let file = host.config();
    let written = fs::create_dir_all(&host.dir).and_then(|()| fs::write(&file, text));
    written.map_err(|error| CliError::failed(format!("{} cannot be written: {error}", file.display()), ""))
}

/// Ports to try, from a place that differs between processes.
struct Ports(u16);

impl Ports {
    fn new(attempt: u16) -> Self {
        let count = u32::from(PORTS.end - PORTS.start);
        let first = (std::process::id() % count * 7 + u32::from(attempt) * 997) % count;
        Self(PORTS.start + u16::try_from(first).unwrap_or_default())
    }

    fn free(&mut self) -> Result<u16, CliError> {
        for _ in PORTS {
            let port = self.0;
            self.0 = if port + 1 < PORTS.end { port + 1 } else { PORTS.start };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
        let what = format!("no port of {} to {} is free on 127.0.0.1", PORTS.start, PORTS.end - 1);
        Err(CliError::failed(what, "end what uses them"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn both_configurations_are_good_and_pin_each_other() {
        let scene = Scene::new(0).unwrap();
        for (host, peer) in [(&scene.alpha, &scene.beta), (&scene.beta, &scene.alpha)] {
            let (config, warnings) = Config::load(&host.config(), []).unwrap();
            assert_eq!(warnings, []);
            assert_eq!(config.node.host, host.name);
            assert_eq!(config.peer_listen.port(), host.port);
            let pins: Vec<_> = config.node.peers.keys().map(|host| host.as_str().to_owned()).collect();
            assert_eq!(pins, [peer.name.as_str()]);
            assert_eq!(rooms::certificates(&config).problems, []);
        }
        let path = scene.path().to_owned();
        drop(scene);
        assert!(!path.exists());
    }
}
