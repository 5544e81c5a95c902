//! Masks among the images of class folders: `benign (1)_mask.png` beside `benign (1).png`, `COVID/masks/` beside `COVID/images/`. Where most
//! images have one they are left out, with a note; they are no images of the class.

use super::Listing;
use super::stem;
use crate::text::counted;
use std::collections::HashSet;

const WORDS: [&str; 12] = [
    "mask",
    "masks",
    "segmentation",
    "segmentations",
    "seg",
    "segm",
    "groundtruth",
    "ground_truth",
    "trimap",
    "trimaps",
    "segmentation_mask",
    "lungmask",
];

/// Whether a folder is called as one of masks.
pub fn says_mask(folder: &str) -> bool {
    WORDS.contains(&folder.to_ascii_lowercase().as_str())
}

/// The name of the image that a mask is of, if it is called as one: `x_mask`, `x_mask_1`, `x-segmentation`.
fn base(stem: &str) -> Option<&str> {
    let trimmed = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = if trimmed.len() < stem.len() { trimmed.trim_end_matches(['_', '-']) } else { stem };
    [stem, numbered].into_iter().find_map(|s| {
        WORDS.iter().find_map(|w| {
            let at = s.len().checked_sub(w.len()).filter(|at| *at > 1 && s.is_char_boundary(*at))?;
            let (before, word) = s.split_at(at);
            before.strip_suffix(['_', '-', '.', ' ']).filter(|_| word.eq_ignore_ascii_case(w))
        })
    })
}

/// Folder and name of an image.
fn parts(path: &str) -> (&str, &str) {
    (path.rsplit_once('/').map_or("", |(folder, _)| folder), stem(path))
}

/// The last folder is one of masks: the folder above it.
fn above_masks(folder: &str) -> Option<&str> {
    let (above, last) = folder.rsplit_once('/')?;
    says_mask(last).then_some(above)
}

/// Leaves out masks where most images have one.
pub fn leave_out(listing: &mut Listing) {
    let names: HashSet<(&str, &str)> = listing.files.iter().map(|f| parts(&f.path)).collect();
    // What lies beside a folder of masks, by the folder above both.
    let beside: HashSet<(&str, &str)> = listing
        .files
        .iter()
        .map(|f| parts(&f.path))
        .filter(|(folder, _)| above_masks(folder).is_none())
        .flat_map(|(folder, name)| [Some((folder, name)), folder.rsplit_once('/').map(|(above, _)| (above, name))])
        .flatten()
        .collect();
    let of = |path: &str| -> Option<(String, String)> {
        let (folder, name) = parts(path);
        let own = base(name);
        if let Some(above) = above_masks(folder) {
            return [Some(name), own]
                .into_iter()
                .flatten()
                .find(|n| beside.contains(&(above, n)))
                .map(|n| (above.to_owned(), n.to_owned()));
        }
        own.filter(|b| names.contains(&(folder, b))).map(|b| (folder.to_owned(), b.to_owned()))
    };
    let found: Vec<Option<(String, String)>> = listing.files.iter().map(|f| of(&f.path)).collect();
    let masked = found.iter().flatten().collect::<HashSet<_>>().len();
    let masks = found.iter().flatten().count();
    if masks == 0 || 2 * masked < listing.files.len() - masks {
        return;
    }
    let example = found.iter().position(Option::is_some).and_then(|i| listing.files.get(i)).map_or_else(String::new, |f| f.path.clone());
    let mut is_mask = found.iter().map(Option::is_some);
    listing.files.retain(|_| is_mask.next() != Some(true));
    listing.notes.push(format!(
        "left out {}, called as masks of the images beside them, such as {}: --source folder packs them too",
        counted(masks as u64, "image"),
        super::arrange::shown(&example)
    ));
}
