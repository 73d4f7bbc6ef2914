//! What is wrong with certificates, keys and roots, each with its mend.

use std::{fmt, io, path::PathBuf};

/// All that is wrong with the certificates; at least one thing.
#[derive(Debug)]
pub struct Unusable(pub Vec<TlsError>);

impl std::error::Error for Unusable {}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("; "))
    }
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
