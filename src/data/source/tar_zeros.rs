//! Zeros where a tar header should be: the end of the archive, the seam of two archives, or a hole that swallowed members.
//!
//! Two blocks of zeros end a tar, and writers pad it to whole records: GNU tar, Python and bsdtar to 20 blocks (10,240 bytes) unless told
//! otherwise, Go's, Rust's and busybox' not at all. `cat a.tar b.tar` goes on after that; an interrupted download leaves zeros over headers
//! and data. So what follows is looked at, and how long the zeros are:
//!
//! - Zeros before a valid header are a seam only if one archive may end so: two blocks, or padding to a whole record of 20 blocks as seen
//!   from where that archive began. A lone block is read past: no member with bytes fits into it. All else is a hole, an error with both
//!   bytes. A hole of less than 22 blocks that happens to end with a record (1 in 20) or to have two blocks passes for a seam; the note says
//!   where.
//! - Zeros up to the end of the file are the end if they are two blocks, or padding to records of 20 blocks, or of a power of two of blocks.
//!   Up to 21 blocks all else is a note, and more an error: a download into a file made as long as the whole.
//! - Anything else after zeros is a hole where a header follows further on, and is told where none does.
//! - Zeros that begin inside an image (which then does not end as images do) are a hole whatever follows.
//!
//! Costs one read of what follows.

use super::span::Span;
use super::tar::{BLOCK, Tar};
use super::tar_header::Header;
use crate::error::Result;

/// Bytes read at a time.
const CHUNK: u64 = 1 << 20;
/// Zeros at the end of an image that are no accident.
const MANY: usize = 16;
/// The end marker.
const MARKER: u64 = 2 * BLOCK;
/// What most writers pad to.
const RECORD: u64 = 20 * BLOCK;
/// Records of tapes and of `tar -b` are not longer.
const MOST_RECORD: u64 = 16 << 20;

/// The member before the zeros.
#[derive(Default)]
pub struct Before {
    /// Data and size, where it is a JPEG or PNG: other images may well end in zeros.
    image: Option<(u64, u64)>,
}

impl Before {
    pub fn image(name: &str, data: u64, size: u64) -> Self {
        let name = name.to_ascii_lowercase();
        Self { image: [".jpg", ".jpeg", ".png"].iter().any(|end| name.ends_with(end)).then_some((data, size)) }
    }
}

/// What comes after zeros.
pub enum After {
    /// The end, perhaps with something to tell.
    Nothing(Option<String>),
    Header(u64),
}

impl Tar {
    /// Looks at what comes after the block of zeros at `at`, in the archive that began at `start`.
    ///
    /// # Errors
    /// `Data` for a hole, naming file and byte.
    pub fn after_zeros(&self, at: u64, start: u64, before: &Before) -> Result<After> {
        let span = self.span();
        if let Some(cut) = before.image.map(|(data, size)| ends_in_zeros(span, data, size)).transpose()?.flatten() {
            return Err(self.damaged(cut, "zeros from the middle of an image on"));
        }
        let Some(first) = first_other(span, at)? else { return self.at_the_end(at, start) };
        let next = at + (first - at) / BLOCK * BLOCK;
        let zeros = next - at;
        if span.len() - next >= BLOCK && Header::read(&span.read(next, BLOCK)?).is_some() {
            let seam = zeros <= MARKER || zeros < RECORD + MARKER && (next - start).is_multiple_of(RECORD);
            if seam {
                return Ok(After::Header(next));
            }
            let path = span.path().display();
            return Err(self
                .damaged(at, &format!("{zeros} bytes of zeros between members, up to the header at byte {}", span.in_file(next)))
                .because("a download that did not finish left a hole over members; no tar writer ends an archive with so many zeros here")
                .next(format!(
                    "fetch it again; if archives were joined and padded otherwise: mkdir all && tar --ignore-zeros -xf {path} -C all, and give the folder all"
                )));
        }
        if let Some(header) = next_header(span, first)? {
            let what = format!("{zeros} bytes of zeros where headers should be, and the next header only at byte {}", span.in_file(header));
            return Err(self.damaged(at, &what));
        }
        let tail = span.len() - last_other(span, next)?;
        if zeros < MARKER || tail >= MARKER {
            let what = format!("{zeros} bytes of zeros where a header should be, and no header after them at byte {}", span.in_file(next));
            return Err(self.damaged(at, &what));
        }
        let bytes = span.len() - first;
        let place = span.in_file(first);
        Ok(After::Nothing(Some(format!(
            "{}: {bytes} bytes after the end of the archive (from byte {place}) are no tar members and are ignored",
            span.path().display()
        ))))
    }
}

impl Tar {
    /// Zeros from `at` to the end of the file.
    fn at_the_end(&self, at: u64, start: u64) -> Result<After> {
        let span = self.span();
        let zeros = span.len() - at;
        if at == 0 && zeros > RECORD {
            return Err(self.damaged(0, &format!("{zeros} bytes of zeros and nothing else")));
        }
        let padded = |record: u64| zeros < record + MARKER && (span.len() - start).is_multiple_of(record);
        if zeros == MARKER || zeros > MARKER && padded(RECORD) {
            return Ok(After::Nothing(None));
        }
        let place = format!("{}: {zeros} bytes of zeros after the last member, at byte {}", span.path().display(), span.in_file(at));
        if zeros < RECORD + MARKER {
            return Ok(After::Nothing(Some(format!(
                "{place}: no tar writer ends an archive so; the last members may be missing, compare its size and checksum"
            ))));
        }
        let records = std::iter::successors(Some(BLOCK), |r| Some(2 * r)).take_while(|r| *r <= MOST_RECORD);
        if records.into_iter().any(padded) {
            return Ok(After::Nothing(Some(format!("{place}: taken for padding to whole records of a tape"))));
        }
        Err(self
            .damaged(at, &format!("{zeros} bytes of zeros from here to the end, more than any tar writer pads with"))
            .because("a download that did not finish, into a file made as long as the whole: the members that should be here are missing")
            .next(format!(
                "fetch it again; if it is whole (compare its checksum): mkdir all && tar -xf {} -C all, and give the folder all",
                span.path().display()
            )))
    }
}

/// Where the zeros at the end of an image begin, if it is cut by them: without them it does not end as a JPEG, PNG or GIF does.
fn ends_in_zeros(span: &Span, data: u64, size: u64) -> Result<Option<u64>> {
    let from = size.saturating_sub(CHUNK);
    let tail = span.read(data + from, size - from)?;
    let kept = tail.iter().rposition(|&b| b != 0).map_or(0, |i| i + 1);
    let whole = [&b"\xff\xd9"[..], b"IEND\xae\x42\x60\x82", b";"].iter().any(|end| tail[..kept].ends_with(end));
    Ok((tail.len() - kept >= MANY && !whole).then_some(data + from + kept as u64))
}

/// The first byte from `at` on that is not zero.
fn first_other(span: &Span, mut at: u64) -> Result<Option<u64>> {
    while at < span.len() {
        let bytes = span.read(at, CHUNK.min(span.len() - at))?;
        if let Some(i) = bytes.iter().position(|&b| b != 0) {
            return Ok(Some(at + i as u64));
        }
        at += bytes.len() as u64;
    }
    Ok(None)
}

/// The byte behind the last one from `from` on that is not zero.
fn last_other(span: &Span, from: u64) -> Result<u64> {
    let mut end = span.len();
    while end > from {
        let start = end.saturating_sub(CHUNK).max(from);
        let bytes = span.read(start, end - start)?;
        if let Some(i) = bytes.iter().rposition(|&b| b != 0) {
            return Ok(start + i as u64 + 1);
        }
        end = start;
    }
    Ok(from)
}

/// The first header from `from` on: in step with the blocks, or anywhere for those that say `ustar`.
fn next_header(span: &Span, from: u64) -> Result<Option<u64>> {
    let mut at = from / BLOCK * BLOCK;
    while at < span.len() {
        let bytes = span.read(at, (CHUNK + BLOCK).min(span.len() - at))?;
        let header = |i: &usize| bytes.get(*i..*i + BLOCK as usize).is_some_and(|block| Header::read(block).is_some());
        let in_step = (0..bytes.len()).step_by(BLOCK as usize).find(header);
        let magic = memchr::memmem::find_iter(&bytes, b"ustar").filter_map(|i| i.checked_sub(257)).find(header);
        if let Some(i) = in_step.into_iter().chain(magic).min() {
            return Ok(Some(at + i as u64));
        }
        at += CHUNK;
    }
    Ok(None)
}
