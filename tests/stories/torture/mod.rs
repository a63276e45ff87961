//! What happens beneath and beside: servers that are lost, with real processes.

mod pair;
