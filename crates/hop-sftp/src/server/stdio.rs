//! A session over standard input and output, as sshd starts `sftp-server`.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::FileType;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::drive::drive;
use super::session::Session;
use super::{ServeError, ServerOptions, Summary};

/// Wanted size of pipe and socket buffers, in bytes: a full read's response in one go.
const BUFFER: usize = 512 * 1024;

/// Serves one session over standard input and output, on the calling thread, until input ends.
///
/// Made for a process that does nothing else: both streams become non-blocking.
pub fn serve_stdio(options: ServerOptions) -> Result<Summary, ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(|source| ServeError::Stdio { stream: "standard input", source })?;
    runtime.block_on(async {
        let reader = input().map_err(|source| ServeError::Stdio { stream: "standard input", source })?;
        let writer = output().map_err(|source| ServeError::Stdio { stream: "standard output", source })?;
        // A process of its own has nothing else to keep going: it can wait in place.
        drive(reader, writer, Session::new(options, false)?).await
    })
}

/// Standard input. sshd and `sftp -D` give sockets; scripts and other servers give pipes.
fn input() -> io::Result<Box<dyn AsyncRead + Unpin>> {
    let stream = io::stdin().as_fd().try_clone_to_owned()?;
    match kind(&stream)? {
        FileType::Fifo => {
            // A smaller pipe only costs more wake-ups.
            let _ = rustix::pipe::fcntl_setpipe_size(&stream, BUFFER);
            Ok(Box::new(pipe::Receiver::from_owned_fd(stream)?))
        }
        FileType::Socket => Ok(Box::new(socket(stream)?)),
        // A file or a terminal: read by a helper thread.
        _ => Ok(Box::new(tokio::io::stdin())),
    }
}

fn output() -> io::Result<Box<dyn AsyncWrite + Unpin>> {
    let stream = io::stdout().as_fd().try_clone_to_owned()?;
    match kind(&stream)? {
        FileType::Fifo => {
            let _ = rustix::pipe::fcntl_setpipe_size(&stream, BUFFER);
            Ok(Box::new(pipe::Sender::from_owned_fd(stream)?))
        }
        FileType::Socket => {
            // On a Unix socket the sender's buffer is the whole pipe.
            let _ = sockopt::set_socket_send_buffer_size(&stream, BUFFER);
            Ok(Box::new(socket(stream)?))
        }
        _ => Ok(Box::new(tokio::io::stdout())),
    }
}

fn kind(stream: &OwnedFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(stream)?.st_mode))
}

fn socket(stream: OwnedFd) -> io::Result<UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(stream);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
