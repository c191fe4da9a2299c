//! copy-data: bytes from one open file to another without a trip to the client.

use std::sync::atomic::Ordering;

use rustix::fs::copy_file_range;
use rustix::io::{Errno, pread, retry_on_intr};
use tracing::info;

use super::files::write_all;
use super::handles::OpenFile;
use super::session::{Reply, Session};
use super::status::Refusal;
use crate::codec::{CopyData, StatusCode};
use crate::escape::Escaped;

/// Bytes per call when the kernel copies; between two calls the copy can be abandoned.
const STEP: usize = 16 * 1024 * 1024;

/// Bytes per step through our own buffer.
const BUFFER: usize = 128 * 1024;

impl Session {
    pub(super) fn copy_data(&mut self, copy: &CopyData<'_>) -> Result<Reply, Refusal> {
        let (source, target) = self.handles.two_files(copy.source, copy.target).ok_or(StatusCode::Failure)?;
        // OpenSSH refuses one file under two handles too: the copy could meet what it wrote.
        if source.path == target.path {
            return Err(StatusCode::Failure.into());
        }
        info!("copy \"{}\" to \"{}\"", Escaped(&source.path), Escaped(&target.path));
        let mut copying = Copying::new(copy, target.append);
        let outcome = loop {
            if self.abandoned.load(Ordering::Relaxed) {
                break Err(StatusCode::ConnectionLost.into());
            }
            match copying.step(source, target) {
                Ok(Step::Copied) => {}
                Ok(Step::Finished) => break Ok(Reply::Done),
                Err(refusal) => break Err(refusal),
            }
        };
        source.read = source.read.saturating_add(copying.copied);
        target.written = target.written.saturating_add(copying.copied);
        self.summary.bytes_read = self.summary.bytes_read.saturating_add(copying.copied);
        self.summary.bytes_written = self.summary.bytes_written.saturating_add(copying.copied);
        outcome
    }
}

struct Copying {
    source_offset: u64,
    target_offset: u64,
    /// Bytes still to copy; `None`: up to the end of the file.
    left: Option<u64>,
    method: Method,
    copied: u64,
}

enum Method {
    Kernel,
    Buffer(Vec<u8>),
}

enum Step {
    Copied,
    Finished,
}

impl Copying {
    fn new(copy: &CopyData<'_>, append: bool) -> Self {
        Self {
            source_offset: copy.source_offset,
            target_offset: copy.target_offset,
            left: (copy.length > 0).then_some(copy.length),
            // A file opened for appending takes no offset, which the kernel's copy insists on.
            method: if append { Method::Buffer(vec![0; BUFFER]) } else { Method::Kernel },
            copied: 0,
        }
    }

    fn step(&mut self, source: &OpenFile, target: &OpenFile) -> Result<Step, Refusal> {
        if self.left == Some(0) {
            return Ok(Step::Finished);
        }
        let count = match self.copy_some(source, target)? {
            0 => match self.left {
                None => return Ok(Step::Finished),
                // The source ended early.
                Some(_) => return Err(StatusCode::Eof.into()),
            },
            count => u64::try_from(count).unwrap_or(0),
        };
        self.source_offset = self.source_offset.saturating_add(count);
        self.target_offset = self.target_offset.saturating_add(count);
        self.left = self.left.map(|left| left.saturating_sub(count));
        self.copied = self.copied.saturating_add(count);
        Ok(Step::Copied)
    }

    /// Copies some bytes from the present offsets; 0 at the end of the source.
    fn copy_some(&mut self, source: &OpenFile, target: &OpenFile) -> Result<usize, Errno> {
        let wanted = self.left.and_then(|left| usize::try_from(left).ok()).unwrap_or(usize::MAX);
        if let Method::Kernel = self.method {
            let (mut from, mut to) = (self.source_offset, self.target_offset);
            let (from, to) = (Some(&mut from), Some(&mut to));
            match copy_file_range(&source.file, from, &target.file, to, wanted.min(STEP)) {
                Ok(count) if count > 0 => return Ok(count),
                Err(Errno::INTR) => return self.copy_some(source, target),
                // Files of /proc say that they are empty; copies across file systems, to special files and on file
                // systems that cannot do it fail. Reading and writing tells how it really is.
                Ok(_) | Err(_) => {}
            }
            self.method = Method::Buffer(vec![0; BUFFER]);
        }
        let Method::Buffer(buffer) = &mut self.method else { return Ok(0) };
        let space = buffer.get_mut(..wanted.min(BUFFER)).unwrap_or_default();
        let count = retry_on_intr(|| pread(&source.file, &mut *space, self.source_offset))?;
        if count > 0 {
            write_all(&target.file, self.target_offset, space.get(..count).unwrap_or_default())?;
        }
        Ok(count)
    }
}
