//! Flags that say how an input is read: of `pack`, and of `verify --repair-from`.

use crate::data::source::{Kind, SourceOptions};
use std::path::PathBuf;

#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct SourceArgs {
    /// What PATH is [default: by looking]
    #[arg(long, value_enum)]
    pub source: Option<Kind>,
    /// Labels of images that lie in no class: ILSVRC2012_devkit_t12.tar.gz, LOC_val_solution.csv, metadata.jsonl, or lines IMAGE CLASS
    /// [default: one of these beside the images]
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Names of the classes: lines as LOC_synset_mapping.txt, or JSON, as {"0": "tench"} [default: LOC_synset_mapping.txt or
    /// synset_words.txt beside the images]
    #[arg(long, value_name = "FILE")]
    pub class_names: Option<PathBuf>,
    /// Column that holds the images (Parquet) or names their files (lists, --labels): its name, or its number from 1 [default: by looking]
    #[arg(long, value_name = "NAME|N")]
    pub image_column: Option<String>,
    /// Column that holds the class, likewise [default: by looking]
    #[arg(long, value_name = "NAME|N")]
    pub label_column: Option<String>,
}

impl SourceArgs {
    pub fn options(&self) -> SourceOptions {
        SourceOptions {
            kind: self.source,
            labels: self.labels.clone(),
            class_names: self.class_names.clone(),
            image_column: self.image_column.clone(),
            label_column: self.label_column.clone(),
            scratch: None,
        }
    }
}
