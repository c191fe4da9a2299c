//! The way out: logins to clusters, held by the user's broker.

pub(crate) mod agent;
pub(crate) mod answer;
pub(crate) mod askpass;
pub(crate) mod broker;
pub(crate) mod create_ssh_socket;
pub(crate) mod daemon;
pub(crate) mod dial;
pub(crate) mod ensure;
pub(crate) mod exec;
pub(crate) mod forward;
pub(crate) mod line_editor;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod on_terminal;
pub(crate) mod place;
pub(crate) mod places;
pub(crate) mod ssh;
pub(crate) mod ssh_config;
pub(crate) mod status;
pub(crate) mod terminal;
pub(crate) mod times;
pub(crate) mod unit;
