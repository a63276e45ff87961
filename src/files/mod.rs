//! Campaign files: a table with a header row and a contact in each row below it.
//!
//! ```text
//! received ──▶ importing ──▶ imported      its good rows are an audience
//!    │            │ └──────▶ refused       it could not be read to the end
//!    └────────────┴────────▶ cancelled     may be imported again
//! ```
//!
//! * [`upload`] takes a file in and reads its head ([`head`]): in which characters it is
//!   written, which row names the columns, what nobody sees of it. What is no table
//!   is refused there and not kept.
//! * Somebody says what the columns are ([`domain::Mapping`]), or first how it is to be
//!   read ([`domain::ReadingChoice`]), and sends it to be imported.
//! * [`import`] reads it row by row ([`table`], [`workbook`]), asks
//!   [`domain::ImportRules`] about each row and stores the good ones, all of them in
//!   one transaction at the end: a file is an audience or it is not.
//!
//! * What came to be of no campaign goes after a day ([`sweep`]): forms that were sent
//!   twice, refused or given up leave files behind.
//!
//! Deliberately absent: correcting rows here. The person who has the table
//! corrects it there, with the downloaded list of problems beside it.

pub mod domain;
pub mod refusal;
pub mod table;
pub mod number_format;
pub mod xlsx;
pub mod sheet;
pub mod confine;
pub mod workbook;
pub mod head;
pub mod store;
pub mod actions;
pub mod upload;
pub mod import;
pub mod sweep;
pub mod web;
