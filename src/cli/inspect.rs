//! `inspect`: what is in a packed folder.

use super::Outcome;
use super::output::{check_ending, check_outputs, name, out};
use crate::data::{Dataset, sheet};
use crate::error::{Error, Result};
use crate::text::{count, counted};
use indicatif::BinaryBytes;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Show what a packed folder holds, as text, JSON, or a contact sheet of labelled images
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder with dataset.json
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// Draw up to 64 images with their labels, the same number from each class, into a PNG file
    #[arg(long, value_name = "FILE.png")]
    pub sheet: Option<PathBuf>,
}

/// What the flags of the index say, in words.
const FLAGS: [(u8, &str); 8] = [
    (1, "from CMYK"),
    (2, "from gray"),
    (4, "from PNG"),
    (8, "EXIF orientation not applied"),
    (16, "enlarged"),
    (32, "broken EXIF"),
    (64, "long side cut"),
    (128, "from WebP"),
];

/// How many images of each odd kind there are.
pub(super) fn odd(dataset: &Dataset) -> BTreeMap<&'static str, usize> {
    let entries = || dataset.shards().iter().flat_map(|s| &s.entries);
    FLAGS.map(|(bit, what)| (what, entries().filter(|e| e.flags & bit != 0).count())).into_iter().filter(|(_, n)| *n > 0).collect()
}

/// Width and height in pixels, each with its least and most.
fn sizes(width: (u16, u16), height: (u16, u16)) -> String {
    match (width.0 == width.1, height.0 == height.1) {
        (true, true) => format!("{} x {} pixels", width.0, height.0),
        _ => format!("{} to {} pixels wide, {} to {} high", width.0, width.1, height.0, height.1),
    }
}

/// # Errors
/// `Data` when the folder is damaged; `Write` when the sheet cannot be written.
pub fn run(args: &Args) -> Result<Outcome> {
    args.sheet.as_deref().map_or(Ok(()), |path| check_ending("--sheet", path, "png"))?;
    check_outputs(crate::files::Kind::Result, [args.sheet.as_ref()])?;
    let dataset = Dataset::open(&args.dir)?;
    let m = dataset.manifest();
    let entries = || dataset.shards().iter().flat_map(|s| &s.entries);
    let flagged = odd(&dataset);
    let range = |f: fn(&crate::data::format::Entry) -> u16| (entries().map(f).min().unwrap_or(0), entries().map(f).max().unwrap_or(0));
    let (width, height) = (range(|e| e.width), range(|e| e.height));
    let bytes: u64 = m.shards.iter().map(|s| s.bytes).sum();
    if args.json {
        let mut json = serde_json::to_value(m).map_err(|e| Error::internal(e.to_string()))?;
        json["bytes"] = bytes.into();
        json["width"] = serde_json::json!({ "min": width.0, "max": width.1 });
        json["height"] = serde_json::json!({ "min": height.0, "max": height.1 });
        json["flags"] = serde_json::json!(flagged);
        out!("{}", serde_json::to_string_pretty(&json).map_err(|e| Error::internal(e.to_string()))?);
    } else {
        let counts = m.classes.iter().map(|c| c.records);
        let three = |v: [f64; 3]| v.map(|x| format!("{x:.4}")).join(" ");
        let (images, classes) = (counted(m.records, "image"), counted(m.classes.len() as u64, "class"));
        out!("{}: {} split, {images} of {classes}", args.dir.display(), m.split.name());
        let shards = counted(m.shards.len() as u64, "shard");
        let encoding = if m.encoding == "jpeg" { "JPEG files" } else { "raw pixels" };
        out!("  stored    {encoding}, {}, {} in {shards}", sizes(width, height), BinaryBytes(bytes));
        let (least, most) = (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0));
        out!(
            "  per class {}",
            if least == most { counted(least, "image") } else { format!("{} to {}", count(least), counted(most, "image")) }
        );
        out!("  mean      {}\n  std       {}", three(m.mean), three(m.std));
        if m.skipped > 0 {
            out!("  left out  {} that could not be read (bad_images.jsonl)", counted(m.skipped, "image"));
        }
        for (what, n) in &flagged {
            out!("  of note   {} {what}", count(*n as u64));
        }
        out!("  dataset   {}", m.dataset_id);
        let name_width = m.classes.iter().take(10).map(|c| c.name.len()).max().unwrap_or(0).max("class".len());
        out!("  {:>7}   {:name_width$}  {:>7}", "label", "class", "images");
        for (label, class) in m.classes.iter().enumerate().take(10) {
            let words = name(class.words.as_deref().unwrap_or(""));
            out!("{}", format!("  {label:>7}   {:name_width$}  {:>7}  {words}", name(&class.name), class.records).trim_end());
        }
        if m.classes.len() > 10 {
            out!("      ...   {} more (--json has all)", counted(m.classes.len() as u64 - 10, "class"));
        }
    }
    if let Some(path) = &args.sheet {
        sheet::write(&dataset, path)?;
        if !args.json {
            out!("contact sheet: {}", path.display());
        }
    }
    Ok(Outcome::Done)
}
