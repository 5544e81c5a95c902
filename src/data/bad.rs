//! Pictures that cannot be read: how many are tolerated, and the report of them.

use super::plan::Plan;
use crate::error::{Error, Result};
use crate::files::{failpoint, remove, write_whole};
use crate::text::{count, counted};
use std::path::Path;

/// The report of pictures that were left out, one JSON object a line.
pub const BAD_IMAGES: &str = "bad_images.jsonl";

/// `--on-bad`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OnBad {
    /// The first bad picture ends the pack.
    Fail,
    /// Any number is left out.
    Skip,
    /// Left out up to this fraction of all pictures.
    Limit(f64),
}

impl Default for OnBad {
    fn default() -> Self {
        Self::Limit(0.0001)
    }
}

/// A picture that was left out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BadPicture {
    pub path: String,
    /// The archive and the place in it, for pictures that are no files of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    pub size: u64,
    pub sha256: String,
    pub error: String,
    pub action: String,
}

/// Writes (or removes) `bad_images.jsonl`.
pub fn report_bad(dir: &Path, bad: &[BadPicture]) -> Result<()> {
    if bad.is_empty() {
        // One of an earlier run would be wrong now; usually there is none.
        return remove(&dir.join(BAD_IMAGES));
    }
    let mut text = String::new();
    for picture in bad {
        text += &serde_json::to_string(picture).map_err(|e| Error::internal(e.to_string()))?;
        text.push('\n');
    }
    failpoint("before-bad-images");
    write_whole(dir, BAD_IMAGES, text.as_bytes(), true)
}

pub fn too_many_bad(dir: &Path, plan: &Plan, bad: &[BadPicture], on_bad: OnBad) -> Error {
    let first = &bad[0];
    let list = dir.join(BAD_IMAGES).display().to_string();
    let at = plan.items.iter().find(|i| i.path == first.path && plan.store.within(&i.path, &i.place) == first.within);
    let place = at.map_or_else(|| first.path.clone(), |i| plan.store.describe(&i.path, &i.place));
    if on_bad == OnBad::Fail {
        return Error::data(format!("an image cannot be read: {}", first.error))
            .at(place)
            .because("--on-bad fail stops at the first one")
            .next(format!("see {list}; --on-bad skip leaves such images out"));
    }
    let allowed = if let OnBad::Limit(f) = on_bad {
        format!("--on-bad limit={f} allows {}", (plan.items.len() as f64 * f).floor())
    } else {
        String::new()
    };
    Error::data(format!("{} of {} cannot be read; {allowed}", count(bad.len() as u64), counted(plan.items.len() as u64, "image")))
        .at(format!("{place} and others, all in {list}"))
        .because(format!("the first one: {}", first.error))
        .next("look at that list; then run again with --on-bad skip, or a larger limit (finished shards are kept)")
}
