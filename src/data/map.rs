//! The one place that maps a file: read-only, and only the DATA section of a shard.

use super::fault::Watched;
use super::format::Range;
use memmap2::{Mmap, MmapOptions};
use std::fs::File;
use std::path::Path;

/// A mapped byte range of a file.
#[derive(Debug)]
pub struct Map(Option<(Watched, Mmap)>); // dropped in this order

impl Map {
    /// Maps `range` of `file`, which is called `path`. An empty range maps nothing. `asked`: what is wanted is asked for by name, so that the kernel need not guess
    /// what comes next and reads single pages where nobody asked.
    ///
    /// # Errors
    /// Those of the operating system.
    #[allow(unsafe_code)]
    pub fn new(file: &File, path: &Path, range: Range, asked: bool) -> std::io::Result<Self> {
        if range.len == 0 {
            return Ok(Self(None));
        }
        // SAFETY: a map is sound as long as nobody changes the file while its bytes are borrowed. Finished shards are never written
        // again by this program (they are created under another name and renamed); a foreign program that cuts one between the
        // length check of `Shard::payload` and the use of the bytes causes SIGBUS, which `fault` turns into a message; one that
        // overwrites bytes of a borrow is found by CRC only before. The loader copies and checks the copy.
        let map = unsafe { MmapOptions::new().offset(range.off).len(range.len as usize).map(file)? };
        if asked {
            let _ = map.advise(memmap2::Advice::Random); // it may be refused; reading works without it
        }
        Ok(Self(Some((Watched::new(&map, path, range.off), map))))
    }

    /// Lets go of the pages of `len` bytes from `offset` on: the page cache cannot drop what is mapped.
    #[allow(unsafe_code)]
    pub fn release(&self, offset: u64, len: usize) {
        let (Some((_, map)), Ok(start)) = (self.0.as_ref(), usize::try_from(offset)) else { return };
        if start.checked_add(len).is_some_and(|end| end <= map.len()) {
            // SAFETY: the map is shared and read-only, so what is let go of is read from the file again, with the same bytes. Advice may
            // be refused; then the pages stay.
            let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, len) };
        }
    }

    /// `len` bytes from `offset` on, counted from the start of the range.
    pub fn get(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.0.as_ref()?.1.get(start..start.checked_add(len)?)
    }
}
