//! Text of lines and columns, whatever separates them: tab, comma, semicolon, bar or blanks; quoted fields, also over several lines; paths
//! with blanks; UTF-8 or UTF-16; lines of `\n`, `\r\n` or `\r`. JSON is made lines of, see [`json_rows`].

use super::arrange::shown;
use super::json_rows;
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

/// The lines of a file, without blank ones and comments; a field in quotes may go on over several. JSON comes as lines, too.
pub struct Text<'a> {
    pub path: &'a Path,
    /// The first line has the names of the columns, which commas separate: made of the keys of JSON.
    pub keyed: bool,
    /// Lines are the rows of a JSON text whose own lines say nothing.
    pub numbered: bool,
    text: String,
    /// Number of each line, its start and its end.
    lines: Vec<(u32, u32, u32)>,
}

impl<'a> Text<'a> {
    /// # Errors
    /// `Data` when the file cannot be read, is no text, or is JSON without rows.
    pub fn read(path: &'a Path, files: &Files) -> Result<Self> {
        let text = decode(path, files.read(path, MOST)?)?;
        if let Some(rows) = json_rows::read(path, &text)? {
            let (mut text, mut lines) = (String::new(), Vec::with_capacity(rows.rows.len()));
            for (number, fields) in rows.header.iter().map(|h| (1, h)).chain(rows.rows.iter().map(|(n, f)| (*n, f))) {
                let start = text.len() as u32;
                let quoted: Vec<String> = fields.iter().map(|f| format!("\"{}\"", f.replace('"', "\"\""))).collect();
                text.push_str(&quoted.join(","));
                lines.push((number as u32, start, text.len() as u32));
                text.push('\n');
            }
            return Ok(Self { path, keyed: rows.header.is_some(), numbered: rows.numbered, text, lines });
        }
        let lines = lines(&text);
        Ok(Self { path, keyed: false, numbered: true, text, lines })
    }

    /// Number, from 1, and text of each line. `#` begins a comment, unless an image of such a name is listed.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> + Clone {
        self.lines.iter().map(|&(n, start, end)| (n as usize, &self.text[start as usize..end as usize]))
    }

    /// Some of the lines, evenly spread, the first two always.
    pub fn sample(&self) -> Vec<(usize, &str)> {
        let step = (self.lines.len() / LOOKED_AT).max(1);
        self.lines().enumerate().filter(|(i, _)| *i < 2 || i % step == 0).map(|(_, line)| line).collect()
    }

    /// The first two lines, for a question.
    pub fn first_two(&self) -> String {
        if self.keyed {
            let lines: Vec<String> = self.lines().take(2).map(|(_, l)| shown(&l.replace('"', ""))).collect();
            return format!(
                "keys {}; first values {}",
                lines.first().map_or("none", String::as_str),
                lines.get(1).map_or("none", String::as_str)
            );
        }
        let lines: Vec<String> = self.lines().take(2).map(|(n, l)| format!("line {n}: \"{}\"", shown(l))).collect();
        lines.join("; ")
    }
}

/// Text of a file: UTF-8, or UTF-16 that a byte order mark says; every line ends with `\n`.
///
/// # Errors
/// `Data`, naming what the file is instead.
pub fn decode(path: &Path, bytes: Vec<u8>) -> Result<String> {
    let not_text = |what: String, cause: &str, next: &str| Error::data(what).at(path.display().to_string()).because(cause).next(next);
    let utf16 = |of: fn([u8; 2]) -> u16| -> Result<String> {
        let units = bytes[2..].chunks(2).map(|c| if let [a, b] = *c { of([a, b]) } else { 0xdc00 });
        let text: std::result::Result<String, _> = char::decode_utf16(units).collect();
        text.map_err(|_| {
            not_text("not text in UTF-16, as its first bytes say".to_owned(), "a damaged text", "iconv -f UTF-16 -t UTF-8 FILE")
        })
    };
    let text = if bytes.starts_with(b"\xff\xfe") {
        utf16(u16::from_le_bytes)?
    } else if bytes.starts_with(b"\xfe\xff") {
        utf16(u16::from_be_bytes)?
    } else {
        let other = match &bytes[..] {
            b if b.starts_with(b"PK\x03\x04") => Some(("a spreadsheet or a zip", "export it as CSV in UTF-8")),
            b if b.starts_with(b"\x1f\x8b") => Some(("compressed by gzip", "gunzip FILE")),
            b if b.starts_with(b"MATLAB 5") => {
                Some(("a MATLAB file", "scipy.io.loadmat reads it: write its names and classes as lines PATH CLASS"))
            }
            b if b.starts_with(b"\x93NUMPY") || b.starts_with(b"\x80") => {
                Some(("a file of NumPy or a pickle", "write its names and classes as lines PATH CLASS"))
            }
            _ => None,
        };
        if let Some((cause, next)) = other {
            return Err(not_text("not text".to_owned(), cause, next));
        }
        String::from_utf8(bytes).map_err(|e| {
            let cause = "an image or archive given as a list, or text in another encoding";
            let next = "iconv -f LATIN1 -t UTF-8 FILE (or -f UTF-16) writes text as UTF-8";
            not_text(format!("not text in UTF-8: byte {}", e.utf8_error().valid_up_to()), cause, next)
        })?
    };
    let text = text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned);
    // As old Macs end lines.
    Ok(if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text })
}

/// Number, start and end of each line that says something.
fn lines(text: &str) -> Vec<(u32, u32, u32)> {
    let comment = |l: &str| {
        let end = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|');
        l.starts_with('#') && split_extension(l.split(end).next().unwrap_or(l)).1.is_none()
    };
    // `|---|---|` below the header of a table in Markdown.
    let rule = |l: &str| l.contains("--") && l.bytes().all(|b| matches!(b, b'-' | b'|' | b':' | b'+' | b'=' | b' '));
    let (mut all, mut number, mut start) = (Vec::new(), 1, 0);
    while start < text.len() {
        let first = text[start..].find('\n').map_or(text.len(), |n| start + n);
        let end = if text[start..first].contains('"') { closed(text, start, first) } else { first };
        let line = &text[start..end];
        if !line.trim().is_empty() && !comment(line.trim_start()) && !rule(line) {
            all.push((number, start as u32, end as u32));
        }
        number += 1 + line.matches('\n').count() as u32;
        start = end + 1;
    }
    all
}

/// Where a line ends that holds a field in quotes with line breaks in it; `end`, its first break, where it holds none.
fn closed(text: &str, start: usize, end: usize) -> usize {
    const MOST_LINES: usize = 100;
    let separates = |c: char| matches!(c, ',' | ';' | '|' | '\t' | '\n');
    let mut at = start;
    loop {
        // A field begins here.
        let field = text[at..end].trim_start_matches(' ');
        at = end - field.len();
        let next = if field.starts_with('"') {
            let (mut close, mut breaks) = (at + 1, 0);
            let after = loop {
                let Some(quote) = text[close..].find('"').map(|q| close + q) else { return end };
                breaks += text[close..quote].matches('\n').count();
                if breaks > MOST_LINES {
                    return end;
                }
                close = quote + 1;
                if text[close..].starts_with('"') {
                    close += 1;
                } else if text[close..].trim_start_matches(' ').chars().next().is_none_or(separates) {
                    break close;
                } else if close > end {
                    // A quote that closes nothing: no field of several lines.
                    return end;
                }
            };
            if after > end {
                let whole = text[after..].find('\n').map_or(text.len(), |n| after + n);
                return closed_after(text, after, whole);
            }
            text[after..end].find(separates).map(|s| after + s + 1)
        } else {
            text[at..end].find(separates).map(|s| at + s + 1)
        };
        match next {
            Some(next) => at = next,
            None => return end,
        }
    }
}

/// As [`closed`], from the end of one such field on.
fn closed_after(text: &str, after: usize, end: usize) -> usize {
    match text[after..end].find([',', ';', '|', '\t']) {
        Some(s) if text[after..end].contains('"') => closed(text, after + s + 1, end),
        _ => end,
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
    fn lines_end_outside_of_quotes() {
        let of = |text: &str| -> Vec<(u32, String)> {
            lines(text).into_iter().map(|(n, a, b)| (n, text[a as usize..b as usize].to_owned())).collect()
        };
        let owed = |lines: &[(u32, &str)]| lines.iter().map(|(n, l)| (*n, (*l).to_owned())).collect::<Vec<_>>();
        assert_eq!(of("a,1\n\n# x\nb,2"), owed(&[(1, "a,1"), (4, "b,2")]));
        assert_eq!(of("\"a\nb\",1\nc,\"2\n3\"\nd,4\n"), owed(&[(1, "\"a\nb\",1"), (3, "c,\"2\n3\""), (5, "d,4")]));
        assert_eq!(of("\"a\",\"x\ny\",\"p\nq\"\nd,4\n"), owed(&[(1, "\"a\",\"x\ny\",\"p\nq\""), (4, "d,4")]));
        assert_eq!(of("5\" pipe,3\n\"open,3\nx,4\n"), owed(&[(1, "5\" pipe,3"), (2, "\"open,3"), (3, "x,4")]));
        assert_eq!(of("\"a \"\"b\"\"\",1\nx,2"), owed(&[(1, "\"a \"\"b\"\"\",1"), (2, "x,2")]));
    }

    #[test]
    fn text_of_every_encoding() {
        let of = |bytes: &[u8]| decode(Path::new("l.csv"), bytes.to_vec());
        let utf16 = |text: &str, unit: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(unit).collect() };
        for bytes in [&b"a,1\rb,2\r"[..], b"\xef\xbb\xbfa,1\r\nb,2\n", &utf16("\u{feff}a,1\nb,2\r\n", u16::to_le_bytes)] {
            assert_eq!(of(bytes).unwrap(), "a,1\nb,2\n");
        }
        assert_eq!(of(&utf16("\u{feff}ä", u16::to_be_bytes)).unwrap(), "ä");
        for (bytes, words) in
            [(&b"caf\xe9"[..], "LATIN1"), (b"PK\x03\x04\xff", "spreadsheet"), (b"\xff\xfea", "UTF-16"), (b"\x1f\x8b\x08", "gunzip")]
        {
            assert!(of(bytes).unwrap_err().to_string().contains(words), "{words}");
        }
    }

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
