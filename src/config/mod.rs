//! Settings: as written (file, URL, flags) to as used.

pub mod settings;
