//! Which column of a list names the images and which holds their class, by looking: at what is there, not at what the header calls it.
//!
//! The images' column is the one whose fields name files that are there or end like images. The class is in the one that is left; of
//! several, in the one whose header says so, or the only one whose values repeat. Columns of one value, of running numbers, of fractions,
//! and boxes (four numbers) hold no class. A column of `train`, `val` or `test` says which split a row is of, and the rows of the other
//! splits are left out. What stays ambiguous is an error that shows two lines and asks for `--image-column` or `--label-column`.

use super::arrange::{is_wnid, shown};
use super::resolve::{Label, Row};
use super::split_extension;
use super::splits::Part;
use super::table::{SEPARATORS, Separator, Text};
use crate::data::manifest::Split;
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// What the user says about the columns.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    pub image: Option<&'a str>,
    pub label: Option<&'a str>,
    pub split: Split,
}

/// Words that headers have for the class, and for the images.
const CLASS_WORDS: [&str; 15] = [
    "label",
    "labels",
    "class",
    "classes",
    "class_id",
    "classid",
    "class_name",
    "target",
    "category",
    "category_id",
    "synset",
    "wnid",
    "species",
    "breed",
    "predictionstring",
];
const IMAGE_WORDS: [&str; 12] =
    ["image", "images", "image_id", "imageid", "id", "file", "filename", "file_name", "path", "filepath", "img", "name"];

type Fields<'t> = Vec<Cow<'t, str>>;

/// The rows of `text`; `there` says whether a field names an image that is there.
///
/// # Errors
/// `Data` for a line with other columns than the rest; `Usage` where looking does not tell the columns.
pub fn rows(text: &Text<'_>, wanted: &Wanted<'_>, there: &dyn Fn(&str) -> bool) -> Result<(Vec<Row>, Vec<String>)> {
    let sample = text.sample();
    let Some((separator, width, image)) = separator(&sample, there) else { return Err(no_columns(text)) };
    let even = sample.iter().map(|(line, l)| (*line, separator.fields(l))).filter(|(_, f)| f.len() == width);
    let (lines, all): (Vec<usize>, Vec<Fields<'_>>) = even.unzip();
    let head = all.first().cloned().unwrap_or_default();
    let chosen = |name: Option<&str>, flag: &str| name.map(|n| by_name(n, flag, &head, width, text)).transpose();
    let (asked_image, asked_label) = (chosen(wanted.image, "--image-column")?, chosen(wanted.label, "--label-column")?);
    let by_header = [wanted.image, wanted.label].into_iter().flatten().any(|n| n.parse::<usize>().is_err());
    let image = match asked_image {
        Some(i) => i,
        None => image.ok_or_else(|| ask("cannot tell which column names the images", "--image-column", text, &head, &[]))?,
    };
    let header = all.len() > 1 && (by_header || is_header(&all, image, asked_label, there));
    let body = &all[usize::from(header).min(all.len())..];
    let (splits, mut classes) = candidates(body, &lines[lines.len() - body.len()..], width, image);
    let flag = if header { flag_column(&head, body, image) } else { None };
    if flag.is_some_and(|f| classes.len() > 1 && Some(f.column) != asked_label) {
        classes.retain(|&c| flag.is_none_or(|f| f.column != c));
    }
    let label = match asked_label {
        Some(i) if i == image => return Err(ask("the columns of images and classes are the same", "--label-column", text, &head, &[])),
        Some(i) => i,
        None => choose(&classes, body, header.then_some(&head), image)
            .ok_or_else(|| ask("cannot tell which column holds the class", "--label-column", text, &head, &classes))?,
    };
    let boxes = header && head[label].eq_ignore_ascii_case("PredictionString") || is_solution(body, label);
    let splits = splits.filter(|&s| s != label);
    let flag = flag.filter(|f| splits.is_none() && f.column != label);
    let part_of = |fields: &Fields<'_>| match (splits, flag) {
        (Some(s), _) => Part::of_folder(&fields[s]),
        (None, Some(f)) => truth(&fields[f.column]).map(|yes| if yes { f.yes } else { f.no }),
        (None, None) => None,
    };
    let (mut rows, mut others, mut parts) = (Vec::new(), 0usize, HashSet::new());
    for (i, (line, content)) in text.lines().enumerate() {
        if i == 0 && header {
            continue;
        }
        let mut fields = separator.fields(content);
        // The label is missing, and the separator before it is not seen.
        if fields.len() + 1 == width
            && label + 1 == width
            && matches!(separator, Separator::Blanks | Separator::Last)
            && names(&fields[image], there)
        {
            fields.push(Cow::Borrowed(""));
        }
        if fields.len() != width || fields[image].is_empty() {
            let what = format!("line {line}: expected an image and its class in {width} columns, found \"{}\"", shown(content));
            return Err(Error::data(what).at(text.path.display().to_string()).next("one image a line, every line with the same columns"));
        }
        if let Some(part) = part_of(&fields) {
            parts.insert(part);
            if part != Part::from(wanted.split) {
                others += 1;
                continue;
            }
        }
        let class = if boxes { fields[label].split_whitespace().next().unwrap_or("") } else { &fields[label] };
        rows.push(Row { line: Some(line), picture: fields[image].to_string(), class: class.to_owned() });
    }
    let mut notes = Vec::new();
    if let Some(s) = splits.or(flag.map(|f| f.column)) {
        let mut there: Vec<&str> = parts.iter().map(|p| p.name()).collect();
        there.sort_unstable();
        if rows.is_empty() {
            return Err(Error::usage(format!("no line of the split {}: column {} names {}", wanted.split.name(), s + 1, there.join(", ")))
                .at(text.path.display().to_string())
                .next("another --split"));
        }
        notes.push(format!(
            "column {} of the list names the split: {} lines of {}, {others} of others",
            s + 1,
            rows.len(),
            wanted.split.name()
        ));
    }
    if width > 2 {
        notes.push(format!("images from column {}, classes from column {}{}", image + 1, label + 1, called(&head, label, header)));
    }
    Ok((rows, notes))
}

/// Whether a field names an image.
fn names(field: &str, there: &dyn Fn(&str) -> bool) -> bool {
    split_extension(field).1.is_some() || there(field)
}

/// Separator, number of columns and the images' column: where most lines have as many columns, and most fields of one name images.
fn separator(sample: &[(usize, &str)], there: &dyn Fn(&str) -> bool) -> Option<(Separator, usize, Option<usize>)> {
    let mut best: Option<(usize, Separator, usize, Option<usize>)> = None;
    for separator in SEPARATORS {
        let lines: Vec<Fields<'_>> = sample.iter().map(|(_, l)| separator.fields(l)).collect();
        let mut widths: HashMap<usize, usize> = HashMap::new();
        lines.iter().for_each(|f| *widths.entry(f.len()).or_default() += 1);
        let Some((&width, &count)) = widths.iter().filter(|(w, _)| **w >= 2).max_by_key(|(w, n)| (**n, **w)) else { continue };
        if 2 * count < lines.len() {
            continue;
        }
        let even: Vec<&Fields<'_>> = lines.iter().filter(|f| f.len() == width).collect();
        let (image, named, found) = image_column(&even, width, there);
        let score = named + found;
        if best.is_none_or(|(s, ..)| score > s) {
            best = Some((score, separator, width, image));
        }
    }
    best.map(|(_, separator, width, image)| (separator, width, image))
}

/// The column that names images, in how many lines it does, and in how many these are there. `None` where none does, or several do and
/// not the same.
fn image_column(lines: &[&Fields<'_>], width: usize, there: &dyn Fn(&str) -> bool) -> (Option<usize>, usize, usize) {
    let count = |c: usize, test: &dyn Fn(&str) -> bool| lines.iter().filter(|f| test(&f[c])).count();
    let ends: Vec<usize> = (0..width).map(|c| count(c, &|f| split_extension(f).1.is_some())).collect();
    let found: Vec<usize> = (0..width).map(|c| count(c, there)).collect();
    let distinct = |c: usize| lines.iter().map(|f| &f[c]).collect::<HashSet<_>>().len();
    let by_ending = ends.iter().any(|&n| 2 * n >= lines.len().max(1));
    let score = |c: usize| if by_ending { ends[c] } else { found[c] };
    let most = (0..width).map(score).max().unwrap_or(0);
    if most == 0 {
        return (None, 0, 0);
    }
    let mut able: Vec<usize> = (0..width).filter(|&c| 2 * score(c) >= most).collect();
    let there_most = able.iter().map(|&c| found[c]).max().unwrap_or(0);
    able.retain(|&c| 2 * found[c] >= there_most);
    // Ids and labels that are numbers may both be called like files; those of the images hardly repeat.
    let distinct_most = able.iter().map(|&c| distinct(c)).max().unwrap_or(0);
    able.retain(|&c| if distinct_most == lines.len() { distinct(c) == distinct_most } else { 2 * distinct(c) > distinct_most });
    // The first line may be a header.
    let same =
        |a: usize, b: usize| lines.iter().skip(1).filter(|f| super::stem(&f[a]) == super::stem(&f[b])).count() * 10 + 9 >= lines.len() * 9;
    // A path rather than its last part, which it holds.
    able.sort_by_key(|&c| std::cmp::Reverse(lines.last().map_or(0, |f| f[c].matches('/').count())));
    let first = able.first().copied().filter(|&f| able.iter().all(|&c| same(f, c)));
    (first, most, there_most)
}

/// A column by the name in the header, or its number from 1.
fn by_name(name: &str, flag: &str, head: &Fields<'_>, width: usize, text: &Text<'_>) -> Result<usize> {
    let by_name = head.iter().position(|h| h.trim() == name).or_else(|| head.iter().position(|h| h.trim().eq_ignore_ascii_case(name)));
    let number = name.parse::<usize>().ok().filter(|n| (1..=width).contains(n)).map(|n| n - 1);
    by_name.or(number).ok_or_else(|| ask(&format!("no column \"{}\"", shown(name)), flag, text, head, &[]))
}

/// Whether the first line says what the columns are.
fn is_header(all: &[Fields<'_>], image: usize, label: Option<usize>, there: &dyn Fn(&str) -> bool) -> bool {
    let (first, body) = (&all[0], &all[1..]);
    if names(&first[image], there) {
        return false;
    }
    let share = body.iter().filter(|f| names(&f[image], there)).count() as f64 / body.len() as f64;
    let word = |f: &str, words: &[&str]| words.iter().any(|w| f.trim().eq_ignore_ascii_case(w));
    let said = word(&first[image], &IMAGE_WORDS) || first.iter().enumerate().any(|(i, f)| i != image && word(f, &CLASS_WORDS));
    let others = (0..first.len()).filter(|&c| c != image && label.is_none_or(|l| c == l));
    let number = |f: &str| matches!(Label::of(f), Label::Number(_) | Label::Fraction);
    let kind =
        others.clone().any(|c| Label::of(&first[c]) == Label::Name && body.iter().filter(|f| number(&f[c])).count() * 2 > body.len());
    let unique = others.clone().all(|c| Label::of(&first[c]) == Label::Name && body.iter().all(|f| f[c] != first[c]));
    said || kind || unique && (share > 0.9 || split_extension(&body[0][image]).1.is_some() && share > 0.5)
}

/// A column that says by yes or no which split a row is of, as fastai's `is_valid`.
#[derive(Clone, Copy)]
struct Flag {
    column: usize,
    yes: Part,
    no: Part,
}

fn flag_column(head: &Fields<'_>, body: &[Fields<'_>], image: usize) -> Option<Flag> {
    let named = |column: usize| {
        let word: String = head[column].chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
        let (yes, no) = match word.as_str() {
            "isvalid" | "valid" | "isval" | "val" | "isvalidation" | "validation" => (Part::Val, Part::Train),
            "istrain" | "train" | "training" | "istraining" => (Part::Train, Part::Val),
            "istest" | "test" => (Part::Test, Part::Train),
            _ => return None,
        };
        Some(Flag { column, yes, no })
    };
    let told = |f: &Flag| body.iter().all(|fields| truth(&fields[f.column]).is_some());
    (0..head.len()).filter(|&c| c != image).filter_map(named).find(told)
}

fn truth(field: &str) -> Option<bool> {
    match field.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "t" | "y" | "1.0" => Some(true),
        "0" | "false" | "no" | "f" | "n" | "0.0" => Some(false),
        _ => None,
    }
}

/// The columns that may hold classes, and one that names splits.
fn candidates(body: &[Fields<'_>], lines: &[usize], width: usize, image: usize) -> (Option<usize>, Vec<usize>) {
    let cells = |c: usize| body.iter().map(move |f| f[c].as_ref());
    let rest: Vec<usize> = (0..width).filter(|&c| c != image).collect();
    if rest.len() == 1 {
        return (None, rest);
    }
    let is_split = |&c: &usize| cells(c).all(|f| Part::of_folder(f).is_some());
    let split = rest.iter().copied().find(is_split);
    let mut able: Vec<usize> = rest.iter().copied().filter(|c| Some(*c) != split && cells(*c).any(|f| !f.is_empty())).collect();
    let keep = |able: &mut Vec<usize>, test: &dyn Fn(usize) -> bool| {
        if able.iter().any(|&c| test(c)) {
            able.retain(|&c| test(c));
        }
    };
    let number = |f: &str| if let Label::Number(n) = Label::of(f) { Some(n) } else { None };
    let running = |c: usize| {
        let ahead = |(f, line): (&str, &usize)| number(f).map(|n| n as i128 - *line as i128);
        let first = cells(c).zip(lines).next().and_then(ahead);
        first.is_some() && cells(c).zip(lines).all(|cell| ahead(cell) == first)
    };
    keep(&mut able, &|c| cells(c).all(|f| Label::of(f) != Label::Fraction));
    keep(&mut able, &|c| cells(c).collect::<HashSet<_>>().len() > 1);
    keep(&mut able, &|c| !running(c));
    // Two columns name the images of these rows: a path and its last part.
    keep(&mut able, &|c| !cells(c).all(|f| split_extension(f).1.is_some()));
    (split, able)
}

/// The one that holds the class.
fn choose(able: &[usize], body: &[Fields<'_>], head: Option<&Fields<'_>>, image: usize) -> Option<usize> {
    if let [one] = able {
        return Some(*one);
    }
    let cells = |c: usize| body.iter().map(move |f| f[c].as_ref());
    let said: Vec<usize> = head.map_or_else(Vec::new, |head| {
        able.iter().copied().filter(|&c| CLASS_WORDS.iter().any(|w| head[c].trim().eq_ignore_ascii_case(w))).collect()
    });
    if let [one] = said[..] {
        return Some(one);
    }
    // Numbers and their names say the same; names say more.
    let (numeric, named): (Vec<usize>, Vec<usize>) = able.iter().partition(|&&c| cells(c).all(|f| Label::of(f) != Label::Name));
    let pairs = |a: usize, b: usize| {
        let both: HashSet<(&str, &str)> = cells(a).zip(cells(b)).collect();
        both.len() == cells(a).collect::<HashSet<_>>().len() && both.len() == cells(b).collect::<HashSet<_>>().len()
    };
    match (&numeric[..], &named[..]) {
        ([number], [name]) if pairs(*number, *name) && cells(*name).collect::<HashSet<_>>().len() < body.len() => Some(*name),
        // Without a header: a class and a box, as in Tiny-ImageNet's annotations. Of the box, columns of one value are gone already.
        (_, [name]) if head.is_none() && body.first().is_some_and(|f| f.len() == 6) => {
            let boxed = (0..6).filter(|c| *c != image && c != name).all(|c| cells(c).all(|f| Label::of(f) != Label::Name));
            boxed.then_some(*name)
        }
        _ => None,
    }
}

/// Kaggle's `PredictionString`: `n01440764 1 2 3 4`, and again for each box.
fn is_solution(body: &[Fields<'_>], label: usize) -> bool {
    let one = |f: &str| {
        let words: Vec<&str> = f.split_whitespace().collect();
        words.len().is_multiple_of(5) && words.chunks(5).all(|c| is_wnid(c[0]) && c[1..].iter().all(|n| n.parse::<f64>().is_ok()))
    };
    !body.is_empty() && body.iter().all(|f| f[label].is_empty() || one(&f[label]))
}

fn called(head: &Fields<'_>, column: usize, header: bool) -> String {
    if header { format!(" ({})", shown(&head[column])) } else { String::new() }
}

fn no_columns(text: &Text<'_>) -> Error {
    let (line, content) = text.lines().next().unwrap_or((1, ""));
    Error::data(format!("line {line}: expected an image and its class, found \"{}\"", shown(content)))
        .at(text.path.display().to_string())
        .next("one image a line: PATH CLASS")
}

fn ask(what: &str, flag: &str, text: &Text<'_>, head: &Fields<'_>, able: &[usize]) -> Error {
    let columns: Vec<String> = (0..head.len()).map(|c| format!("{} \"{}\"", c + 1, shown(&head[c]))).collect();
    let able: Vec<String> = able.iter().map(|c| (c + 1).to_string()).collect();
    let which = if able.is_empty() { String::new() } else { format!(": {} may", able.join(", ")) };
    Error::usage(format!("{what}{which}"))
        .at(text.path.display().to_string())
        .because(format!("the lines look so: {}; columns: {}", text.first_two(), columns.join(", ")))
        .next(format!("{flag} NAME, or its number from 1"))
}
