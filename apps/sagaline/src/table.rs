//! Tables for a terminal: columns as wide as their widest cell, numbers to the right.

use std::fmt;

use unicode_width::UnicodeWidthStr;

use crate::output::{Paint, Tone};
use crate::text::printable;

const GAP: &str = "  ";

/// Which edge a column keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    Left,
    Right,
}

/// A text and how it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a meaning.
    pub(crate) fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self {
            text: printable(text.as_ref()).into_owned(),
            tone,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// A number as a cell.
pub(crate) fn number(number: impl fmt::Display) -> Cell {
    Cell::from(number.to_string())
}

/// A table that is shown at once, when all of its rows are known.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Edge)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(columns: &[(&'static str, Edge)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; it has a cell for each column.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        let cells = cells.into();
        debug_assert_eq!(cells.len(), self.columns.len(), "a row has every column");
        self.rows.push(cells);
    }

    /// Whether there is any row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, without colours when `paint` has none.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let head: Vec<Cell> = self
            .columns
            .iter()
            .map(|(title, _)| Cell::toned(title, Tone::Dim))
            .collect();
        let widths = self.widths(&head);
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            self.render_row(row, &widths, paint, &mut text);
        }
        text
    }

    fn widths(&self, head: &[Cell]) -> Vec<usize> {
        let mut widths = vec![0; self.columns.len()];
        for row in std::iter::once(head).chain(self.rows.iter().map(Vec::as_slice)) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.text.width().max(*width);
            }
        }
        widths
    }

    fn render_row(&self, row: &[Cell], widths: &[usize], paint: Paint, text: &mut String) {
        // Nothing is padded that nothing follows: lines end where their text ends.
        let last = row.iter().rposition(|cell| !cell.text.is_empty());
        let shown = last.map_or(0, |last| last + 1);
        let columns = self.columns.iter().zip(widths).zip(row).take(shown);
        for (at, (((_, edge), width), cell)) in columns.enumerate() {
            let padding = " ".repeat(width.saturating_sub(cell.text.width()));
            if at > 0 {
                text.push_str(GAP);
            }
            if *edge == Edge::Right {
                text.push_str(&padding);
            }
            text.push_str(&paint.tone(cell.tone, &cell.text));
            if *edge == Edge::Left && at + 1 < shown {
                text.push_str(&padding);
            }
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[("SKU", Edge::Left), ("QTY", Edge::Right), ("", Edge::Left)]);
        table.row([Cell::from("SKU-1"), number(7), Cell::from("")]);
        table.row([
            Cell::from("靴"),
            number(1_234),
            Cell::toned("low", Tone::Bad),
        ]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_with_their_text() {
        assert_eq!(
            table().render(Paint::none()),
            "SKU     QTY\nSKU-1     7\n靴     1234  low\n"
        );
    }

    #[test]
    fn colours_take_no_room() {
        let painted = table().render(Paint::all());
        assert!(
            painted.ends_with("1234  \u{1b}[31mlow\u{1b}[0m\n"),
            "{painted:?}"
        );
    }

    #[test]
    fn a_cell_cannot_break_its_line() {
        let mut table = Table::new(&[("A", Edge::Left)]);
        table.row([Cell::from("x\ny")]);
        assert_eq!(table.render(Paint::none()), "A\nx\\ny\n");
    }
}
