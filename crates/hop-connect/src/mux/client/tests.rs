//! Against masters made by these tests.

use super::*;
use std::os::unix::net::UnixListener;
use std::time::Instant;

/// A master that answers each read with the next of these.
fn master(answers: Vec<FromMaster>) -> (tempfile::TempDir, std::path::PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for answer in answers {
            assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0);
            stream.write_all(&answer.encode()).unwrap();
        }
        // Stays open until the client has gone.
        while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
    });
    (scratch, path)
}

#[test]
fn a_living_master_tells_its_process() {
    let (_scratch, path) =
        master(vec![FromMaster::Hello { version: 4 }, FromMaster::Alive { request: 1, pid: 77 }]);
    assert_eq!(MuxClient::connect(&path).unwrap().alive_check().unwrap(), 77);
}

#[test]
fn another_version_and_another_answer_are_said() {
    let (_scratch, path) = master(vec![FromMaster::Hello { version: 9 }]);
    assert!(matches!(MuxClient::connect(&path), Err(MuxError::Version(9))));
    let (_scratch, path) = master(vec![FromMaster::Hello { version: 4 }, FromMaster::Ok { request: 1 }]);
    let error = MuxClient::connect(&path).unwrap().alive_check().unwrap_err().to_string();
    assert_eq!(error, "the connection answered Ok { request: 1 } to an alive check");
}

#[test]
fn silence_ends_after_its_limit_and_absence_at_once() {
    let (_scratch, path) = master(vec![]);
    let before = Instant::now();
    assert!(matches!(MuxClient::connect(&path), Err(MuxError::Silent)));
    assert!(before.elapsed() < LIMIT * 3);
    let gone = path.with_file_name("gone");
    assert!(matches!(MuxClient::connect(&gone), Err(MuxError::Absent { .. })));
}

#[test]
fn a_full_queue_is_silence_not_waiting() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("s");
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    let before = Instant::now();
    assert!(matches!(MuxClient::connect(&path), Err(MuxError::Silent)));
    assert!(before.elapsed() < LIMIT * 3);
}

#[test]
fn a_session_is_asked_for_before_the_master_says_hello() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let session = NewSession { command: "id".to_owned(), ..NewSession::default() };
    let wanted = [
        ToMaster::Hello { version: VERSION }.encode(),
        ToMaster::NewSession { request: 1, session: session.clone() }.encode(),
        vec![0; 3],
    ]
    .concat();
    let master = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = vec![0; wanted.len()];
        stream.set_read_timeout(Some(LIMIT / 2)).unwrap();
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(heard, wanted);
        for answer in [
            FromMaster::Hello { version: 4 },
            FromMaster::SessionOpened { request: 1, session: 5 },
            FromMaster::ExitMessage { session: 5, status: 3 },
        ] {
            stream.write_all(&answer.encode()).unwrap();
        }
    });
    let null = std::fs::File::open("/dev/null").unwrap();
    let opened = MuxClient::open_session(&path, session, [null.as_fd(); 3]).unwrap();
    assert_eq!(opened.wait(|| ()).unwrap(), Ended::Exit(3));
    master.join().unwrap();
}
