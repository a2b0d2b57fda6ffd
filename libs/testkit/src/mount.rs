//! Small file systems, for what happens when they are full or lose what was not flushed. Root alone may mount them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// A mounted file system; unmounted when this is dropped.
#[derive(Debug)]
pub struct Mount {
    folder: TempDir,
}

impl Mount {
    /// Whether this process may mount anything.
    pub fn is_possible() -> bool {
        Self::tmpfs(64 * 1024).is_ok()
    }

    /// An empty one in memory, with room for so many bytes.
    pub fn tmpfs(bytes: u64) -> Result<Self> {
        let size = format!("size={bytes}");
        Self::new(|command| command.args(["-t", "tmpfs", "-o", &size, "tmpfs"]))
    }

    /// The file system in a [`DiskImage`].
    pub fn image(image: &DiskImage) -> Result<Self> {
        // Without barriers nothing would be in order; a long commit interval leaves what was not flushed unwritten.
        Self::new(|command| {
            command
                .args(["-t", "ext4", "-o", "loop,barrier=1,commit=300"])
                .arg(&image.path)
        })
    }

    fn new(what: impl FnOnce(&mut Command) -> &mut Command) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new("mount");
        run(what(&mut command).arg(folder.path()))?;
        Ok(Self { folder })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run(Command::new("umount").arg(self.folder.path())).ok();
    }
}

/// A disk in a file: what was flushed to it is in the file, and what was not is not.
#[derive(Debug)]
pub struct DiskImage {
    path: PathBuf,
    _folder: TempDir,
}

impl DiskImage {
    /// An empty one with an ext4 file system.
    pub fn create(bytes: u64) -> Result<Self> {
        let image = Self::nameless()?;
        let file = std::fs::File::create(&image.path)?;
        file.set_len(bytes)?;
        run(Command::new("mkfs.ext4").arg("-q").arg(&image.path))?;
        Ok(image)
    }

    /// A copy of it as it is now: what the disk would hold if the power failed at this moment.
    pub fn after_power_loss(&self) -> Result<Self> {
        let image = Self::nameless()?;
        let copy = Command::new("cp")
            .args(["--sparse=always", "--reflink=auto"])
            .arg(&self.path)
            .arg(&image.path)
            .output();
        let copy = copy.context("cannot run cp")?;
        ensure!(copy.status.success(), "the image was not copied");
        Ok(image)
    }

    fn nameless() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("disk");
        Ok(Self {
            path,
            _folder: folder,
        })
    }
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} failed: {}", said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn what_was_flushed_survives_a_power_loss_and_what_was_not_does_not() {
        if !Mount::is_possible() {
            eprintln!("not tried: only root may mount");
            return;
        }
        let disk = DiskImage::create(32 << 20).unwrap();
        let mount = Mount::image(&disk).unwrap();
        let path = mount.path().join("file");
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(b"flushed").unwrap();
        file.sync_all().unwrap();
        std::fs::File::open(mount.path())
            .unwrap()
            .sync_all()
            .unwrap();
        file.write_all(b" and not").unwrap();
        let after = disk.after_power_loss().unwrap();
        let mount = Mount::image(&after).unwrap();
        let found = std::fs::read_to_string(mount.path().join("file")).unwrap();
        assert_eq!(found, "flushed");
    }

    #[test]
    fn a_small_file_system_gets_full() {
        if !Mount::is_possible() {
            eprintln!("not tried: only root may mount");
            return;
        }
        let mount = Mount::tmpfs(1 << 20).unwrap();
        let refused = std::fs::write(mount.path().join("large"), vec![1; 2 << 20]);
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    }
}
