//! The element types of the backend, and the crate's only call into the GEMM library.
//!
//! `f32` trains; `f64` exists so that gradient checks run through the very same code with rounding out of the way.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

/// What the kernels need of a floating-point type.
pub trait Real:
    bytemuck::Pod
    + Send
    + Sync
    + Debug
    + Display
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + Sum
{
    const NAME: &'static str;
    const ZERO: Self;
    const ONE: Self;
    fn of_f32(v: f32) -> Self;
    fn of_f64(v: f64) -> Self;
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
    fn is_nan(self) -> bool;
}

macro_rules! real {
    ($t:ident) => {
        impl Real for $t {
            const NAME: &'static str = stringify!($t);
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline(always)]
            fn of_f32(v: f32) -> Self {
                v as $t
            }
            #[inline(always)]
            fn of_f64(v: f64) -> Self {
                v as $t
            }
            #[inline(always)]
            fn to_f32(self) -> f32 {
                self as f32
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
        }
    };
}
real!(f32);
real!(f64);

/// A matrix inside a slice: element (i, j) is `data[i * row + j * column]`.
#[derive(Clone, Copy)]
pub struct Mat<'a, T> {
    pub data: &'a [T],
    pub row: usize,
    pub column: usize,
}

impl<'a, T> Mat<'a, T> {
    /// Row-major with `stride` elements from row to row.
    pub fn rows(data: &'a [T], stride: usize) -> Self {
        Self { data, row: stride, column: 1 }
    }

    /// The transpose, by view.
    pub fn transposed(self) -> Self {
        Self { data: self.data, row: self.column, column: self.row }
    }

    /// Elements from the first to the last of a `rows` x `columns` matrix.
    fn span(&self, rows: usize, columns: usize) -> usize {
        if rows == 0 || columns == 0 { 0 } else { (rows - 1) * self.row + (columns - 1) * self.column + 1 }
    }
}

/// `c[m,n] = a[m,k] * b[k,n]`, added to what `c` holds if `accumulate`; `c` is row-major with `stride` elements from row to row.
/// One thread; the order of the sums depends on the shape alone. Returns false, touching nothing, if a slice is too short.
#[must_use]
pub fn gemm<T: Real>((m, n, k): (usize, usize, usize), a: Mat<T>, b: Mat<T>, c: &mut [T], stride: usize, accumulate: bool) -> bool {
    let whole = Mat::rows(&*c, stride);
    if a.span(m, k) > a.data.len() || b.span(k, n) > b.data.len() || whole.span(m, n) > c.len() || (m > 1 && stride < n) {
        return false;
    }
    // SAFETY: the spans just checked hold every element that is read or written; `c` is borrowed exclusively, and its rows do not
    // overlap since stride >= n. `T` is f32 or f64 (`Real` has no other implementation), both of which the library takes.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.column as isize,
            a.row as isize,
            b.data.as_ptr(),
            b.column as isize,
            b.row as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
    true
}
