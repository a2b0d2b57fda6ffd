//! A segment's files: the log itself, and the index once it is sealed.

use crate::error::BrokerError;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The first bytes of every segment.
pub(super) const MAGIC: &[u8; 8] = b"SGLBRK01";
const LOG_EXTENSION: &str = "log";
const INDEX_EXTENSION: &str = "index";

/// A segment that is read from. Its file stays readable for those who hold this, also when it has been deleted.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    directory: PathBuf,
    log: File,
    index: OnceLock<File>,
}

impl Segment {
    pub(super) fn open(directory: &Path, number: u64) -> Result<Self, BrokerError> {
        let path = log_path(directory, number);
        let log = File::open(&path).map_err(storage("open", &path))?;
        Ok(Self {
            number,
            directory: directory.to_owned(),
            log,
            index: OnceLock::new(),
        })
    }

    pub(crate) fn read(&self, position: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.log.read_exact_at(&mut bytes, position)?;
        Ok(bytes)
    }

    pub(super) fn read_index(&self, position: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let index = if let Some(index) = self.index.get() {
            index
        } else {
            let opened = File::open(self.index_path())?;
            self.index.get_or_init(|| opened)
        };
        index.read_exact_at(&mut bytes, position)?;
        Ok(bytes)
    }

    pub(super) fn log_path(&self) -> PathBuf {
        log_path(&self.directory, self.number)
    }

    pub(super) fn index_path(&self) -> PathBuf {
        index_path(&self.directory, self.number)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn log_bytes(&self) -> io::Result<u64> {
        Ok(self.log.metadata()?.len())
    }

    /// Removes the files. The log goes first: an index without a log is swept at the next start.
    pub(crate) fn delete(&self) -> io::Result<()> {
        fs::remove_file(self.log_path())?;
        match fs::remove_file(self.index_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

pub(super) fn log_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:020}.{LOG_EXTENSION}"))
}

pub(super) fn index_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:020}.{INDEX_EXTENSION}"))
}

/// Numbers of the segments in a directory, in order. Index files without a log are removed.
pub(super) fn list(directory: &Path) -> Result<Vec<u64>, BrokerError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory).map_err(storage("read", directory))? {
        let path = entry.map_err(storage("read", directory))?.path();
        let Some(number) = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse().ok())
        else {
            continue;
        };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(LOG_EXTENSION) => numbers.push(number),
            Some(INDEX_EXTENSION) if !log_path(directory, number).exists() => {
                fs::remove_file(&path).map_err(storage("remove", &path))?;
            }
            _ => {}
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Opens a segment's log to append to it.
pub(super) fn open_for_append(
    directory: &Path,
    number: u64,
    create: bool,
) -> Result<File, BrokerError> {
    let path = log_path(directory, number);
    OpenOptions::new()
        .append(true)
        .create(create)
        .open(&path)
        .map_err(storage("open", &path))
}

/// Makes files that were created, renamed or removed in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> Result<(), BrokerError> {
    File::open(directory)
        .and_then(|handle| handle.sync_all())
        .map_err(storage("sync", directory))
}

/// An error of the storage, for `map_err`.
pub(super) fn storage(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BrokerError {
    let path = path.to_owned();
    move |source| BrokerError::Storage {
        action,
        path,
        source,
    }
}
