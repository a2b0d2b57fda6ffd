//! Embeds the dashboard that `scripts/build-dashboard` has left in the target directory. Without it the binary builds all the
//! same, and serves a page that says how to get it: nobody who works on the services needs a WebAssembly toolchain.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let dir = folder();
    // Watching a folder that is not there would run this script at every build.
    fs::create_dir_all(dir.join("assets"))?;
    println!("cargo::rerun-if-env-changed=SAGALINE_DASHBOARD_DIR");
    println!("cargo::rerun-if-changed={}", dir.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("dashboard_assets.rs"), table(&dir)?)
}

fn folder() -> PathBuf {
    if let Some(dir) = env::var_os("SAGALINE_DASHBOARD_DIR") {
        return dir.into();
    }
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    target
        .filter(|dir| dir.is_absolute())
        .unwrap_or_else(|| manifest.join("../../target"))
        .join("dashboard")
}

/// A table of `("/path", plain bytes, compressed bytes)`.
fn table(dir: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for folder in [dir.to_owned(), dir.join("assets")] {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let extension = path.extension().unwrap_or_default();
            let is_hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if path.is_file() && extension != "br" && !is_hidden {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut table = "&[\n".to_owned();
    for path in files {
        let name = path.strip_prefix(dir).unwrap_or(&path);
        let mut brotli = path.clone().into_os_string();
        brotli.push(".br");
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "    Asset {{ path: {:?}, plain: include_bytes!({:?}), brotli: include_bytes!({:?}) }},",
            format!("/{}", name.display()),
            path.display().to_string(),
            brotli.display(),
        );
    }
    table.push(']');
    Ok(table)
}
