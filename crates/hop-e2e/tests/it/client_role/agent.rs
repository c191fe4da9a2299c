//! Signatures by a real ssh-agent, asked over its socket in the messages of `hop_keys::agent`.

use std::path::PathBuf;

use hop_e2e::program::program;
use hop_e2e::run::Background;
use hop_e2e::sshd::Release;
use hop_e2e::{Identity, Run, Scratch};
use hop_keys::agent::{AgentRequest, AgentResponse, sign_flags, split_frame};
use hop_keys::{Certificate, PublicKey, SignatureAlgorithm};
use hop_ssh::Transport;
use hop_ssh::auth::Offer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A running ssh-agent of Debian 12's OpenSSH.
pub(crate) struct Agent {
    _process: Background,
    scratch: Scratch,
}

impl Agent {
    pub(crate) fn start() -> Self {
        let scratch = Scratch::new();
        let agent = Run::from_words(&Release::V9_2.words("ssh-agent"))
            .args(["-D", "-P", hop_e2e::identity::SK_DUMMY, "-a"])
            .arg(scratch.join("agent"))
            .background();
        agent.wait_for("the name of its socket", |text| text.contains("SSH_AUTH_SOCK").then_some(()));
        Self { _process: agent, scratch }
    }

    /// Gives it a key (and its certificate, where one lies beside it), with options of ssh-add.
    pub(crate) fn add(&self, key: &Identity, options: &[&str]) {
        let _ = Run::new(program("ssh-add"))
            .env("SSH_AUTH_SOCK", self.socket())
            .env("SSH_SK_PROVIDER", hop_e2e::identity::SK_DUMMY)
            .args(["-q"])
            .args(options)
            .arg(&key.private)
            .success();
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.scratch.join("agent")
    }

    /// Connects to it.
    pub(crate) async fn client(&self) -> AgentClient {
        AgentClient { stream: UnixStream::connect(self.socket()).await.unwrap() }
    }
}

/// One connection to an agent.
pub(crate) struct AgentClient {
    stream: UnixStream,
}

impl AgentClient {
    async fn ask(&mut self, request: &AgentRequest) -> AgentResponse {
        self.stream.write_all(&request.to_frame()).await.unwrap();
        let mut received = Vec::new();
        loop {
            if let Some((payload, _)) = split_frame(&received).unwrap() {
                return AgentResponse::parse(payload).unwrap();
            }
            assert_ne!(self.stream.read_buf(&mut received).await.unwrap(), 0, "the agent hung up");
        }
    }

    /// Everything that it holds, in its order.
    pub(crate) async fn offers(&mut self) -> Vec<Offer> {
        let AgentResponse::Identities(identities) = self.ask(&AgentRequest::Identities).await else {
            panic!("the agent does not list its keys")
        };
        let read = |blob: &[u8]| match PublicKey::from_blob(blob) {
            Ok(key) => hop_keys::Identity::Key(key),
            Err(_) => hop_keys::Identity::Certificate(Box::new(Certificate::from_blob(blob).unwrap())),
        };
        identities.iter().map(|identity| Offer::Key(read(&identity.blob))).collect()
    }

    /// Tells it which server the connection goes to.
    pub(crate) async fn bind(&mut self, transport: &Transport, forwarding: bool) -> AgentResponse {
        let host_key = transport.host_key().unwrap();
        let request = AgentRequest::session_bind(
            host_key.identity().blob(),
            transport.session_id().unwrap(),
            host_key.signature().unwrap(),
            forwarding,
        );
        self.ask(&request).await
    }

    pub(crate) async fn sign(
        &mut self,
        identity: &hop_keys::Identity,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Option<Vec<u8>> {
        let request = AgentRequest::Sign {
            identity: identity.blob().to_vec(),
            message: message.to_vec(),
            flags: sign_flags(algorithm),
        };
        match self.ask(&request).await {
            AgentResponse::Signature(blob) => Some(blob),
            AgentResponse::Failure => None,
            other => panic!("an unexpected answer to a request for a signature: {other:?}"),
        }
    }
}
