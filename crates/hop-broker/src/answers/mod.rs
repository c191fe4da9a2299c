//! What may be answered without a person: for each host, which secrets were entrusted, and the exact questions that they
//! answer. No secret is in it.
//!
//! Must stay true: a question counts by its whole text; a secret that was refused once is not used until a person says
//! so; a code's step is written down before the code is sent, so that none is sent twice, by whatever process of this
//! home. A record that cannot be read or written means that nothing is answered.

mod book;
mod question;

pub use book::{Book, Entrusted, HostAnswers};
pub use question::{Answering, question};

use hop_secrets::{Exposed, check_unexposed};
use rustix::fs::FlockOperation;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The largest record that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Why the record is not to be used.
#[derive(Debug, thiserror::Error)]
pub enum AnswersError {
    /// Others could have written it.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// A call of the system failed.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It has another form.
    #[error("{} is damaged, or of a newer hop\nhint: move it away; hop secret set makes a new one", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
}

/// The record of a person.
#[derive(Clone, Debug)]
pub struct Answers {
    path: PathBuf,
}

impl Answers {
    /// The record in the folder of what is to be remembered.
    #[must_use]
    pub fn within(state: &Path) -> Self {
        Self { path: state.join("answers.json") }
    }

    /// All of it; empty when there is none.
    ///
    /// # Errors
    /// When it is there and not to be used.
    pub fn read(&self) -> Result<Book, AnswersError> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
            other => other.map_err(self.failed("read"))?,
        };
        check_unexposed(&self.path, rustix::process::geteuid().as_raw())?;
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes).map_err(self.failed("read"))?;
        let format = || AnswersError::Format { path: self.path.clone() };
        let book: Book = serde_json::from_slice(&bytes).map_err(|_| format())?;
        if book.is_known() { Ok(book) } else { Err(format()) }
    }

    /// Changes it; it is written before this returns.
    ///
    /// # Errors
    /// When it cannot be read or written; then nothing has changed.
    pub fn change<T>(&self, change: impl FnOnce(&mut Book) -> T) -> Result<T, AnswersError> {
        let beside = |ending: &str| self.path.with_extension(ending);
        if let Some(folder) = self.path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(self.failed("make the folder of"))?;
        }
        let mut options = File::options();
        let open = options.create(true).truncate(false).write(true).mode(0o600).open(beside("lock"));
        let lock = open.map_err(self.failed("lock"))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)
            .map_err(io::Error::from)
            .map_err(self.failed("lock"))?;
        let mut book = self.read()?;
        let result = change(&mut book);
        let bytes = serde_json::to_vec_pretty(&book).map_err(|error| self.failed("write")(error.into()))?;
        let written = || {
            let new = beside("new");
            let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)
        };
        written().map_err(self.failed("write"))?;
        Ok(result)
    }

    fn failed(&self, doing: &'static str) -> impl Fn(io::Error) -> AnswersError + '_ {
        move |source| AnswersError::File { doing, path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests;
