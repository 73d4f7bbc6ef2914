//! `https-token`, "Being asked": what the table of requests decides.

mod forms;
mod projected;
mod rules;
mod table;
