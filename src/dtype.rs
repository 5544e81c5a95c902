//! Element types of stored tensors, and their widening to f32.

use half::{bf16, f16};

/// Types a weight file may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DType {
    F64,
    F32,
    F16,
    Bf16,
    I64,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Little-endian `bytes` as f32; exact for F16, Bf16 and F32, rounded to nearest for F64 and I64.
    /// Trailing bytes that make no whole element are ignored.
    pub fn widen(self, bytes: &[u8]) -> Vec<f32> {
        let each = bytes.chunks_exact(self.size());
        match self {
            Self::F64 => each.map(|b| f64::from_le_bytes(b.try_into().unwrap_or_default()) as f32).collect(),
            Self::I64 => each.map(|b| i64::from_le_bytes(b.try_into().unwrap_or_default()) as f32).collect(),
            Self::F32 => each.map(|b| f32::from_le_bytes(b.try_into().unwrap_or_default())).collect(),
            Self::F16 => each.map(|b| f16::from_le_bytes(b.try_into().unwrap_or_default()).to_f32()).collect(),
            Self::Bf16 => each.map(|b| bf16::from_le_bytes(b.try_into().unwrap_or_default()).to_f32()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_is_exact_where_it_can_be() {
        assert_eq!(DType::F16.widen(&f16::from_f32(-1.5).to_le_bytes()), [-1.5]);
        assert_eq!(DType::Bf16.widen(&bf16::from_f32(3.0e38).to_le_bytes()), [bf16::from_f32(3.0e38).to_f32()]);
        assert_eq!(DType::F32.widen(&1.0e-40f32.to_le_bytes()), [1.0e-40]);
        assert_eq!(DType::I64.widen(&7i64.to_le_bytes()), [7.0]);
        assert_eq!(DType::F64.widen(&0.1f64.to_le_bytes()), [0.1f32]);
        assert!(DType::F32.widen(&[1, 2, 3]).is_empty());
    }
}
