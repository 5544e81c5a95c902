//! Rows of tables put into classes: by the names that strings are, or by numbers and whatever names these.

use super::columns::Columns;
use super::labels::Label;
use super::{Row, Table};
use crate::data::format::MOST_CLASSES;
use crate::data::source::Place;
use crate::data::source::arrange::{Found, names_by_wnid, shown};
use crate::data::source::resolve::{Names, all_numbers, most_numbers, moved, places, refuse_all_different};
use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// Rows put into classes.
pub struct Classes {
    pub found: Found,
    pub numbered: bool,
    /// What people call the classes.
    pub words: HashMap<String, String>,
}

fn add(found: &mut Found, archive: u32, row: &Row, class: Option<u32>) {
    let (group, row, _, name) = row;
    let place = Place::Row { archive, group: *group, row: *row };
    let name = if name.is_empty() { format!("{archive:05}-{group:05}-{row:06}") } else { name.clone() };
    match class {
        Some(class) => found.add(class, &name, place, None),
        None => found.add_without_class(&name, place, "no label (-1 or none), as in a test split".to_owned()),
    }
}

fn all_rows(tables: &[Table]) -> impl Iterator<Item = (u32, &Row)> {
    tables.iter().enumerate().flat_map(|(t, table)| table.rows.iter().map(move |row| (t as u32, row)))
}

/// Whether the column of names tells the images apart: a struct's own paths within each class (missing ones are numbered), those of
/// another column everywhere.
pub fn tell_apart(tables: &[Table], columns: &Columns) -> bool {
    let own = columns.names.as_ref().is_some_and(|n| n.ends_with(".path"));
    let mut seen = HashSet::new();
    all_rows(tables).all(|(_, row)| {
        let class = if own { Some(&row.2) } else { None };
        (own && row.3.is_empty()) || !row.3.is_empty() && seen.insert((class, row.3.as_str()))
    })
}

/// Labels that are names of classes.
pub fn by_name(tables: &[Table], names: Option<&Names>, columns: &Columns, archives: &[PathBuf]) -> Result<Classes> {
    let known: Vec<String> = names.map_or_else(Vec::new, |n| n.iter().map(|(name, _)| name.clone()).collect());
    let allowed: HashSet<&String> = known.iter().collect();
    if names.is_none() {
        let all: Vec<&Label> = all_rows(tables).map(|(_, r)| &r.2).filter(|l| **l != Label::None).collect();
        let distinct = all.iter().collect::<HashSet<_>>().len();
        let two: Vec<String> =
            all.iter().take(2).map(|l| if let Label::Name(n) = l { format!("\"{}\"", shown(n)) } else { String::new() }).collect();
        let origin = archives.first().map_or_else(String::new, |p| p.display().to_string());
        refuse_all_different(all.len(), distinct, &two.join(", "), &format!("{origin}, column {}", columns.labels))?;
    }
    let mut found = Found::with_classes(&known);
    for (archive, row) in all_rows(tables) {
        let class = match &row.2 {
            Label::None => None,
            Label::Name(name) => Some(name.clone()),
            Label::Number(n) => Some(n.to_string()),
        };
        if let Some(name) = &class
            && (name.contains('/') || !known.is_empty() && !allowed.contains(name))
        {
            let what = if name.contains('/') { "holds a /" } else { "is not among the class names" };
            return Err(Error::data(format!("class {:?} {what}", name.chars().take(60).collect::<String>()))
                .at(format!("{}, column {}, row group {}, row {}", archives[archive as usize].display(), columns.labels, row.0, row.1))
                .because("labels and class names of different datasets, or a wrong column")
                .next("--label-column NAME"));
        }
        let class = class.map(|name| found.class(&name));
        add(&mut found, archive, row, class);
    }
    Ok(Classes { found, numbered: all_numbers(&known), words: HashMap::new() })
}

/// Labels that are numbers.
pub fn by_number(tables: &[Table], names: Option<&Names>, archives: &[PathBuf]) -> Result<Classes> {
    let number = |row: &Row| if let Label::Number(n) = row.2 { Some(n) } else { None };
    let own = tables.iter().map(|t| &t.names).find(|n| !n.is_empty()).cloned().unwrap_or_default();
    // A class that is called by a number is meant by it.
    let places = names.and_then(places);
    let place = |n: u32| places.as_ref().map_or(Some(n), |p| p.get(&u64::from(n)).copied());
    let at = |(archive, r): (u32, &Row)| format!("{}, row group {}, row {}", archives[archive as usize].display(), r.0, r.1);
    if let Some(row) = all_rows(tables).find(|(_, r)| number(r).is_some_and(|n| place(n).is_none())) {
        return Err(Error::data(format!("label {} is not among the class names, which are numbers", number(row.1).unwrap_or(0)))
            .at(at(row))
            .because("labels and class names of different datasets")
            .next("--label-column NAME, or the --class-names of this dataset"));
    }
    let known = || all_rows(tables).filter_map(|(_, r)| Some((place(number(r)?)?, r.3.as_str())));
    let highest = known().map(|(label, _)| label).max().map_or(0, |l| u64::from(l) + 1);
    let named = names.map_or(own.len(), Vec::len) as u64;
    let (count, most) = if named == 0 { (highest, most_numbers(all_rows(tables).count())) } else { (named, MOST_CLASSES) };
    if highest > count || count > most {
        let worst = all_rows(tables).find(|(_, r)| number(r).is_some_and(|n| u64::from(n) + 1 == highest));
        return Err(Error::data(format!("label {} of {} classes", highest.saturating_sub(1), count.min(most)))
            .at(worst.map_or_else(String::new, at))
            .because("labels and class names of different datasets, or a wrong column")
            .next("--label-column NAME, or the --class-names of this dataset"));
    }
    let named_tables = || tables.iter().zip(archives).filter(|(t, _)| !t.names.is_empty());
    let differ = named_tables().find(|(t, _)| t.names != own);
    let count = count as usize;
    let distinct = own.iter().collect::<HashSet<_>>().len() == own.len() && own.len() == count && own.iter().all(|n| !n.is_empty());
    let by_wnid = || names_by_wnid(count, known());
    let named = names.map(|n| n.iter().map(|(name, _)| name.clone()).collect()).or_else(by_wnid);
    if let (Some((_, second)), None, Some((_, first))) = (differ, &named, named_tables().next()) {
        return Err(Error::usage("the files name their classes otherwise (ClassLabel of the metadata)")
            .at(second.display().to_string())
            .because(format!("{} has other names or another order, so that one number means two classes", first.display()))
            .next("--class-names FILE with the names by number, if the numbers mean the same in all; or pack one of the files"));
    }
    let own = if differ.is_some() { Vec::new() } else { own };
    let given: Vec<&String> = names.into_iter().flatten().map(|(name, _)| name).collect();
    let at = given.iter().zip(&own).position(|(given, own)| *given != own);
    if let Some(i) = at.filter(|_| given.iter().copied().collect::<HashSet<_>>() == own.iter().collect::<HashSet<_>>()) {
        return Err(Error::usage("--class-names and the table number the same classes otherwise")
            .at(archives.first().map_or_else(String::new, |p| p.display().to_string()))
            .because(format!(
                "{i} is \"{}\" by --class-names and \"{}\" by the ClassLabel of the metadata",
                shown(given[i]),
                shown(&own[i])
            ))
            .next("leave --class-names out, or give the names in the order of their numbers"));
    }
    // ClassLabel's names are in the order of the labels, which is kept.
    let numbered = named.as_ref().is_none_or(|n: &Vec<String>| all_numbers(n));
    let classes: Vec<String> = named.unwrap_or_else(|| if distinct { own.clone() } else { (0..count).map(|n| n.to_string()).collect() });
    let mut found = Found::with_classes(&classes);
    found.notes.extend(moved(&classes).filter(|_| !numbered));
    for (archive, row) in all_rows(tables) {
        add(&mut found, archive, row, number(row).and_then(place));
    }
    let words = if own.len() == count && classes != own { classes.into_iter().zip(own).collect() } else { HashMap::new() };
    Ok(Classes { found, numbered, words })
}
