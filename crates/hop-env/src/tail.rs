//! The last lines that an endpoint said.

use crate::project::ProjectKey;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::ChildStderr;

/// How many lines are kept, to be shown when it fails.
const KEPT_LINES: usize = 20;
/// The longest line that is kept, in bytes.
const LONGEST_LINE: u64 = 512;

/// The last lines that an endpoint said. They are the tenant's, so control characters are escaped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    /// The lines, oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Reads until the process has closed its end.
    pub(crate) async fn follow(self, stderr: ChildStderr, project: ProjectKey) {
        let mut reader = BufReader::new(stderr);
        loop {
            let mut line = Vec::new();
            match (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let line = String::from_utf8_lossy(&line).trim_end().escape_debug().to_string();
                    tracing::debug!(%project, line, "endpoint");
                    self.push(line);
                }
            }
        }
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}
