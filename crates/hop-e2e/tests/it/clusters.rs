//! The way out in the lab: a person with a grown ssh configuration, a bastion as strict as centres have them, and every
//! tool on one code.

mod doors;
mod line;
mod places;
mod scheduler;
mod tools;
