//! A small server on our own engine behind a bare transport, for the relay's second leg: a session runs one of a few
//! built-in commands.
//!
//! `cat` sends everything back, `sink` counts what comes, `zeros N` sends N bytes, `stall` never reads, `word` prints
//! who came according to the relay.

use std::io;

use hop_model::Word;
use hop_ssh::connection::{ChannelKind, ChannelRequest, Limits, Stream};
use hop_ssh::driver::{BareServer, Channel, Incoming};
use hop_ssh::message::OpenFailure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Takes the word and serves until the relay leaves.
pub async fn serve(stream: UnixStream) -> Result<(), hop_ssh::Error> {
    let server = BareServer::accept(stream).await?;
    let (word, _connection, mut arrivals, driver) = server.serve(Limits::default()).await?;
    let driver = tokio::spawn(driver.run());
    while let Some(arrival) = arrivals.next().await {
        match arrival {
            Incoming::Open(open) if *open.kind() == ChannelKind::Session => {
                tokio::spawn(session(open.accept(), word.clone()));
            }
            Incoming::Open(open) => open.refuse(OpenFailure::UnknownChannelType, "only sessions"),
            Incoming::Request(request) => request.refuse(),
        }
    }
    // Why it ended is the relay's to tell.
    let _ = driver.await;
    Ok(())
}

async fn session(channel: Channel, word: Word) {
    let mut requests = channel.requests();
    while let Some(request) = requests.next().await {
        let ChannelRequest::Exec(command) = request.request().clone() else {
            request.refuse();
            continue;
        };
        request.accept();
        let command = String::from_utf8_lossy(&command).into_owned();
        // A relay that is gone ends the command; nobody asks how.
        let status = u32::from(run(&channel, &command, &word).await.is_err());
        channel.send_eof();
        channel.notify(&ChannelRequest::ExitStatus(status));
        channel.close();
    }
}

async fn run(channel: &Channel, command: &str, word: &Word) -> io::Result<()> {
    let (mut input, mut output) = (channel.reader(Stream::Data), channel.writer(Stream::Data));
    let (name, argument) = command.split_once(' ').unwrap_or((command, ""));
    match name {
        "cat" => {
            tokio::io::copy(&mut input, &mut output).await?;
        }
        "sink" => {
            let count = tokio::io::copy(&mut input, &mut tokio::io::sink()).await?;
            output.write_all(format!("{count}\n").as_bytes()).await?;
        }
        "zeros" => {
            let count = argument.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
            tokio::io::copy(&mut tokio::io::repeat(0).take(count), &mut output).await?;
        }
        "stall" => std::future::pending().await,
        "word" => {
            let word = serde_json::to_vec(word).map_err(io::Error::from)?;
            output.write_all(&word).await?;
        }
        _ => return Err(io::ErrorKind::NotFound.into()),
    }
    Ok(())
}
