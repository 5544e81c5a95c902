//! The column of a list that says of which split each line is: words (`train`, `val`, `test`), or yes and no (`is_valid`, `is_train`).
//!
//! Lines of the split that is asked for are read. Those of others are kept by the names of their images: an image of them that lies in the same
//! folder is of another split, not one without a label. Numbers in a column called `split` say no split by themselves and are asked about.

use super::arrange::shown;
use super::columns::{Fields, Lines, Wanted};
use super::resolve::{Label, Row};
use super::splits::{Part, flag_named, truth};
use super::table::Text;
use super::words;
use crate::error::{Error, Result};
use crate::text::counted;
use std::collections::BTreeSet;

/// A column that says by yes or no which split a row is of, as fastai's `is_valid`.
#[derive(Clone, Copy)]
pub struct Flag {
    pub column: usize,
    yes: Part,
    no: Part,
}

pub fn flag_column(head: &Fields<'_>, body: &[Fields<'_>], image: usize) -> Option<Flag> {
    let named = |column: usize| flag_named(&head[column]).map(|(yes, no)| Flag { column, yes, no });
    let told = |f: &Flag| body.iter().all(|fields| truth(&fields[f.column]).is_some());
    (0..head.len()).filter(|&c| c != image).filter_map(named).find(told)
}

/// Takes up the lines and chooses those of a split.
pub struct Chooser {
    words: Option<usize>,
    flag: Option<Flag>,
    rows: Vec<(Option<Part>, Row)>,
}

impl Chooser {
    pub fn new(words: Option<usize>, flag: Option<Flag>) -> Self {
        Self { words, flag, rows: Vec::new() }
    }

    pub fn add(&mut self, fields: &Fields<'_>, row: Row) {
        let part = match (self.words, self.flag) {
            (Some(s), _) => Part::of_folder(&fields[s]),
            (None, Some(f)) => truth(&fields[f.column]).map(|yes| if yes { f.yes } else { f.no }),
            (None, None) => None,
        };
        self.rows.push((part, row));
    }

    /// The lines of the split; all of them where no column says one.
    ///
    /// # Errors
    /// `Usage` where there are none of it.
    pub fn chosen(self, text: &Text<'_>, wanted: &Wanted<'_>) -> Result<Lines> {
        let Some(column) = self.words.or(self.flag.map(|f| f.column)) else {
            return Ok(Lines { rows: self.rows.into_iter().map(|(_, row)| row).collect(), ..Lines::default() });
        };
        let there: BTreeSet<Part> = self.rows.iter().filter_map(|(part, _)| *part).collect();
        let names: BTreeSet<&str> = there.iter().map(|p| p.name()).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let path = text.path.display();
        let Some(&part) = wanted.parts.iter().find(|p| there.contains(p)) else {
            let split = wanted.parts[0].name();
            let other = if there.contains(&Part::Test) { Part::Test } else { there.iter().next().copied().unwrap_or_default() };
            let copy =
                format!("{}{}", other.name(), text.path.extension().map_or_else(String::new, |e| format!(".{}", e.to_string_lossy())));
            return Err(Error::usage(format!("no line of the split {split}: column {} names {names}", column + 1))
                .at(path.to_string())
                .next(format!(
                    "a copy of it that is called {copy} gives the lines of {}: --labels {copy}, or --input {copy} if it is the list",
                    other.name()
                )));
        };
        let mut lines = Lines::default();
        for (of, row) in self.rows {
            if of == Some(part) {
                lines.rows.push(row);
            } else {
                lines.others.push(row.picture);
            }
        }
        lines.notes.push(format!(
            "column {} of the list names the split: {} of {}, {} of others",
            column + 1,
            counted(lines.rows.len() as u64, "line"),
            part.name(),
            lines.others.len()
        ));
        Ok(lines)
    }
}

/// Refuses a column called `split` of 0, 1 and 2: which is train is not said.
pub fn no_numbers(text: &Text<'_>, head: Option<&Fields<'_>>, body: &[Fields<'_>], used: &[usize], wanted: &Wanted<'_>) -> Result<()> {
    let Some(head) = head.filter(|_| wanted.image.is_none() || wanted.label.is_none()) else { return Ok(()) };
    let small = |f: &str| matches!(Label::of(f), Label::Number(n) if n < 4);
    let numbers = |c: &usize| {
        let values: BTreeSet<&str> = body.iter().map(|f| f[*c].trim()).collect();
        values.len() > 1 && values.iter().all(|v| small(v))
    };
    let asked = |c: &usize| !used.contains(c) && words::is_split(&head[*c]) && !words::is_fold(&head[*c]);
    let Some(c) = (0..head.len()).filter(asked).find(numbers) else { return Ok(()) };
    Err(Error::usage(format!("column {} ({}) holds numbers: which of them is train and which val?", c + 1, shown(&head[c])))
        .at(text.path.display().to_string())
        .because(format!("the lines may be of several splits; {}", text.first_two()))
        .next(format!(
            "write train, val and test in that column; or give --image-column {} --label-column {} to take all lines",
            used.first().map_or(1, |c| c + 1),
            used.last().map_or(2, |c| c + 1)
        )))
}
