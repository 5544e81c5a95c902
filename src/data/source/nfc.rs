//! Accents written as one character or as a letter and a mark: macOS writes file names in the second way, most programs the first.

/// The name with letters and marks put together, for comparison.
pub fn composed(name: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    name.nfc().collect()
}
