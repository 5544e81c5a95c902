//! Whether two packed folders hold the same images, by the first 8 bytes of the SHA-256 of each source file, which the index keeps.
//!
//! Cost: a set of one folder's hashes and one pass over the other's index; no image is read. Generated images carry no hash and count as
//! different.

use super::dataset::Dataset;
use std::collections::HashSet;

/// Hash of an image that comes from no file.
const NONE: [u8; 8] = [0; 8];

/// What the images of a validation folder have in common with those of a training folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Validation images that training holds too.
    pub shared: u64,
    /// All validation images.
    pub of: u64,
    /// Both hold the same images, none more.
    pub same: bool,
}

impl Overlap {
    pub fn of(train: &Dataset, val: &Dataset) -> Self {
        fn hashes(dataset: &Dataset) -> impl Iterator<Item = [u8; 8]> {
            dataset.shards().iter().flat_map(|s| &s.entries).map(|e| e.source_sha)
        }
        let wanted: HashSet<[u8; 8]> = hashes(val).filter(|h| *h != NONE).collect();
        let (mut found, mut others) = (HashSet::new(), 0u64);
        for hash in hashes(train) {
            if wanted.contains(&hash) {
                found.insert(hash);
            } else {
                others += 1;
            }
        }
        let shared = hashes(val).filter(|h| found.contains(h)).count() as u64;
        let of = val.len() as u64;
        Self { shared, of, same: others == 0 && shared == of && of > 0 }
    }
}
