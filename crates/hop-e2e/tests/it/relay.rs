//! The relay between real peers: policy, the bare second leg, and a live connection that moves to another process.

pub(crate) mod site;
