//! Each operation: what it does, and who may not.

mod accounts;
mod at_once;
mod certificates;
mod keys;
mod projects;
mod rights;
mod sign_in;
