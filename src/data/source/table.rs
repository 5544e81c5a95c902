//! Text of lines and columns, whatever separates them: tab, comma, semicolon, bar or blanks; quoted fields; paths with blanks.

use super::arrange::shown;
use super::mount::Files;
use super::split_extension;
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::path::Path;

/// The largest list there is, of ImageNet's training images with their boxes, has 30 MB.
const MOST: u64 = 1 << 30;
/// Lines that are looked at, evenly spread, to tell separator and columns.
const LOOKED_AT: usize = 512;

/// What stands between two columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    Char(char),
    /// Any number of blanks.
    Blanks,
    /// The last blank or comma of the line: paths may hold blanks.
    Last,
    /// The first blank: `CLASS PATH`.
    First,
}

/// In the order in which they are preferred.
pub const SEPARATORS: [Separator; 7] = [
    Separator::Char('\t'),
    Separator::Char(','),
    Separator::Char(';'),
    Separator::Char('|'),
    Separator::Blanks,
    Separator::Last,
    Separator::First,
];

/// The lines of a file, without blank ones and comments.
pub struct Text<'a> {
    pub path: &'a Path,
    text: String,
}

impl<'a> Text<'a> {
    /// # Errors
    /// `Data` when the file cannot be read or is no text.
    pub fn read(path: &'a Path, files: &Files) -> Result<Self> {
        let text = String::from_utf8(files.read(path, MOST)?).map_err(|e| {
            let utf16 = [&b"\xff\xfe"[..], b"\xfe\xff"].iter().any(|bom| e.as_bytes().starts_with(bom));
            Error::data(format!("not text in UTF-8: byte {}", e.utf8_error().valid_up_to()))
                .at(path.display().to_string())
                .because(if utf16 { "the text is in UTF-16" } else { "an image or archive given as a list, or text in another encoding" })
                .next("iconv -f UTF-16 -t UTF-8 FILE (or -f LATIN1) writes text as UTF-8")
        })?;
        Ok(Self { path, text })
    }

    /// Number, from 1, and text of each line. `#` begins a comment, unless an image of such a name is listed.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> + Clone {
        let comment = |l: &str| {
            let end = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|');
            l.starts_with('#') && split_extension(l.split(end).next().unwrap_or(l)).1.is_none()
        };
        let lines = self.text.trim_start_matches('\u{feff}').lines().enumerate();
        lines.map(|(i, l)| (i + 1, l)).filter(move |(_, l)| !l.trim().is_empty() && !comment(l.trim_start()))
    }

    /// Some of the lines, evenly spread, the first two always.
    pub fn sample(&self) -> Vec<(usize, &str)> {
        let step = (self.lines().count() / LOOKED_AT).max(1);
        self.lines().enumerate().filter(|(i, _)| *i < 2 || i % step == 0).map(|(_, line)| line).collect()
    }

    /// The first two lines, for a question.
    pub fn first_two(&self) -> String {
        let lines: Vec<String> = self.lines().take(2).map(|(n, l)| format!("line {n}: \"{}\"", shown(l))).collect();
        lines.join("; ")
    }
}

impl Separator {
    /// The fields of a line.
    pub fn fields(self, line: &str) -> Vec<Cow<'_, str>> {
        let blank_or_comma = |c: char| c.is_whitespace() || c == ',';
        match self {
            Self::Char(sep) => split(line, |c| c == sep),
            Self::Blanks => split(line.trim(), char::is_whitespace),
            Self::Last | Self::First => {
                let line = line.trim();
                let at = if self == Self::Last { line.rsplit_once(blank_or_comma) } else { line.split_once(char::is_whitespace) };
                let fields = at.map_or_else(|| vec![line], |(a, b)| vec![a.trim_end_matches(blank_or_comma), b.trim_start()]);
                fields.into_iter().map(|f| Cow::Borrowed(f.trim_matches('"'))).collect()
            }
        }
    }
}

/// Fields between characters that separate; runs of blanks count as one. A field in quotes may hold separators, and a quote as two.
fn split(line: &str, separates: impl Fn(char) -> bool) -> Vec<Cow<'_, str>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let start = rest.trim_start_matches(|c: char| c.is_whitespace() && !separates(c));
        let quoted = start.strip_prefix('"').and_then(|inner| {
            let mut end = 0;
            loop {
                end += inner[end..].find('"')?;
                if !inner[end + 1..].starts_with('"') {
                    break;
                }
                end += 2;
            }
            let after = inner[end + 1..].trim_start_matches(|c: char| c.is_whitespace() && !separates(c));
            (after.is_empty() || after.starts_with(&separates)).then(|| (Cow::Owned(inner[..end].replace("\"\"", "\"")), after))
        });
        let (field, after) = quoted.unwrap_or_else(|| {
            let end = rest.find(&separates).unwrap_or(rest.len());
            (Cow::Borrowed(rest[..end].trim()), &rest[end..])
        });
        fields.push(field);
        let Some(c) = after.chars().next() else { return fields };
        rest = &after[c.len_utf8()..];
        if c.is_whitespace() && c != '\t' {
            rest = rest.trim_start_matches(&separates);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_separator() {
        let csv = |line| Separator::Char(',').fields(line);
        assert_eq!(csv("a b.jpg, 3"), ["a b.jpg", "3"]);
        assert_eq!(csv("\"a, \"\"b\"\".jpg\",dog,"), ["a, \"b\".jpg", "dog", ""]);
        assert_eq!(csv("5\" pipe.jpg,3"), ["5\" pipe.jpg", "3"]);
        assert_eq!(csv("\"open,3"), ["\"open", "3"]);
        assert_eq!(csv(","), ["", ""]);
        assert_eq!(Separator::Char('\t').fields("a b.jpg\tn01\t"), ["a b.jpg", "n01", ""]);
        assert_eq!(Separator::Blanks.fields("  a.jpg  3 \t 4 "), ["a.jpg", "3", "4"]);
        assert_eq!(Separator::Blanks.fields("\"my dir/a.jpg\" 3"), ["my dir/a.jpg", "3"]);
        assert_eq!(Separator::Last.fields("my dir/a b.jpg , 3"), ["my dir/a b.jpg", "3"]);
        assert_eq!(Separator::First.fields("3 my dir/a b.jpg"), ["3", "my dir/a b.jpg"]);
        assert_eq!(Separator::Last.fields("x"), ["x"]);
    }
}
