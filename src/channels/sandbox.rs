//! The sandbox adapter.
