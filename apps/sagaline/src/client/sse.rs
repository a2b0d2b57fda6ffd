//! Server-sent events, as the standard says that they are read.

use std::collections::VecDeque;

/// The longest line, and the most data of one message, that are kept.
const BYTES_MAX: usize = 8 << 20;

/// One message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its data.
    pub(crate) data: String,
}

/// The stream has more in one piece than any of ours would send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// Puts messages together from the pieces in which they arrive.
#[derive(Debug, Default)]
pub(super) struct Parser {
    partial: Vec<u8>,
    /// The last piece ended with `\r`: a `\n` at the start of the next one belongs to it.
    after_cr: bool,
    data: String,
    has_data: bool,
    id: Option<String>,
    /// Where to resume: the id of the last whole message.
    last_id: Option<String>,
    ready: VecDeque<Message>,
}

impl Parser {
    /// Takes the next piece.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        for &byte in piece {
            let follows_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.partial);
                    self.line(&String::from_utf8_lossy(&line));
                }
                _ => self.partial.push(byte),
            }
        }
        if self.partial.len() > BYTES_MAX || self.data.len() > BYTES_MAX {
            return Err(TooLong);
        }
        Ok(())
    }

    /// The next whole message.
    pub(super) fn next(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }

    /// Where to resume.
    pub(super) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref().filter(|id| !id.is_empty())
    }

    /// The connection is a new one: what was begun on the old one will not be finished.
    pub(super) fn reconnected(&mut self) {
        let last_id = self.last_id.take();
        *self = Self {
            id: last_id.clone(),
            last_id,
            ready: std::mem::take(&mut self.ready),
            ..Self::default()
        };
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            self.dispatch();
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // Comments (heartbeats), `retry`, and what others may invent.
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        self.last_id.clone_from(&self.id);
        let data = std::mem::take(&mut self.data);
        if std::mem::take(&mut self.has_data) {
            self.ready.push_back(Message { data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"retry: 1000\nid: 0.\n\n: still here\n\nid: 1\ndata: {\"a\":1}\n\ndata:one\r\ndata: two\r\n\r\nid: 3\ndata: cut";

    fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Parser, Vec<String>) {
        let mut parser = Parser::default();
        let mut messages = Vec::new();
        for piece in pieces {
            parser.feed(piece).unwrap();
            while let Some(message) = parser.next() {
                messages.push(message.data);
            }
        }
        (parser, messages)
    }

    #[test]
    fn messages_are_the_same_however_the_stream_is_cut_into_pieces() {
        for size in 1..=STREAM.len() {
            let (parser, messages) = read(STREAM.chunks(size));
            assert_eq!(messages, ["{\"a\":1}", "one\ntwo"], "pieces of {size}");
            assert_eq!(parser.last_id(), Some("1"), "pieces of {size}");
        }
    }

    #[test]
    fn an_id_without_data_is_where_a_reader_resumes() {
        let (parser, messages) = read(std::iter::once(b"id: 0.\n\n".as_slice()));
        assert!(messages.is_empty());
        assert_eq!(parser.last_id(), Some("0."));
    }

    #[test]
    fn half_a_message_dies_with_its_connection() {
        let (mut parser, _) = read(std::iter::once(STREAM));
        parser.reconnected();
        parser.feed(b"\n\ndata: new\n\n").unwrap();
        assert_eq!(parser.next().unwrap().data, "new");
        assert_eq!(parser.next(), None);
        assert_eq!(parser.last_id(), Some("1"));
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut parser = Parser::default();
        assert_eq!(parser.feed(&vec![b'x'; BYTES_MAX]), Ok(()));
        assert_eq!(parser.feed(b"x"), Err(TooLong));
    }
}
