//! `hop serve`: a site as its settings file says, or some of its parts.

use super::server;
use crate::cli;
use crate::error::CommandError;
use crate::output;
use crate::site::role::Role;
use crate::site::settings::Settings;
use crate::site::supervisor::Supervisor;

/// Runs the site until a signal.
pub(crate) fn run(arguments: &cli::Serve) -> Result<(), CommandError> {
    server::log_to_stderr("warn");
    let settings = Settings::read(&arguments.config)?;
    server::runtime()?.block_on(async {
        let supervisor = Supervisor::prepare(settings, Vec::new(), &arguments.only)?;
        supervisor
            .run(|ready| match ready {
                Some(ready) => ready.announce(arguments.json),
                None => announce_parts(&arguments.only, arguments.json),
            })
            .await
    })
}

/// Says that parts without the site serve.
fn announce_parts(parts: &[Role], json: bool) -> Result<(), CommandError> {
    if json {
        return output::json(&serde_json::json!({ "serving": parts }));
    }
    let names: Vec<_> = parts.iter().map(|part| part.name()).collect();
    output::line(&format!("Serving: {}", names.join(", ")));
    Ok(())
}
