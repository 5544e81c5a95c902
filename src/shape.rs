//! Shapes of the problems the backends solve. All counts are in elements, all layouts NHWC (activations) and KRSC (filters).

use crate::error::{Error, Result};

/// One convolution: `n` pictures of `h` x `w` x `c`, `k` filters of `r` x `s`, the same stride and padding both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvProblem {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub k: usize,
    pub r: usize,
    pub s: usize,
    pub stride: usize,
    pub pad: usize,
}

impl ConvProblem {
    /// Output height.
    pub fn p(&self) -> usize {
        (self.h + 2 * self.pad - self.r) / self.stride + 1
    }

    /// Output width.
    pub fn q(&self) -> usize {
        (self.w + 2 * self.pad - self.s) / self.stride + 1
    }

    /// Elements of the input, `n*h*w*c`.
    pub fn x_len(&self) -> usize {
        self.n * self.h * self.w * self.c
    }

    /// Elements of the filters, `k*r*s*c`.
    pub fn w_len(&self) -> usize {
        self.k * self.r * self.s * self.c
    }

    /// Elements of the output, `n*p*q*k`.
    pub fn y_len(&self) -> usize {
        self.n * self.p() * self.q() * self.k
    }

    /// Multiply-accumulates of one of fprop, dgrad or wgrad (halo taps counted).
    pub fn macs(&self) -> u64 {
        self.y_len() as u64 * (self.r * self.s * self.c) as u64
    }

    /// `Usage` error if the filter does not fit the padded picture or a count is zero.
    pub fn check(&self) -> Result<()> {
        let zero = [self.n, self.h, self.w, self.c, self.k, self.r, self.s, self.stride].contains(&0);
        if zero || self.h + 2 * self.pad < self.r || self.w + 2 * self.pad < self.s {
            return Err(Error::usage("the filter does not fit the image")
                .at(format!("convolution {self:?}"))
                .because("the image is smaller than the network's strides allow")
                .next("a larger --train-crop-size"));
        }
        Ok(())
    }
}

/// One square max-pool window over NHWC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolProblem {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub window: usize,
    pub stride: usize,
    pub pad: usize,
}

impl PoolProblem {
    /// Output height.
    pub fn p(&self) -> usize {
        (self.h + 2 * self.pad - self.window) / self.stride + 1
    }

    /// Output width.
    pub fn q(&self) -> usize {
        (self.w + 2 * self.pad - self.window) / self.stride + 1
    }

    pub fn x_len(&self) -> usize {
        self.n * self.h * self.w * self.c
    }

    pub fn y_len(&self) -> usize {
        self.n * self.p() * self.q() * self.c
    }
}

/// One matrix product of a linear layer: `y[n,k] = x[n,c] * w[k,c]^T + bias[k]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinearProblem {
    pub n: usize,
    pub c: usize,
    pub k: usize,
}

/// A dense tensor's extents, outermost first, at most four.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; 4],
    rank: usize,
}

impl Shape {
    /// Panics above rank 4, which only code, never input, can ask for.
    pub const fn new<const R: usize>(extents: [usize; R]) -> Self {
        assert!(R <= 4, "at most four dimensions");
        let mut dims = [1; 4];
        let mut i = 0;
        while i < R {
            dims[i] = extents[i];
            i += 1;
        }
        Self { dims, rank: R }
    }

    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }

    /// Number of elements.
    #[allow(clippy::len_without_is_empty)] // a shape is no container
    pub fn len(&self) -> usize {
        self.dims().iter().product()
    }

    /// `(n, h, w, c)` of a picture batch, or a usage error naming `op`.
    pub fn nhwc(&self, op: &str) -> Result<(usize, usize, usize, usize)> {
        match *self.dims() {
            [n, h, w, c] => Ok((n, h, w, c)),
            _ => Err(Error::internal("expected a tensor of shape [n, h, w, c]").at(format!("{op}, got {self:?}"))),
        }
    }

    /// `(rows, columns)` of a matrix, or an error naming `op`.
    pub fn matrix(&self, op: &str) -> Result<(usize, usize)> {
        match *self.dims() {
            [n, c] => Ok((n, c)),
            _ => Err(Error::internal("expected a tensor of shape [n, c]").at(format!("{op}, got {self:?}"))),
        }
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.dims())
    }
}
