//! Words and numbers as people write them, for messages.

/// `v` to four significant digits, without trailing zeros: 0.1, 90, 4.615e-4, 1e-6.
pub fn number(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        return v.to_string();
    }
    let digits = format!("{v:.3e}");
    let (mantissa, exponent) = digits.split_once('e').unwrap_or((&digits, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-3..=4).contains(&exponent) {
        let text = format!("{v:.*}", (3 - exponent).max(0) as usize);
        return trimmed(&text).to_owned();
    }
    format!("{}e{exponent}", trimmed(mantissa))
}

/// A decimal fraction without the zeros at its end.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// 1,281,167.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = (0..digits.len()).rev().step_by(3).map(|end| &digits[end.saturating_sub(2)..=end]).collect();
    groups.into_iter().rev().collect::<Vec<_>>().join(",")
}

/// A rate with one decimal: 1,038.9.
pub fn rate(v: f64) -> String {
    let tenths = (v.max(0.0) * 10.0).round_ties_even() as u64;
    format!("{}.{}", count(tenths / 10), tenths % 10)
}

/// `1 shard`, `3 errors`, `2 classes`, `0 copies`: for words with a regular plural.
pub fn counted(n: u64, what: &str) -> String {
    let n_of = count(n);
    match what.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u'])) {
        _ if n == 1 => format!("{n_of} {what}"),
        Some(stem) => format!("{n_of} {stem}ies"),
        None if what.ends_with(['s', 'x']) || what.ends_with("tch") => format!("{n_of} {what}es"),
        None => format!("{n_of} {what}s"),
    }
}

/// `1 image is`, `3 images are`.
pub fn are(n: u64, what: &str) -> String {
    format!("{} {}", counted(n, what), if n == 1 { "is" } else { "are" })
}

/// `0.4 s`, `40 s`, `1 min 1 s`, `25 h 0 min`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        _ if seconds < 9.95 => format!("{:.1} s", seconds.max(0.0)),
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// `0:07`, `1:03:20`: hours only where there are any.
pub fn clock(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    let (hours, minutes, seconds) = (s / 3600, s / 60 % 60, s % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `text` broken between words into lines of at most `columns` characters where words allow it, those after the first indented.
pub fn wrapped(text: &str, columns: usize, indent: usize) -> String {
    let (mut out, mut used) = (String::new(), 0);
    for (i, word) in text.split(' ').enumerate() {
        let long = word.chars().count();
        if i > 0 && used + 1 + long > columns && used > indent {
            out += &format!("\n{:indent$}", "");
            used = indent;
        } else if i > 0 {
            out.push(' ');
            used += 1;
        }
        out += word;
        used += long;
    }
    out
}

/// A name's bytes as text that no other name gives, for reports that are read by programs. What is UTF-8 is itself; what is not is written
/// as a shell's `$'...'`, bytes as `\\xNN`, which bash reads back. Names that look like that are written so too.
pub fn exact(name: &std::ffi::OsStr) -> std::borrow::Cow<'_, str> {
    if let Some(text) = name.to_str().filter(|text| !text.starts_with("$'")) {
        return text.into();
    }
    let mut out = "$'".to_owned();
    for chunk in std::os::unix::ffi::OsStrExt::as_bytes(name).utf8_chunks() {
        chunk.valid().chars().for_each(|c| match c {
            '\\' | '\'' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        });
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
    }
    out.push('\'');
    out.into()
}

/// A name as text where its ending must stay one, as for names of images: bytes that are no UTF-8 as `\xNN`.
pub fn escaped(name: &std::ffi::OsStr) -> std::borrow::Cow<'_, str> {
    if let Some(text) = name.to_str() {
        return text.into();
    }
    let mut out = String::new();
    for chunk in std::os::unix::ffi::OsStrExt::as_bytes(name).utf8_chunks() {
        out.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
    }
    out.into()
}

/// The name that [`escaped`] wrote so.
pub fn unescaped(text: &str) -> std::ffi::OsString {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, behind)) = rest.split_first() {
        let digit = |d: &u8| char::from(*d).to_digit(16).map(|d| d as u8);
        let byte = match (first, behind) {
            (b'\\', [b'x', high, low, ..]) => digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(byte.unwrap_or(first));
        rest = &rest[if byte.is_some() { 4 } else { 1 }..];
    }
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

/// `path` as a shell reads it back: in quotes where it needs them.
pub fn pasted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The candidate that `word` is likely a slip of: a few letters off, or one of the two is a part of the other (`crop-size` of
/// `train-crop-size`). Nothing rather than a far guess.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.replace('_', "-").to_lowercase();
    let part = |a: &str, b: &str| a.len() >= 4 && format!("-{b}-").contains(&format!("-{a}-"));
    let rank = |candidate: &str| {
        let distance = strsim::damerau_levenshtein(&word, &candidate.to_lowercase());
        let close = distance <= (word.chars().count().max(candidate.chars().count()) / 4).max(1);
        (close || part(&word, candidate) || part(candidate, &word)).then_some(distance)
    };
    candidates.into_iter().filter_map(|c| Some((rank(c)?, c))).min_by_key(|(distance, _)| *distance).map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_bytes_are_other_texts() {
        use std::os::unix::ffi::OsStrExt;
        let shown = |bytes: &[u8]| exact(std::ffi::OsStr::from_bytes(bytes)).into_owned();
        assert_eq!(shown("Pêche a\\b.jpg".as_bytes()), "Pêche a\\b.jpg");
        // printf %s $'x\xff\'\\.jpg' of bash gives the bytes back
        assert_eq!(shown(b"x\xff'\\.jpg"), "$'x\\xff\\'\\\\.jpg'");
        assert_ne!(shown(b"x\xfe.jpg"), shown(b"x\xff.jpg"));
        for name in [&b"x\xff'.jpg"[..], b"plain", b"\xfe\n\xff", b"$'"] {
            assert_eq!(unescaped(&escaped(std::ffi::OsStr::from_bytes(name))).as_bytes(), name);
        }
        assert_eq!(escaped(std::ffi::OsStr::from_bytes(b"a/x\xe9.jpg")), r"a/x\xe9.jpg");
        assert_ne!(shown(b"x\xff"), shown(br"$'x\xff'"));
        assert_eq!(shown(br"$'x\xff'"), r"$'$\'x\\xff\''");
    }

    #[test]
    fn slips_are_found_and_far_words_are_not() {
        let flags = ["epochs", "shuffle", "train-crop-size", "dampening", "batch-size", "val"];
        for (word, expected) in [
            ("epoch", Some("epochs")),
            ("shufle", Some("shuffle")),
            ("crop-size", Some("train-crop-size")),
            ("batch_size", Some("batch-size")),
            ("bacth-size", Some("batch-size")),
            ("amp", None),
            ("img-size", None),
            ("vla", Some("val")),
            ("x", None),
        ] {
            assert_eq!(nearest(word, flags), expected, "{word}");
        }
    }

    #[test]
    fn a_path_can_be_pasted() {
        for (path, text) in [("packed/train", "packed/train"), ("my data", "'my data'"), ("it's", "'it'\\''s'"), ("", "''")] {
            assert_eq!(pasted(std::path::Path::new(path)), text);
        }
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("model  a bb ccc dddd", 10, 7), "model  a\n       bb\n       ccc\n       dddd");
        assert_eq!(wrapped("ab verylongword b", 5, 1), "ab\n verylongword\n b");
        assert_eq!(wrapped("short", 80, 4), "short");
    }

    #[test]
    fn numbers_are_short_and_exact_enough() {
        for (v, text) in [
            (0.0, "0"),
            (0.1, "0.1"),
            (0.4, "0.4"),
            (90.0, "90"),
            (89.999802, "90"),
            (4.615384615384616e-4, "4.615e-4"),
            (1e-6, "1e-6"),
            (-0.25, "-0.25"),
            (0.025, "0.025"),
            (0.001, "0.001"),
            (1234567.0, "1.235e6"),
            (9999.96, "10000"),
            (1038.94, "1039"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(v), text);
        }
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1281167, "1,281,167"), (12345678901, "12,345,678,901")] {
            assert_eq!(count(n), text);
        }
        assert_eq!((rate(1038.94), rate(7.25), rate(0.0)), ("1,038.9".into(), "7.2".into(), "0.0".into()));
        assert_eq!(
            [(1, "shard"), (3, "error"), (0, "image"), (2, "class"), (1, "class"), (3000, "batch"), (2, "epoch"), (2, "copy"), (2, "day")]
                .map(|(n, what)| counted(n, what)),
            ["1 shard", "3 errors", "0 images", "2 classes", "1 class", "3,000 batches", "2 epochs", "2 copies", "2 days"]
        );
        assert_eq!((are(1, "tar"), are(0, "tar"), are(1200, "file")), ("1 tar is".into(), "0 tars are".into(), "1,200 files are".into()));
        assert_eq!([0.4, 61.0, 3599.6, 90000.0].map(clock), ["0:00", "1:01", "1:00:00", "25:00:00"]);
        assert_eq!([0.4, 61.0, 3599.0, 3600.0, 90000.0].map(duration), ["0.4 s", "1 min 1 s", "59 min 59 s", "1 h 0 min", "25 h 0 min"]);
    }
}
