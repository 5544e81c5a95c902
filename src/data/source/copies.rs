//! Second downloads and copies by their names: `n01 (1).tar` beside `n01.tar`, `cat - Copy` beside `cat`. And downloads that did not finish.

/// What systems put behind the name of a copy, besides a number in brackets.
const WORDS: [&str; 5] = [" - copy", " copy", "_copy", "-copy", " - kopie"];
/// What browsers and download tools call a file that is not whole.
const UNFINISHED: [&str; 9] = [".part", ".crdownload", ".partial", ".download", ".aria2", ".filepart", ".!ut", ".tmp", ".opdownload"];

/// The name of which `stem` looks like a copy.
fn original(stem: &str) -> Option<&str> {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let bracket = stem.strip_suffix(')').and_then(|s| s.rsplit_once('(')).filter(|(_, n)| number(n)).map(|(s, _)| s.trim_end());
    let without = bracket.unwrap_or(stem);
    let counted = without.rsplit_once(' ').filter(|(_, n)| number(n)).map_or(without, |(s, _)| s); // `n01 copy 2`
    let word = |text: &'_ str| -> Option<usize> {
        WORDS
            .iter()
            .find_map(|w| text.to_ascii_lowercase().ends_with(w).then(|| text.len() - w.len()))
            .filter(|&at| text.is_char_boundary(at))
    };
    let copied = word(without).map(|at| &without[..at]).or_else(|| word(counted).map(|at| &counted[..at]));
    copied.or(bracket).filter(|s| !s.is_empty())
}

/// The first name that looks like a copy of another one, and that other one.
pub fn first<'n>(stems: &[&'n str]) -> Option<(&'n str, &'n str)> {
    stems.iter().find_map(|stem| {
        let of = original(stem)?;
        stems.iter().find(|s| **s == of).map(|s| (*stem, *s))
    })
}

/// Whether a file is a download that did not finish, by its name.
pub fn unfinished(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let end = UNFINISHED.iter().find_map(|end| lower.strip_suffix(end));
    end.is_some_and(super::container::is_archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_known_beside_what_they_copy() {
        for copy in ["n01 (1)", "n01(2)", "n01 copy", "n01 copy 2", "n01 - Copy", "n01 - Copy (2)", "n01_copy", "n01 - Kopie"] {
            assert_eq!(first(&["n00", copy, "n01"]), Some((copy, "n01")), "{copy}");
            assert_eq!(first(&["n00", copy]), None, "{copy}");
        }
        for other in ["n02", "n01 (a)", "n01 1", "(1)", "copy", "n01 ()", "é(1)"] {
            assert_eq!(first(&["n01", other]), None, "{other}");
        }
        assert!(unfinished("n01.tar.part") && unfinished("a.zip.crdownload") && !unfinished("a.part") && !unfinished("a.tar"));
    }
}
