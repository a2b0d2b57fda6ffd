//! Compiles librdkafka's `rdkafka_fetcher.c` again with its mend; see `src/lib.rs`.
use std::{env, error::Error, fs, path::Path};

/// A partition is counted as one with a new leader...
const COUNTED: &str = "                TopicTags->partitions_with_leader_change_cnt++;\n";
/// ...only if its leader is known, as everything that uses the count expects.
const COUNTED_IF_KNOWN: &str = "                if (PartitionTags->CurrentLeader.LeaderId >= 0)
                        TopicTags->partitions_with_leader_change_cnt++;\n";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    // Where rdkafka-sys has built librdkafka: its sources, and the `config.h` of this machine.
    let built = env::var("DEP_RDKAFKA_ROOT")
        .map_err(|_| "rdkafka-sys did not say where it built librdkafka: its features dynamic-linking and cmake-build do not go with this crate")?;
    let sources = Path::new(&built).join("src");
    let released = fs::read_to_string(sources.join("rdkafka_fetcher.c"))?;
    if released.matches(COUNTED).count() != 1 {
        return Err("rdkafka_fetcher.c is not the one that the mend is for: see whether this librdkafka has it (issue 5280), then libs/librdkafka-mend can go".into());
    }
    let mended = Path::new(&env::var("OUT_DIR")?).join("rdkafka_fetcher.c");
    fs::write(&mended, released.replace(COUNTED, COUNTED_IF_KNOWN))?;
    cc::Build::new()
        .file(&mended)
        .include(&sources)
        // as librdkafka's own Makefile
        .opt_level(2)
        .pic(true)
        .warnings(false)
        .link_lib_modifier("+whole-archive")
        .try_compile("rdkafka_mended")?;
    Ok(())
}
