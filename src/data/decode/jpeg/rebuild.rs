//! The pixels of an image that an encoder has just quantised, without its bits: the second half of decoding.

use super::frame::{Coding, Frame, Part, lone_dc};
use super::idct::{Block, Idct, Plain, Quant};
use super::output::{self, Space, ToRgb};
use super::{Buffers, sized};
use crate::data::sums::ChannelSums;

/// Planes that are filled block by block.
pub struct Rebuild(Frame);

impl Rebuild {
    /// For Y, Cb and Cr; luma has `across` x `across` the samples of chroma (1 or 2).
    pub fn new((width, height): (usize, usize), across: usize, buffers: &mut Buffers) -> Result<Self, String> {
        let part = |id, side, quant| Part { id, h: side, v: side, quant };
        let parts = [part(1, across, 0), part(2, 1, 1), part(3, 1, 1)];
        let mut frame = Frame::new((width, height), Coding { progressive: false, arithmetic: false }, &parts, None)?;
        frame.begin(parts.len(), buffers);
        Ok(Self(frame))
    }

    /// Samples of the block at `(x, y)`, in blocks, of a component. `bits` are set for its nonzero coefficients.
    #[inline(always)]
    pub fn block<I: Idct>(&mut self, component: usize, (x, y): (usize, usize), block: (&Block, u64), quant: &Quant, idct: I) {
        let Some(component) = self.0.components.get_mut(component) else { return };
        let stride = component.stride();
        let Some(out) = component.plane.get_mut(y * 8 * stride + x * 8..) else { return };
        if block.1 & !1 != 0 {
            idct.block(block.0, quant, out, stride);
        } else {
            lone_dc(block.0[0], quant, out, stride);
        }
    }

    /// The sums of the pixels, which are not made for it.
    #[inline(always)]
    pub fn sums<I: Idct>(&self, buffers: &mut Buffers, idct: I) -> ChannelSums {
        output::sums(&self.0, &mut buffers.lines, idct)
    }

    /// The pixels, as the decoder makes them of the same coefficients; by the plain code, for a check.
    pub fn pixels(&self, buffers: &mut Buffers) -> Vec<u8> {
        let frame = &self.0;
        let mut rgb = sized(&mut buffers.rgb, frame.want.width * frame.want.height * 3);
        pulp::NullaryFnOnce::call(ToRgb { frame, space: Space::YCbCr, lines: &mut buffers.lines, out: &mut rgb, colours: Plain });
        rgb
    }

    /// Gives the memory back.
    pub fn recycle(self, buffers: &mut Buffers) {
        self.0.recycle(buffers);
    }
}
