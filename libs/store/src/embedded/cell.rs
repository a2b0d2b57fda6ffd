//! The engine, and how it is opened again after a failure.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use parking_lot::RwLock;

use crate::embedded::EmbeddedOptions;
use crate::embedded::engine::Engine;
use crate::embedded::failure::Failure;

/// So much must be writable before a store that failed is opened again.
const PROBE_BYTES: usize = 4 * 1024 * 1024;

/// The engine, or nothing while it could not be opened again after a failure.
pub(super) struct EngineCell {
    engine: RwLock<Option<Engine>>,
    folder: PathBuf,
    options: EmbeddedOptions,
}

impl std::fmt::Debug for EngineCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let folder = self.folder.display();
        write!(f, "EngineCell({folder}, {:?})", self.options)
    }
}

impl EngineCell {
    pub(super) fn open(folder: &Path, options: EmbeddedOptions) -> Result<Self, Failure> {
        Ok(Self {
            engine: RwLock::new(Some(Engine::open(folder, options)?)),
            folder: folder.to_path_buf(),
            options,
        })
    }

    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Engine) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match &*self.engine.read() {
            Some(engine) => read(engine),
            None => Err(Failure::Closed),
        }
    }

    /// After a failed write the engine refuses further ones until it is opened again. It goes on serving reads until
    /// the disk takes writes, and only then is closed and opened.
    pub(super) fn recover(&self) -> Result<(), Failure> {
        self.probe()?;
        let mut engine = self.engine.write();
        // the folder's lock is free only when the old one is gone
        drop(engine.take());
        *engine = Some(Engine::open(&self.folder, self.options)?);
        Ok(())
    }

    fn probe(&self) -> Result<(), std::io::Error> {
        let path = self.folder.join("probe");
        let probe = || {
            let mut file = File::create(&path)?;
            file.write_all(&vec![1; PROBE_BYTES])?;
            file.sync_all()
        };
        let probed = probe();
        std::fs::remove_file(&path).ok();
        probed
    }
}
