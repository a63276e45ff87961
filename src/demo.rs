//! The demo.
use rand::distr::{Alphanumeric, SampleString};

use crate::app::App;

/// A password that nobody has used before.
pub fn fresh_password() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), 16)
}

/// Writes the demo.
pub async fn seed(_app: &App) -> anyhow::Result<bool> {
    Ok(false)
}
