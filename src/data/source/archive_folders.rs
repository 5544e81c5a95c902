//! The classes of images that lie in folders of archives: the rule of [`super::layout`] over the names of members.

use super::arrange::shown;
use super::layout::{self, Dir, Holds, Reading, ambiguous, no_such_split};
use super::splits::Part;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// Where the class of a member stands in its name.
#[derive(Debug, Default)]
pub struct Folders {
    /// The folders above those of the classes, each with `/` behind it.
    above: String,
    pub notes: Vec<String>,
}

impl Folders {
    /// Looks at the names of all images that lie in folders.
    ///
    /// # Errors
    /// `Usage` when the split is not among those that are there, or the names have two readings.
    pub fn of(names: &[&str], part: Part, origin: &str) -> Result<Self> {
        let mut found = Self::default();
        // Folders above all, that of the split, and one that says nothing.
        for _ in 0..12 {
            let dirs = dirs(names, &found.above);
            match layout::read(&dirs, part, false) {
                Reading::Split(name) => {
                    let others = names.iter().filter(|n| below(n, &found.above).is_some_and(|n| !in_folder(n, name))).count();
                    if others > 0 {
                        found.notes.push(format!("{others} images of other splits are left out: {} is taken", shown(name)));
                    }
                    found.above += &format!("{name}/");
                    continue;
                }
                Reading::NoSuchSplit => return Err(no_such_split(&dirs, part, origin, true)),
                Reading::Mixed => {
                    let count = |dir: &str| names.iter().filter(|n| below(n, &found.above).is_some_and(|n| in_folder(n, dir))).count();
                    let all: Vec<String> = dirs.iter().map(|d| format!("{} ({} images)", shown(&d.name), count(&d.name))).collect();
                    let readings = [
                        (
                            format!("{} classes: {}", dirs.len(), all.join(", ")),
                            "unpack it and give the folder with --source folder".to_owned(),
                        ),
                        (format!("the split {}", part.name()), "unpack it and give the folder of that split".to_owned()),
                    ];
                    return Err(ambiguous(origin, &readings));
                }
                Reading::Classes { named } => {
                    if let Some((name, _)) = layout::wrapper(&dirs, |name| Ok(self::dirs(names, &format!("{}{name}/", found.above))))? {
                        found.notes.push(format!("{} is taken for a folder above those of the classes", shown(name)));
                        found.above += &format!("{name}/");
                        continue;
                    }
                    let filled: Vec<&Dir> = dirs.iter().filter(|d| d.holds != Holds::Nothing).collect();
                    if let [one] = filled[..] {
                        let inner = self::dirs(names, &format!("{}{}/", found.above, one.name));
                        if one.holds == Holds::Images && inner.len() > 1 {
                            let classes: Vec<String> = inner.iter().take(4).map(|d| shown(&d.name)).collect();
                            let readings = [
                                (
                                    format!("1 class: {}", shown(&one.name)),
                                    "unpack it and give the folder above with --source folder".to_owned(),
                                ),
                                (
                                    format!("the classes in {}: {}", shown(&one.name), classes.join(", ")),
                                    format!("unpack it and give the folder {}", shown(&one.name)),
                                ),
                            ];
                            return Err(ambiguous(origin, &readings));
                        }
                        if layout::says_nothing(&one.name) {
                            return Err(Error::usage(format!("all images lie in the folder {}, which says no class", shown(&one.name)))
                                .at(origin)
                                .because("one class of that name would be nothing to train on; label files in archives are not read")
                                .next("--labels FILE --source val-tar: a list of lines IMAGE CLASS; or unpack it and give the folder"));
                        }
                    }
                    if let [first, _, ..] = filled[..] {
                        let inner = self::dirs(names, &format!("{}{}/", found.above, first.name));
                        if inner.len() > 1 && inner.iter().all(|d| Part::of_folder(&d.name).is_some()) {
                            return Err(Error::usage(format!("the splits lie below the classes: {} holds several", shown(&first.name)))
                                .at(origin)
                                .because("each class would hold the images of all its splits")
                                .next("unpack it and move them to SPLIT/CLASS/IMAGE"));
                        }
                    }
                    if let Some(named) = named {
                        found.notes.push(format!("{named} is taken for a class, as the folders beside it are"));
                    }
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// Class, and path from its folder on. `None` for members elsewhere.
    pub fn class<'n>(&self, name: &'n str) -> Option<(&'n str, &'n str)> {
        let rest = below(name, &self.above)?;
        rest.split_once('/').map(|(class, _)| (class, rest))
    }
}

fn below<'n>(name: &'n str, above: &str) -> Option<&'n str> {
    name.strip_prefix(above)
}

fn in_folder(name: &str, folder: &str) -> bool {
    name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// The folders below `above`, and what they hold.
fn dirs(names: &[&str], above: &str) -> Vec<Dir> {
    let mut found: BTreeMap<&str, Holds> = BTreeMap::new();
    for rest in names.iter().filter_map(|n| below(n, above)) {
        let Some((folder, rest)) = rest.split_once('/') else { continue };
        let holds = found.entry(folder).or_insert(Holds::Below);
        if !rest.contains('/') {
            *holds = Holds::Images;
        }
    }
    found.into_iter().map(|(name, holds)| Dir { name: name.to_owned(), holds }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_found_below_what_is_above_them() {
        let class = |names: &[&str], part, name| {
            Folders::of(names, part, "x.tar").map(|f| f.class(name).map(|(c, p)| (c.to_owned(), p.to_owned())))
        };
        let some = |c: &str, p: &str| Some((c.to_owned(), p.to_owned()));
        let plain = ["cat/0.jpg", "cat/cat/0.jpg", "dog/0.jpg"];
        assert_eq!(class(&plain, Part::Train, "cat/cat/0.jpg").unwrap(), some("cat", "cat/cat/0.jpg"));
        let splits = ["d/Train/cat/0.jpg", "d/Train/dog/0.jpg", "d/Validation/cat/1.jpg"];
        assert_eq!(class(&splits, Part::Train, splits[1]).unwrap(), some("dog", "dog/0.jpg"));
        assert_eq!(class(&splits, Part::Train, splits[2]).unwrap(), None);
        assert_eq!(class(&splits, Part::Val, splits[2]).unwrap(), some("cat", "cat/1.jpg"));
        let wrapped = ["mine/cat/0.jpg", "mine/dog/0.jpg"];
        assert_eq!(class(&wrapped, Part::Train, wrapped[0]).unwrap(), some("cat", "cat/0.jpg"));
        let kaggle = ["ILSVRC/Data/CLS-LOC/train/cat/0.jpg", "ILSVRC/Data/CLS-LOC/train/dog/0.jpg", "ILSVRC/Data/CLS-LOC/val/1.jpg"];
        assert_eq!(class(&kaggle, Part::Train, kaggle[1]).unwrap(), some("dog", "dog/0.jpg"));
        assert_eq!(class(&kaggle, Part::Train, kaggle[2]).unwrap(), None);
        assert_eq!(class(&["cat/a/b/0.jpg"], Part::Train, "cat/a/b/0.jpg").unwrap(), some("cat", "cat/a/b/0.jpg"));
        assert_eq!(class(&["cat/a/0.jpg", "cat/1.jpg"], Part::Train, "cat/a/0.jpg").unwrap(), some("cat", "cat/a/0.jpg"));
        let class_train = ["bus/a/0.jpg", "car/a/0.jpg", "train/a/0.jpg"];
        assert_eq!(class(&class_train, Part::Train, class_train[2]).unwrap(), some("train", "train/a/0.jpg"));
        let error = class(&["train/cat/0.jpg", "test/cat/0.jpg"], Part::Val, "").unwrap_err().to_string();
        assert!(error.contains("no split val here; there are: test, train"), "{error}");
        let error = class(&["train/0.jpg", "val/0.jpg", "bus/0.jpg"], Part::Train, "").unwrap_err().to_string();
        assert!(error.contains("3 classes: bus (1 images)") && error.contains("the split train"), "{error}");
    }
}
