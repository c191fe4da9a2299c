//! From the relay to its target: logged in before the client hears of success.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::sync::Arc;

use hop_keys::{Identity, PublicKey, load_private_key};
use hop_model::{Permissions, Word};
use hop_ssh::auth::Offer;
use hop_ssh::driver::{ClientLogin, give_word, prepare_tcp};
use hop_ssh::{BareTransport, ClientConfig, Transport};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, Command};

use super::RelayError;
use super::config::{RelayConfig, Target};
use crate::client::Signer;
use crate::engine;

/// The second leg, up.
pub(super) enum SecondLeg {
    Ssh(TcpStream, Box<Transport>),
    Bare(UnixStream, BareTransport),
}

/// The client, for whom the leg is made.
pub(super) struct Near<'a> {
    pub(super) user: &'a str,
    pub(super) identification: &'a str,
    pub(super) fingerprint: String,
    pub(super) address: SocketAddr,
    pub(super) server: SocketAddr,
}

/// Makes it.
pub(super) async fn open(config: &RelayConfig, near: &Near<'_>) -> Result<SecondLeg, RelayError> {
    match &config.target {
        Target::Ssh { address, user, key, .. } => {
            let key = load_private_key(key, None)?;
            let offer = Offer::Key(Identity::Key(key.public().clone()));
            let client = Arc::new(client_config(config, near.identification)?);
            let log_in = async {
                let stream = TcpStream::connect(address).await?;
                prepare_tcp(&stream)?;
                let login = ClientLogin::connect(stream, client).await?;
                login.authenticate(user, [offer], &mut Signer(key.into())).await
            };
            let (stream, transport) = log_in.await.map_err(RelayError::Target)?;
            Ok(SecondLeg::Ssh(stream, Box::new(transport)))
        }
        Target::Bare => {
            let (ours, theirs) = UnixStream::pair()?;
            tokio::spawn(async move {
                // The relay tells how its connections end.
                let _ = engine::serve(theirs).await;
            });
            bare(ours, near).await
        }
        Target::Site { socket, .. } => bare(UnixStream::connect(socket).await?, near).await,
    }
}

/// Gives the relay's word for the client.
async fn bare(stream: UnixStream, near: &Near<'_>) -> Result<SecondLeg, RelayError> {
    let mut word = Word::new("session", near.user, near.address, near.server, Permissions::all());
    near.identification.clone_into(&mut word.client_identification);
    word.key_fingerprint.clone_from(&near.fingerprint);
    let (stream, transport) = give_word(stream, &word).await.map_err(RelayError::Target)?;
    Ok(SecondLeg::Bare(stream, transport))
}

/// Starts the endpoint of a [`Target::Site`]; it ends when the value is dropped, or with this process's group.
pub(super) fn start_endpoint(target: &Target) -> Result<Option<Child>, RelayError> {
    let Target::Site { program, socket } = target else { return Ok(None) };
    let listener: OwnedFd = UnixListener::bind(socket)?.into();
    let mut command = Command::new(program);
    command.args(["endpoint", "--site"]).stdin(Stdio::from(listener)).kill_on_drop(true);
    Ok(Some(command.spawn()?))
}

/// The relay as a client. The target sees the client's own software string: peers choose work-arounds and
/// extensions by it.
pub(super) fn client_config(config: &RelayConfig, identification: &str) -> Result<ClientConfig, RelayError> {
    let pinned = match &config.target {
        Target::Ssh { host_key, .. } => {
            let (key, _) = PublicKey::parse_line(host_key)
                .map_err(|_| RelayError::HostKey { line: host_key.clone() })?;
            Some(key)
        }
        Target::Bare | Target::Site { .. } => None,
    };
    let verify = move |offered: &Identity| match &pinned {
        Some(key) if key == offered.key() => Ok(()),
        _ => Err("it is not the target's".to_owned()),
    };
    let mut client = ClientConfig::new(Arc::new(verify));
    client.algorithms = config.algorithms();
    client.rekey = config.rekey();
    if let Some(software) = identification.strip_prefix("SSH-2.0-") {
        software.clone_into(&mut client.software);
    }
    Ok(client)
}
