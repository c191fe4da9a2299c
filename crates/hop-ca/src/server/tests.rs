//! The signer over its socket, with certificates that the real ssh-keygen reads.

use super::*;
use crate::client::{SignerClient, SignerError};
use crate::request::Permits;
use hop_keys::{KeyAlgorithm, PrivateKey};
use tokio::io::AsyncWriteExt;

struct Served {
    directory: tempfile::TempDir,
    client: SignerClient,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

fn serve(heard: Vec<u32>) -> Served {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("signer.sock");
    let authority = Authority::keep(directory.path()).unwrap();
    let signer = Signer::new(authority, Rules::default(), heard);
    let listener = UnixListener::bind(&socket).unwrap();
    let stop = CancellationToken::new();
    let token = stop.clone();
    let serving = tokio::spawn(async move { signer.serve(listener, token).await });
    Served { client: SignerClient::at(&socket), directory, stop, serving }
}

fn ourselves() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn request() -> UserRequest {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    UserRequest {
        person: "0123456789abcdef0123456789abcdef".to_owned(),
        serial: 42,
        public_key: key.public().to_line(""),
        lifetime: 60,
        force_command: None,
        source_address: None,
        permits: Permits::default(),
    }
}

#[tokio::test]
async fn ssh_keygen_reads_what_is_signed() {
    let served = serve(vec![ourselves()]);
    let issued = served.client.sign_user(request()).await.unwrap();
    let file = served.directory.path().join("id-cert.pub");
    std::fs::write(&file, issued.certificate + "\n").unwrap();
    let output = std::process::Command::new("ssh-keygen").arg("-L").arg("-f").arg(&file).output();
    let output = output.expect("ssh-keygen is missing: install the package openssh-client");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for line in ["person:0123456789abcdef0123456789abcdef", "Serial: 42", "permit-pty", "user certificate"] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    served.stop.cancel();
    served.serving.await.unwrap();
}

#[tokio::test]
async fn strangers_and_nonsense_get_no_signature() {
    let served = serve(vec![ourselves() + 1]);
    assert!(matches!(served.client.sign_user(request()).await, Err(SignerError::Refused(_))));
    let served = serve(vec![ourselves()]);
    let wrong = UserRequest { person: "root".to_owned(), ..request() };
    assert!(matches!(served.client.sign_user(wrong).await, Err(SignerError::Refused(_))));
    for nonsense in
        ["{}\n", "\"sign_everything\"\n", "{\"sign_user\":{\"person\":\"x\",\"host\":1}}\n", "no line"]
    {
        let mut stream = UnixStream::connect(served.directory.path().join("signer.sock")).await.unwrap();
        stream.write_all(nonsense.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer: io::Result<Option<Answer>> = line::read(&mut stream).await;
        assert!(!matches!(answer, Ok(Some(_))), "{nonsense}: {answer:?}");
    }
    assert!(served.client.public_keys().await.unwrap().user_ca.starts_with("ssh-ed25519 "));
}
