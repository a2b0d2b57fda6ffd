//! Makes the files that a browser loads: the glue between WebAssembly and the browser, names that change with the contents,
//! and everything compressed.
//!
//! `dashboard-pack WASM ASSETS OUT [WASM_OPT]`

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use wasm_bindgen_cli_support::Bindgen;

/// All that a browser loads, compressed, in bytes.
const COMPRESSED_MAX: u64 = 500_000;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [wasm, assets, out, rest @ ..] = arguments.as_slice() else {
        bail!("usage: dashboard-pack WASM ASSETS OUT [WASM_OPT]");
    };
    let scratch = out.with_extension("new");
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    fs::create_dir_all(scratch.join("assets"))?;
    let is_shrunk = !rest.is_empty();
    pack(wasm, assets, &scratch, rest.first().map(PathBuf::as_path))?;
    let size = compressed_size(&scratch)? + compressed_size(&scratch.join("assets"))?;
    println!("{size:>19}  all of it, of {COMPRESSED_MAX} at most");
    // Without wasm-opt it is larger, which is good enough for who cannot have it.
    ensure!(
        size <= COMPRESSED_MAX || !is_shrunk,
        "the dashboard has {size} bytes compressed, more than {COMPRESSED_MAX}: what was added that is so large?"
    );
    // What is there stays whole until the new one is.
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    fs::rename(&scratch, out).with_context(|| format!("{} cannot be put in place", out.display()))
}

/// Of the files in a folder that are sent compressed.
fn compressed_size(folder: &Path) -> Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|it| it == "br") {
            size += entry.metadata()?.len();
        }
    }
    Ok(size)
}

fn pack(wasm: &Path, assets: &Path, out: &Path, wasm_opt: Option<&Path>) -> Result<()> {
    let glue = out.with_extension("glue");
    Bindgen::new()
        .input_path(wasm)
        .web(true)?
        .omit_default_module_path(true)
        .typescript(false)
        .out_name("app")
        .generate(&glue)
        .context("the glue cannot be generated: are wasm-bindgen and wasm-bindgen-cli-support of one version?")?;
    let module = glue.join("app_bg.wasm");
    if let Some(wasm_opt) = wasm_opt {
        shrink(wasm_opt, &module)?;
    }
    let module = add(out, "app.wasm", &fs::read(&module)?)?;
    ensure!(
        !glue.join("snippets").exists(),
        "a dependency brings scripts of its own: they would have to be packed as well"
    );
    let glue_script = add(out, "app.js", &fs::read(glue.join("app.js"))?)?;
    fs::remove_dir_all(&glue)?;
    let style = add(out, "style.css", &fs::read(assets.join("style.css"))?)?;
    let icon = add(out, "icon.svg", &fs::read(assets.join("icon.svg"))?)?;
    let start = fs::read_to_string(assets.join("start.js"))?
        .replace("{app.js}", &glue_script)
        .replace("{app.wasm}", &module);
    let start = add(out, "start.js", start.as_bytes())?;
    let page = fs::read_to_string(assets.join("index.html"))?
        .replace("{app.js}", &glue_script)
        .replace("{app.wasm}", &module)
        .replace("{style.css}", &style)
        .replace("{icon.svg}", &icon)
        .replace("{start.js}", &start);
    write(&out.join("index.html"), page.as_bytes())
}

fn shrink(wasm_opt: &Path, module: &Path) -> Result<()> {
    let done = Command::new(wasm_opt)
        .args([
            "-Oz",
            "--enable-bulk-memory",
            "--enable-nontrapping-float-to-int",
            "--enable-sign-ext",
        ])
        .args([
            "--enable-mutable-globals",
            "--enable-reference-types",
            "--enable-multivalue",
            "-o",
        ])
        .args([module, module])
        .status()
        .with_context(|| format!("{} cannot be started", wasm_opt.display()))?;
    ensure!(done.success(), "wasm-opt failed");
    Ok(())
}

/// Writes a file under a name that says what is in it; gives the path that a browser asks for.
fn add(out: &Path, name: &str, bytes: &[u8]) -> Result<String> {
    let (stem, extension) = name
        .split_once('.')
        .context("a file without an extension")?;
    let digest = Sha256::digest(bytes);
    let hash: String = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let path = format!("assets/{stem}-{hash}.{extension}");
    write(&out.join(&path), bytes)?;
    Ok(format!("/{path}"))
}

/// The file, and the same compressed.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes)?;
    let mut compressed = Vec::new();
    let params = brotli::enc::BrotliEncoderParams {
        quality: 11,
        lgwin: 22,
        ..Default::default()
    };
    brotli::BrotliCompress(&mut &*bytes, &mut compressed, &params)?;
    let mut name = OsString::from(path);
    name.push(".br");
    fs::write(name, &compressed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    println!("{:>9} {:>9}  {name}", bytes.len(), compressed.len());
    Ok(())
}
