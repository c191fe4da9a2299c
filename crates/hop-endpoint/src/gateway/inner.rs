//! A client whose SSH connection ends here (`ssh -J jump@gateway PROJECT@PROJECT`): its keys are proved to us, and the
//! gateway, which brought its bytes, says what they open.
//!
//! What must stay true: nobody is let in without the gateway's word for the key that was proved; the gateway may end the
//! session at any time, and its leaving ends it, too.

use std::sync::Arc;

use hop_keys::Identity;
use hop_model::Word;
use hop_model::inner::{
    Answer, Attested, Inquiry, LONGEST_LINE, LineError, Presented, decode_line, encode_line,
};
use hop_ssh::auth::{Question, VerifiedKey};
use hop_ssh::driver::{AuthenticatedServer, ServerLogin};
use hop_ssh::message::DisconnectReason;
use hop_ssh::{Error, HostKey, ServerConfig};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::config::EndpointConfig;
use crate::host_keys::{self, HostKeyError};

/// Below the project's home.
const HOST_KEYS: &str = ".local/share/hop/host-keys";

/// Why such a login did not come about; for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum InnerError {
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    #[error(transparent)]
    Protocol(#[from] Error),
    #[error("the gateway cannot be asked: {0}")]
    Gateway(#[from] std::io::Error),
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("the gateway hung up")]
    HungUp,
    #[error("the gateway gave an answer to another question")]
    Answer,
    #[error("the gateway ended it: {0}")]
    Ended(String),
}

/// A client that the gateway vouches for.
pub(super) struct LoggedIn {
    pub(super) server: AuthenticatedServer<UnixStream>,
    pub(super) word: Word,
    pub(super) asking: Asking,
}

/// Exchanges keys with the client and answers its questions as the gateway does.
pub(super) async fn log_in(
    client: UnixStream,
    asking: UnixStream,
    config: &EndpointConfig,
) -> Result<LoggedIn, InnerError> {
    let mut asking = Asking::new(asking);
    let ssh = Arc::new(server_config(config)?);
    let mut login = ServerLogin::accept(client, ssh, config.limits.login_attempts).await?;
    loop {
        let (answer, key) = match login.next_question().await? {
            Question::Probe(query) => {
                (asking.ask(&Inquiry::Probe(presented(&query.user, &query.identity))).await?, None)
            }
            Question::Login(key) => {
                let inquiry = Inquiry::Login {
                    presented: presented(key.user(), key.identity()),
                    attested: attested(&key),
                    client_identification: login.peer_identification().to_owned(),
                };
                (asking.ask(&inquiry).await?, Some(key))
            }
        };
        match (answer, key) {
            (Answer::Refuse, _) => login.reject().await?,
            (Answer::Encourage, None) => login.encourage().await?,
            (Answer::Word(word), Some(key)) => {
                return Ok(LoggedIn { server: login.admit(key).await?, word: *word, asking });
            }
            (Answer::End(words), _) => {
                let reason = DisconnectReason::ByApplication;
                login.refuse(Error::Disconnecting { reason, description: words.clone() }).await;
                return Err(InnerError::Ended(words));
            }
            (Answer::Encourage, Some(_)) | (Answer::Word(_), None) => return Err(InnerError::Answer),
        }
    }
}

/// With a host key of the project's own: made once, kept in its home, so in its reach.
fn server_config(config: &EndpointConfig) -> Result<ServerConfig, InnerError> {
    let kept = host_keys::keep_ed25519(&config.account.home.join(HOST_KEYS))?;
    let key = match kept.certificate {
        Some(certificate) => HostKey::with_certificate(kept.private, certificate),
        None => HostKey::new(kept.private),
    };
    Ok(ServerConfig::new(vec![key]))
}

fn presented(user: &str, identity: &Identity) -> Presented {
    Presented {
        user: user.to_owned(),
        certificate: identity.as_certificate().is_some(),
        blob: identity.blob().to_vec(),
    }
}

fn attested(key: &VerifiedKey) -> Option<Attested> {
    let flags = key.signature().sk()?;
    Some(Attested { touched: flags.user_present(), verified: flags.user_verified() })
}

/// The line to the gateway.
pub(super) struct Asking {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    line: Vec<u8>,
}

impl Asking {
    fn new(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader: BufReader::new(reader), writer, line: Vec::new() }
    }

    async fn ask(&mut self, inquiry: &Inquiry) -> Result<Answer, InnerError> {
        self.writer.write_all(&encode_line(inquiry)?).await?;
        self.next().await
    }

    /// Cancel safe: what was read of a line stays.
    async fn next(&mut self) -> Result<Answer, InnerError> {
        let room = (LONGEST_LINE + 1).saturating_sub(self.line.len());
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        let Self { reader, line, .. } = self;
        reader.take(room).read_until(b'\n', line).await?;
        if !line.ends_with(b"\n") {
            return Err(if line.len() > LONGEST_LINE {
                LineError::Length.into()
            } else {
                InnerError::HungUp
            });
        }
        Ok(decode_line(&std::mem::take(line))?)
    }

    /// Waits until the gateway ends the session: its words.
    pub(super) async fn ended(mut self) -> String {
        match self.next().await {
            Ok(Answer::End(words)) => words,
            Ok(Answer::Encourage | Answer::Refuse | Answer::Word(_)) => "the gateway broke off".to_owned(),
            Err(error) => {
                tracing::info!(%error, "the gateway is gone");
                "the gateway is gone".to_owned()
            }
        }
    }
}
