//! How `eval` and `predict` prepare images: what the weights' metadata says, and flags over that.

use super::weights::Weights;
use crate::data::crop::parse_side;
use crate::data::source::read_outputs;
use crate::data::validation::{Asked, Filter, ResizeCrop, Stored};
use crate::error::{Error, Result};
use clap::ValueEnum;
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// torchvision's Resize: short side before the crop [default: what the weights say, if that is not below the crop; else crop / 0.875]
    #[arg(long, value_name = "PIXELS", value_parser = parse_side, help_heading = "Preprocessing")]
    val_resize_size: Option<u32>,
    /// torchvision's CenterCrop: side of the network's input [default: what the weights say, else 224]
    #[arg(long, value_name = "PIXELS", value_parser = parse_side, help_heading = "Preprocessing")]
    val_crop_size: Option<u32>,
    /// timm's way to say --val-resize-size: resize to floor(crop / SHARE)
    #[arg(long, value_name = "SHARE", conflicts_with = "val_resize_size", help_heading = "Preprocessing")]
    crop_pct: Option<f64>,
    /// Filter of the resize [default: what the weights say, else bilinear]
    #[arg(long, visible_alias = "interpolation", value_enum, help_heading = "Preprocessing")]
    val_interpolation: Option<Filter>,
    /// Channel means in [0, 1] [default: what the weights say, else ImageNet's 0.485,0.456,0.406]
    #[arg(long, value_name = "R,G,B", value_parser = channels, help_heading = "Preprocessing")]
    mean: Option<[f32; 3]>,
    /// Channel standard deviations [default: what the weights say, else ImageNet's 0.229,0.224,0.225]
    #[arg(long, value_name = "R,G,B", value_parser = channels, help_heading = "Preprocessing")]
    std: Option<[f32; 3]>,
    /// Class names in the order of the outputs, one a line, or WNID WORDS as in LOC_synset_mapping.txt [default: what the weights say]
    #[arg(long, value_name = "FILE", help_heading = "Preprocessing")]
    class_names: Option<PathBuf>,
}

/// One number for all channels, or three.
fn channels(text: &str) -> std::result::Result<[f32; 3], String> {
    let numbers: Option<Vec<f32>> = text.split(',').map(|n| n.trim().parse().ok().filter(|n: &f32| n.is_finite())).collect();
    match numbers.as_deref() {
        Some(&[all]) => Ok([all; 3]),
        Some(&[r, g, b]) => Ok([r, g, b]),
        _ => Err("expected three numbers such as 0.485,0.456,0.406".to_owned()),
    }
}

/// What is done to every image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocessing {
    pub transform: ResizeCrop,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

impl Args {
    /// Class names of `--class-names`, with the words for them, which may be empty.
    ///
    /// # Errors
    /// `Data` if the file cannot be read or holds no name.
    pub fn class_names(&self) -> Result<Option<Vec<(String, String)>>> {
        self.class_names.as_deref().map(read_outputs).transpose()
    }

    /// `stored` says what images of a packed folder are; photos are taken as they are. Second: the plan in one line.
    ///
    /// # Errors
    /// `Usage` for flags that contradict each other or the images; `Data` for metadata that makes no sense.
    pub fn settle(&self, weights: &Weights, stored: Option<&Stored>) -> Result<(Preprocessing, String)> {
        let card = &weights.card;
        let unknown = || {
            Error::data(format!(
                "the metadata of the weights names the interpolation '{}', which this version does not know",
                card.interpolation
            ))
            .next("--val-interpolation bilinear, or whichever the weights were evaluated with")
        };
        let filter = self.val_interpolation.or_else(|| Filter::from_str(&card.interpolation, false).ok()).ok_or_else(unknown)?;
        let crop = self.val_crop_size.unwrap_or(card.val_crop_size as u32);
        // A crop that was typed may be larger than what the weights resize to: then both follow from it.
        let own = Some(card.val_resize_size as u32).filter(|&side| weights.described && self.crop_pct.is_none() && side >= crop);
        let asked = Asked { resize: self.val_resize_size.or(own), crop_pct: self.crop_pct, crop, filter };
        let transform = asked.settle(stored)?;
        let (mean, std) = (self.mean.unwrap_or(card.mean), self.std.unwrap_or(card.std));
        if std.iter().any(|s| *s <= 0.0) {
            return Err(Error::usage("standard deviations must be above 0").at("--std"));
        }
        let list = |n: [f32; 3]| format!("{}, {}, {}", n[0], n[1], n[2]);
        let mut line = format!("preprocessing: {transform}, Normalize(mean {}; std {})", list(mean), list(std));
        if !weights.described {
            line += "; the weights carry no metadata, so what no flag says is torchvision's default for ImageNet";
        }
        for remark in stored.map_or(Ok(Vec::new()), |s| s.remarks(&transform))? {
            line = format!("{line}; {remark}");
        }
        Ok((Preprocessing { transform, mean, std }, line))
    }
}
