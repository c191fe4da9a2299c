//! The web side of a site: pages for people, and the operations that pages, API and command line share.
//!
//! What must stay true: every change goes through [`operations`], which decide who may do it; pages only read a form
//! and show what came of it.

pub mod operations;
