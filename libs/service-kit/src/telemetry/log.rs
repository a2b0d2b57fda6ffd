use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::str::FromStr;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// Which events are logged, as configured by `LOG_LEVEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

/// The level cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is no log level: use error, warn, info, debug, trace, or directives such as info,rdkafka=debug"
)]
pub struct BadLogLevel {
    text: String,
    #[source]
    source: tracing_subscriber::filter::ParseError,
}

impl FromStr for LogLevel {
    type Err = BadLogLevel;

    fn from_str(text: &str) -> Result<Self, BadLogLevel> {
        let lower = text.trim().to_ascii_lowercase();
        // Names that other ecosystems use for the same thing.
        let level = match lower.as_str() {
            "warning" => "warn",
            "fatal" | "critical" => "error",
            "silent" | "none" => "off",
            "verbose" => "debug",
            other => other,
        };
        match EnvFilter::try_new(level) {
            Ok(_) => Ok(Self(level.to_owned())),
            Err(source) => Err(BadLogLevel {
                text: text.to_owned(),
                source,
            }),
        }
    }
}

/// How events are written, as configured by `LOG_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object per line.
    Json,
    /// One line of text per event.
    #[value(alias = "text")]
    Pretty,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogSetupError {
    /// The level cannot be understood.
    #[error("the log level cannot be used")]
    Level(#[source] tracing_subscriber::filter::ParseError),
    /// Somebody else has set up logging in this process.
    #[error("logging is set up already: call init_logging once, first thing in main")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Starts to log to standard error. Once per process, first thing in `main`.
pub fn init_logging(level: &LogLevel, format: LogFormat) -> Result<(), LogSetupError> {
    let filter = EnvFilter::try_new(&level.0).map_err(LogSetupError::Level)?;
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false);
    let done = if json {
        builder
            .json()
            .flatten_event(true)
            .with_writer(SingleLines(Form::Json))
            .finish()
            .try_init()
    } else {
        builder
            .with_target(false)
            .with_writer(SingleLines(Form::Text))
            .finish()
            .try_init()
    };
    done.map_err(LogSetupError::Twice)
}

/// Writes each event as one line to standard error, with control characters escaped: a value that somebody sent us can
/// neither fake a second event nor speak to the operator's terminal.
#[derive(Debug, Clone, Copy)]
struct SingleLines(Form);

/// How an escape is written.
#[derive(Debug, Clone, Copy)]
enum Form {
    Text,
    /// The formatter has escaped line breaks and the like, for JSON asks for it; not what speaks to a terminal.
    Json,
}

impl Form {
    fn escape(self, c: char, into: &mut String) {
        match self {
            Self::Text => into.extend(c.escape_default()),
            // All of these are in the basic plane, and JSON has none of them outside of its strings.
            Self::Json => {
                // Writing to a string cannot fail.
                let _ = write!(into, "\\u{:04x}", u32::from(c));
            }
        }
    }
}

impl<'a> MakeWriter<'a> for SingleLines {
    type Writer = LineEscaper<std::io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        LineEscaper(std::io::stderr(), self.0)
    }
}

/// The formatter hands over each event in one piece, so the only honest line break is the last byte.
#[derive(Debug)]
struct LineEscaper<W>(W, Form);

impl<W: Write> Write for LineEscaper<W> {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        if line.contains(breaks_out) {
            let mut escaped = String::with_capacity(line.len() + 16);
            for c in line.chars() {
                if breaks_out(c) {
                    self.1.escape(c, &mut escaped);
                } else {
                    escaped.push(c);
                }
            }
            escaped.push('\n');
            self.0.write_all(escaped.as_bytes())?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Control characters, and those that turn around or break lines for who reads the log.
fn breaks_out(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event: &str) -> String {
        written_as(Form::Text, event)
    }

    fn written_as(form: Form, event: &str) -> String {
        let mut out = Vec::new();
        LineEscaper(&mut out, form)
            .write_all(event.as_bytes())
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_cannot_fake_a_second_event() {
        let line = written("INFO refused sku=SKU-1\nINFO admin signed in\r\n\u{2028}x\n");
        assert_eq!(line.matches('\n').count(), 1);
        assert!(
            line.contains(r"SKU-1\nINFO") && line.contains(r"\u{2028}"),
            "{line}"
        );
    }

    #[test]
    fn a_value_cannot_speak_to_the_terminal() {
        let line = written("INFO sku=\u{1b}[2J\u{9b}31m\u{202e}\n");
        assert_eq!(line, "INFO sku=\\u{1b}[2J\\u{9b}31m\\u{202e}\n");
    }

    #[test]
    fn json_stays_json_and_one_line_whatever_a_value_holds() {
        let hostile =
            "\n\r\u{0}\u{7}\u{1b}[2J\u{7f}\u{85}\u{9b}31m\u{2028}\u{202e}\u{2066} größer \"}{\\";
        let line = serde_json::json!({ "sku": hostile }).to_string() + "\n";
        let line = written_as(Form::Json, &line);
        assert!(
            !line.trim_end_matches('\n').contains(breaks_out),
            "{line:?}"
        );
        assert_eq!(line.matches('\n').count(), 1);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["sku"], hostile);
    }

    #[test]
    fn an_ordinary_event_is_written_as_it_is() {
        assert_eq!(written("INFO größer 日本\n"), "INFO größer 日本\n");
    }

    #[test]
    fn levels_and_directives_are_understood_and_nonsense_is_refused() {
        for good in ["info", "WARN", "warning", "silent", "info,rdkafka=debug"] {
            assert!(good.parse::<LogLevel>().is_ok(), "{good}");
        }
        assert!("info,=,=".parse::<LogLevel>().is_err());
    }
}
