//! `hop serve`: a site as its settings file says.

use super::server;
use crate::cli;
use crate::error::CommandError;
use crate::site::settings::Settings;
use crate::site::supervisor::Supervisor;

/// Runs the site until a signal.
pub(crate) fn run(arguments: &cli::Serve) -> Result<(), CommandError> {
    server::log_to_stderr("warn");
    let settings = Settings::read(&arguments.config)?;
    server::runtime()?.block_on(async {
        let supervisor = Supervisor::prepare(settings, Vec::new())?;
        supervisor.run(|ready| ready.announce(arguments.json)).await
    })
}
