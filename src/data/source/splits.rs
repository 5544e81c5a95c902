//! The names that people give to the splits of a dataset: of folders, of files, of a column.

use crate::data::manifest::Split;

/// A split as it is named on a disk. The test split is neither of the two that are packed: it is packed where it is pointed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
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

    /// The split of a file, anywhere in its name: `imagenet-validation-000001.tar`. The last word counts: `val_train_list` is of train.
    pub fn of_file(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        name.split(|c: char| !c.is_ascii_alphabetic()).filter_map(Self::of_word).next_back()
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

#[cfg(test)]
mod tests {
    use super::*;

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
