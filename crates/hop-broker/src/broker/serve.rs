//! The broker's socket: accepts, checks who it is, reads requests, writes events.

use super::{Inbox, Input};
use crate::protocol::{Event, LONGEST_LINE, Request, VERSION};
use rustix::net::sockopt::socket_peercred;
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use zeroize::Zeroize;

/// Conversations at once; more wait in the socket's queue. An ssh holds one while it waits, a terminal while it is open.
const AT_ONCE: usize = 512;
/// Events that a place may leave unread.
const UNREAD: usize = 256;

/// Accepts until it is dropped.
pub(super) async fn accept(listener: UnixListener, inbox: Inbox) {
    let places = std::sync::Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = tokio::task::JoinSet::new();
    let mut next_place = 1;
    loop {
        let Ok(permit) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (place, inbox) = (next_place, inbox.clone());
                next_place += 1;
                tasks.spawn(async move {
                    if let Err(error) = converse(stream, place, &inbox).await {
                        tracing::debug!(place, %error, "a conversation ended");
                    }
                    let _ = inbox.send(Input::Left { place }).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting failed");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        while tasks.try_join_next().is_some() {}
    }
}

async fn converse(stream: UnixStream, place: u64, inbox: &Inbox) -> io::Result<()> {
    let peer = socket_peercred(&stream)?;
    let (reader, mut writer) = stream.into_split();
    if peer.uid != rustix::process::geteuid() {
        tracing::warn!(uid = peer.uid.as_raw(), "a process of another user asked");
        let reason = "this broker hears its own user only".to_owned();
        return write(&mut writer, &Event::Refused { reason }).await;
    }
    let pid = u32::try_from(peer.pid.as_raw_nonzero().get()).unwrap_or_default();
    write(&mut writer, &Event::Hello { version: VERSION, pid: std::process::id() }).await?;
    let (events, mut told) = mpsc::channel(UNREAD);
    if inbox.send(Input::Arrived { place, events: events.clone(), pid }).await.is_err() {
        return Ok(());
    }
    let reading = read_requests(reader, place, inbox, events);
    let writing = async {
        while let Some(event) = told.recv().await {
            write(&mut writer, &event).await?;
        }
        Ok(())
    };
    // Whichever ends first ends both: a reader without a writer is nobody.
    tokio::select! {
        read = reading => read,
        written = writing => written,
    }
}

async fn read_requests(
    reader: OwnedReadHalf,
    place: u64,
    inbox: &Inbox,
    events: mpsc::Sender<Event>,
) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.zeroize();
        let most = LONGEST_LINE as u64;
        if (&mut reader).take(most).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        match serde_json::from_slice::<Request>(&line) {
            Ok(request) => {
                if inbox.send(Input::Said { place, request }).await.is_err() {
                    return Ok(());
                }
            }
            Err(error) => {
                // Its position, not its text: a line may hold a secret.
                let reason = format!("not a request: {:?} at column {}", error.classify(), error.column());
                let _ = events.send(Event::Refused { reason }).await;
                return Ok(());
            }
        }
    }
}

async fn write(writer: &mut OwnedWriteHalf, event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    let written = writer.write_all(&line).await;
    line.zeroize();
    written
}
