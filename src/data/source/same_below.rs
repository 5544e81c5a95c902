//! Folders that each hold the same folders: domains, folds, patients, splits of unusual names, each with the classes in it; and folders that
//! hold those beside them again, as some archives do. Either may be the classes: it is asked.
//!
//! Cost: a look into each of the folders, to a bound.

use super::arrange::shown;
use super::image_folder::below as folder;
use super::layout::{self, Dir, Holds, Reading, ambiguous, says_nothing};
use super::looking::{Look, count, dirs};
use super::masks::says_mask;
use super::mount::Files;
use super::splits::Part;
use crate::error::Result;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Folders that are looked into.
const MOST: usize = 256;
/// Single folders in folders (`amazon/images/bike`).
const DEPTH: usize = 4;

/// # Errors
/// `Usage` where folders hold the same ones, or those beside them.
pub fn refuse(look: &Look<'_>, root: &Path, files: &Files, part: Part) -> Result<()> {
    let all = look.folders();
    let origin = root.display().to_string();
    let names: HashSet<&str> = all.iter().map(|d| d.name.as_str()).collect();
    let mut inside: Vec<(&Dir, PathBuf, usize, Vec<Dir>)> = Vec::new();
    for dir in all.iter().copied().filter(|d| d.holds == Holds::Below).take(MOST) {
        let (at, depth, inner) = classes_in(&folder(root, &dir.name), files)?;
        let others = inner.iter().filter(|i| i.name != dir.name && names.contains(i.name.as_str())).count();
        if others > 1 {
            let again = (
                format!(
                    "the {} folders beside {}, which holds them again with {} images",
                    names.len() - 1,
                    shown(&dir.name),
                    count(&at, files)
                ),
                format!("move {} away; or --input {} for those in it", folder(root, &dir.name).display(), at.display()),
            );
            return Err(ambiguous(&origin, &[(look.as_classes(), format!("--source folder --input {origin}")), again]));
        }
        inside.push((dir, at, depth, inner));
    }
    // A class may be called train, where the others have no such word.
    let says_split =
        |name: &str| Part::with_rest(name).is_some() || ["test", "train", "val"].iter().any(|w| name.to_ascii_lowercase().ends_with(w));
    let named = matches!(layout::read(&look.dirs, part, false), Reading::Classes { named: Some(_) });
    if named && !all.iter().any(|d| Part::of_folder(&d.name).is_none() && says_split(&d.name)) {
        return Ok(());
    }
    let mut times: HashMap<&str, usize> = HashMap::new();
    inside.iter().flat_map(|(.., inner)| inner).for_each(|d| *times.entry(d.name.as_str()).or_default() += 1);
    let shared = |d: &&Dir| times.get(d.name.as_str()).is_some_and(|n| *n > 1) && !says_nothing(&d.name) && !says_mask(&d.name);
    let alike: Vec<&(&Dir, PathBuf, usize, Vec<Dir>)> =
        inside.iter().filter(|(.., inner)| inner.iter().filter(shared).count() > 1).collect();
    let Some((first, at, depth, inner)) = alike.first().filter(|_| alike.len() > 1 && 2 * alike.len() >= all.len()) else { return Ok(()) };
    let classes: Vec<String> = inner.iter().take(4).map(|d| shown(&d.name)).collect();
    let more = if inner.len() > 4 { ", ..." } else { "" };
    let readings = [
        (look.as_classes(), format!("--source folder --input {origin}")),
        (
            format!("{} classes in {}: {}{more}, and such in the others", inner.len(), shown(&first.name), classes.join(", ")),
            format!("--input {} for the images of one; for all of them {}", at.display(), all_of_them(look, *depth, files, part)),
        ),
    ];
    Err(ambiguous(&origin, &readings))
}

/// The folders in one, below single ones, and how many floors down they lie.
fn classes_in(dir: &Path, files: &Files) -> Result<(PathBuf, usize, Vec<Dir>)> {
    let mut at = dir.to_owned();
    for depth in 1..=DEPTH {
        let filled: Vec<Dir> = dirs(&at, files)?.into_iter().filter(|d| matches!(d.holds, Holds::Images | Holds::Below)).collect();
        match &filled[..] {
            [one] if one.holds == Holds::Below && depth < DEPTH => at = folder(&at, &one.name),
            _ => return Ok((at, depth, filled)),
        }
    }
    Ok((at, DEPTH, Vec::new()))
}

/// How to pack the classes `depth` floors below the folders: a list of their images, which keeps images of one name apart. Of folders that
/// are called as splits, those of the split that is packed.
pub fn all_of_them(look: &Look<'_>, depth: usize, files: &Files, part: Part) -> String {
    const MOST_NAMED: usize = 8;
    let real = look.root.canonicalize().unwrap_or_else(|_| look.root.clone());
    let root = if files.archived() { PathBuf::from("/PATH/TO/UNPACKED") } else { real };
    let all = look.folders();
    let of = |d: &Dir| layout::part_of(d, &look.dirs).or_else(|| Part::with_rest(&d.name).map(|(p, _)| p));
    let own: Vec<&&Dir> = all.iter().filter(|d| of(d).is_none_or(|p| p == part)).collect();
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let from = match own.len() {
        n if n < all.len() && n > 0 && n <= MOST_NAMED => {
            own.iter().map(|d| quoted(&root.join(&d.name).to_string_lossy())).collect::<Vec<_>>().join(" ")
        }
        _ => quoted(&root.to_string_lossy()),
    };
    let column = root.to_string_lossy().matches('/').count() + 2 + depth;
    let unpack = if files.archived() { "unpack the archive, then " } else { "" };
    format!(
        "{unpack}find {from} -type f \\( -iname '*.jp*g' -o -iname '*.png' \\) | awk -F/ -v OFS='\\t' '{{print $0, ${column}}}' > all.tsv && --input all.tsv"
    )
}
