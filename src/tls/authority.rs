//! A development authority: one CA per folder and a certificate per host under it (`ymp certs`).
//!
//! ```text
//! DIR/ca.pem  DIR/ca.key (0600)             reused when both are there
//! DIR/NAME.pem (leaf, then CA)  DIR/NAME.key (0600)     NAME is the host's name without the port
//! ```
//!
//! P-256 throughout. The CA lives 10 years, a leaf 397 days (the most that any client takes), both backdated by an hour
//! so that a clock which lags does not refuse them. Files are written whole or not at all, the key before the
//! certificate; what is there is never replaced unless asked. Not for production: whoever reads `ca.key` can be any host.

use std::{
    fs::{self, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use tempfile::NamedTempFile;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{TlsError, certificates, content, wall};
use crate::wire::{
    host::{HostKind, OwnHost},
    time::Wall,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const CA_LIFETIME: Duration = Duration::from_secs(3650 * DAY.as_secs());
const LEAF_LIFETIME: Duration = Duration::from_secs(397 * DAY.as_secs());
const BACKDATED: Duration = Duration::from_secs(3600);

const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

/// What happens to a host's certificate that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays.
    Keep,
    /// A new one takes its place, with a new key. The CA always stays.
    Replace,
}

/// What `write_development` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files that are new or were replaced.
    pub written: Vec<PathBuf>,
    /// Files that were there and stayed.
    pub kept: Vec<PathBuf>,
}

/// Makes a certificate for each host, and the authority in `dir` unless it is there. Where all hosts have theirs, the
/// authority and its key are not needed.
///
/// # Errors
/// A folder that cannot be written, one half of a pair without the other, an authority that cannot be read or has
/// expired. What was written before stays.
pub fn write_development(
    dir: &Path,
    hosts: &[OwnHost],
    existing: Existing,
    now: Wall,
) -> Result<Written, TlsError> {
    fs::create_dir_all(dir).map_err(|error| TlsError::Unwritable { path: dir.to_owned(), error })?;
    let mut done = Written::default();
    let mut missing = Vec::new();
    for (at, host) in hosts.iter().enumerate() {
        // A certificate is for all ports of a name.
        if hosts.iter().take(at).any(|before| before.name() == host.name()) {
            continue;
        }
        let pair = Pair::at(dir, host.name());
        if existing == Existing::Keep && pair.is_there()? {
            done.kept.extend([pair.certificate, pair.key]);
        } else {
            missing.push((host, pair));
        }
    }
    if missing.is_empty() {
        // Certificates that were brought come without the key of their authority.
        done.kept.extend(Some(Pair::at(dir, "ca").certificate).filter(|ca| ca.exists()));
        return Ok(done);
    }
    let (issuer, ca_pem) = authority(dir, now, &mut done)?;
    for (host, pair) in missing {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(rcgen_error)?;
        let leaf = leaf(host, now)?.signed_by(&key, &issuer).map_err(rcgen_error)?;
        pair.write(&format!("{}{ca_pem}", leaf.pem()), &key, existing)?;
        done.written.extend([pair.certificate, pair.key]);
    }
    Ok(done)
}

fn authority(
    dir: &Path,
    now: Wall,
    done: &mut Written,
) -> Result<(Issuer<'static, KeyPair>, String), TlsError> {
    let pair = Pair::at(dir, "ca");
    if pair.is_there()? {
        let loaded = pair.load(now)?;
        done.kept.extend([pair.certificate, pair.key]);
        return Ok(loaded);
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(rcgen_error)?;
    let mut params = dated(now, CA_LIFETIME);
    // Two authorities of one name and different keys would be told apart only by a bad signature.
    let mark: String = params.key_identifier(&key).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name.push(DnType::CommonName, format!("ymp development authority {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let pem = params.self_signed(&key).map_err(rcgen_error)?.pem();
    pair.write(&pem, &key, Existing::Keep)?;
    done.written.extend([pair.certificate, pair.key]);
    Ok((Issuer::new(params, key), pem))
}

fn leaf(host: &OwnHost, now: Wall) -> Result<CertificateParams, TlsError> {
    let mut params = dated(now, LEAF_LIFETIME);
    params.distinguished_name.push(DnType::CommonName, host.name());
    params.subject_alt_names = vec![match host.kind() {
        HostKind::Name => SanType::DnsName(host.name().try_into().map_err(rcgen_error)?),
        HostKind::Address(address) => SanType::IpAddress(address),
    }];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn dated(now: Wall, lifetime: Duration) -> CertificateParams {
    let from = Duration::from_millis(now.0).saturating_sub(BACKDATED);
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + from;
    // A lifetime counts both ends.
    params.not_after = params.not_before + lifetime.saturating_sub(Duration::from_secs(1));
    params
}

/// A certificate and its key, side by side.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Pair {
    fn at(dir: &Path, name: &str) -> Self {
        Self { certificate: dir.join(format!("{name}.pem")), key: dir.join(format!("{name}.key")) }
    }

    /// Both or neither; half a pair is an error, because writing the other half would destroy or orphan it.
    fn is_there(&self) -> Result<bool, TlsError> {
        let half = |path: &Path, other: &Path| {
            let wrong = format!("it stands without {}", other.display());
            content(path, wrong, "bring the other file back, or move this one away")
        };
        match (self.certificate.exists(), self.key.exists()) {
            (true, true) => Ok(true),
            (false, false) => Ok(false),
            (true, false) => Err(half(&self.certificate, &self.key)),
            (false, true) => Err(half(&self.key, &self.certificate)),
        }
    }

    fn load(&self, now: Wall) -> Result<(Issuer<'static, KeyPair>, String), TlsError> {
        let pem = self.text(&self.certificate)?;
        let key = KeyPair::from_pem(&zeroize::Zeroizing::new(self.text(&self.key)?)).map_err(|error| {
            content(&self.key, format!("it holds no usable key: {error}"), "make a new folder")
        })?;
        let broken = |wrong: String| {
            content(&self.certificate, wrong, "move ca.pem and ca.key away, or use a new folder")
        };
        let der = certificates(&self.certificate, "--dir")?;
        let der = der.first().ok_or_else(|| broken("it holds no certificate".to_owned()))?;
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| broken(error.to_string()))?;
        if now > wall(parsed.validity().not_after.timestamp()) {
            return Err(broken("the authority has expired".to_owned()));
        }
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(TlsError::KeyMismatch {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
            });
        }
        let issuer = Issuer::from_ca_cert_der(der, key).map_err(|error| broken(error.to_string()))?;
        Ok((issuer, pem))
    }

    #[expect(clippy::unused_self, reason = "reads as one of the pair's own verbs")]
    fn text(&self, path: &Path) -> Result<String, TlsError> {
        fs::read_to_string(path).map_err(|error| TlsError::Unreadable { path: path.to_owned(), error })
    }

    fn write(&self, pem: &str, key: &KeyPair, existing: Existing) -> Result<(), TlsError> {
        let secret = zeroize::Zeroizing::new(key.serialize_pem());
        write_whole(&self.key, secret.as_bytes(), SECRET, existing)?;
        write_whole(&self.certificate, pem.as_bytes(), PUBLIC, existing)
    }
}

/// Through a file of another name, so that nobody ever reads half of it or a key with wide rights.
fn write_whole(path: &Path, bytes: &[u8], mode: u32, existing: Existing) -> Result<(), TlsError> {
    let write = || -> io::Result<()> {
        let dir = path.parent().unwrap_or_else(|| Path::new("."));
        let mut file = NamedTempFile::new_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        match existing {
            Existing::Keep => file.persist_noclobber(path)?,
            Existing::Replace => file.persist(path)?,
        };
        Ok(())
    };
    write().map_err(|error| TlsError::Unwritable { path: path.to_owned(), error })
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn rcgen_error(error: rcgen::Error) -> TlsError {
    TlsError::Library(error.to_string())
}
