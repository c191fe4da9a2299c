use super::*;
use crate::buffer::OutBuf;
use rustix::io::write;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use std::io::Write;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

struct Told(AtomicBool);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A pipe in which `bytes` lie.
fn pipe(bytes: &[u8]) -> (Lender, OwnedFd) {
    let (read, write_end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
    fcntl_setpipe_size(&write_end, 256 * 1024).unwrap();
    assert_eq!(write(&write_end, bytes).unwrap(), bytes.len());
    (Lender::new(Arc::new(read)), write_end)
}

fn sockets() -> (StdStream, StdStream) {
    let (ours, theirs) = StdStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    (ours, theirs)
}

/// "head", four bytes that lie in the pipe, "middle", three more, "tail".
fn mixed(lender: &Lender) -> OutBuf {
    let mut output = OutBuf::default();
    output.tail().extend_from_slice(b"head");
    output.lend(lender.lend(4));
    output.tail().extend_from_slice(b"middle");
    output.lend(lender.lend(3));
    output.tail().extend_from_slice(b"tail");
    output
}

#[test]
fn what_is_lent_leaves_in_its_place_and_its_lender_hears_of_it() {
    let (lender, _write) = pipe(b"lent123");
    let (mut ours, mut theirs) = sockets();
    let mut output = mixed(&lender);
    assert_eq!((output.len(), output.pending()), (21, &b"head"[..]));
    assert_eq!(lender.lying(), 0, "what is lent once is not lent twice");
    let told = Arc::new(Told(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&told));
    assert!(lender.poll_over(&mut Context::from_waker(&waker)).is_pending());
    while !output.is_empty() {
        assert!(!told.0.load(Ordering::Relaxed) || output.len() == 4, "too early");
        if let Some(loan) = output.next_lent() {
            loan.splice_to(&ours).unwrap();
            output.finish_lent();
        } else {
            let count = ours.write(output.pending()).unwrap();
            output.consume(count);
        }
    }
    assert!(told.0.load(Ordering::Relaxed) && lender.poll_over(&mut Context::from_waker(&waker)).is_ready());
    let mut heard = [0; 64];
    let count = io::Read::read(&mut theirs, &mut heard).unwrap();
    assert_eq!(&heard[..count], b"headlentmiddle123tail");
}

#[test]
fn where_only_bytes_are_written_it_is_read_after_all() {
    let (lender, _write) = pipe(b"lent123");
    let mut output = mixed(&lender);
    output.consume(2);
    output.settle().unwrap();
    assert_eq!(output.pending(), b"adlentmiddle123tail");
    assert!(lender.poll_over(&mut Context::from_waker(Waker::noop())).is_ready());
}

#[test]
fn an_output_that_is_thrown_away_gives_back() {
    let (lender, _write) = pipe(b"lent123");
    drop(mixed(&lender));
    assert_eq!(lender.lying(), 7);
}

#[test]
fn a_full_socket_is_waited_for_and_an_emptied_pipe_is_an_error() {
    let bytes = vec![7; 200_000];
    let (lender, _write) = pipe(&bytes);
    let (mut ours, _theirs) = sockets();
    while ours.write(&bytes).is_ok() {}
    let mut loan = lender.lend(100_000);
    assert_eq!(loan.splice_to(&ours).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(loan.left(), 100_000);
    // A program can open its own output for reading.
    let mut stolen = bytes;
    while read(&*lender.pipe, &mut stolen).is_ok_and(|count| count > 0) {}
    assert_eq!(loan.splice_to(&ours).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let mut output = OutBuf::default();
    output.lend(loan);
    assert_eq!(output.settle().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}
