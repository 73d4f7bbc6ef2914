//! Certificates: from files to rustls configurations, and every way in which that fails told with its mend.
//!
//! - `load` reads the host's certificate, its key and the trusted roots, and checks that they belong together now.
//! - `authority` makes a development authority and certificates under it (`ymp certs`).
//!
//! TLS 1.3 and 1.2 with aws-lc-rs, which is passed explicitly: a process-wide default is never asked. The server offers
//! h2 and http/1.1 and hands out session tickets. The client shows no certificate, and its ALPN is the connector's
//! business. Ground floor: imports `wire` only. To take renewed files, load again and swap the whole `Identity`.

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
#[cfg(test)]
mod tests;

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
    /// What an operator should know although the node can start with it: full sentences with the mend.
    pub warnings: Vec<String>,
}

/// What is wrong with the certificates, with its mend. Names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No such file.
    #[error("{} does not exist: set {setting} to the right path (`ymp certs` makes certificates for development)", path.display())]
    Missing {
        /// The path that was tried.
        path: PathBuf,
        /// The setting that names it.
        setting: &'static str,
    },
    /// There, but it cannot be read.
    #[error("{} cannot be read: {error}: let the user that runs ymp read it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file that cannot be written.
    #[error("{} cannot be written: {error}", path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Readable, but not what it should be.
    #[error("{}: {wrong}: {mend}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        wrong: String,
        /// What to do.
        mend: &'static str,
    },
    /// The key is another certificate's.
    #[error(
        "the key {} does not belong to the certificate {}: set peer.key and peer.certificate to a pair",
        key.display(),
        certificate.display()
    )]
    KeyMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate's time is over.
    #[error("{} expired {days} days ago: renew it", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// Whole days since.
        days: u64,
    },
    /// The certificate's time has not come, or the clock is wrong.
    #[error("{} is valid only in {minutes} minutes: check this machine's clock", path.display())]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// Whole minutes until then, rounded up.
        minutes: u64,
    },
    /// Nobody is trusted, so no peer could be reached.
    #[error("no authority is trusted: set trust.web-pki or trust.roots")]
    NoRoots,
    /// rustls or rcgen refuses; names no file because it is about none.
    #[error("the TLS library refuses: {0}")]
    Library(String),
}

/// Reads and checks everything that `settings` names.
///
/// # Errors
/// `TlsError` for the first thing that is wrong. That the certificate does not cover `host` is a warning in
/// `CertificateFacts`: peers will refuse it, but an operator may be about to change either.
pub fn load(settings: &Settings, host: &OwnHost, now: Wall) -> Result<Identity, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = certificates(&settings.certificate, "peer.certificate")?;
    let key = key(&settings.key, "peer.key")?;
    let mut facts = facts(&settings.certificate, &chain, host, now)?;
    facts.warnings.extend(too_open(&settings.key));
    let server = server(settings, &provider, chain, key)?;
    let client = client(settings, provider)?;
    Ok(Identity { server: Arc::new(server), client: Arc::new(client), certificate: facts })
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
    Ok(config)
}

fn client(settings: &Settings, provider: Arc<CryptoProvider>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    if settings.web_pki {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for path in &settings.roots {
        for certificate in certificates(path, "trust.roots")? {
            roots.add(certificate).map_err(|error| TlsError::Content {
                path: path.clone(),
                wrong: format!("a certificate cannot be trusted as an authority: {error}"),
                mend: "give the authority's own certificate",
            })?;
        }
    }
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
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
    let covers = ParsedCertificate::try_from(leaf).map_err(|error| unreadable(error.to_string()))?;
    let mut warnings = Vec::new();
    if server_name(host.name()).is_none_or(|name| verify_server_name(&covers, &name).is_err()) {
        warnings.push(format!(
            "the certificate {} is for {}, not for {}: peers will refuse it; get one that covers this host's name",
            path.display(),
            if names.is_empty() { "no name".to_owned() } else { names.join(", ") },
            host.name(),
        ));
    }
    if now.plus(SOON) > not_after {
        let days = not_after.since(now).as_secs() / 86_400;
        warnings.push(format!("the certificate {} expires in {days} days: renew it", path.display()));
    }
    Ok(CertificateFacts { names, not_before, not_after, warnings })
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
