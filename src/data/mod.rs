//! Pictures on disk.
