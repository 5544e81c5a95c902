//! What a label's text means, and the classes that the labels of a source make together: one rule for lists, label files, WebDataset
//! and tables.
//!
//! Labels are numbers or names. Numbers keep their order: `3.0` is 3, and -1 or nothing means "no label", which makes a bad image and no
//! class. Names are sorted. Both in one source are an error that asks, unless `--class-names` lists all of them. Classes that are
//! only numbered get names from `--class-names` (line n is class n, from 0), else from the folders of their images or the WordNet ids in
//! their names, where each class has exactly one; named classes are sorted as an ImageFolder of them is.

use super::arrange::{names_by_wnid, shown};
use crate::data::format::MOST_CLASSES;
use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Names of classes with the words for them, which may be empty.
pub type Names = Vec<(String, String)>;

/// What the text of a label says.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    Number(u64),
    /// Negative or empty.
    None,
    /// A number that is not whole: no class.
    Fraction,
    Name,
}

impl Label {
    pub fn of(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            return Self::None;
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Self::Number(text.parse().unwrap_or(u64::MAX));
        }
        let numeric = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'))
            && text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
        match text.parse::<f64>() {
            Ok(n) if numeric && n < 0.0 => Self::None,
            Ok(n) if numeric && n.fract() == 0.0 && n < 2f64.powi(53) => Self::Number(n as u64),
            Ok(_) if numeric => Self::Fraction,
            _ => Self::Name,
        }
    }

    /// What programs write for a missing value, where the other labels are numbers.
    pub fn missing(text: &str) -> bool {
        ["nan", "null", "none", "na", "n/a", "<na>"].iter().any(|m| text.trim().eq_ignore_ascii_case(m))
    }
}

/// An image and the text of its label.
#[derive(Debug)]
pub struct Row {
    /// From 1, where it is a line of a file.
    pub line: Option<usize>,
    pub picture: String,
    pub class: String,
}

/// Classes that numbers alone may make of so many images. A wrong column would otherwise give hundreds of thousands of empty ones.
pub fn most_numbers(pictures: usize) -> u64 {
    (4 * pictures as u64).clamp(1 << 16, MOST_CLASSES)
}

/// From so many rows on, classes of one image each are taken for a wrong column.
const ALL_DIFFERENT: usize = 50;

/// The classes of rows.
#[derive(Debug)]
pub struct Resolved {
    pub classes: Vec<String>,
    /// The classes are numbers and keep their order.
    pub numbered: bool,
    /// One for each row; `None` where it says that there is no label.
    pub labels: Vec<Option<u32>>,
    pub notes: Vec<String>,
}

impl Resolved {
    /// # Errors
    /// `Data`, naming the line of a class that is not among the names, is too large a number, or is no class; `Usage` for names among numbers.
    pub fn new(rows: &[Row], names: Option<&Names>, path: &Path) -> Result<Self> {
        let of: Vec<Label> = rows.iter().map(|r| Label::of(&r.class)).collect();
        let index: HashMap<&str, u32> = names.into_iter().flatten().zip(0..).map(|((name, _), i)| (name.as_str(), i)).collect();
        let distinct = || rows.iter().map(|r| r.class.trim()).collect::<HashSet<_>>().len();
        if names.is_none() && rows.len() > 1 {
            let first_two = format!("{}; {}", told(&rows[0]), told(&rows[1]));
            refuse_all_different(rows.len(), distinct(), &first_two, &path.display().to_string())?;
        }
        let known = |i: usize| index.contains_key(rows[i].class.trim());
        let name = (0..rows.len()).find(|&i| of[i] == Label::Name && (known(i) || !Label::missing(&rows[i].class)));
        let number = (0..rows.len()).find(|&i| matches!(of[i], Label::Number(_) | Label::Fraction) && !known(i));
        match (name, number) {
            (None, None) if names.is_none() || of.iter().all(|l| *l == Label::None) => Self::numbers(rows, &of, names, path),
            (None, Some(_)) => Self::numbers(rows, &of, names, path),
            // Also class names that are numbers themselves, where each label is one of them.
            (_, None) => Self::named(rows, &of, names, &index, path),
            (Some(a), Some(b)) => Err(Error::usage("some labels are numbers and others are names")
                .at(path.display().to_string())
                .because(format!("{}; {}", told(&rows[a.min(b)]), told(&rows[a.max(b)])))
                .next("correct these lines, choose another column with --label-column, or list every class in --class-names FILE")),
        }
    }

    fn numbers(rows: &[Row], of: &[Label], names: Option<&Names>, path: &Path) -> Result<Self> {
        let wrong = |i: usize, what: String| wrong(&rows[i], what, path);
        if let Some(i) = of.iter().position(|l| *l == Label::Fraction) {
            return Err(wrong(i, format!("class {} is no whole number", shown(&rows[i].class))));
        }
        let number = |l: &Label| if let Label::Number(n) = l { Some(*n) } else { None };
        let highest = of.iter().filter_map(number).max();
        let count = names.map_or_else(|| highest.map_or(0, |m| m.saturating_add(1)), |n| n.len() as u64);
        let most = if names.is_some() { MOST_CLASSES } else { most_numbers(rows.len()) };
        let places = names.and_then(places);
        let first = |p: &HashMap<u64, u32>| p.keys().min().copied().unwrap_or(0);
        if let Some(places) = &places
            && let Some(i) = of.iter().position(|l| number(l).is_some_and(|n| !places.contains_key(&n)))
        {
            let what = format!("class {} is not among the class names, which are numbers from {}", shown(&rows[i].class), first(places));
            return Err(wrong(i, what));
        }
        if let Some(i) = of.iter().position(|l| places.is_none() && number(l).is_some_and(|n| n >= count || n >= most)) {
            return Err(wrong(i, format!("class {} of {}", shown(&rows[i].class), count.min(most))));
        }
        let mut labels: Vec<Option<u32>> = of.iter().map(|l| number(l).map(|n| n as u32)).collect();
        if let Some(places) = &places {
            labels = of.iter().map(|l| number(l).and_then(|n| places.get(&n).copied())).collect();
        }
        let labelled = || labels.iter().zip(rows).filter_map(|(l, r)| l.map(|l| (l, r.picture.as_str())));
        let by_pictures = || names_by_folder(count as usize, labelled).or_else(|| names_by_wnid(count as usize, labelled()));
        let named = names.map(|n| n.iter().map(|(name, _)| name.clone()).collect()).or_else(by_pictures);
        let mut notes = Vec::new();
        notes.extend(named.as_deref().and_then(moved));
        let numbered = named.as_ref().is_none_or(|n| all_numbers(n));
        let classes = named.unwrap_or_else(|| (0..count).map(|n| n.to_string()).collect());
        Ok(Self { classes, numbered, labels, notes })
    }

    fn named(rows: &[Row], of: &[Label], names: Option<&Names>, index: &HashMap<&str, u32>, path: &Path) -> Result<Self> {
        let mut classes: Vec<String> = names.into_iter().flatten().map(|(name, _)| name.clone()).collect();
        let mut index = index.clone();
        let mut labels = Vec::with_capacity(rows.len());
        for (row, of) in rows.iter().zip(of) {
            let (class, next) = (row.class.trim(), classes.len() as u32);
            let label = match index.get(class) {
                Some(&known) => Some(known),
                None if *of == Label::None => None,
                None if names.is_some() => {
                    return Err(wrong(row, format!("class \"{}\" is not among the class names", shown(class)), path));
                }
                None if class.contains('/') => return Err(wrong(row, format!("class \"{}\" holds a /", shown(class)), path)),
                None => {
                    classes.push(class.to_owned());
                    index.insert(class, next);
                    Some(next)
                }
            };
            labels.push(label);
        }
        let numbered = all_numbers(&classes); // in the order of --class-names then
        let mut by_case: HashMap<String, &String> = HashMap::new();
        let alike = classes.iter().find_map(|c| by_case.insert(c.to_lowercase(), c).map(|before| (before, c)));
        let alike = alike.map(|(a, b)| format!("classes \"{}\" and \"{}\" differ in case alone and are two", shown(a), shown(b)));
        let notes = alike.into_iter().collect();
        Ok(Self { classes, numbered, labels, notes })
    }
}

/// Where class names that are numbers stand, if they are not 0, 1, 2, ...: a label means the class that is called so, not the n-th.
pub fn places(names: &Names) -> Option<HashMap<u64, u32>> {
    let number = |name: &str| if let Label::Number(n) = Label::of(name) { Some(n) } else { None };
    let places: HashMap<u64, u32> = names.iter().zip(0..).map(|((n, _), i)| Some((number(n)?, i))).collect::<Option<_>>()?;
    places.iter().any(|(n, i)| *n != u64::from(*i)).then_some(places)
}

/// What to say where named classes are sorted otherwise than they were numbered.
pub fn moved(named: &[String]) -> Option<String> {
    let at = (1..named.len()).find(|&i| named[i] < named[i - 1]).filter(|_| !all_numbers(named))?;
    Some(format!(
        "numbered classes have names and are sorted by them, as folders are: number {at} is \"{}\" and no longer class {at}",
        shown(&named[at])
    ))
}

/// Refuses classes of one image each, which are ids or names of files.
///
/// # Errors
/// `Usage`, with two of them.
pub fn refuse_all_different(count: usize, distinct: usize, first_two: &str, path: &str) -> Result<()> {
    if count < ALL_DIFFERENT || distinct < count {
        return Ok(());
    }
    Err(Error::usage(format!("each of {count} images would be a class of its own"))
        .at(path)
        .because(format!("the labels are all different: {first_two}"))
        .next("--label-column NAME or its number from 1 says which column holds the class; --class-names FILE lists the classes if they are right"))
}

/// Class names that are numbers themselves keep their order, as numbers do.
pub fn all_numbers(names: &[String]) -> bool {
    !names.is_empty() && names.iter().all(|n| matches!(Label::of(n), Label::Number(_)))
}

fn told(row: &Row) -> String {
    let place = row.line.map_or_else(|| shown(&row.picture), |line| format!("line {line}"));
    format!("{place}: \"{}\"", shown(&row.class))
}

fn wrong(row: &Row, what: String, path: &Path) -> Error {
    let place = row.line.map_or_else(|| shown(&row.picture), |line| format!("line {line}"));
    Error::data(format!("{place}: {what}"))
        .at(path.display().to_string())
        .because("labels and class names of different datasets, or a wrong column")
        .next("--label-column NAME or its number from 1 says which column holds the class")
}

/// Names for numbered classes: the folders of their images, at the first depth where each class has one of its own. Folders that are only
/// numbers say no more than the labels.
fn names_by_folder<'a, I: Iterator<Item = (u32, &'a str)>>(count: usize, pictures: impl Fn() -> I) -> Option<Vec<String>> {
    let depth = pictures().map(|(_, path)| path.matches('/').count()).min().unwrap_or(0);
    if count < 2 {
        return None;
    }
    (0..depth).find_map(|level| {
        let mut names: Vec<Option<&str>> = vec![None; count];
        for (label, path) in pictures() {
            let folder = path.split('/').nth(level)?;
            if *names.get_mut(label as usize)?.get_or_insert(folder) != folder {
                return None;
            }
        }
        let names: Vec<&str> = names.into_iter().collect::<Option<_>>()?;
        let apart = names.iter().collect::<HashSet<_>>().len() == count;
        let usable = |n: &&str| !matches!(*n, "" | "." | "..") && Label::of(n) == Label::Name;
        (apart && names.iter().all(usable)).then(|| names.into_iter().map(str::to_owned).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(rows: &[(&str, &str)], names: Option<&[&str]>) -> Result<Resolved> {
        let names: Option<Names> = names.map(|n| n.iter().map(|n| ((*n).to_owned(), String::new())).collect());
        let row =
            |(i, (picture, class)): (usize, &(&str, &str))| Row { line: Some(i + 1), picture: (*picture).into(), class: (*class).into() };
        Resolved::new(&rows.iter().enumerate().map(row).collect::<Vec<_>>(), names.as_ref(), Path::new("l.txt"))
    }

    #[test]
    fn texts_are_numbers_names_or_nothing() {
        for (text, label) in [
            ("3", Label::Number(3)),
            (" 3.0 ", Label::Number(3)),
            ("1.000000000000000000e+01", Label::Number(10)),
            ("+2", Label::Number(2)),
            ("-0", Label::Number(0)),
            ("99999999999999999999", Label::Number(u64::MAX)),
            ("-1", Label::None),
            ("-1.0", Label::None),
            ("", Label::None),
            ("2.5", Label::Fraction),
            ("1e300", Label::Fraction),
            ("n01440764", Label::Name),
            ("e3", Label::Name),
            ("nan", Label::Name),
            ("-", Label::Name),
            ("3a", Label::Name),
        ] {
            assert_eq!(Label::of(text), label, "{text}");
        }
    }

    #[test]
    fn one_odd_label_leaves_numbers_their_order() {
        let r = resolve(&[("a", "2"), ("b", "-1"), ("c", "10.0"), ("d", ""), ("e", "nan")], None).unwrap();
        assert_eq!(r.labels, [Some(2), None, Some(10), None, None]);
        assert!(r.numbered && r.classes.len() == 11 && r.classes[10] == "10");
        let r = resolve(&[("a", "dog"), ("b", "-1"), ("c", ""), ("d", "none"), ("e", "dog")], None).unwrap();
        assert_eq!((r.labels, r.classes), (vec![Some(0), None, None, Some(1), Some(0)], vec!["dog".to_owned(), "none".to_owned()]));
    }

    #[test]
    fn names_among_numbers_are_asked_about() {
        for odd in ["dog", "4x"] {
            let error = resolve(&[("a", "1"), ("b", odd), ("c", "2")], None).unwrap_err();
            let text = error.to_string();
            assert!(error.exit_code() == 2 && text.contains("line 1: \"1\"; line 2: ") && text.contains("--class-names"), "{text}");
        }
        assert!(resolve(&[("a", "1"), ("b", "2.5")], None).unwrap_err().to_string().contains("line 2: class 2.5 is no whole number"));
        let numbers: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        let r = resolve(&[("a", "2"), ("b", "10")], Some(&numbers)).unwrap();
        assert!(r.numbered && r.labels == [Some(2), Some(10)] && r.classes[10] == "10");
        // The answer to it, as of letters and digits.
        let r = resolve(&[("a", "1"), ("b", "A"), ("c", "0")], Some(&["0", "1", "A"])).unwrap();
        assert_eq!(r.labels, [Some(1), Some(2), Some(0)]);
        assert!(resolve(&[("a", "1"), ("b", "A"), ("c", "7")], Some(&["0", "1", "A"])).is_err());
    }

    #[test]
    fn numbers_that_are_names_are_meant_by_name() {
        let r = resolve(&[("a", "1"), ("b", "3.0"), ("c", "")], Some(&["1", "2", "3"])).unwrap();
        assert_eq!((r.labels, r.numbered), (vec![Some(0), Some(2), None], true));
        let error = resolve(&[("a", "0"), ("b", "1")], Some(&["1", "2", "3"])).unwrap_err().to_string();
        assert!(error.contains("line 1: class 0 is not among the class names, which are numbers from 1"), "{error}");
    }

    #[test]
    fn folders_name_numbers() {
        let r = resolve(&[("d/n02/x", "1"), ("d/n01/x", "0"), ("d/n02/y", "1")], None).unwrap();
        assert_eq!((r.classes, r.numbered, r.notes.len()), (vec!["n01".to_owned(), "n02".to_owned()], false, 0));
        let r = resolve(&[("dog/x", "0"), ("cat/x", "1")], None).unwrap();
        assert!(!r.numbered && r.notes[0].contains("number 1 is \"cat\""), "{:?}", r.notes);
        assert!(resolve(&[("img/x", "0"), ("img/x", "1")], None).unwrap().numbered);
        assert!(resolve(&[("10/x", "1"), ("2/x", "0")], None).unwrap().numbered, "folders that are numbers say nothing more");
        assert!(resolve(&[("img/x", "0")], None).unwrap().numbered);
    }
}
