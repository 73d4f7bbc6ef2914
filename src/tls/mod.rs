//! Certificates: from files to rustls configurations, and every way in which that fails told with its mend.
//!
//! - `load` reads the host's certificate, its key and the trusted roots, and checks that they belong together now.
//! - `authority` makes a development authority and certificates under it (`ymp certs`).
//!
//! TLS 1.3 and 1.2 with aws-lc-rs, which is passed explicitly: a process-wide default is never asked. The server offers
//! h2 and http/1.1 and hands out session tickets. The client shows no certificate, and its ALPN is the connector's
//! business. Ground floor: imports `wire` only. To take renewed files (`sight` tells them from the old ones), load again and swap
//! the whole `Identity`.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::verify_server_name,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem, pem::PemObject as _},
    server::ParsedCertificate,
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use crate::wire::{host::OwnHost, time::Wall};

pub mod authority;
mod error;
mod sight;
mod suites;
#[cfg(test)]
mod tests;

pub use error::{TlsError, Unusable};
pub use sight::Sight;

/// What the server offers in ALPN, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// From here on the certificate's end is a warning: renewals run at a third of 90 days, so this one has failed.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// Where the certificates are, as meant by the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// PEM: this host's certificate, then its chain. Required.
    pub certificate: PathBuf,
    /// PEM: the key of that certificate. Required.
    pub key: PathBuf,
    /// PEM files of further authorities that peers' certificates may come from. Default: none.
    pub roots: Vec<PathBuf>,
    /// Whether the public authorities are trusted. Default: true.
    pub web_pki: bool,
    /// How often the files are looked at for renewed ones. Default: 30 s.
    pub check_every: Duration,
}

/// What this host shows and whom it trusts.
#[derive(Clone, Debug)]
pub struct Identity {
    /// For the listener.
    pub server: Arc<ServerConfig>,
    /// For `client`; without ALPN.
    pub client: Arc<ClientConfig>,
    /// What the certificate says.
    pub certificate: CertificateFacts,
    chain: Vec<CertificateDer<'static>>,
    roots: Arc<RootCertStore>,
}

impl Identity {
    /// Whether peers are shown the same certificates.
    #[must_use]
    pub fn shows_as(&self, other: &Self) -> bool {
        self.chain == other.chain
    }

    /// Whether the same authorities are trusted.
    #[must_use]
    pub fn trusts_as(&self, other: &Self) -> bool {
        self.roots.roots == other.roots.roots
    }
}

/// What the host's certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// From when it is valid.
    pub not_before: Wall,
    /// Until when it is valid.
    pub not_after: Wall,
    /// Whether it is for the host's name; of a peer's that was taken it is.
    pub covers: bool,
    /// What an operator should know although the node can start with it: full sentences with the mend.
    pub warnings: Vec<String>,
}

impl CertificateFacts {
    /// What an operator should know where the end is near, or over; `path` is the certificate's.
    #[must_use]
    pub fn ending(&self, path: &Path, now: Wall) -> Option<String> {
        if now > self.not_after {
            return Some(format!(
                "the certificate {} has expired: peers refuse it; renew it",
                path.display()
            ));
        }
        let days = self.not_after.since(now).as_secs() / 86_400;
        let soon = now.plus(SOON) > self.not_after;
        soon.then(|| format!("the certificate {} expires in {days} days: renew it", path.display()))
    }
}

impl Settings {
    /// What can be seen of the files without reading them.
    #[must_use]
    pub fn sight(&self) -> Sight {
        let own = [&self.certificate, &self.key];
        Sight::of(own.into_iter().chain(&self.roots).map(PathBuf::as_path))
    }

    /// The key of the configuration that an error is about.
    #[must_use]
    pub fn key_of(&self, error: &TlsError) -> String {
        let path = match error {
            TlsError::Missing { path, .. }
            | TlsError::Unreadable { path, .. }
            | TlsError::Unwritable { path, .. }
            | TlsError::Content { path, .. }
            | TlsError::Expired { path, .. }
            | TlsError::NotYetValid { path, .. } => path,
            TlsError::KeyMismatch { key, .. } => key,
            TlsError::NoRoots => return "trust.roots".to_owned(),
            TlsError::Library(_) => return "peer.certificate".to_owned(),
        };
        if *path == self.key {
            return "peer.key".to_owned();
        }
        let root = self.roots.iter().position(|root| root == path);
        root.map_or_else(|| "peer.certificate".to_owned(), |place| format!("trust.roots[{place}]"))
    }
}

/// Reads and checks everything that `settings` names.
///
/// # Errors
/// `Unusable` holds everything that is wrong. That the certificate does not cover `host` is a warning in
/// `CertificateFacts`: peers will refuse it, but an operator may be about to change either.
pub fn load(settings: &Settings, host: &OwnHost, now: Wall) -> Result<Identity, Unusable> {
    let provider = suites::provider();
    let own = own(settings, &provider, host, now);
    let trusted = roots(settings).and_then(|roots| {
        let client = client(Arc::clone(&roots), provider).map_err(|error| vec![error])?;
        Ok((roots, client))
    });
    match (own, trusted) {
        (Ok((chain, facts, server)), Ok((roots, client))) => {
            let (server, client) = (Arc::new(server), Arc::new(client));
            Ok(Identity { server, client, certificate: facts, chain, roots })
        }
        (own, trusted) => {
            let mut all = own.err().unwrap_or_default();
            all.extend(trusted.err().unwrap_or_default());
            Err(Unusable(all))
        }
    }
}

type Own = (Vec<CertificateDer<'static>>, CertificateFacts, ServerConfig);

fn own(
    settings: &Settings,
    provider: &Arc<CryptoProvider>,
    host: &OwnHost,
    now: Wall,
) -> Result<Own, Vec<TlsError>> {
    let chain = certificates(&settings.certificate, "peer.certificate");
    let key = key(&settings.key, "peer.key");
    let facts = chain.and_then(|chain| {
        let facts = facts(&settings.certificate, &chain, host, now)?;
        Ok((chain, facts))
    });
    match (facts, key) {
        (Ok((chain, mut facts)), Ok(key)) => {
            facts.warnings.extend(too_open(&settings.key));
            let server = server(settings, provider, chain.clone(), key).map_err(|error| vec![error])?;
            Ok((chain, facts, server))
        }
        (facts, key) => Err([facts.err(), key.err()].into_iter().flatten().collect()),
    }
}

/// Reads the trusted roots alone: for whoever calls and is not called.
///
/// # Errors
/// As `load`, for `trust`.
pub fn trust(settings: &Settings) -> Result<Arc<ClientConfig>, Unusable> {
    let roots = roots(settings).map_err(Unusable)?;
    let client = client(roots, suites::provider());
    client.map(Arc::new).map_err(|error| Unusable(vec![error]))
}

/// What a certificate says that a peer showed and that was taken; `None` where it cannot be read.
#[must_use]
pub fn shown(certificate: &CertificateDer<'_>) -> Option<CertificateFacts> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(CertificateFacts {
        names: names(&parsed),
        not_before: wall(parsed.validity().not_before.timestamp()),
        not_after: wall(parsed.validity().not_after.timestamp()),
        covers: true,
        warnings: Vec::new(),
    })
}

fn server(
    settings: &Settings,
    provider: &Arc<CryptoProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(library)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|error| {
        if matches!(error, rustls::Error::InconsistentKeys(_)) {
            TlsError::KeyMismatch { certificate: settings.certificate.clone(), key: settings.key.clone() }
        } else {
            TlsError::Content {
                path: settings.key.clone(),
                wrong: format!("the key cannot be used: {error}"),
                mend: "use an unencrypted RSA, ECDSA or Ed25519 key",
            }
        }
    })?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(library)?;
    // Its use brings the next.
    config.send_tls13_tickets = 1;
    Ok(config)
}

fn roots(settings: &Settings) -> Result<Arc<RootCertStore>, Vec<TlsError>> {
    let (mut roots, mut wrong) = (RootCertStore::empty(), Vec::new());
    if settings.web_pki {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for path in &settings.roots {
        wrong.extend(add(&mut roots, path).err());
    }
    if wrong.is_empty() && roots.is_empty() {
        wrong.push(TlsError::NoRoots);
    }
    if wrong.is_empty() { Ok(Arc::new(roots)) } else { Err(wrong) }
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    for certificate in certificates(path, "trust.roots")? {
        roots.add(certificate).map_err(|error| TlsError::Content {
            path: path.to_owned(),
            wrong: format!("a certificate cannot be trusted as an authority: {error}"),
            mend: "give the authority's own certificate",
        })?;
    }
    Ok(())
}

fn client(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(library)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// All certificates of a PEM file, at least one.
fn certificates(path: &Path, setting: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path, setting)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found
        .map_err(|error| content(path, format!("it is not valid PEM: {error}"), "write the file anew"))?;
    if found.is_empty() {
        let wrong = "it holds no certificate".to_owned();
        return Err(content(path, wrong, "give a PEM file with `-----BEGIN CERTIFICATE-----`"));
    }
    Ok(found)
}

fn key(path: &Path, setting: &'static str) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = zeroize::Zeroizing::new(read(path, setting)?);
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        if matches!(error, pem::Error::NoItemsFound) {
            let wrong = "it holds no private key".to_owned();
            content(path, wrong, "give a PEM file with `-----BEGIN PRIVATE KEY-----`, unencrypted")
        } else {
            content(path, format!("it is not valid PEM: {error}"), "write the file anew")
        }
    })
}

fn read(path: &Path, setting: &'static str) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            TlsError::Missing { path: path.to_owned(), setting }
        } else {
            TlsError::Unreadable { path: path.to_owned(), error }
        }
    })
}

fn facts(
    path: &Path,
    chain: &[CertificateDer<'_>],
    host: &OwnHost,
    now: Wall,
) -> Result<CertificateFacts, TlsError> {
    let Some(leaf) = chain.first() else {
        return Err(content(path, "it holds no certificate".to_owned(), "write the file anew"));
    };
    let unreadable = |error: String| {
        content(path, format!("its first certificate cannot be read: {error}"), "write the file anew")
    };
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| unreadable(error.to_string()))?;
    let not_before = wall(parsed.validity().not_before.timestamp());
    let not_after = wall(parsed.validity().not_after.timestamp());
    if now > not_after {
        return Err(TlsError::Expired {
            path: path.to_owned(),
            days: now.since(not_after).as_secs() / 86_400,
        });
    }
    if now < not_before {
        let minutes = not_before.since(now).as_secs().div_ceil(60);
        return Err(TlsError::NotYetValid { path: path.to_owned(), minutes });
    }
    let names = names(&parsed);
    let leaf = ParsedCertificate::try_from(leaf).map_err(|error| unreadable(error.to_string()))?;
    let covers = server_name(host.name()).is_some_and(|name| verify_server_name(&leaf, &name).is_ok());
    let mut warnings = Vec::new();
    if !covers {
        warnings.push(format!(
            "the certificate {} is for {}, not for {}: peers will refuse it; get one that covers this host's name",
            path.display(),
            if names.is_empty() { "no name".to_owned() } else { names.join(", ") },
            host.name(),
        ));
    }
    let mut facts = CertificateFacts { names, not_before, not_after, covers, warnings };
    let ending = facts.ending(path, now);
    facts.warnings.extend(ending);
    Ok(facts)
}

/// Everybody's right to read a key is a mistake; a group's may be meant.
fn too_open(key: &Path) -> Option<String> {
    let mode = fs::metadata(key).ok()?.permissions().mode();
    let open = mode & 0o007 != 0;
    open.then(|| format!("the key {} is open to every user of this machine: chmod 600 it", key.display()))
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let mut names = Vec::new();
    for name in &extension.value.general_names {
        if let GeneralName::DNSName(name) = name {
            names.push((*name).to_owned());
        } else if let GeneralName::IPAddress(bytes) = name {
            if let Ok(bytes) = <[u8; 4]>::try_from(*bytes) {
                names.push(std::net::Ipv4Addr::from(bytes).to_string());
            } else if let Ok(bytes) = <[u8; 16]>::try_from(*bytes) {
                names.push(std::net::Ipv6Addr::from(bytes).to_string());
            }
        }
    }
    names
}

/// A host's name without its port, as TLS wants it: IPv6 without brackets. `None` when TLS cannot carry it.
#[must_use]
pub fn server_name(name: &str) -> Option<ServerName<'static>> {
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    ServerName::try_from(bare.to_owned()).ok()
}

fn wall(seconds: i64) -> Wall {
    Wall(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
}

fn content(path: &Path, wrong: String, mend: &'static str) -> TlsError {
    TlsError::Content { path: path.to_owned(), wrong, mend }
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn library(error: rustls::Error) -> TlsError {
    TlsError::Library(error.to_string())
}
