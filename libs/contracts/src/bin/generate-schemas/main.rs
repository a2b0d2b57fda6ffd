//! Writes the JSON Schema and the examples of every event, or checks that the committed ones are up to date and break
//! nobody who reads or writes them.

mod compatibility;
mod files;

use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
Writes schemas/<topic>.json and schemas/examples/<topic>.json from the Rust types.

Usage: generate-schemas [--check] [--base DIR] [--break-contract] [--dir DIR]

  --check            Write nothing; fail when a file differs from what the types say, or breaks who uses it
  --base DIR         Also hold the types against the schemas in DIR, for instance those of the last release
  --break-contract   Write although it breaks who uses the schemas; before the first release only
  --dir DIR          Where the schemas are (default: schemas/ of this repository)";

struct Arguments {
    check: bool,
    break_contract: bool,
    base: Option<PathBuf>,
    dir: PathBuf,
}

fn arguments() -> Result<Option<Arguments>, String> {
    let mut parsed = Arguments {
        check: false,
        break_contract: false,
        base: None,
        dir: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas")),
    };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut folder = || {
            given
                .next()
                .map(PathBuf::from)
                .ok_or("a folder must follow")
        };
        match argument.as_str() {
            "--check" => parsed.check = true,
            "--break-contract" => parsed.break_contract = true,
            "--base" => parsed.base = Some(folder()?),
            "--dir" => parsed.dir = folder()?,
            "-h" | "--help" => return Ok(None),
            other => return Err(format!("unknown argument {other}\n\n{HELP}")),
        }
    }
    Ok(Some(parsed))
}

/// Everything that is wrong, one complaint a line; nothing when all is well.
fn run(arguments: &Arguments) -> Result<Vec<String>, files::FileError> {
    let generated = files::generated();
    let mut wrong = files::breaks(&arguments.dir, &generated)?;
    if let Some(base) = &arguments.base {
        wrong.extend(files::breaks(base, &generated)?);
    }
    if arguments.check {
        wrong.extend(files::differences(&arguments.dir, &generated)?);
    } else if wrong.is_empty() || arguments.break_contract {
        let written = files::write(&arguments.dir, &generated)?;
        println!("{written} of {} files written", generated.len());
        wrong.clear();
    }
    Ok(wrong)
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(wrong) if wrong.is_empty() => ExitCode::SUCCESS,
        Ok(wrong) => {
            for line in &wrong {
                eprintln!("{line}");
            }
            if wrong
                .iter()
                .any(|line| line.starts_with(compatibility::BREAKS))
            {
                eprintln!("\n{}", compatibility::ADVICE);
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
