//! How fast a plan sends.

/// How fast a run is meant to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// Sends a minute.
    Fixed(f64),
    /// As fast as it takes to be done in time, see [`auto_rate`].
    Auto,
}

impl Rate {
    pub fn fixed(self) -> Option<f64> {
        match self {
            Rate::Fixed(rate) => Some(rate),
            Rate::Auto => None,
        }
    }
}
