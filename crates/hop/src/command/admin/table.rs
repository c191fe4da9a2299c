//! Lists for people: a header, aligned columns, nothing that a terminal obeys.

use crate::output;

/// One line of a list.
pub(super) trait Row {
    /// The header.
    const COLUMNS: &'static [&'static str];
    /// One text for each column.
    fn cells(&self) -> Vec<String>;
}

/// Prints the list.
pub(super) fn print<R: Row>(rows: &[R]) {
    let mut lines: Vec<Vec<String>> = vec![R::COLUMNS.iter().map(|name| name.to_uppercase()).collect()];
    lines.extend(rows.iter().map(|row| row.cells().iter().map(|cell| shown(cell)).collect()));
    for line in layout(&lines) {
        output::line(&line);
    }
}

/// Nothing that a terminal would obey.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn layout(lines: &[Vec<String>]) -> Vec<String> {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let lines = [["NAME", "ROLE"], ["\u{e4}da", "owner"], ["b", ""]];
        let lines: Vec<Vec<String>> = lines.iter().map(|line| line.map(str::to_owned).to_vec()).collect();
        assert_eq!(layout(&lines), ["NAME  ROLE", "\u{e4}da   owner", "b"]);
    }

    #[test]
    fn a_terminal_obeys_nothing() {
        assert_eq!(shown("a\x1b[31m\nb"), "a\u{fffd}[31m\u{fffd}b");
    }
}
