//! A channel and a socket, joined: what one side sends the other gets, each direction ending by itself
//! (RFC 4254 section 5.3: an EOF says nothing about the other way).

use hop_ssh::connection::Stream;
use hop_ssh::driver::Channel;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::limits::Activity;
use crate::pump::{Pump, Stopped};

/// Joins them until both directions have ended, or the client has closed the channel and what it sent before is
/// written; then closes the channel and returns when the client has closed it, too: all of it has arrived.
pub(crate) async fn bridge<S>(channel: &Channel, stream: S, activity: &Activity)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_socket, mut to_socket) = tokio::io::split(stream);
    let (mut from_client, mut to_client) = (channel.reader(Stream::Data), channel.writer(Stream::Data));
    let to_the_socket = async {
        match Pump::default().run(&mut from_client, &mut to_socket, activity).await {
            // Fails on a socket that is gone, which the other direction notices, too.
            Stopped::SourceEnded => drop(to_socket.shutdown().await),
            // Nobody reads any more: the client must not wait for room in its window.
            Stopped::SinkClosed => channel.discard_input(),
        }
    };
    let to_the_client = async {
        let mut pump = Pump::default();
        tokio::select! {
            _ = pump.run(&mut from_socket, &mut to_client, activity) => channel.send_eof(),
            () = closed_by_client(channel) => {}
        }
    };
    tokio::join!(to_the_socket, to_the_client);
    channel.close();
    closed_by_client(channel).await;
}

/// Returns when the client has closed the channel or the connection has ended; no request is granted meanwhile.
async fn closed_by_client(channel: &Channel) {
    let mut requests = channel.requests();
    while requests.next().await.is_some() {}
}
