//! Where results go: standard output, for people or as JSON.

use std::fmt::{self, Display};
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde::Serialize;

use crate::table::Table;

/// How a text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Dim,
    Good,
    Bad,
    Warn,
    Bold,
}

/// Gives texts their colours, where there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint {
    is_on: bool,
}

impl Paint {
    /// Without colours.
    pub(crate) const fn none() -> Self {
        Self { is_on: false }
    }

    /// With colours.
    pub(crate) const fn all() -> Self {
        Self { is_on: true }
    }

    /// The text in the colour of its tone.
    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            _ if !self.is_on || text.is_empty() => return text.to_owned(),
            Tone::Plain => return text.to_owned(),
            Tone::Dim => "2",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Warn => "33",
            Tone::Bold => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// How results are shown.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct OutputArgs {
    /// Print JSON: one value, or one line per event where they keep coming
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
}

/// Standard output. A reader that goes away (`| head`) ends the command quietly: see [`is_closed_pipe`].
#[derive(Debug)]
pub(crate) struct Out {
    to: BufWriter<Stdout>,
    /// Whether results are JSON.
    pub(crate) json: bool,
    /// The colours of a terminal, if it is one and `NO_COLOR` is not set.
    pub(crate) paint: Paint,
}

impl Out {
    /// Standard output.
    pub(crate) fn new(args: OutputArgs) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        let is_on = io::stdout().is_terminal() && !no_color && !args.json;
        Self {
            to: BufWriter::new(io::stdout()),
            json: args.json,
            paint: if is_on { Paint::all() } else { Paint::none() },
        }
    }

    /// A line.
    pub(crate) fn line(&mut self, line: impl Display) -> io::Result<()> {
        writeln!(self.to, "{line}")
    }

    /// A value as a line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.to, value)?;
        self.to.write_all(b"\n")
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }

    /// A table.
    pub(crate) fn table(&mut self, table: &Table) -> io::Result<()> {
        self.to.write_all(table.render(self.paint).as_bytes())
    }

    /// What was written is seen now.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Tells an operator something that is no result.
pub(crate) fn note(text: fmt::Arguments<'_>) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether it is only that nobody reads any more. A connection that broke is never taken for that: a client's error has
/// a type of its own around it.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_pipe_is_one() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        let closed = anyhow::Error::new(closed).context("the list could not be shown");
        assert!(is_closed_pipe(&closed));
        let full = anyhow::Error::new(io::Error::from(io::ErrorKind::StorageFull));
        assert!(!is_closed_pipe(&full));
    }

    #[test]
    fn a_connection_that_broke_is_not_taken_for_a_reader_that_left() {
        #[derive(Debug, thiserror::Error)]
        #[error("the service went away")]
        struct Gone(#[source] io::Error);
        let gone = Gone(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(!is_closed_pipe(&anyhow::Error::new(gone)));
    }

    #[test]
    fn without_colours_a_text_is_as_it_was() {
        assert_eq!(Paint::none().tone(Tone::Bad, "x"), "x");
        assert_eq!(Paint::all().tone(Tone::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(Paint::all().tone(Tone::Bad, ""), "");
    }
}
