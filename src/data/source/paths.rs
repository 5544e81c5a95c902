//! Lists of paths alone (`banded/banded_0002.jpg`, as in DTD, MIT67 and Food-101): the folder of an image is its class.

use super::arrange::shown;
use super::columns::{Lines, names};
use super::layout::says_nothing;
use super::resolve::Row;
use super::split_extension;
use super::splits::Part;
use super::table::Text;
use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};

/// Lines that are looked for.
const LOOKED_FOR: usize = 64;

/// Whether lines are paths with blanks in some: all end like images, and one of them has nothing that separates.
pub fn alone(sample: &[(usize, &str)]) -> bool {
    let path = |l: &str| l.contains('/') && split_extension(l.trim()).1.is_some();
    let whole = |l: &str| !l.trim().contains([' ', '\t', ',', ';', '|']);
    sample.iter().all(|(_, l)| path(l)) && sample.iter().any(|(_, l)| whole(l))
}

/// The rows of a list that has one column.
///
/// # Errors
/// `Data` for lines that name no image in a folder; `Usage` where the folders are no classes.
pub fn rows(text: &Text<'_>, there: &dyn Fn(&str) -> bool) -> Result<Lines> {
    let mut rows = Vec::new();
    let mut folders: HashMap<String, String> = HashMap::new();
    for (i, (line, content)) in text.lines().enumerate() {
        let path = content.trim().trim_matches('"').replace('\\', "/");
        let Some((class, above)) = class(&path).filter(|_| i >= LOOKED_FOR || names(&path, there)) else {
            return Err(Error::data(format!("line {line}: expected an image and its class, found \"{}\"", shown(content)))
                .at(text.path.display().to_string())
                .next("one image a line: PATH CLASS, or CLASS/IMAGE"));
        };
        match folders.get(class) {
            Some(before) if *before != above => {
                return Err(Error::usage(format!(
                    "line {line}: the folders {before}{class} and {above}{class} end alike: one class or two?"
                ))
                .at(text.path.display().to_string())
                .because("the list has one column, so the folder of an image says its class")
                .next("give lines PATH CLASS"));
            }
            Some(_) => {}
            None => drop(folders.insert(class.to_owned(), above)),
        }
        let class = class.to_owned();
        rows.push(Row { line: Some(line), picture: path, class });
    }
    let classes: HashSet<&str> = rows.iter().map(|r| r.class.as_str()).collect();
    if classes.len() < 2 {
        let which = classes.iter().next().map_or_else(String::new, |c| format!(", \"{}\"", shown(c)));
        return Err(Error::usage(format!("the list has one column, and its images lie in one folder{which}: no class"))
            .at(text.path.display().to_string())
            .because(text.first_two())
            .next("give lines PATH CLASS"));
    }
    let note = format!("the list has one column: the folders of its images are the {} classes", classes.len());
    Ok(Lines { rows, notes: vec![note], others: Vec::new() })
}

/// The folder that says the class, and what stands above it but for folders of splits.
fn class(path: &str) -> Option<(&str, String)> {
    let folders: Vec<&str> = path.rsplit_once('/')?.0.split('/').collect();
    let at = folders.iter().rposition(|f| !says_nothing(f) && !matches!(*f, "" | "." | ".."))?;
    let above: String = folders[..at].iter().filter(|f| Part::of_folder(f).is_none()).map(|f| format!("{f}/")).collect();
    Some((folders[at], above))
}
