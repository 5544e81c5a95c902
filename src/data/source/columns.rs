//! Which column of a list names the images and which holds their class, by looking: at what is there, not at what the header calls it.
//!
//! The images' column is the one whose fields name files that are there or end like images. The class is in the one that is left; of
//! several, in the one whose header says so, or the only one whose values repeat. Columns of one value, of running numbers, of fractions,
//! and boxes (four numbers) hold no class. A column of `train`, `val` or `test` says which split a row is of, and the rows of the other
//! splits are left out. What stays ambiguous is an error that shows two lines and asks for `--image-column` or `--label-column`.

use super::arrange::{is_wnid, shown};
use super::paths;
use super::resolve::{Label, Row};
use super::split_column::{Chooser, flag_column, no_numbers};
use super::split_extension;
use super::splits::Part;
use super::table::{SEPARATORS, Separator, Text};
use super::words;
use crate::error::{Error, Result};
use crate::text::counted;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// What the user says about the columns.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    pub image: Option<&'a str>,
    pub label: Option<&'a str>,
    /// The split whose lines are read where a column or folders say one; where there are none of it, the second.
    pub parts: [Part; 2],
}

/// What a list says.
#[derive(Debug, Default)]
pub struct Lines {
    pub rows: Vec<Row>,
    /// Images of lines that are of another split.
    pub others: Vec<String>,
    pub notes: Vec<String>,
}

pub type Fields<'t> = Vec<Cow<'t, str>>;

/// The rows of `text`; `there` says whether a field names an image that is there.
///
/// # Errors
/// `Data` for a line with other columns than the rest; `Usage` where looking does not tell the columns.
pub fn rows(text: &Text<'_>, wanted: &Wanted<'_>, there: &dyn Fn(&str) -> bool) -> Result<Lines> {
    let sample = text.sample();
    if sample.is_empty() {
        return Err(Error::data("no lines").at(text.path.display().to_string()).next("one image a line: PATH CLASS"));
    }
    if !text.keyed && paths::alone(&sample) {
        return paths::rows(text, there);
    }
    let Some((separator, width, image)) = separator(text, &sample, there) else { return paths::rows(text, there) };
    let even = sample.iter().map(|(line, l)| (*line, fields(separator, l, width))).filter(|(_, f)| f.len() == width);
    let (lines, all): (Vec<usize>, Vec<Fields<'_>>) = even.unzip();
    let head = all.first().cloned().unwrap_or_default();
    let chosen = |name: Option<&str>, flag: &str| name.map(|n| by_name(n, flag, &head, width, text)).transpose();
    let (asked_image, asked_label) = (chosen(wanted.image, "--image-column")?, chosen(wanted.label, "--label-column")?);
    let by_header = [wanted.image, wanted.label].into_iter().flatten().any(|n| n.parse::<usize>().is_err());
    let image = match asked_image {
        Some(i) => i,
        None => image.ok_or_else(|| no_images(text, &all, &head))?,
    };
    let header = text.keyed || all.len() > 1 && (by_header || is_header(&all, image, asked_label, there));
    let body = &all[usize::from(header).min(all.len())..];
    let named = header.then_some(&head);
    let (splits, mut classes) = candidates(body, &lines[lines.len() - body.len()..], width, image, named);
    let flag = named.and_then(|head| flag_column(head, body, image));
    if flag.is_some_and(|f| classes.len() > 1 && Some(f.column) != asked_label) {
        classes.retain(|&c| flag.is_none_or(|f| f.column != c));
    }
    let label = match asked_label {
        Some(i) if i == image => return Err(ask("the columns of images and classes are the same", "--label-column", text, &head, &[])),
        Some(i) => i,
        None => {
            let label = choose(&classes, body, named, image)
                .ok_or_else(|| ask("cannot tell which column holds the class", "--label-column", text, &head, &classes))?;
            if separator == Separator::Blanks && several_words(body, image, named) {
                let able = classes.iter().map(|c| format!("--label-column {}", c + 1)).collect::<Vec<_>>().join(", or ");
                return Err(ask("cannot tell a class of several words from several columns", "--label-column", text, &head, &classes)
                    .next(format!("a tab or a comma between image and class, if it has several words; else {able}")));
            }
            if are_ids(body, label, image, named) {
                let what = format!("column {} numbers the images, and no column is left that may hold their class", label + 1);
                return Err(ask(&what, "--label-column", text, &head, &[label]));
            }
            label
        }
    };
    let boxes = header && head[label].eq_ignore_ascii_case("PredictionString") || is_solution(body, label);
    let splits = splits.filter(|&s| s != label);
    let flag = flag.filter(|f| splits.is_none() && f.column != label);
    let mut chooser = Chooser::new(splits, flag);
    let mut again = 0;
    if splits.is_none() && flag.is_none() {
        no_numbers(text, named, body, &[image, label], wanted)?;
    }
    for (i, (line, content)) in text.lines().enumerate() {
        if i == 0 && header {
            continue;
        }
        let mut fields = fields(separator, content, width);
        // Of a file that was put behind another.
        if header && !text.keyed && fields == head {
            again += 1;
            continue;
        }
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
        let class = if boxes { fields[label].split_whitespace().next().unwrap_or("") } else { &fields[label] };
        let row = Row { line: text.numbered.then_some(line), picture: fields[image].to_string(), class: class.to_owned() };
        chooser.add(&fields, row);
    }
    let (mut lines, mut notes) = (chooser.chosen(text, wanted)?, Vec::new());
    notes.append(&mut lines.notes);
    if again > 0 {
        notes.push(format!("skipped {}: the header again", counted(again, "line")));
    }
    let unused = |c: &usize| words::is_split(&head[*c]) && ![Some(label), Some(image), splits].contains(&Some(*c));
    if let Some(c) = (0..head.len()).find(|c| header && unused(c)) {
        notes.push(format!("column {} ({}) is not used: it holds no words such as train, val and test", c + 1, shown(&head[c])));
    }
    if width > 2 {
        notes.push(format!("images from column {}, classes from column {}{}", image + 1, label + 1, called(&head, label, header)));
    }
    Ok(Lines { notes, ..lines })
}

/// How the lines of a text are made.
pub struct Shape<'t> {
    separator: Separator,
    pub width: usize,
    /// The column that names the images.
    pub image: usize,
    pub head: Option<Fields<'t>>,
}

impl<'t> Shape<'t> {
    pub fn of(text: &'t Text<'_>, there: &dyn Fn(&str) -> bool) -> Option<Self> {
        let sample = text.sample();
        let (separator, width, image) = separator(text, &sample, there)?;
        let all: Vec<Fields<'_>> = sample.iter().map(|(_, l)| fields(separator, l, width)).filter(|f| f.len() == width).collect();
        let image = image?;
        let header = text.keyed || all.len() > 1 && is_header(&all, image, None, there);
        Some(Self { separator, width, image, head: all.into_iter().next().filter(|_| header) })
    }

    /// Whether a column measures: numbers that are all different, or not all whole.
    pub fn measures(&self, text: &Text<'_>, column: usize) -> bool {
        let (mut seen, mut fraction, mut again) = (HashSet::new(), false, false);
        for (_, line) in text.lines().skip(usize::from(self.head.is_some())) {
            let fields = fields(self.separator, line, self.width);
            let Some(cell) = fields.get(column).map(|c| c.trim()).filter(|c| !c.is_empty()) else { continue };
            match Label::of(cell) {
                Label::Name => return false,
                kind => fraction |= kind == Label::Fraction,
            }
            again |= !seen.insert(cell.to_owned());
        }
        fraction || !again && seen.len() > 2
    }
}

/// The fields of a line, without empty ones beyond the last column.
fn fields(separator: Separator, line: &str, width: usize) -> Fields<'_> {
    let mut fields = separator.fields(line);
    trim(&mut fields, width);
    fields
}

fn trim(fields: &mut Fields<'_>, width: usize) {
    while fields.len() > width && fields.last().is_some_and(|f| f.is_empty()) {
        fields.pop();
    }
}

/// Whether a field names an image.
pub fn names(field: &str, there: &dyn Fn(&str) -> bool) -> bool {
    split_extension(field).1.is_some() || there(field)
}

/// Separator, number of columns and the images' column: where most lines have as many columns, and most fields of one name images.
fn separator(text: &Text<'_>, sample: &[(usize, &str)], there: &dyn Fn(&str) -> bool) -> Option<(Separator, usize, Option<usize>)> {
    let mut best: Option<(usize, Separator, usize, Option<usize>)> = None;
    for separator in SEPARATORS {
        if text.keyed && separator != Separator::Char(',') {
            continue;
        }
        let mut lines: Vec<Fields<'_>> = sample.iter().map(|(_, l)| separator.fields(l)).collect();
        let mut widths: HashMap<usize, usize> = HashMap::new();
        lines.iter().for_each(|f| *widths.entry(f.len()).or_default() += 1);
        let Some((&width, _)) = widths.iter().filter(|(w, _)| **w >= 2).max_by_key(|(w, n)| (**n, **w)) else { continue };
        // Columns at the end that are empty everywhere are none, as a spreadsheet leaves them.
        let said = |f: &Fields<'_>| f.iter().rposition(|f| !f.is_empty()).map_or(0, |last| last + 1);
        let width = lines.iter().filter(|f| f.len() == width).map(said).max().unwrap_or(width).max(2);
        lines.iter_mut().for_each(|f| trim(f, width));
        let count = lines.iter().filter(|f| f.len() == width).count();
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
    let said = words::is_image(&first[image]) || first.iter().enumerate().any(|(i, f)| i != image && words::is_class(f));
    let others = (0..first.len()).filter(|&c| c != image && label.is_none_or(|l| c == l));
    let number = |f: &str| matches!(Label::of(f), Label::Number(_) | Label::Fraction);
    let kind =
        others.clone().any(|c| Label::of(&first[c]) == Label::Name && body.iter().filter(|f| number(&f[c])).count() * 2 > body.len());
    let unique = others.clone().all(|c| Label::of(&first[c]) == Label::Name && body.iter().all(|f| f[c] != first[c]));
    said || kind || unique && (share > 0.9 || split_extension(&body[0][image]).1.is_some() && share > 0.5)
}

/// The columns that may hold classes, and one that names splits.
fn candidates(body: &[Fields<'_>], lines: &[usize], width: usize, image: usize, head: Option<&Fields<'_>>) -> (Option<usize>, Vec<usize>) {
    let cells = |c: usize| body.iter().map(move |f| f[c].as_ref());
    let mut rest: Vec<usize> = (0..width).filter(|&c| c != image).collect();
    let called = |c: usize, is: fn(&str) -> bool| head.is_some_and(|h| is(&h[c]));
    // A column that is called so may have other words too, of images that are in neither split.
    let is_split = |&c: &usize| {
        let known = cells(c).filter(|f| Part::of_folder(f).is_some()).count();
        known > 0 && (known == body.len() || called(c, words::is_split))
    };
    let split = rest.iter().copied().find(is_split).filter(|&s| rest.len() > 1 || called(s, words::is_split));
    let boxed = head.is_some_and(|h| words::boxes(h.iter().map(AsRef::as_ref)) >= 4);
    rest.retain(|&c| !(boxed && called(c, words::is_box)));
    rest.retain(|&c| !called(c, words::is_about) && (!called(c, words::is_split) || called(c, words::is_class)));
    if width > 2 {
        rest.retain(|&c| cells(c).any(|f| !f.is_empty()));
    }
    if rest.len() <= 1 && split.is_none() {
        return (None, rest);
    }
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
        body.len() > 2 && first.is_some() && cells(c).zip(lines).all(|cell| ahead(cell) == first)
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
    let said: Vec<usize> = head.map_or_else(Vec::new, |head| able.iter().copied().filter(|&c| words::is_class(&head[c])).collect());
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

/// Whether a column numbers the images, as ids do that another file gives classes to (CUB-200's `images.txt`, those of NABirds with
/// letters): all different, and before the names or called so.
fn are_ids(body: &[Fields<'_>], label: usize, image: usize, head: Option<&Fields<'_>>) -> bool {
    let distinct: HashSet<&str> = body.iter().map(|f| f[label].as_ref()).collect();
    let id = |f: &str| f.bytes().any(|b| b.is_ascii_digit()) && !is_wnid(f);
    let numbers = body.iter().all(|f| id(&f[label]));
    let called = head.is_some_and(|h| words::is_number(&h[label]));
    body.len() > 1 && numbers && distinct.len() == body.len() && (called || head.is_none() && label < image)
}

/// Whether blanks may separate the words of a class rather than columns: `a.png house cat`.
fn several_words(body: &[Fields<'_>], image: usize, head: Option<&Fields<'_>>) -> bool {
    let words = |f: &Fields<'_>| f.iter().enumerate().all(|(i, f)| i == image || Label::of(f) == Label::Name);
    head.is_none() && body.first().is_some_and(|f| f.len() > 2) && body.iter().all(words)
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

fn no_images(text: &Text<'_>, all: &[Fields<'_>], head: &Fields<'_>) -> Error {
    let numbers = all.iter().skip(1).all(|f| f.iter().all(|f| matches!(Label::of(f), Label::Number(_))));
    if all.len() > 1 && numbers {
        return Error::usage("no column names images that are there: all columns are numbers")
            .at(text.path.display().to_string())
            .because(format!("ids of images that another file names, as in CUB-200, or labels of other images; {}", text.first_two()))
            .next("give lines PATH CLASS; for CUB-200 --input CUB_200_2011/images, whose folders are the classes; --image-column 1 if images are called so");
    }
    ask("cannot tell which column names the images", "--image-column", text, head, &[])
}

fn ask(what: &str, flag: &str, text: &Text<'_>, head: &Fields<'_>, able: &[usize]) -> Error {
    let columns: Vec<String> = (0..head.len()).map(|c| format!("{} \"{}\"", c + 1, shown(&head[c]))).collect();
    let numbers: Vec<String> = able.iter().map(|c| (c + 1).to_string()).collect();
    let which = if able.len() < 2 { String::new() } else { format!(": {} may", numbers.join(", ")) };
    let flags: Vec<String> = numbers.iter().take(4).map(|n| format!("{flag} {n}")).collect();
    let next =
        if flags.is_empty() { format!("{flag} NAME, or its number from 1") } else { format!("{} (or its name)", flags.join(", or ")) };
    Error::usage(format!("{what}{which}"))
        .at(text.path.display().to_string())
        .because(format!("the lines look so: {}; columns: {}", text.first_two(), columns.join(", ")))
        .next(next)
}
