//! `https-token`, "Being asked": what the table of requests decides.

mod forms;
mod rules;
mod table;
