// SPDX-License-Identifier: Apache-2.0
//! Records cut into pieces of lines. A line has the time and the place of its
//! first byte; the two streams have lines of their own.

use super::{Record, Stream};

/// A line by where it begins. Ordered as lines begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    position: u64,
    /// Which of the record's lines.
    index: u32,
    /// Nanoseconds since 1970.
    pub time_ns: u64,
}

impl Line {
    /// Of the record that it begins in.
    pub fn position(&self) -> u64 {
        self.position
    }
}

/// Part of a line, or all of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    pub line: Line,
    /// The line begins with it.
    pub begins: bool,
    pub stream: Stream,
    /// With the line's end, if that is in it.
    pub bytes: &'a [u8],
}

/// Cuts what one record after the other brings.
#[derive(Default)]
pub struct Lines {
    /// Lines of stdout and stderr that are not at their end.
    open: [Option<Line>; 2],
}

impl Lines {
    /// Calls `each` with every piece in `record`, in order.
    pub fn cut<'a, E>(
        &mut self,
        record: &Record<'a>,
        mut each: impl FnMut(Piece<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Record { position, time_ns, stream, bytes } = *record;
        let open = &mut self.open[usize::from(stream == Stream::Stderr)];
        let mut index = 0;
        for bytes in bytes.split_inclusive(|&byte| byte == b'\n') {
            let begins = open.is_none();
            let line = open.take().unwrap_or(Line { position, index, time_ns });
            if bytes.last() != Some(&b'\n') {
                *open = Some(line);
            }
            index += u32::from(begins);
            each(Piece { line, begins, stream, bytes })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_on_over_records_in_each_stream() {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for (number, (stream, text)) in [
            (Stream::Stdout, "one\ntw"),
            (Stream::Stderr, "err"),
            (Stream::Stdout, "o"),
            (Stream::Stdout, "\n\nthree\n"),
            (Stream::Stderr, "or\n"),
        ]
        .into_iter()
        .enumerate()
        {
            let position = number as u64;
            let record =
                Record { position, time_ns: 10 + position, stream, bytes: text.as_bytes() };
            lines
                .cut(&record, |piece| {
                    all.push((piece.begins, piece.line.time_ns, piece.bytes.to_vec()));
                    Ok::<_, ()>(())
                })
                .unwrap();
        }
        let expected: [(bool, u64, &[u8]); 8] = [
            (true, 10, b"one\n"),
            (true, 10, b"tw"),
            (true, 11, b"err"),
            (false, 10, b"o"),
            (false, 10, b"\n"),
            (true, 13, b"\n"),
            (true, 13, b"three\n"),
            (false, 11, b"or\n"),
        ];
        let expected = expected.map(|(begins, time, bytes)| (begins, time, bytes.to_vec()));
        assert_eq!(all, expected);
    }
}
