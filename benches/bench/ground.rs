//! The ground of a run: a folder on a real disk with an authority, certificates and free ports.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use rcgen::{CertificateParams, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
    version::TLS13,
};
use ymp::{
    tls::authority::{Existing, write_development},
    wire::{host::OwnHost, time::Wall},
};

use crate::{
    clock,
    outcome::{Outcome, Trying as _, failed},
};

/// The folder of one run.
#[derive(Clone, Debug)]
pub(crate) struct Ground(PathBuf);

impl Ground {
    /// An empty folder in place of what an earlier run left.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn new(path: &Path) -> Outcome<Self> {
        if path.exists() {
            fs::remove_dir_all(path).trying(|| path.display().to_string())?;
        }
        fs::create_dir_all(path).trying(|| path.display().to_string())?;
        Ok(Self(path.to_owned()))
    }

    /// What another process of this run has made.
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn certs(&self) -> PathBuf {
        self.0.join("certs")
    }

    /// Makes sure that these names have certificates: P-256, under the folder's own authority.
    ///
    /// # Errors
    /// As `write_development`.
    pub(crate) fn certify(&self, hosts: &[&str]) -> Outcome<()> {
        let hosts = hosts.iter().map(|host| OwnHost::parse(host)).collect::<Result<Vec<_>, _>>()?;
        write_development(&self.certs(), &hosts, Existing::Keep, Wall(clock::unix_millis()))?;
        Ok(())
    }

    /// TLS 1.3 with aws-lc-rs under this name; HTTP/2 and 1.1.
    ///
    /// # Errors
    /// The name has no certificate.
    pub(crate) fn server(&self, host: &str) -> Outcome<Arc<ServerConfig>> {
        let certs = CertificateDer::pem_file_iter(self.certs().join(format!("{host}.pem")))?;
        let certs = certs.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(self.certs().join(format!("{host}.key")))?;
        serving(certs, key)
    }

    /// The same for all names one below this one.
    ///
    /// # Errors
    /// There is no authority yet.
    pub(crate) fn server_below(&self, name: &str) -> Outcome<Arc<ServerConfig>> {
        let ca = fs::read_to_string(self.certs().join("ca.pem"))?;
        let ca_key = KeyPair::from_pem(&fs::read_to_string(self.certs().join("ca.key"))?)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let leaf = CertificateParams::new(vec![format!("*.{name}")])?;
        let leaf = leaf.signed_by(&key, &Issuer::from_ca_cert_pem(&ca, ca_key)?)?;
        let chain = vec![leaf.der().clone(), CertificateDer::from_pem_slice(ca.as_bytes())?];
        serving(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }

    /// A client that checks the chain against the folder's authority and resumes nothing.
    ///
    /// # Errors
    /// There is no authority yet.
    pub(crate) fn client(&self, alpn: &str) -> Outcome<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.certs().join("ca.pem"))?)?;
        let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }
}

fn serving(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Outcome<Arc<ServerConfig>> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A free port below those that the system gives to outgoing connections.
///
/// # Errors
/// None is free.
pub(crate) fn free_port() -> Outcome<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 100).unwrap_or(0) * 150;
    for _ in 0..15_000 {
        let offset = (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 15_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 16_000 + offset));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    failed("no port is free")
}
