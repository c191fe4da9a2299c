//! A session's program while it runs: bytes both ways, requests, and how it ends.

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use hop_sftp::arguments::Arguments;
use hop_sftp::server::{Account, serve};
use hop_ssh::connection::{ChannelRequest, Stream};
use hop_ssh::driver::{Channel, ChannelRequests, IncomingChannelRequest};
use tokio::io::AsyncWriteExt;

use super::flows::{Input, Output};
use super::setup::window_size;
use crate::context::Context;
use crate::descriptor::Available;
use crate::process::{Child, Ending, PipedProcess, TerminalProcess};
use crate::pty::PtyMaster;
use crate::pump::{Pump, Stopped};
use crate::signal;
use crate::watched::Watched;

/// How a session came to its end.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The program ended; its output has been handed over.
    Ended(Ending),
    /// The client closed the channel, or the connection ended.
    ClosedByClient,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(Ending::Exited(status)) => write!(formatter, "exit status {status}"),
            Self::Ended(Ending::Signalled { signal, .. }) => write!(formatter, "ended by signal {signal}"),
            Self::ClosedByClient => formatter.write_str("closed by the client"),
        }
    }
}

/// What a running program's session has to do with.
pub(super) struct Running<'a> {
    pub(super) context: &'a Arc<Context>,
    pub(super) channel: &'a Channel,
    pub(super) requests: &'a mut ChannelRequests,
    /// Signals are not for forced commands, whose author did not expect them.
    pub(super) may_signal: bool,
}

impl Running<'_> {
    /// Ends when the process has ended *and* everybody who holds its output has closed it, as with sshd: a
    /// background child that still writes keeps the session open.
    pub(super) async fn piped(self, process: PipedProcess) -> Outcome {
        let PipedProcess { mut child, stdin, stdout, stderr, notice } = process;
        let activity = &self.context.activity;
        let mut errors_to_client = self.channel.writer(Stream::Stderr);
        if let Some(notice) = notice {
            // A client that does not read is gone.
            let _unread = errors_to_client.write_all(notice.as_bytes()).await;
        }
        let mut input = Input::new(self.channel.reader(Stream::Data), stdin);
        let mut output = Output::new((self.channel.writer(Stream::Data), stdout), (errors_to_client, stderr));
        let (mut output_open, mut ending) = (true, None);
        loop {
            if let (false, Some(ending)) = (output_open, ending) {
                return Outcome::Ended(ending);
            }
            tokio::select! {
                biased;
                incoming = self.requests.next() => match incoming {
                    Some(incoming) => answer(incoming, &child, None, self.may_signal),
                    None => {
                        drop((input, output));
                        child.hang_up(self.context.config.limits.hang_up).await;
                        return Outcome::ClosedByClient;
                    }
                },
                () = output.run(activity), if output_open => output_open = false,
                stopped = input.run(activity) => {
                    if stopped == Stopped::SinkClosed {
                        self.refuse_input();
                    }
                }
                ended = child.ended(), if ending.is_none() => ending = Some(known(ended)),
            }
        }
    }

    /// Ends when the process has ended and what it wrote until then is handed over, as with sshd: whoever
    /// holds the terminal in the background loses it.
    pub(super) async fn on_terminal(self, process: TerminalProcess) -> Outcome {
        let TerminalProcess { mut child, master, notice } = process;
        let activity = &self.context.activity;
        let mut from_client = self.channel.reader(Stream::Data);
        let mut to_client = self.channel.writer(Stream::Data);
        if let Some(notice) = notice {
            let _unread = to_client.write_all(notice.replace('\n', "\r\n").as_bytes()).await;
        }
        let (mut source, mut sink) = (master.descriptor(), master.descriptor());
        let (mut input, mut output) = (Pump::default(), Pump::to_peer());
        let (mut input_open, mut output_open, mut ending) = (true, true, None);
        loop {
            // From the end on, only what is there already.
            let mut last_words = Available(master.descriptor());
            let read = async {
                match ending {
                    None => output.run(&mut source, &mut to_client, activity).await,
                    Some(_) => output.run(&mut last_words, &mut to_client, activity).await,
                }
            };
            tokio::select! {
                biased;
                incoming = self.requests.next() => match incoming {
                    Some(incoming) => answer(incoming, &child, Some(&master), self.may_signal),
                    None => {
                        drop(master);
                        child.hang_up(self.context.config.limits.hang_up).await;
                        return Outcome::ClosedByClient;
                    }
                },
                ended = child.ended(), if ending.is_none() => {
                    ending = Some(known(ended));
                    output_open = true;
                }
                _ = read, if output_open => match ending {
                    Some(ending) => return Outcome::Ended(ending),
                    None => output_open = false,
                },
                stopped = input.run(&mut from_client, &mut sink, activity), if input_open => {
                    // The end of input says nothing to a terminal.
                    input_open = false;
                    if stopped == Stopped::SinkClosed {
                        self.refuse_input();
                    }
                }
            }
        }
    }

    /// The program reads no more: the client must neither wait for room nor go on sending for nothing.
    fn refuse_input(&self) {
        self.channel.discard_input();
        if self.context.openssh_client {
            self.channel.notify(&ChannelRequest::EndOfWrite);
        }
    }
}

/// Serves SFTP in this process.
pub(super) async fn sftp(
    context: &Arc<Context>,
    channel: &Channel,
    requests: &mut ChannelRequests,
    arguments: &Arguments,
) -> Outcome {
    let account = &context.config.account;
    let owner = Account { name: account.name.clone(), home: account.home.clone() };
    let options = arguments.server_options(owner);
    let failed = |error: &dyn fmt::Display| {
        tracing::error!(%error, "SFTP session failed");
        Outcome::Ended(Ending::Exited(1))
    };
    let options = match options {
        Ok(mut options) => {
            options.start_directory.get_or_insert_with(|| account.home.clone());
            options
        }
        Err(error) => return failed(&error),
    };
    let reader = Watched::new(channel.reader(Stream::Data), Arc::clone(context));
    let writer = Watched::new(channel.writer(Stream::Data), Arc::clone(context));
    let mut serving = pin!(serve(reader, writer, options));
    loop {
        tokio::select! {
            served = &mut serving => return match served {
                Ok(summary) => {
                    tracing::debug!(?summary, "SFTP session");
                    Outcome::Ended(Ending::Exited(0))
                }
                Err(error) => failed(&error),
            },
            incoming = requests.next() => match incoming {
                Some(incoming) => incoming.refuse(),
                None => return Outcome::ClosedByClient,
            },
        }
    }
}

/// A request to a running program.
fn answer(incoming: IncomingChannelRequest, child: &Child, terminal: Option<&PtyMaster>, may_signal: bool) {
    let granted = match incoming.request() {
        ChannelRequest::WindowChange(size) => {
            terminal.is_some_and(|terminal| terminal.resize(window_size(*size)).is_ok())
        }
        ChannelRequest::Break(_) => terminal.is_some_and(|terminal| terminal.send_break().is_ok()),
        ChannelRequest::Signal(name) => {
            let known = signal::from_name(name.as_bytes()).filter(|_| may_signal);
            known.is_some_and(|signal| child.signal(signal).is_ok())
        }
        // Too late, or nothing that a client asks for.
        ChannelRequest::Pty(_)
        | ChannelRequest::X11(_)
        | ChannelRequest::AuthAgent
        | ChannelRequest::Env { .. }
        | ChannelRequest::Shell
        | ChannelRequest::Exec(_)
        | ChannelRequest::Subsystem(_)
        | ChannelRequest::ExitStatus(_)
        | ChannelRequest::ExitSignal(_)
        | ChannelRequest::EndOfWrite
        | ChannelRequest::Other { .. } => false,
    };
    match granted {
        true => incoming.accept(),
        false => incoming.refuse(),
    }
}

fn known(ended: io::Result<Ending>) -> Ending {
    ended.unwrap_or_else(|error| {
        tracing::error!(%error, "how the process ended is not known");
        Ending::Exited(255)
    })
}
