//! A directory being listed.

use super::RemoteFile;
use super::error::RequestError;
use crate::codec::{Attributes, Request, Response};

/// A directory being listed.
#[derive(Debug)]
pub struct RemoteDirectory {
    directory: RemoteFile,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without the directory's.
    pub name: Vec<u8>,
    /// The line the server would show for it.
    pub long_name: Vec<u8>,
    /// Its own attributes; those of a symbolic link are the link's.
    pub attributes: Attributes,
}

impl RemoteDirectory {
    pub(super) fn new(directory: RemoteFile) -> Self {
        Self { directory }
    }

    /// Some more entries, `.` and `..` among them; `None` when all have been given.
    pub async fn next_entries(&mut self) -> Result<Option<Vec<Entry>>, RequestError> {
        let request = Request::Readdir { handle: self.directory.handle() };
        self.directory.ask(&request).await?.unless_end(|response| match response {
            Response::Name(entries) => Some(
                entries
                    .into_iter()
                    .map(|entry| Entry {
                        name: entry.name.to_vec(),
                        long_name: entry.long_name.to_vec(),
                        attributes: entry.attributes,
                    })
                    .collect(),
            ),
            _ => None,
        })
    }
}
