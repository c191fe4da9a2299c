//! The X11 display of a session: accepts programs and carries them to the client, as long as the session lives or
//! a program that it started still has a window open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hop_ssh::connection::ChannelKind;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::context::Context;
use crate::x11::X11Display;

/// A display that is being served; dropped when the session ends.
#[derive(Debug)]
pub(super) struct SessionDisplayGuard {
    name: String,
    authority: PathBuf,
    _session: DropGuard,
}

impl SessionDisplayGuard {
    pub(super) fn serve(context: Arc<Context>, display: X11Display) -> Self {
        let session_over = CancellationToken::new();
        let (name, authority) = (display.name().to_owned(), display.authority().to_owned());
        let listeners = context.listeners.clone();
        let ended = context.ended.clone();
        let task = accept(context, display, session_over.clone());
        listeners.spawn(ended.run_until_cancelled_owned(task));
        Self { name, authority, _session: session_over.drop_guard() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn authority(&self) -> &Path {
        &self.authority
    }
}

async fn accept(context: Arc<Context>, display: X11Display, session_over: CancellationToken) {
    let mut programs = JoinSet::new();
    let mut accepting = true;
    while accepting || !programs.is_empty() {
        // Programs may open further windows as long as one of them is there.
        let over = session_over.is_cancelled() && programs.is_empty();
        if over {
            return;
        }
        tokio::select! {
            accepted = display.accept(), if accepting => {
                let Ok((stream, from)) = accepted else { return };
                accepting = !display.single_connection();
                let kind = ChannelKind::X11 {
                    originator: from.ip().to_string(),
                    port: u32::from(from.port()),
                };
                // Without room for another one the program is turned away.
                if let Ok(permit) = Arc::clone(&context.forwarded).try_acquire_owned() {
                    let context = Arc::clone(&context);
                    programs.spawn(async move {
                        context.carry(stream, kind).await;
                        drop(permit);
                    });
                }
            }
            Some(_) = programs.join_next() => {}
            () = session_over.cancelled(), if !session_over.is_cancelled() => {}
        }
    }
}
