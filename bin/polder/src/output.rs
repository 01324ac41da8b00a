//! What goes to standard output: colour on terminals only, and no complaint when the reader leaves.

use std::io::{self, IsTerminal, Write};

/// The styles that are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    Good,
    Bad,
    Faint,
    Strong,
}

/// Whether standard output takes colour.
pub(crate) fn colour() -> bool {
    takes_colour(&io::stdout())
}

/// Whether a stream takes colour: a terminal, and nobody set `NO_COLOR` (no-color.org).
pub(crate) fn takes_colour(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    stream.is_terminal() && !refused
}

/// The text in a style, where `colour` says so.
pub(crate) fn styled(text: &str, style: Style, colour: bool) -> String {
    let code = match style {
        Style::Good => "32",
        Style::Bad => "31",
        Style::Faint => "2",
        Style::Strong => "1",
    };
    if colour && !text.is_empty() {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

/// Writes to standard output. A reader that has gone (`polder drops | head`) ends the program in silence.
pub(crate) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        done => Ok(done?),
    }
}

/// Writes to standard output, and goes on if nobody reads it any more.
pub(crate) fn tell(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard error, and goes on if nobody reads it any more.
pub(crate) fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a value as indented JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    write(&text)
}

/// Rows under a head, in columns as wide as their widest cell. Numbers' columns are aligned to the right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>], colour: bool) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let numeric: Vec<bool> = (0..head.len())
        .map(|at| {
            let cells = || rows.iter().filter_map(|row| row.get(at));
            cells().next().is_some()
                && cells().all(|cell| cell.bytes().all(|b| b.is_ascii_digit()) && !cell.is_empty())
        })
        .collect();
    let line = |cells: &[String]| {
        let mut text = String::new();
        for ((cell, &width), &right) in cells.iter().zip(&widths).zip(&numeric) {
            let padded = if right {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            };
            if !text.is_empty() {
                text.push_str("  ");
            }
            text.push_str(&padded);
        }
        text.truncate(text.trim_end().len());
        text
    };
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let mut text = styled(&line(&head), Style::Strong, colour);
    text.push('\n');
    for row in rows {
        text.push_str(&line(row));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align() {
        let rows = vec![
            vec!["a".to_owned(), "5".to_owned()],
            vec!["long name".to_owned(), "1200".to_owned()],
        ];
        let text = table(&["name", "n"], &rows, false);
        assert_eq!(text, "name          n\na             5\nlong name  1200\n");
    }

    #[test]
    fn plain_text_stays_plain() {
        assert_eq!(styled("x", Style::Bad, false), "x");
        assert_eq!(styled("x", Style::Bad, true), "\u{1b}[31mx\u{1b}[0m");
    }
}
