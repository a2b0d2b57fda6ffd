//! What the operating system knows about this process, read at each scrape. Empty where there is no `/proc`.

use std::fmt::Write;
use std::fs;

/// Kernel ticks per second. Linux reports 100 to user space on every architecture, whatever its own rate is.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn render(text: &mut String) {
    if let Some(bytes) = resident_bytes() {
        sample(
            text,
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory in bytes",
            &bytes.to_string(),
        );
    }
    if let Some(seconds) = cpu_seconds() {
        sample(
            text,
            "process_cpu_seconds_total",
            "counter",
            "CPU time spent, in seconds",
            &format!("{seconds:.2}"),
        );
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        sample(
            text,
            "process_open_fds",
            "gauge",
            "Open file descriptors",
            &open.count().to_string(),
        );
    }
}

fn sample(text: &mut String, name: &str, kind: &str, help: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
    );
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program comes second, in parentheses, and may hold anything. User and system time are the 14th
    // and 15th field of the line, so the 12th and 13th after it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}
