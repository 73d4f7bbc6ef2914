//! The data folder: who may read it, who holds it, in which format it is, and how much room is left.
//!
//! ```text
//! data-dir/          0700 where we make it
//!   lock             held by the process that uses the folder
//!   format           the number of the format, written last when the folder is made
//!   backup           there where the folder is a backup that no node has taken over yet
//!   seal.key         32 random bytes that seal held tokens; without it they cannot be read again
//!   log/             every commit, and the messages
//!   db/              the tables behind it
//! ```
//!
//! Every file is 0600: the process's umask is set when the folder is opened, since the database makes files by itself at
//! any time, and what is there already is mended.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{fs::Mode, process::umask};

use crate::store::StoreError;

/// The newest format that this program reads, and the one that it writes: 2 has several messages under one key
/// (`engine::bundle`), 3 has messages in a log (`log`), 4 has marks in the tables (`standing`) and records that begin with a block, 5
/// notes how long a dead message may live when it is queued again, 6 remembers dead messages that were deleted. What 1 to 5 wrote
/// is read.
const FORMAT: u32 = 6;
/// The first that has a log.
const LOGGED: u32 = 3;

/// What a `format` says while a copy is being written: no version reads it.
const UNFINISHED: &[u8] = b"an unfinished backup\n";
/// Names the host whose data it is.
const HOST: &str = "host";
/// Marks a backup that no node has taken over yet.
const BACKUP: &str = "backup";

/// Where the parts of a store lie.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    pub(super) tables: PathBuf,
    pub(super) log: PathBuf,
    /// Whether a version without a log was the last that finished with them: what it wrote may be in the tables alone.
    pub(super) unlogged: bool,
}

/// The folder, held until dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Whether the folder was made, and never finished or never used, before this.
    new: bool,
    /// Whether an earlier format is to be named a new one: what is written from here on an earlier program cannot read.
    older: bool,
    /// Whether that one had no log.
    unlogged: bool,
    lock: File,
}

/// What could not be done with a file or folder.
pub(super) fn io(what: &str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let what = format!("{what} {}", path.display());
    move |cause| StoreError::Io { what: what.into(), cause: cause.to_string().into() }
}

/// Why the folder cannot be used, and what to do about it.
fn unusable(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let what = format!("using the data folder {}", path.display());
    move |cause| {
        let mend = "set data-dir to a folder that the node's user may write in, or make it one";
        StoreError::Io { what: what.as_str().into(), cause: format!("{cause}; {mend}").into() }
    }
}

/// Adds what to do where the disk is full.
pub(super) fn when_full(folder: &Path, mut error: StoreError) -> StoreError {
    let full = io::Error::from(rustix::io::Errno::NOSPC).to_string();
    if let StoreError::Io { cause, .. } = &mut error
        && cause.contains(&full)
    {
        let folder = folder.display();
        let mend = format!(
            "the disk that holds {folder} is full, and a start needs some MiB of it: make room there"
        );
        *cause = format!("{cause}; {mend}").into();
    }
    error
}

/// A file or folder that is not as it should be.
pub(super) fn damaged(path: &Path, how: &str) -> StoreError {
    StoreError::Damaged(format!("{}: {how}", path.display()).into())
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

impl Folder {
    /// Makes the folder where there is none, and takes hold of it.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        umask(Mode::from_raw_mode(0o077));
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable(path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(unusable(path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(StoreError::Locked(path.display().to_string().into()));
            }
            Err(fs::TryLockError::Error(cause)) => return Err(io("locking", &lock_path)(cause)),
        }
        let format = check_format(&path.join("format"))?;
        let before = |than| format.is_some_and(|format| format < than);
        let (new, older, unlogged) = (format.is_none(), before(FORMAT), before(LOGGED));
        let folder = Self { path: path.to_owned(), new, older, unlogged, lock };
        folder.mend_modes()?;
        Ok(folder)
    }

    /// Makes a folder for a copy, with this key that seals tokens. Until `finish` no node can be started from it, and then
    /// only one that knows that it is a copy.
    pub(super) fn begin_copy(path: &Path, key: &[u8; 32], host: Option<&str>) -> Result<Self, StoreError> {
        let folder = Self::open(path)?;
        folder.write_whole("format", UNFINISHED)?;
        folder.write_whole("seal.key", key)?;
        host.map_or(Ok(()), |host| folder.claim(host))?;
        folder.write_whole(BACKUP, b"made by `ymp backup`: start it with `ymp serve --restored`\n")?;
        Ok(folder)
    }

    /// The host whose data it is, where that is noted.
    pub(super) fn host(&self) -> Result<Option<String>, StoreError> {
        host_of(&self.path)
    }

    /// Notes whose data it is.
    pub(super) fn claim(&self, host: &str) -> Result<(), StoreError> {
        self.write_whole(HOST, format!("{host}\n").as_bytes())
    }

    /// A node has taken it over.
    pub(super) fn take_over(&self) -> Result<(), StoreError> {
        let path = self.path.join(BACKUP);
        match fs::remove_file(&path).and_then(|()| sync_folder(&self.path)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(io("removing", &path)(cause)),
            _ => Ok(()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the store lies.
    pub(super) fn paths(&self) -> Paths {
        Paths { tables: self.path.join("db"), log: self.path.join("log"), unlogged: self.unlogged }
    }

    /// The key that seals tokens; made where the folder is new.
    pub(super) fn seal_key(&self) -> Result<[u8; 32], StoreError> {
        let path = self.path.join("seal.key");
        match fs::read(&path) {
            Ok(bytes) => {
                bytes.try_into().map_err(|_| StoreError::Damaged("seal.key is not 32 bytes long".into()))
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound && self.new => {
                let key: [u8; 32] = chance()?;
                self.write_whole("seal.key", &key)?;
                Ok(key)
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Err(StoreError::Damaged(
                "the file seal.key is missing: put it back, since without it no held token can be read"
                    .into(),
            )),
            Err(cause) => Err(io("reading", &path)(cause)),
        }
    }

    /// Marks the folder as complete, in our format.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        if self.new || self.older {
            self.write_whole("format", format!("{FORMAT}\n").as_bytes())?;
            (self.new, self.older, self.unlogged) = (false, false, false);
        }
        self.mend_modes()
    }

    /// Writes a small file so that it is there whole or not at all.
    fn write_whole(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let (path, draft) = (self.path.join(name), self.path.join(format!("{name}.new")));
        let write = || {
            let mut file =
                OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            sync_folder(&self.path)
        };
        write().map_err(io("writing", &path))
    }

    /// Makes every file below 0600 and every folder below 0700.
    fn mend_modes(&self) -> Result<(), StoreError> {
        for name in ["lock", "format", "seal.key", HOST, BACKUP, "db", "log"] {
            let path = self.path.join(name);
            if path.exists() {
                mend(&path).map_err(io("setting the modes of", &path))?;
            }
        }
        Ok(())
    }

    /// Lets others have the folder. The lock goes with the process in any case.
    pub(super) fn release(&self) {
        if let Err(cause) = self.lock.unlock() {
            tracing::warn!(%cause, "the lock of the data folder could not be given back");
        }
    }

    /// Bytes that are free for us.
    pub(super) fn free_bytes(&self) -> Result<u64, StoreError> {
        free_bytes(&self.path)
    }
}

/// The host whose data lies there, where that is noted.
fn host_of(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read_to_string(path.join(HOST)) {
        Ok(whose) => Ok(Some(whose.trim().to_owned()).filter(|whose| !whose.is_empty())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(unusable(path)(cause)),
    }
}

/// Refuses the data of another host: tokens and what waits in it bear that one's name.
pub(super) fn check_host(path: &Path, host: &str) -> Result<(), StoreError> {
    let Some(whose) = host_of(path)?.filter(|whose| whose != host) else { return Ok(()) };
    let cause = format!(
        "it is the data of {}, and what is in it bears that name; set host back, or data-dir to another folder",
        whose.escape_debug()
    );
    let what = format!("using the data folder {} for {host}", path.display());
    Err(StoreError::Io { what: what.into(), cause: cause.into() })
}

/// Whether a backup lies there that no node has taken over yet.
pub(super) fn is_backup(path: &Path) -> bool {
    path.join(BACKUP).exists()
}

/// Bytes that are free for us where `path` lies.
pub(super) fn free_bytes(path: &Path) -> Result<u64, StoreError> {
    let stat = rustix::fs::statvfs(path)
        .map_err(|cause| io("asking for the free space of", path)(io::Error::from(cause)))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The format that the file names, where there is one; an error where we do not know it.
fn check_format(path: &Path) -> Result<Option<u32>, StoreError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(io("reading", path)(cause)),
    };
    let found = text.trim().parse::<u32>();
    if text.as_bytes() == UNFINISHED {
        return Err(StoreError::Damaged("it is a backup that was never finished".into()));
    }
    let found = found.map_err(|_| StoreError::Damaged("the file format holds no number".into()))?;
    if found > FORMAT { Err(StoreError::Newer { found, known: FORMAT }) } else { Ok(Some(found)) }
}

/// Random bytes.
pub(super) fn chance<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    let refused = |_| StoreError::Io { what: "drawing a key".into(), cause: "no randomness".into() };
    aws_lc_rs::rand::fill(&mut bytes).map_err(refused)?;
    Ok(bytes)
}

fn mend(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let mode = if metadata.is_dir() { 0o700 } else { 0o600 };
    if !metadata.is_symlink() && metadata.permissions().mode() & 0o777 != mode {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            // A file that the database deleted meanwhile needs no mending.
            match mend(&entry?.path()) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_the_folders_place_is_told_with_the_setting() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let told = check_host(file.path(), "a.test").unwrap_err().to_string();
        assert!(
            told.contains("using the data folder") && told.contains("set data-dir to a folder"),
            "{told}"
        );
    }

    #[test]
    fn a_full_disk_is_told_with_the_folder_and_the_mend() {
        let error = |code| io("writing", Path::new("/d/log/1"))(io::Error::from_raw_os_error(code));
        let told = |code| when_full(Path::new("/d"), error(code)).to_string();
        assert!(
            told(28).ends_with(
                "the disk that holds /d is full, and a start needs some MiB of it: make room there"
            )
        );
        assert_eq!(told(5), error(5).to_string());
    }
}
