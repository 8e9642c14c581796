//! What the reader sees: headings, aligned facts, tables. Plain text unless a terminal asked for colour.
//!
//! Colours follow `NO_COLOR` (no-color.org) and whether standard output is a terminal. A reader may close the
//! pipe: what cannot be written any more is not an error.

use std::io::{IsTerminal as _, Write as _};

/// Columns of a label before its fact.
const LABEL_COLUMNS: usize = 12;

/// A meaning that is shown by a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Refused or dropped on purpose.
    Refused,
    /// Worth less attention.
    Faint,
    Heading,
}

impl Tone {
    /// The SGR parameters of ECMA-48, none for plain text.
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "32",
            Self::Bad => "1;31",
            Self::Refused => "33",
            Self::Faint => "2",
            Self::Heading => "1;36",
        }
    }
}

pub(super) struct Page {
    colour: bool,
}

impl Page {
    pub(super) fn on_stdout() -> Self {
        let declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            colour: std::io::stdout().is_terminal() && !declined && !dumb,
        }
    }

    /// Text in the colour of its meaning.
    pub(super) fn toned(&self, tone: Tone, text: &str) -> String {
        if self.colour && !tone.code().is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", tone.code())
        } else {
            text.to_owned()
        }
    }

    pub(super) fn plain(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        drop(writeln!(out, "{text}").and_then(|()| out.flush()));
    }

    pub(super) fn gap(&self) {
        self.plain("");
    }

    /// Opens a part of the story.
    pub(super) fn act(&self, title: &str) {
        self.gap();
        self.plain(&self.toned(Tone::Heading, &format!("== {title}")));
    }

    /// Opens the block of one event.
    pub(super) fn event(&self, title: &str, about: &str) {
        self.gap();
        self.plain(&format!("{}  {}", self.toned(Tone::Heading, title), self.toned(Tone::Faint, about)));
    }

    /// One line of a block.
    pub(super) fn fact(&self, label: &str, text: &str) {
        self.toned_fact(Tone::Plain, label, text);
    }

    pub(super) fn toned_fact(&self, tone: Tone, label: &str, text: &str) {
        let label = self.toned(Tone::Faint, &format!("{label:<LABEL_COLUMNS$}"));
        self.plain(&format!("  {label}{}", self.toned(tone, text)));
    }

    /// A table whose columns are as wide as their widest cell; `tone` colours a row.
    pub(super) fn table(&self, head: &[&str], rows: &[Vec<String>], tone: impl Fn(&[String]) -> Tone) {
        let widths = widths(head, rows);
        self.plain(&format!("  {}", self.toned(Tone::Faint, &aligned(head, &widths))));
        for row in rows {
            self.plain(&format!("  {}", self.toned(tone(row), &aligned(row, &widths))));
        }
    }
}

fn widths(head: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

fn aligned(cells: &[impl AsRef<str>], widths: &[usize]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, &width)| format!("{:<width$}", cell.as_ref()))
        .collect();
    padded.join("  ").trim_end().to_owned()
}

/// Turns Slack's `<url|label>` into its label, as Slack itself shows it, and keeps the first line.
pub(super) fn as_slack_shows_it(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text.lines().next().unwrap_or_default();
    while let Some((before, link)) = rest.split_once('<') {
        let Some((inside, after)) = link.split_once('>') else { break };
        shown.push_str(before);
        shown.push_str(inside.split_once('|').map_or(inside, |(_, label)| label));
        rest = after;
    }
    shown.push_str(rest);
    shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["push".to_owned(), "é".to_owned()]];
        let widths = widths(&["EVENT", "TO"], &rows);
        assert_eq!(widths, [5, 2]);
        assert_eq!(aligned(&["a", "b"], &widths), "a      b");
    }

    #[test]
    fn links_are_shown_by_their_label_and_only_the_first_line() {
        let text = "[<https://x.example/a|acme/site>] pushed <https://x.example/b> &lt;3\nmore";
        assert_eq!(as_slack_shows_it(text), "[acme/site] pushed https://x.example/b <3");
    }

    #[test]
    fn without_a_terminal_there_is_no_colour() {
        let page = Page { colour: false };
        assert_eq!(page.toned(Tone::Bad, "x"), "x");
        assert_eq!(Page { colour: true }.toned(Tone::Bad, "x"), "\x1b[1;31mx\x1b[0m");
    }
}
