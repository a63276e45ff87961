//! (to be written)
pub mod importer;
