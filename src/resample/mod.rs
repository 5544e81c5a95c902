//! Resizing of 8-bit RGB images to the same bits as Pillow's `Image.resize(size, resample, box)`, and so torchvision's transforms of
//! PIL images.
//!
//! The method is that of Pillow's results: for each dimension the filter, widened by the reduction, is sampled at the distances of the
//! input pixels within its reach, in f64, divided by its sum and rounded to 22 bits behind the point. Rows are filtered first, to u8,
//! then columns, to u8, each by a sum in i32 that begins with one half; a dimension that keeps its size is not filtered. Since Pillow 13
//! columns come first where the height shrinks by more than twice what the width does, which shows in the last bit.
//!
//! Cost: for an output of w x h from a rectangle of W x H with s taps across and t down, 3 (H w s + w h t) multiplications; the rows
//! between the passes (H w, 3 bytes each) are kept. `across_avx2` is the pass along rows in vector instructions; that down columns is a
//! loop which the compiler turns into them.

mod across;
#[cfg(target_arch = "x86_64")]
mod across_avx2;
mod down;
mod taps;

pub use taps::Filter;
use taps::Taps;

/// An RGB image, or a rectangle of one, in memory: `height` rows of `width` pixels, `stride` bytes from one to the next.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    pub pixels: &'a [u8],
    pub stride: usize,
    pub width: usize,
    pub height: usize,
}

impl<'a> Image<'a> {
    /// A whole image, rows without padding.
    pub const fn whole(pixels: &'a [u8], width: usize, height: usize) -> Self {
        Self { pixels, stride: 3 * width, width, height }
    }

    /// The rectangle `(x, y, width, height)`, which becomes all there is: filters do not look beyond it. Nothing where it is not inside.
    pub fn rectangle(self, (x, y, width, height): (usize, usize, usize, usize)) -> Self {
        let inside = x.saturating_add(width) <= self.width && y.saturating_add(height) <= self.height;
        let pixels = self.pixels.get(y * self.stride + 3 * x..).filter(|_| inside);
        Self { pixels: pixels.unwrap_or(&[]), width, height, ..self }
    }

    fn holds_its_rows(&self) -> bool {
        let line = 3 * self.width;
        self.width > 0 && self.height > 0 && (self.height - 1) * self.stride + line <= self.pixels.len() && line <= self.stride
    }
}

/// What is wanted of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resize {
    pub filter: Filter,
    /// Left, top, right and bottom of what is resized, in pixels and parts of them; filters look beyond it, as Pillow's `box`.
    pub part: [f32; 4],
    /// Width and height of the result.
    pub to: (usize, usize),
    /// Left, top, width and height of what is wanted of the result.
    pub window: (usize, usize, usize, usize),
    /// The window is mirrored, left to right.
    pub flip: bool,
}

impl Resize {
    /// All of an image of `width` x `height` to `to`.
    pub fn whole(filter: Filter, (width, height): (usize, usize), to: (usize, usize)) -> Self {
        Self { filter, part: [0.0, 0.0, width as f32, height as f32], to, window: (0, 0, to.0, to.1), flip: false }
    }

    /// Which pass is the first is a matter of speed to Pillow and of the last bit to its results. Since its version 13 columns come first
    /// where the height shrinks, and by more than twice what the width does; before, and else, rows do.
    const fn columns_first(&self, image: &Image<'_>) -> bool {
        let ((to_width, to_height), (width, height)) = (self.to, (image.width, image.height));
        to_height < height && height + 2 * to_width > to_height + 2 * width
    }

    fn fits(&self, image: &Image<'_>) -> bool {
        let ([left, top, right, bottom], (x, y, w, h)) = (self.part, self.window);
        let part =
            left >= 0.0 && top >= 0.0 && left < right && top < bottom && right <= image.width as f32 && bottom <= image.height as f32;
        part && w > 0 && h > 0 && x + w <= self.to.0 && y + h <= self.to.1
    }
}

/// One thread's resampler: keeps its memory from image to image.
#[derive(Default)]
pub struct Resampler {
    across: Taps,
    down: Taps,
    /// The rows between the passes, or where columns come first, those after both.
    rows: Vec<u8>,
    /// Where columns come first: the rows between the passes.
    between: Vec<u8>,
    spare: across::Spare,
    plain: bool,
}

/// An image before its last pass: rows of it can be had.
pub struct Rows<'a> {
    /// None: there is nothing left to do.
    down: Option<&'a Taps>,
    rows: &'a [u8],
    stride: usize,
    plain: bool,
}

impl Resampler {
    /// Without instructions beyond those that every processor of the kind has: to hold the others against.
    pub fn plain() -> Self {
        Self { plain: true, ..Self::default() }
    }

    /// All but the last pass; none if the job does not fit the image or the image its memory.
    pub fn start<'a>(&'a mut self, image: Image<'a>, job: &Resize) -> Option<Rows<'a>> {
        if !image.holds_its_rows() || !job.fits(&image) {
            return None;
        }
        let ([left, top, right, bottom], (x, y, w, h), plain) = (job.part, job.window, self.plain);
        self.across.set(job.filter, image.width, (left, right), job.to.0, x..x + w);
        self.down.set(job.filter, image.height, (top, bottom), job.to.1, y..y + h);
        // Only what is used exists from here on.
        let (columns, lines) = (self.across.begin_at_first(), self.down.begin_at_first());
        let pixels = image.pixels.get(lines.start * image.stride + 3 * columns.start..)?;
        let used = Image { pixels, stride: image.stride, width: columns.len(), height: lines.len() };
        let across_copies = self.across.copies && !job.flip;
        let down = Some(&self.down).filter(|down| !down.copies);
        if across_copies {
            return Some(Rows { down, rows: pixels, stride: image.stride, plain });
        }
        let stride = (3 * w + across::BEYOND).next_multiple_of(32);
        if down.is_some() && job.columns_first(&image) {
            let between = 3 * used.width;
            self.between.resize(between * h, 0);
            let rows = Rows { down, rows: pixels, stride: image.stride, plain };
            self.between.chunks_exact_mut(between).enumerate().for_each(|(i, row)| rows.row(i, row));
            self.rows.resize(h * stride, 0);
            let between = Image { pixels: &self.between, stride: between, width: used.width, height: h };
            across::filter(between, &self.across, job.flip, &mut self.rows, stride, &mut self.spare, plain);
            return Some(Rows { down: None, rows: &self.rows, stride, plain });
        }
        self.rows.resize(used.height * stride, 0);
        across::filter(used, &self.across, job.flip, &mut self.rows, stride, &mut self.spare, plain);
        Some(Rows { down, rows: &self.rows, stride, plain })
    }

    /// The whole window, rows without padding, in `out`, whose content is replaced. False as [`Resampler::start`]'s none.
    #[must_use]
    pub fn resize(&mut self, image: Image<'_>, job: &Resize, out: &mut Vec<u8>) -> bool {
        let line = 3 * job.window.2;
        let Some(rows) = self.start(image, job) else { return false };
        out.resize(line * job.window.3, 0);
        out.chunks_exact_mut(line).enumerate().for_each(|(i, row)| rows.row(i, row));
        true
    }
}

impl Rows<'_> {
    /// Row `i` of the window. `out` is as long as a row of it.
    pub fn row(&self, i: usize, out: &mut [u8]) {
        match self.down {
            Some(taps) => down::filter(&self.rows[taps.first[i] * self.stride..], self.stride, taps.weights(i), out, self.plain),
            None => out.copy_from_slice(&self.rows[i * self.stride..][..out.len()]),
        }
    }
}
