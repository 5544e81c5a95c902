//! What validation does to an image: torchvision's `Resize(R)` and `CenterCrop(C)`, in u8 on the host, as its PIL path does.
//!
//! `Resize(R)` gives the short side R pixels and cuts the other to whole pixels; `CenterCrop(C)` takes C x C from
//! `round((have - C) / 2)`, halves to even. timm's crop share is `R = floor(C / crop_pct)`. An image whose short side is R already is
//! not resampled. R below C is refused: torchvision would surround the image with black. Packed images may have been resized before;
//! what that changes is said by [`Stored::remarks`].

use super::crop::{MOST_SIDE, centre_crop, side_out_of_range};
use super::dataset::Dataset;
use super::format::{Encoding, flags};
use super::resize::short_side;
use crate::error::{Error, Result};
pub use crate::resample::Filter;
use crate::resample::{Image, Resampler, Resize};
use crate::text;
use std::collections::BTreeMap;
use std::fmt;

/// timm's share of the resized short side that the crop takes, where nobody says another.
pub const CROP_PCT: f64 = 0.875;

/// `Resize(resize)` and `CenterCrop(crop)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeCrop {
    pub resize: u32,
    pub crop: u32,
    pub filter: Filter,
}

impl fmt::Display for ResizeCrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resize({}, {}), CenterCrop({})", self.resize, self.filter.name(), self.crop)
    }
}

impl ResizeCrop {
    /// Whether an image of this size is not resampled.
    pub fn keeps(&self, width: u32, height: u32) -> bool {
        short_side(width, height, self.resize) == (width, height)
    }

    /// Puts the crop of an image of `width` x `height` into `out`, whose content is replaced: `crop` x `crop` pixels, HWC RGB. Only what
    /// they need of the image is looked at. False if `pixels` holds no such image, or its long side would not fit 32 bits.
    #[must_use]
    pub fn apply(&self, pixels: &[u8], (width, height): (u32, u32), resampler: &mut Resampler, out: &mut Vec<u8>) -> bool {
        let long = u64::from(width.max(height)) * u64::from(self.resize) / u64::from(width.min(height).max(1));
        if long > u64::from(u32::MAX) {
            return false;
        }
        let to = short_side(width, height, self.resize);
        let window = centre_crop(to.0, to.1, self.crop);
        let pair = |(w, h): (u32, u32)| (w as usize, h as usize);
        let (size, (x, y), (w, h)) = (pair((width, height)), pair((window.x, window.y)), pair((window.width, window.height)));
        let job = Resize { window: (x, y, w, h), ..Resize::whole(self.filter, size, pair(to)) };
        resampler.resize(Image::whole(pixels, size.0, size.1), &job, out)
    }
}

/// What flags, settings or the metadata of weights say about validation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    pub resize: Option<u32>,
    pub crop_pct: Option<f64>,
    pub crop: u32,
    pub filter: Filter,
}

impl Asked {
    /// The transform asked for. Where no size to resize to is given, it is the packed one if the crop takes at least 7/8 of it, so that
    /// nothing is resampled; the crop's own if packed images are smaller; else `floor(crop / 0.875)`, 256 for 224.
    ///
    /// # Errors
    /// `Usage` naming the flag.
    pub fn settle(&self, stored: Option<&Stored>) -> Result<ResizeCrop> {
        let Self { resize, crop_pct, crop, filter } = *self;
        let of_share = |share: f64| (f64::from(crop) / share).floor() as u32;
        let resize = match (resize, crop_pct) {
            (Some(_), Some(_)) => {
                return Err(Error::usage("--val-resize-size and --crop-pct both say the size to resize to").next("one of them"));
            }
            (Some(resize), None) => resize,
            (None, Some(share)) if share > 0.0 && share <= 1.0 => match f64::from(crop) / share {
                side if side < f64::from(MOST_SIDE) + 1.0 => side.floor() as u32,
                side => {
                    let least = f64::from(crop) / f64::from(MOST_SIDE);
                    return Err(Error::usage(format!("--crop-pct {share}: resizes to {side:.0} pixels, and {MOST_SIDE} are the most"))
                        .because("it is the share of the resized image that the crop takes: crop / share is the size to resize to")
                        .next(format!("--crop-pct 0.875; at least {least:.4} for a crop of {crop}")));
                }
            },
            (None, Some(_)) => return Err(Error::usage("must lie above 0 and be at most 1").at("--crop-pct").next("--crop-pct 0.875")),
            (None, None) => match stored.map(|s| s.short) {
                Some((short, most)) if short == most && short < crop => crop,
                Some((short, most)) if short == most && short <= MOST_SIDE && u64::from(short) * 7 <= u64::from(crop) * 8 => short,
                _ => of_share(CROP_PCT).min(MOST_SIDE.max(crop)),
            },
        };
        if resize < crop {
            return Err(Error::usage(format!("images resized to {resize} are smaller than the crop of {crop}"))
                .at(format!("--val-resize-size {resize}, --val-crop-size {crop}"))
                .because("torchvision's CenterCrop would surround them with black")
                .next(format!("--val-resize-size {crop} or more, or --val-crop-size {resize}")));
        }
        for (flag, side) in [("--val-crop-size", crop), ("--val-resize-size", resize)] {
            if !(1..=MOST_SIDE).contains(&side) {
                return Err(side_out_of_range(flag, side, 1));
            }
        }
        Ok(ResizeCrop { resize, crop, filter })
    }
}

/// Flags of files that are no JPEG: PNG, and WebP.
const NO_JPEG: u8 = flags::WAS_PNG | 1 << 7;

/// What the index of a packed folder says about the sizes of its images, and about what was done to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Least and most of their short sides.
    pub short: (u32, u32),
    /// Short side and whether `pack` resized it, with the number of such images.
    sizes: BTreeMap<(u32, bool), u64>,
    images: u64,
    /// Cut to squares by `pack --fit square`.
    square: bool,
    /// Images longer than 8:1 of which `pack` kept the middle.
    cut: u64,
    /// Images that `pack` encoded anew as JPEG.
    lossy: u64,
    /// The filter that `pack` resized with.
    filter: String,
}

impl Stored {
    pub fn of(dataset: &Dataset) -> Self {
        let options = &dataset.manifest().options;
        let word = |key: &str| options.get(key).and_then(serde_json::Value::as_str).unwrap_or("");
        let (mut sizes, mut cut, mut lossy) = (BTreeMap::new(), 0, 0);
        let requality = options.get("quality").is_some_and(serde_json::Value::is_u64);
        for e in dataset.shards().iter().flat_map(|s| &s.entries) {
            let resized = (e.width, e.height) != (e.orig_width, e.orig_height);
            *sizes.entry((u32::from(e.width.min(e.height)), resized)).or_insert(0) += 1;
            cut += u64::from(e.flags & flags::LONG_SIDE_CROPPED != 0);
            lossy += u64::from(dataset.encoding() == Encoding::Jpeg && (requality || resized || e.flags & NO_JPEG != 0));
        }
        let ends = (sizes.keys().next(), sizes.keys().next_back());
        let filter = word("filter").split(' ').next().unwrap_or("");
        Self {
            short: (ends.0.map_or(0, |k| k.0), ends.1.map_or(0, |k| k.0)),
            images: dataset.len() as u64,
            square: word("fit") == "square",
            cut,
            lossy,
            filter: if filter.is_empty() { "bilinear" } else { filter }.to_owned(),
            sizes,
        }
    }

    /// Of `images` generated squares.
    pub fn generated(side: u32, images: u64) -> Self {
        let sizes = [((side, false), images)].into();
        Self { short: (side, side), sizes, images, square: false, cut: 0, lossy: 0, filter: Filter::Bilinear.name().to_owned() }
    }

    /// The number of images of which the short side and whether `pack` resized them are so.
    fn count(&self, which: impl Fn(u32, bool) -> bool) -> u64 {
        self.sizes.iter().filter(|((short, resized), _)| which(*short, *resized)).map(|(_, n)| n).sum()
    }

    fn share(&self, count: u64) -> String {
        let (n, all) = (text::count(count), text::count(self.images));
        if count == self.images { format!("all {n} packed images") } else { format!("{n} of {all} packed images") }
    }

    /// In words.
    pub fn short_sides(&self) -> String {
        match self.short {
            (least, most) if least == most => format!("short side {least}"),
            (least, most) => format!("short sides {least} to {most}"),
        }
    }

    /// Says that a crop is larger than packed images, with both sizes.
    pub fn enlarged(&self, flag: &str, crop: u32) -> Option<String> {
        let count = self.count(|short, _| short < crop);
        (count > 0).then(|| format!("{flag} {crop} is larger than {} ({}): they are enlarged", self.share(count), self.short_sides()))
    }

    /// What these images cannot give exactly as `transform` of the original images would.
    ///
    /// # Errors
    /// `Usage` where the filter asked for would have no effect, because `pack` resized to that size with another.
    pub fn remarks(&self, transform: &ResizeCrop) -> Result<Vec<String>> {
        let ResizeCrop { resize, crop, filter } = *transform;
        let done = self.count(|short, resized| resized && short == resize);
        if done > 0 && self.filter != filter.name() {
            return Err(Error::usage(format!(
                "{filter} was asked for, but pack resized {} to {resize} with {}",
                self.share(done),
                self.filter,
                filter = filter.name()
            ))
            .at("--val-interpolation")
            .next(format!(
                "--val-interpolation {}; or pack the validation images with --resize 0 (every image at its size)",
                self.filter
            )));
        }
        let mut said = Vec::new();
        let again = self.count(|short, resized| resized && short != resize);
        if again > 0 {
            said.push(format!(
                "{} ({}) were resized by pack already and are resized again to {resize}, not the originals: pack --resize {resize} or 0 gives exact values",
                self.share(again),
                self.short_sides()
            ));
        }
        said.extend(self.enlarged("--val-crop-size", crop));
        if self.square && done > 0 && resize.abs_diff(crop) % 4 != 0 {
            said.push("pack --fit square cut the images before: the centre may lie one pixel beside".to_owned());
        }
        if self.cut > 0 {
            said.push(format!("pack kept only the middle of {} longer than 8:1", self.share(self.cut)));
        }
        if self.lossy > 0 {
            said.push(format!("pack encoded {} anew as JPEG: values differ from the originals'", self.share(self.lossy)));
        }
        Ok(said)
    }
}
