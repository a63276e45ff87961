//! What the product promises, as stories.

mod desk;
mod signing_in;
