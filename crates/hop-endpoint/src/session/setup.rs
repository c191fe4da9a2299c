//! What a client prepares before it asks for a program: terminal, variables, agent, display.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hop_ssh::connection::{ChannelRequest, PtyRequest, X11Request as WireX11};
use hop_ssh::driver::{ChannelRequests, IncomingChannelRequest};

use super::display::SessionDisplayGuard;
use crate::context::Context;
use crate::environment::{ClientEnvironment, Environment, SessionDisplay, SessionFacts, SessionTerminal};
use crate::pty::{Pty, WindowSize};
use crate::terminal_modes::TerminalModes;
use crate::x11::{X11Display, X11Request};

/// A longer terminal name is cut by no terminal database, but would be by exec.
const MAX_TERM: usize = 256;

/// What a session runs, as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Shell,
    Exec(Vec<u8>),
    Subsystem(Vec<u8>),
}

/// The session so far.
#[derive(Debug, Default)]
pub(super) struct Setup {
    pub(super) terminal: Option<Terminal>,
    pub(super) display: Option<SessionDisplayGuard>,
    agent: Option<PathBuf>,
    variables: ClientEnvironment,
}

/// A terminal that waits for its program.
#[derive(Debug)]
pub(super) struct Terminal {
    pub(super) pty: Pty,
    name: Vec<u8>,
}

impl Wanted {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Exec(_) => "exec",
            Self::Subsystem(_) => "subsystem",
        }
    }
}

impl Setup {
    /// Takes requests until one asks for a program; that one is still to be answered. `None` when the client
    /// closes the channel instead.
    pub(super) async fn until_program(
        &mut self,
        context: &Arc<Context>,
        requests: &mut ChannelRequests,
    ) -> Option<(Wanted, IncomingChannelRequest)> {
        loop {
            let incoming = requests.next().await?;
            let granted = match incoming.request() {
                ChannelRequest::Shell => return Some((Wanted::Shell, incoming)),
                ChannelRequest::Exec(command) => return Some((Wanted::Exec(command.clone()), incoming)),
                ChannelRequest::Subsystem(name) => return Some((Wanted::Subsystem(name.clone()), incoming)),
                ChannelRequest::Pty(wanted) => self.open_terminal(context, wanted),
                ChannelRequest::Env { name, value } => self.variables.offer(name, value).is_ok(),
                ChannelRequest::X11(wanted) => self.open_display(context, wanted),
                ChannelRequest::AuthAgent => self.forward_agent(context),
                ChannelRequest::WindowChange(size) => self.resize(window_size(*size)),
                ChannelRequest::Signal(_)
                | ChannelRequest::Break(_)
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
    }

    pub(super) fn has_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    pub(super) fn environment(&self, context: &Context, original_command: Option<&[u8]>) -> Environment {
        Environment::of_session(&SessionFacts {
            account: &context.config.account,
            site: &context.config.site,
            client: &self.variables,
            injected: &context.injected,
            from_key: &context.permissions.environment,
            addresses: context.addresses,
            terminal: self.terminal.as_ref().map(|terminal| SessionTerminal {
                device: terminal.pty.master().device(),
                term: &terminal.name,
            }),
            agent_socket: self.agent.as_deref(),
            display: self
                .display
                .as_ref()
                .map(|display| SessionDisplay { display: display.name(), authority: display.authority() }),
            original_command,
        })
    }

    fn open_terminal(&mut self, context: &Context, wanted: &PtyRequest) -> bool {
        if !context.permissions.pty || self.terminal.is_some() || wanted.term.len() > MAX_TERM {
            return false;
        }
        match Pty::open(window_size(wanted.size), &TerminalModes::parse(&wanted.modes)) {
            Ok(pty) => {
                self.terminal = Some(Terminal { pty, name: wanted.term.clone() });
                true
            }
            Err(error) => {
                tracing::error!(%error, "no terminal for the session");
                false
            }
        }
    }

    fn resize(&self, size: WindowSize) -> bool {
        self.terminal.as_ref().is_some_and(|terminal| terminal.pty.master().resize(size).is_ok())
    }

    fn forward_agent(&mut self, context: &Arc<Context>) -> bool {
        if !context.permissions.agent_forwarding {
            return false;
        }
        match context.agent() {
            Ok(path) => {
                self.agent = Some(path);
                true
            }
            Err(error) => {
                tracing::error!(%error, "agent not forwarded");
                false
            }
        }
    }

    fn open_display(&mut self, context: &Arc<Context>, wanted: &WireX11) -> bool {
        if !context.permissions.x11_forwarding || self.display.is_some() {
            return false;
        }
        let open = || -> Result<X11Display, Box<dyn std::error::Error>> {
            let (protocol, cookie) = (wanted.protocol.as_bytes(), wanted.cookie.as_bytes());
            let request = X11Request::parse(wanted.single_connection, protocol, cookie, wanted.screen)?;
            let own: Option<&Path> = context.config.own_xauthority.as_deref();
            Ok(X11Display::open(&request, &*context.directory()?, own)?)
        };
        match open() {
            Ok(display) => {
                self.display = Some(SessionDisplayGuard::serve(Arc::clone(context), display));
                true
            }
            Err(error) => {
                tracing::error!(%error, "X11 not forwarded");
                false
            }
        }
    }
}

pub(super) fn window_size(size: hop_ssh::connection::WindowSize) -> WindowSize {
    WindowSize {
        columns: size.columns,
        rows: size.rows,
        width: size.width_pixels,
        height: size.height_pixels,
    }
}
