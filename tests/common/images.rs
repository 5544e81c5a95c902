//! Images that tests and the scripts of their golden values make by one formula, so that none is committed, and hashes of bytes.

use sha2::Digest;

/// `count` bytes of image `number`: byte i is byte i % 8 of splitmix64's finaliser of (number << 32) + i / 8; where the number is odd,
/// black or white by its highest bit.
pub fn image(number: u64, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count + 7);
    for i in 0..count.div_ceil(8) as u64 {
        let mut z = ((number << 32) + i).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bytes.extend((z ^ (z >> 31)).to_le_bytes());
    }
    bytes.truncate(count);
    if number % 2 == 1 {
        bytes.iter_mut().for_each(|v| *v = if *v >= 128 { 255 } else { 0 });
    }
    bytes
}

/// The first `digits` hexadecimal digits of the SHA-256.
pub fn hash(bytes: &[u8], digits: usize) -> String {
    sha2::Sha256::digest(bytes).iter().take(digits / 2).map(|b| format!("{b:02x}")).collect()
}
