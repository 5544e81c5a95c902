//! Where pictures come from: one file per layout, each giving the same listing.

pub mod image_folder;

/// A picture file of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Relative to the source's root, with `/` between the parts.
    pub path: String,
    /// Index into [`Listing::classes`].
    pub label: u32,
}

/// What a source holds: sorted, so that it depends on the names alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Sorted by bytes; the rank is the label.
    pub classes: Vec<String>,
    /// Sorted by the bytes of the path.
    pub files: Vec<SourceFile>,
    /// What a user would want to know: ignored files, empty classes.
    pub notes: Vec<String>,
}
