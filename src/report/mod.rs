//! Reports as pages: one self-contained HTML document each, to be read on a screen, printed or handed on.
//!
//! SQL gathers a [`document`] with the rights of the caller (sql/report/pages.sql); nothing here reads the database.
//! [`page`] fills the templates, which escape every value; [`plot`] draws; [`text`] shows what text hides.

mod document;
mod page;
mod plot;
mod text;
