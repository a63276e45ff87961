//! Pictures, documents, sounds and videos: what people of the house send, and what contacts sent.

pub mod domain;
pub mod form;
pub mod heard;
pub mod said;
pub mod store;
pub mod web;
