//! `cargo xtask matrix`: every peer against the server, and the pages that say how it went.

use std::path::Path;

use crate::tool::{Error, root, run};
use crate::{setup, test};

/// Runs the peers and writes `docs/peer-matrix.md` (for `hop`), `docs/peer-matrix-gateway.md` (for `gateway`) or only
/// reports (for an sshd).
pub(crate) fn run_server(server: &str) -> Result<(), Error> {
    setup::run()?;
    let results = hop_e2e::program::target_folder().join("peer-matrix");
    setup::remove_folder(&results)?;
    std::fs::create_dir_all(&results).map_err(Error::file(&results))?;
    let ours = ["hop", "gateway"].contains(&server);
    let mut command = match server {
        "gateway" => test::behind_a_gateway(&test::build_hop()?),
        _ => {
            let mut command = test::runner(&["--package", "hop-e2e"]);
            command.arg("--no-fail-fast").env("HOP_E2E_SERVER", server);
            if ours {
                command.env("HOP_BIN", test::build_hop()?);
            }
            command
        }
    };
    command.env("HOP_E2E_RESULTS", &results);
    // Written also when tests failed: the page then says which.
    let outcome = run(&mut command);
    let records = hop_e2e::matrix::read_records(&results).map_err(Error::file(&results))?;
    let version = match server {
        "hop" => format!("`hop endpoint` {}", env!("CARGO_PKG_VERSION")),
        "gateway" => format!("a project behind the gateway of `hop serve` {}", env!("CARGO_PKG_VERSION")),
        _ => format!("{server} (a check of the tests)"),
    };
    let (page, missing) = hop_e2e::matrix::page(&records, &version);
    let page = page + &hop_e2e::matrix::client_page(&results).map_err(Error::file(&results))?;
    let path = match server {
        "hop" => root().join("docs/peer-matrix.md"),
        "gateway" => root().join("docs/peer-matrix-gateway.md"),
        _ => results.join("page.md"),
    };
    write(&path, &page)?;
    if server == "hop" {
        for offer in ["default", "compatible"] {
            let name = format!("ssh-audit-{offer}.txt");
            let report = results.join(&name);
            // Missing when its test failed early; the outcome below tells.
            if let Ok(text) = std::fs::read_to_string(report) {
                write(&root().join("docs").join(name), &text)?;
            }
        }
    }
    outcome?;
    Error::from_problems(&missing)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    std::fs::write(path, text).map_err(Error::file(path))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
