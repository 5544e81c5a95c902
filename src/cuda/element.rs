//! The element types that activations may have on the device.

use bytemuck::Pod;

/// f32, or bf16 with f32 arithmetic.
pub trait Element: Pod + Send + Sync + 'static {
    const IS_BF16: bool;
    const NAME: &'static str;
    fn of_f64(v: f64) -> Self;
    fn to_f64(self) -> f64;
}

impl Element for f32 {
    const IS_BF16: bool = false;
    const NAME: &'static str = "f32";
    fn of_f64(v: f64) -> Self {
        v as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Element for half::bf16 {
    const IS_BF16: bool = true;
    const NAME: &'static str = "bf16";
    fn of_f64(v: f64) -> Self {
        half::bf16::from_f64(v)
    }
    fn to_f64(self) -> f64 {
        half::bf16::to_f64(self)
    }
}

/// Launches the kernel of element type `$t`: the first for f32, the second for bf16. Pointers among the fields are cast, so the two must
/// differ in nothing but the element type.
macro_rules! launch_for {
    ($t:ident, $driver:expr, $dims:expr, $f32:ident | $bf16:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {
        if <$t as $crate::cuda::Element>::IS_BF16 {
            $crate::cuda::launch::launch($driver, $dims, &$crate::cuda::handles::$bf16 { $($field $(: $value)?),* })
        } else {
            $crate::cuda::launch::launch($driver, $dims, &$crate::cuda::handles::$f32 { $($field $(: $value)?),* })
        }
    };
}
pub(super) use launch_for;
