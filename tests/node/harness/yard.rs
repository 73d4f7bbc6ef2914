//! A folder with an authority, certificates and free ports.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tempfile::TempDir;
use ymp::{
    tls::authority::{Existing, write_development},
    wire::{host::OwnHost, time::Wall},
};

use super::unix_seconds;

/// One test's own ground. Goes when the test ends.
#[derive(Clone)]
pub(crate) struct Yard(Arc<TempDir>);

impl Yard {
    pub(crate) fn new() -> Self {
        Self(Arc::new(TempDir::new().unwrap()))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn certs(&self) -> PathBuf {
        self.path().join("certs")
    }

    /// Makes sure that there is a certificate for this name.
    pub(crate) fn certify(&self, host: &str) {
        let host = OwnHost::parse(host).unwrap();
        let now = Wall(unix_seconds() * 1000);
        write_development(&self.certs(), &[host], Existing::Keep, now).unwrap();
    }

    /// Writes another certificate for this name.
    pub(crate) fn certify_anew(&self, host: &str) {
        let host = OwnHost::parse(host).unwrap();
        let now = Wall(unix_seconds() * 1000);
        write_development(&self.certs(), &[host], Existing::Replace, now).unwrap();
    }

    /// A server under this name that speaks exactly these protocols.
    pub(crate) fn server(&self, host: &str, alpn: &[&str]) -> Arc<rustls::ServerConfig> {
        self.certify(host);
        let host = bare(host);
        let certs = CertificateDer::pem_file_iter(self.certs().join(format!("{host}.pem"))).unwrap();
        let certs = certs.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(self.certs().join(format!("{host}.key"))).unwrap();
        let builder = rustls::ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = builder.with_single_cert(certs, key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A client that trusts this yard's authority only and speaks exactly these protocols.
    pub(crate) fn client(&self, alpn: &[&str]) -> Arc<rustls::ClientConfig> {
        self.client_of(alpn, rustls::DEFAULT_VERSIONS)
    }

    /// The same for these versions of TLS.
    pub(crate) fn client_of(
        &self,
        alpn: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.certs().join("ca.pem")).unwrap();
        roots.add(ca).unwrap();
        let builder = rustls::ClientConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// A host's name without its port.
pub(crate) fn bare(host: &str) -> &str {
    host.split_once(':').map_or(host, |(name, _)| name)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A port that is free and stays this test's: below those that the system hands out for outgoing connections, so that it
/// can be bound again after a restart.
pub(crate) fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + u16::try_from(std::process::id() % 180).unwrap() * 100;
    for _ in 0..10_000 {
        let port = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 12_000 + port % 20_000));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free");
}

/// Listens at such a port. Where another thread starts a process just then, the process holds what `free_port` looked at until it
/// runs its program: the port is ours in a moment.
pub(crate) async fn bind(address: SocketAddr) -> tokio::net::TcpListener {
    for _ in 0..100 {
        match tokio::net::TcpListener::bind(address).await {
            Err(cause) if cause.kind() == std::io::ErrorKind::AddrInUse => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            bound => return bound.unwrap(),
        }
    }
    panic!("{address} is in use");
}
