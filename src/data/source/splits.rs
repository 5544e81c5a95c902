//! The names that people give to the splits of a dataset: of folders, of files, of a column.

use crate::data::manifest::Split;
use crate::error::{Error, Result};
use std::collections::BTreeSet;

/// A split as it is named on a disk. The test split is neither of the two that are packed: it is packed where it is pointed at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    #[default]
    Train,
    Val,
    Test,
}

/// Words that may stand beside that of the split in the name of a folder.
const BESIDE: [&str; 14] =
    ["set", "data", "dataset", "images", "image", "img", "imgs", "split", "imagenet", "ilsvrc", "pictures", "photos", "folder", "folders"];

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        match word {
            "train" | "training" | "trainset" => Some(Self::Train),
            "val" | "valid" | "validation" | "dev" | "valset" => Some(Self::Val),
            "test" | "testing" | "testset" | "eval" | "evaluation" => Some(Self::Test),
            _ => None,
        }
    }

    /// The split of a folder that is named as one, in any case: `Train`, `validation`, `val_images`, `train2017`, `ILSVRC2012_img_val`.
    pub fn of_folder(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let mut words = name.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| !w.is_empty() && !BESIDE.contains(w));
        let part = Self::of_word(words.next()?)?;
        words.next().is_none().then_some(part)
    }

    /// The split in the name of a folder, and the name without it: `cars_train` and `cars_test` have the same rest.
    pub fn with_rest(name: &str) -> Option<(Self, String)> {
        let lower = name.to_ascii_lowercase();
        let word = lower.split(|c: char| !c.is_ascii_alphabetic()).rfind(|w| Self::of_word(w).is_some())?;
        let at = word.as_ptr() as usize - lower.as_ptr() as usize;
        Some((Self::of_word(word)?, format!("{}/{}", &lower[..at], &lower[at + word.len()..])))
    }

    /// The split of a file, anywhere in its name: `imagenet-validation-000001.tar`. The last word counts: `val_train_list` is of train.
    pub fn of_file(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        name.split(|c: char| !c.is_ascii_alphabetic()).filter_map(Self::of_word).next_back()
    }
}

/// What yes and no mean in a column of this name: `is_valid`, `train`.
pub fn flag_named(name: &str) -> Option<(Part, Part)> {
    let word: String = name.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    match word.as_str() {
        "isvalid" | "valid" | "isval" | "val" | "isvalidation" | "validation" => Some((Part::Val, Part::Train)),
        "istrain" | "train" | "training" | "istraining" => Some((Part::Train, Part::Val)),
        "istest" | "test" => Some((Part::Test, Part::Train)),
        _ => None,
    }
}

/// Yes or no.
pub fn truth(field: &str) -> Option<bool> {
    match field.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "t" | "y" | "1.0" => Some(true),
        "0" | "false" | "no" | "f" | "n" | "0.0" => Some(false),
        _ => None,
    }
}

impl From<Split> for Part {
    fn from(split: Split) -> Self {
        match split {
            Split::Train => Self::Train,
            Split::Val => Self::Val,
        }
    }
}

/// Which of the paths in an archive are of a split, where folders above all of them say so; `None` where they do not.
///
/// # Errors
/// `Usage` when they are of other splits alone.
pub fn of_split(paths: &[&str], part: Part, origin: &str) -> Result<Option<Vec<bool>>> {
    const DEPTH: usize = 8;
    for level in 0..DEPTH {
        let folder = |path: &&str| path.rsplit_once('/').and_then(|(folders, _)| folders.split('/').nth(level).map(str::to_owned));
        let Some(folders) = paths.iter().map(folder).collect::<Option<Vec<String>>>() else { return Ok(None) };
        let distinct: BTreeSet<&str> = folders.iter().map(String::as_str).collect();
        if !distinct.is_empty() && distinct.iter().all(|f| Part::of_folder(f).is_some()) {
            let of_part: Vec<bool> = folders.iter().map(|f| Part::of_folder(f) == Some(part)).collect();
            if of_part.contains(&true) {
                return Ok(Some(of_part));
            }
            let there: Vec<&str> = distinct.into_iter().collect();
            return Err(Error::usage(format!("no split {} here; there are: {}", part.name(), there.join(", ")))
                .at(origin)
                .next("--split of what is there, or unpack it and give the folder of that split as --input"));
        }
        if distinct.len() != 1 {
            return Ok(None);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_in_archives_say_the_split() {
        let of = |paths: &[&str], part| of_split(paths, part, "x.tar");
        let both = ["d/train/0.png", "d/Validation/1.png"];
        assert_eq!(of(&both, Part::Train).unwrap(), Some(vec![true, false]));
        assert_eq!(of(&both, Part::Val).unwrap(), Some(vec![false, true]));
        assert_eq!(of(&["train/0.png", "1.png"], Part::Val).unwrap(), None);
        assert_eq!(of(&["cat/0.png", "train/1.png"], Part::Val).unwrap(), None);
        assert!(of(&["train/0.png", "test/1.png"], Part::Val).unwrap_err().to_string().contains("there are: test, train"));
    }

    #[test]
    fn names_of_splits() {
        for (name, part) in [
            ("train", Some(Part::Train)),
            ("TRAINING", Some(Part::Train)),
            ("train2017", Some(Part::Train)),
            ("ILSVRC2012_img_train", Some(Part::Train)),
            ("Validation", Some(Part::Val)),
            ("valid", Some(Part::Val)),
            ("val_images", Some(Part::Val)),
            ("test", Some(Part::Test)),
            ("training_shoes", None),
            ("trainer", None),
            ("train_val", None),
            ("images", None),
            ("cat", None),
            ("", None),
        ] {
            assert_eq!(Part::of_folder(name), part, "{name}");
        }
        assert_eq!(Part::of_file("imagenet1k-validation-00.tar"), Some(Part::Val));
        assert_eq!(Part::of_file("my-dataset-0001.parquet"), None);
    }
}
