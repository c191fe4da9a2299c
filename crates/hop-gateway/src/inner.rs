//! A session whose SSH ends in the project's endpoint, seen from the gateway: it carries bytes that it cannot read, and
//! answers what the endpoint asks about the client.
//!
//! What must stay true: the project is the one that the outer key was let through to, whatever the endpoint says; the
//! endpoint belongs to the tenant, so that a key was proved is its claim, which opens nothing but itself; members,
//! expiry, records and endings hold for the inner key as for any other.

use crate::gateway::Shared;
use crate::judge::{Access, Target};
use crate::jump::Outer;
use crate::lifetime::{Figures, Row, until_over};
use crate::project::{last_look, new_row};
use crate::sessions::{End, Holder, Registered};
use crate::start;
use hop_keys::{Certificate, Identity, PublicKey, TokenPolicy};
use hop_model::inner::{
    Answer, Attested, Inquiry, LONGEST_LINE, LineError, PIPE_GREETING, Presented, decode_line, encode_line,
};
use hop_ssh::connection::Stream;
use hop_ssh::driver::Channel;
use hop_store::{EndCause, ProjectId, SshSessionId};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Questions about one client: an agent with more keys has another problem.
const MOST_QUESTIONS: usize = 128;
/// How long a client has to hear why its session ends, before it is cut.
const GOODBYE: Duration = Duration::from_secs(2);

/// Greets an endpoint and passes it the other end of a client's bytes.
pub(crate) async fn begin(stream: &UnixStream, bytes: UnixStream) -> io::Result<()> {
    let bytes = bytes.into_std()?;
    let sent = stream
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let descriptors = [bytes.as_fd()];
            // There is room for exactly this.
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
            Ok(sendmsg(stream, &[IoSlice::new(PIPE_GREETING)], &mut ancillary, SendFlags::NOSIGNAL)?)
        })
        .await?;
    match sent == PIPE_GREETING.len() {
        true => Ok(()),
        false => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Why a client did not log in at the endpoint; for the log.
#[derive(Debug, thiserror::Error)]
enum NoLogin {
    #[error("the connection ended before a login")]
    Left,
    #[error("no login within {} s", .0.as_secs())]
    Grace(Duration),
    #[error("the environment hung up")]
    HungUp,
    #[error("the environment cannot be answered: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("the environment asked too much, or out of turn")]
    Questions,
    #[error("access was taken away during the login")]
    Lost,
    #[error(transparent)]
    Store(#[from] hop_store::StoreError),
}

/// Carries a client's bytes to a project's endpoint and answers for the client, to the end of the channel.
pub(crate) async fn attend(
    shared: &Shared,
    outer: &Outer,
    project: ProjectId,
    asked: UnixStream,
    bytes: UnixStream,
    channel: &Channel,
) {
    let counts = Counts::default();
    let mut asking = Asking::new(asked);
    let mut bridge = std::pin::pin!(bridge(channel, bytes, &counts, &outer.carried));
    // Never dropped half-way, since a row that was opened must be closed.
    let left = outer.ended.child_token();
    let mut bridged = None;
    let logged_in = {
        let mut answering = std::pin::pin!(answer(shared, outer, project, &mut asking, &left));
        loop {
            tokio::select! {
                answered = &mut answering => break answered,
                cause = &mut bridge, if bridged.is_none() => {
                    bridged = Some(cause);
                    left.cancel();
                }
            }
        }
    };
    let (id, mut registered, row) = match logged_in {
        Ok(logged_in) => logged_in,
        Err(error) => {
            channel.close();
            return tracing::info!(connection = %outer.id, %project, %error, "no login behind the door");
        }
    };
    let figures = || counts.figures();
    if let Some(cause) = bridged {
        return row.close(counts.figures(), End { cause, words: String::new() }).await;
    }
    let (end, is_told) = tokio::select! {
        cause = &mut bridge => match outer.ended.is_cancelled() {
            true => (outer.why(), false),
            false => (End { cause, words: String::new() }, false),
        },
        end = until_over(shared, id, &mut registered, true, figures) => (end, true),
        () = outer.ended.cancelled() => (outer.why(), true),
        () = asking.hung_up() => {
            (End { cause: EndCause::Environment, words: "the environment hung up".to_owned() }, true)
        }
    };
    if is_told {
        let telling = async {
            // An endpoint that does not tell is cut.
            let _ = asking.say(&Answer::End(end.words.clone())).await;
            bridge.await
        };
        let _in_time = tokio::time::timeout(GOODBYE, telling).await;
        channel.close();
    }
    row.close(counts.figures(), end).await;
}

/// Answers the endpoint's questions until one leads to a session: registered, looked at again, recorded, and only then
/// told.
async fn answer<'a>(
    shared: &'a Shared,
    outer: &Outer,
    project: ProjectId,
    asking: &mut Asking,
    left: &CancellationToken,
) -> Result<(SshSessionId, Registered, Row<'a>), NoLogin> {
    let grace = shared.config.limits.login_grace;
    let deadline = Instant::now() + grace;
    for _ in 0..MOST_QUESTIONS {
        let inquiry = tokio::select! {
            inquiry = asking.next() => inquiry?,
            () = left.cancelled() => return Err(NoLogin::Left),
            () = tokio::time::sleep_until(deadline) => return Err(NoLogin::Grace(grace)),
        };
        let (presented, login) = match inquiry {
            Inquiry::Probe(presented) => (presented, None),
            Inquiry::Login { presented, attested, client_identification } => {
                (presented, Some((attested, client_identification)))
            }
        };
        let identity = identity(&presented);
        let access = match &identity {
            Some(identity) => judge(shared, outer, project, &presented.user, identity).await?,
            None => None,
        };
        let (Some(access), Some(identity)) = (access, identity) else {
            asking.say(&Answer::Refuse).await?;
            continue;
        };
        let Some((attested, client_identification)) = login else {
            asking.say(&Answer::Encourage).await?;
            continue;
        };
        if !fulfils(access.pass().token(), attested) {
            asking.say(&Answer::Refuse).await?;
            continue;
        }
        let id = shared.new_session();
        let holder = Holder { access, identity: Arc::new(identity), address: outer.origin.address() };
        let registered = shared.sessions.register(id, holder);
        let grant = match last_look(shared, id).await {
            Ok(grant) => grant,
            Err(words) => {
                asking.say(&Answer::End(words)).await?;
                return Err(NoLogin::Lost);
            }
        };
        let row = Row::open(shared, &new_row(shared, id, &grant, &outer.origin)).await?;
        let pass = grant.pass();
        tracing::info!(
            session = %id, connection = %outer.id, account = pass.account_name(), %project,
            origin = %outer.origin, by = %pass.credential().in_words(), "login behind the door"
        );
        let word = start::word(&grant, id, &outer.origin, &client_identification);
        if let Err(error) = asking.say(&Answer::Word(Box::new(word))).await {
            let words = error.to_string();
            row.close(Figures::default(), End { cause: EndCause::Environment, words }).await;
            return Err(error);
        }
        return Ok((id, registered, row));
    }
    Err(NoLogin::Questions)
}

async fn judge(
    shared: &Shared,
    outer: &Outer,
    project: ProjectId,
    user: &str,
    identity: &Identity,
) -> Result<Option<Access>, NoLogin> {
    let target = Target::Project(user.to_owned());
    match shared.judge.judge(&target, identity, outer.origin.address()).await? {
        // Whatever name was given, the endpoint speaks for its own project only.
        Ok(access) if access.project() == Some(project) => Ok(Some(access)),
        Ok(_) => Ok(None),
        Err(refusal) => {
            let fingerprint = identity.key().fingerprint();
            tracing::debug!(connection = %outer.id, %project, %fingerprint, %refusal, "not let in");
            Ok(None)
        }
    }
}

fn identity(presented: &Presented) -> Option<Identity> {
    Some(match presented.certificate {
        true => Identity::Certificate(Box::new(Certificate::from_blob(&presented.blob).ok()?)),
        false => Identity::Key(PublicKey::from_blob(&presented.blob).ok()?),
    })
}

/// As [`TokenPolicy::check`], of a signature that somebody else checked.
fn fulfils(policy: TokenPolicy, attested: Option<Attested>) -> bool {
    match attested {
        None => !policy.verification_required,
        Some(Attested { touched, verified }) => {
            (touched || !policy.touch_required) && (verified || !policy.verification_required)
        }
    }
}

/// The line to the endpoint.
struct Asking {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    line: Vec<u8>,
}

impl Asking {
    fn new(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader: BufReader::new(reader), writer, line: Vec::new() }
    }

    async fn say(&mut self, answer: &Answer) -> Result<(), NoLogin> {
        Ok(self.writer.write_all(&encode_line(answer)?).await?)
    }

    /// Cancel safe: what was read of a line stays.
    async fn next(&mut self) -> Result<Inquiry, NoLogin> {
        let room = (LONGEST_LINE + 1).saturating_sub(self.line.len());
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        let Self { reader, line, .. } = self;
        reader.take(room).read_until(b'\n', line).await?;
        if !line.ends_with(b"\n") {
            return Err(if line.len() > LONGEST_LINE { LineError::Length.into() } else { NoLogin::HungUp });
        }
        Ok(decode_line(&std::mem::take(line))?)
    }

    /// Waits until there is nobody at the other end; who asks on after a login has none either.
    async fn hung_up(&mut self) {
        let _any = self.next().await;
    }
}

/// What went through.
#[derive(Default)]
struct Counts {
    from_client: AtomicU64,
    to_client: AtomicU64,
}

impl Counts {
    fn figures(&self) -> Figures {
        let from_client = self.from_client.load(Ordering::Relaxed);
        let to_client = self.to_client.load(Ordering::Relaxed);
        Figures { from_client, to_client, carried: from_client.saturating_add(to_client) }
    }
}

/// Joins a channel and a socket until both directions have ended; says which side ended first.
async fn bridge(channel: &Channel, stream: UnixStream, counts: &Counts, all: &AtomicU64) -> EndCause {
    let (mut from_project, mut to_project) = stream.into_split();
    let (mut from_client, mut to_client) = (channel.reader(Stream::Data), channel.writer(Stream::Data));
    let first = std::sync::OnceLock::new();
    let inwards = async {
        copy(&mut from_client, &mut to_project, &counts.from_client, all).await;
        first.get_or_init(|| EndCause::Client);
        let _ = to_project.shutdown().await;
        channel.discard_input();
    };
    let outwards = async {
        tokio::select! {
            () = copy(&mut from_project, &mut to_client, &counts.to_client, all) => {
                first.get_or_init(|| EndCause::Environment);
                channel.send_eof();
            }
            () = closed(channel) => {
                first.get_or_init(|| EndCause::Client);
            }
        }
    };
    tokio::join!(inwards, outwards);
    channel.close();
    closed(channel).await;
    first.into_inner().unwrap_or(EndCause::Client)
}

async fn copy(
    source: &mut (impl AsyncRead + Unpin),
    sink: &mut (impl AsyncWrite + Unpin),
    count: &AtomicU64,
    all: &AtomicU64,
) {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let Ok(length @ 1..) = source.read(&mut buffer).await else { return };
        if sink.write_all(buffer.get(..length).unwrap_or_default()).await.is_err() {
            return;
        }
        for total in [count, all] {
            total.fetch_add(u64::try_from(length).unwrap_or(0), Ordering::Relaxed);
        }
    }
}

/// Returns when the client has closed the channel, or the connection has ended; no request is granted meanwhile.
async fn closed(channel: &Channel) {
    let mut requests = channel.requests();
    while requests.next().await.is_some() {}
}
