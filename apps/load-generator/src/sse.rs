//! Server-sent events, as far as a feed of data needs them.

/// The longest line that is kept.
const LINE_LIMIT: usize = 8 << 20;

/// The stream has a line that is longer than anything a feed would send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the feed sent a line longer than 8 MiB")]
pub(crate) struct LineTooLong;

/// Puts events together from the pieces in which they arrive.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// The beginning of a line whose end has not arrived.
    partial: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
}

impl Events {
    /// Takes the next piece and hands over the data of each event that it completes.
    pub(crate) fn feed(
        &mut self,
        mut piece: &[u8],
        mut event: impl FnMut(&[u8]),
    ) -> Result<(), LineTooLong> {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&piece[..end], &piece[end + 1..]);
            if self.partial.is_empty() {
                self.line(line, &mut event);
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole, &mut event);
                // Kept for its capacity.
                whole.clear();
                self.partial = whole;
            }
            piece = rest;
        }
        if self.partial.len() + piece.len() > LINE_LIMIT || self.data.len() > LINE_LIMIT {
            return Err(LineTooLong);
        }
        self.partial.extend_from_slice(piece);
        Ok(())
    }

    fn line(&mut self, line: &[u8], event: &mut impl FnMut(&[u8])) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            if self.has_data {
                event(&self.data);
            }
            self.data.clear();
            self.has_data = false;
            return;
        }
        let Some(value) = line.strip_prefix(b"data:") else {
            // Comments (heartbeats), `id:`, `event:` and `retry:` say nothing of orders.
            return;
        };
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data
            .extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b": heartbeat\n\nid: 7\ndata: {\"a\":1}\n\nevent: x\ndata:one\r\ndata: two\r\n\r\nid: 9\n\ndata: cut";

    fn events(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<String> {
        let mut events = Events::default();
        let mut seen = Vec::new();
        for piece in pieces {
            events
                .feed(&piece, |data| {
                    seen.push(String::from_utf8(data.to_vec()).unwrap());
                })
                .unwrap();
        }
        seen
    }

    #[test]
    fn events_are_the_same_however_the_stream_is_cut_into_pieces() {
        let wanted = ["{\"a\":1}", "one\ntwo"];
        for size in 1..=STREAM.len() {
            assert_eq!(
                events(STREAM.chunks(size).map(<[u8]>::to_vec)),
                wanted,
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut events = Events::default();
        let piece = vec![b'x'; LINE_LIMIT];
        assert_eq!(events.feed(&piece, |_| ()), Ok(()));
        assert_eq!(events.feed(b"x", |_| ()), Err(LineTooLong));
    }
}
