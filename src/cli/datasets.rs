//! The images of a run: opened or generated, and what is wrong or odd about them told before anything runs.

use super::run_facts::Fact;
use super::train_report::Report;
use crate::data::loader::Source;
use crate::data::order::Mixing;
use crate::data::place::Place;
use crate::data::prepared::Prepared;
use crate::data::splits::Overlap;
use crate::data::synthetic::Synthetic;
use crate::data::validation::{Asked, Filter, ResizeCrop, Stored};
use crate::data::{Dataset, Split, demo};
use crate::error::{Error, Result};
use crate::text::{count, counted};
use crate::train::config::{Augment, Config};
use crate::train::trainer::Datasets;
use std::path::Path;
use std::sync::Arc;

pub const DEMO_TRAIN: usize = 4000;
pub const DEMO_VAL: usize = 800;
const DEMO_SEED: u64 = 1;

pub struct Opened {
    pub data: Datasets,
    /// What there is to say about them.
    pub said: Vec<Fact>,
}

/// Opens what `config` names; the demo's images are generated below `output` first.
///
/// # Errors
/// `Data`: folders that cannot be read or do not fit each other. `Usage`: settings that do not fit the images, the same images in both
/// splits, or splits the wrong way round.
pub fn open(config: &Config, output: &Path, report: &Report) -> Result<Opened> {
    let mut said: Vec<Fact> = Vec::new();
    let (train, mut val) = match config.data.as_str() {
        "demo" => {
            let folder = output.join("demo");
            write_demo(&folder, report)?;
            (Some(open_train(&folder.join("train"), config, &mut said)?), Some(Dataset::open(&folder.join("val"))?))
        }
        "synthetic" => (None, None),
        dir => (Some(open_train(Path::new(dir), config, &mut said)?), None),
    };
    if let Some(dir) = &config.val {
        val = Some(Place::open(dir, config.reading(), Mixing::None)?.0);
    }
    if val.as_ref().is_some_and(Dataset::is_empty) {
        return Err(Error::data("there are no validation images").at("--val").next("imagenet-engine inspect DIR"));
    }
    let mut warnings = Vec::new();
    let sides = config.train_crop_size as u32;
    let made = || synthetic(config.train_crop_size, config.seed);
    let train_stored = train.as_ref().map_or_else(|| Stored::generated(made().info(0).map_or(sides, |i| i.width), 1), Stored::of);
    if let Some(train) = &train {
        splits(config, train, val.as_ref(), &mut warnings)?;
        said.extend(train_stored.enlarged("--train-crop-size", sides).map(|line| ("", line)));
    }
    let val_stored = val.as_ref().map(Stored::of);
    let transform = config.validation().settle(Some(val_stored.as_ref().unwrap_or(&train_stored)))?;
    let mut train: Arc<dyn Source> = match train {
        Some(train) => Arc::new(train),
        None => Arc::new(made()),
    };
    if config.augment == Augment::None {
        let centre = Asked { resize: None, crop_pct: None, crop: sides, filter: Filter::Bilinear }.settle(Some(&train_stored))?;
        said.push(("", format!("--augment none: {centre}")));
        train = Arc::new(Prepared::new(train, centre)?);
    }
    match (&val, &val_stored) {
        (Some(val), _) if val.classes() != train.classes() => {
            return Err(Error::data("training and validation images have different classes")
                .at(format!("{} and {}", config.data, val.dir().display()))
                .because(first_difference(train.classes(), val.classes()))
                .next("pack both splits of one dataset; --class-names of pack gives numbered classes their names"));
        }
        (Some(_), Some(stored)) => {
            let remarks = stored.remarks(&transform)?;
            said.push(("val", val.as_ref().map_or_else(String::new, images)));
            let line = std::iter::once(transform.to_string()).chain(remarks).collect::<Vec<_>>().join("; ");
            said.push(("", line));
            said.extend(val.as_ref().map_or(Ok(None), |val| few_classes(val, config))?);
        }
        _ => said.push(("val", "none (no --val): nothing will be evaluated".to_owned())),
    }
    said.extend(warnings);
    let val = val.map(|val| Arc::new(val) as Arc<dyn Source>);
    Ok(Opened { data: Datasets { train, val, transform }, said })
}

fn open_train(dir: &Path, config: &Config, said: &mut Vec<Fact>) -> Result<Dataset> {
    let (train, place) = Place::open(dir, config.reading(), config.mixing())?;
    said.push(("train", images(&train)));
    said.push(("", place.to_string()));
    said.extend(place.advice(config.mixing()).map(|advice| ("advice", advice)));
    Ok(train)
}

/// The images of a packed folder, with their sizes.
fn images(dataset: &Dataset) -> String {
    let n = counted(dataset.len() as u64, "image");
    format!(
        "{}: {n} of {}, {}",
        dataset.dir().display(),
        counted(dataset.classes().len() as u64, "class"),
        Stored::of(dataset).short_sides()
    )
}

/// A warning where `--limit-val-batches` takes the first images of a split that is stored class by class.
fn few_classes(val: &Dataset, config: &Config) -> Result<Option<Fact>> {
    let Some(limit) = config.limit_val_batches else { return Ok(None) };
    let taken = (val.len() as u64).min(limit.saturating_mul(config.batch_size as u64)) as usize;
    let labels: Vec<u32> = (0..taken).map(|i| Ok(val.info(i)?.label)).collect::<Result<_>>()?;
    let seen = 1 + labels.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let first = taken < val.len() && labels.is_sorted() && seen < val.classes().len();
    let (seen, all) = (count(seen as u64), counted(val.classes().len() as u64, "class"));
    Ok(first.then(|| {
        ("warning", format!("--limit-val-batches: val is stored class by class, so only the first {seen} of {all} are validated"))
    }))
}

/// What validation will do to the demo's images, before they are generated.
///
/// # Errors
/// `Usage` for sizes that contradict each other.
pub fn demo_transform(config: &Config) -> Result<ResizeCrop> {
    config.validation().settle(Some(&Stored::generated(demo::SIDE, DEMO_VAL as u64)))
}

/// Refuses the same images in both splits and splits the wrong way round, and says what else is odd about them.
fn splits(config: &Config, train: &Dataset, val: Option<&Dataset>, said: &mut Vec<Fact>) -> Result<()> {
    let data = train.dir().display();
    let Some(val) = val else {
        if train.split() == Split::Val {
            said.push(("warning", format!("--data {data} was packed as the split val")));
        }
        return Ok(());
    };
    let both = format!("--data {data}, --val {}", val.dir().display());
    let overlap = Overlap::of(train, val);
    let identical = train.dataset_id() == val.dataset_id();
    if identical || overlap.same {
        if !config.allow_same {
            let what = match identical {
                true => "--data and --val are the same dataset".to_owned(),
                false => format!("--data and --val hold the same {} images, packed with different options", overlap.of),
            };
            return Err(Error::usage(what)
                .at(format!("{both}: dataset {} and {}", short(train), short(val)))
                .because("validation would measure what was learned by heart")
                .next("--val with the folder of the validation split; or --allow-same if that is what you want"));
        }
        said.push(("warning", "--data and --val hold the same images (--allow-same)".to_owned()));
        return Ok(());
    }
    match (train.split(), val.split()) {
        (Split::Val, Split::Train) if !config.allow_swapped => {
            return Err(Error::usage("--data was packed as the split val and --val as the split train")
                .at(both)
                .because("the two folders were taken for each other")
                .next(format!("--data {} --val {data}; or --allow-swapped if that is what you want", val.dir().display())));
        }
        (Split::Val, _) => said.push(("warning", format!("--data {data} was packed as the split val"))),
        (_, Split::Train) => {
            said.push(("warning", format!("--val {} was packed as the split train (pack --split val)", val.dir().display())))
        }
        _ => {}
    }
    if overlap.shared > 0 {
        said.push(("warning", format!("{} of {} validation images are also in --data", count(overlap.shared), count(overlap.of))));
    }
    Ok(())
}

/// The start of the dataset's id.
fn short(dataset: &Dataset) -> &str {
    dataset.dataset_id().get(..12).unwrap_or_default()
}

fn first_difference(train: &[String], val: &[String]) -> String {
    let at = train.iter().zip(val).position(|(t, v)| t != v).unwrap_or(train.len().min(val.len()));
    let name = |names: &[String]| names.get(at).map_or_else(|| "none".to_owned(), |n| format!("\"{n}\""));
    format!(
        "{} in training, {} in validation; class {at} is {} and {}",
        counted(train.len() as u64, "class"),
        val.len(),
        name(train),
        name(val)
    )
}

/// Random pixels the shape of ImageNet packed at 256 for a crop of 224: as many images, as many classes.
pub fn synthetic(crop_size: usize, seed: u64) -> Synthetic {
    let side = (crop_size as u32 * 8).div_ceil(7);
    Synthetic::new(1_281_167, side, side, 1000, seed)
}

/// Removes what a killed run left of the demo, and nothing else.
fn remove_half_written(dir: &Path) -> Result<()> {
    let fail = |e| Error::writing(dir, e);
    let ours = |name: &str| name.starts_with('.') || name.ends_with(".ies") || ["dataset.json", "SHA256SUMS"].contains(&name);
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if !ours(&entry.file_name().to_string_lossy()) {
            return Err(Error::write("the folder for the demo's images holds something else")
                .at(entry.path().display().to_string())
                .next("another --output, or --data for your own images"));
        }
    }
    std::fs::remove_dir_all(dir).map_err(fail)
}

/// Draws and packs the demo's images, unless an earlier run left them there.
fn write_demo(folder: &Path, report: &Report) -> Result<()> {
    for (split, images) in [(Split::Train, DEMO_TRAIN), (Split::Val, DEMO_VAL)] {
        let dir = folder.join(split.name());
        if Dataset::open(&dir).is_ok() {
            continue;
        }
        if dir.exists() {
            remove_half_written(&dir)?;
        }
        report.line(&format!("generating {} of {} classes in {}", counted(images as u64, "image"), demo::CLASSES.len(), dir.display()));
        demo::write(&dir, split, images, DEMO_SEED)?;
    }
    Ok(())
}
