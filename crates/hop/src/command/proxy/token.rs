//! Where `hop proxy` finds its token: a file or an environment variable, never an argument, which others can see.

use crate::cli::proxy::Proxy;
use crate::error::{CommandError, ErrorKind};
use hop_link::Secret;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use zeroize::Zeroizing;

/// Longer than any token.
const MOST: u64 = 16 * 1024;

/// The token, if there is one.
pub(super) fn find(arguments: &Proxy) -> Result<Option<Secret>, CommandError> {
    let text = match &arguments.token_file {
        Some(path) => Some(read(path)?),
        None => std::env::var(&arguments.token_env).ok().map(Zeroizing::new),
    };
    let secret = text.map(|text| Secret::new(text.trim().to_owned()));
    match (secret, &arguments.token_file) {
        (Some(secret), Some(path)) if secret.is_empty() => {
            Err(CommandError::new(ErrorKind::Config, format!("the token file {} is empty", path.display())))
        }
        (secret, _) => Ok(secret.filter(|secret| !secret.is_empty())),
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, CommandError> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        CommandError::new(ErrorKind::Config, format!("cannot read the token file {shown}: {error}"))
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.permissions().mode();
    if mode & 0o077 != 0 {
        let words = format!("others can read the token file {shown} (mode {:03o})", mode & 0o777);
        return Err(CommandError::new(ErrorKind::Config, words).hint(format!("chmod 600 {shown}")));
    }
    if metadata.len() > MOST {
        return Err(CommandError::new(ErrorKind::Config, format!("the token file {shown} is no token")));
    }
    let mut text = Zeroizing::new(String::new());
    std::io::Read::read_to_string(&mut std::io::Read::take(file, MOST), &mut text).map_err(unreadable)?;
    Ok(text)
}
