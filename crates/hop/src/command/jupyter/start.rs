//! The person's server: started if it is stopped, and waited for, with what the Hub tells meanwhile.

use super::failed;
use crate::error::{CommandError, ErrorKind};
use crate::output;
use hop_jupyter::{Hub, HubError, Server, Started, Step};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// From asking whether a server is there to asking again, where the Hub does not tell.
const AGAIN: Duration = Duration::from_secs(1);
/// How often somebody who waits is told so.
const TELL: Duration = Duration::from_secs(5);
/// A Hub that tells more than this talks too much; a start has some tens of steps.
const MOST_TOLD: usize = 200;

/// The start of a server, and the person who waits for it.
pub(crate) struct Start<'a> {
    hub: &'a Hub,
    user: &'a str,
    server: &'a str,
    begun: Instant,
    limit: Duration,
    spoken: Instant,
    told: usize,
    message: String,
}

/// What the Hub told of a start until it was over, or no more was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Ready,
    Failed(String),
    Nothing,
}

impl<'a> Start<'a> {
    /// A start that may take so long. An empty name is that of the person's first server.
    pub(crate) fn new(hub: &'a Hub, user: &'a str, server: &'a str, limit: Duration) -> Self {
        let begun = Instant::now();
        Self { hub, user, server, begun, limit, spoken: begun, told: 0, message: String::new() }
    }

    fn shown(&self) -> String {
        match self.server {
            "" => format!("the server of {}", self.user),
            name => format!("the server {name} of {}", self.user),
        }
    }

    /// Asks the Hub for the server; what it tells meanwhile is shown. `None` when it told the end before it answered.
    pub(crate) async fn ask(&mut self, options: Option<&Value>) -> Result<(Option<Started>, Told), HubError> {
        output::note(&format!("starting {}", self.shown()));
        let (hub, user, server) = (self.hub, self.user, self.server);
        // The Hub keeps the answer back for ten seconds, and tells from the first on.
        let telling = async {
            loop {
                self.pause().await;
                match self.follow().await {
                    Told::Nothing if !self.is_late() => {}
                    told => break told,
                }
            }
        };
        let answer = tokio::select! {
            answer = hub.start(user, server, options) => answer,
            told = telling => return Ok((None, told)),
        };
        match answer {
            // Where the start broke, its story has the reason.
            Err(HubError::Status { status: 500, .. }) => match self.follow().await {
                Told::Nothing => answer.map(|started| (Some(started), Told::Nothing)),
                told => Ok((None, told)),
            },
            answer => Ok((Some(answer?), Told::Nothing)),
        }
    }

    /// Shows what the Hub tells, until the start is over, the time is, or the Hub tells no more.
    pub(crate) async fn follow(&mut self) -> Told {
        let Some(mut progress) = self.hub.progress(self.user, self.server).await else {
            return Told::Nothing;
        };
        while !self.is_late() {
            let pause = (self.spoken + TELL).min(self.begun + self.limit);
            match timeout_at(pause, progress.next()).await {
                Ok(Some(Step::Goes { percent, message })) => self.tell(percent, message),
                Ok(Some(Step::Ready)) => return Told::Ready,
                Ok(Some(Step::Failed { message })) => return Told::Failed(message),
                Ok(None) => return Told::Nothing,
                Err(_elapsed) => self.say_that_it_goes_on(),
            }
        }
        Told::Nothing
    }

    /// Waits until it makes sense to look again.
    pub(crate) async fn pause(&mut self) {
        if self.spoken.elapsed() >= TELL {
            self.say_that_it_goes_on();
        }
        tokio::time::sleep(AGAIN).await;
    }

    /// Whether the time is over.
    pub(crate) fn is_late(&self) -> bool {
        self.begun.elapsed() >= self.limit
    }

    /// The time is over.
    pub(crate) fn late(&self) -> CommandError {
        let words = format!("{} was not there after {} s", self.shown(), self.limit.as_secs());
        let hint = format!("see {} for what it says", self.hub.address().home_page());
        CommandError::new(ErrorKind::Later, words).hint(hint)
    }

    /// It does not start.
    pub(crate) fn failed(&self, said: &str) -> CommandError {
        let words = match said {
            "" => format!("{} does not start", self.shown()),
            said => format!("{} does not start: {said}", self.shown()),
        };
        CommandError::new(ErrorKind::Later, words).hint(format!("see {}", self.hub.address().home_page()))
    }

    fn tell(&mut self, percent: Option<u8>, message: String) {
        if message.trim().is_empty() || message == self.message || self.told >= MOST_TOLD {
            return;
        }
        let percent = percent.map(|percent| format!(" ({percent} %)")).unwrap_or_default();
        output::note(&format!("{}: {message}{percent}", self.shown()));
        (self.spoken, self.told, self.message) = (Instant::now(), self.told + 1, message);
    }

    fn say_that_it_goes_on(&mut self) {
        self.spoken = Instant::now();
        output::note(&format!("{} is still starting ({} s)", self.shown(), self.begun.elapsed().as_secs()));
    }
}

/// The server, once it takes requests.
pub(super) async fn ready(
    hub: &Hub,
    user: &str,
    name: &str,
    options: Option<&Value>,
    limit: Duration,
) -> Result<Server, CommandError> {
    let mut start = Start::new(hub, user, name, limit);
    let (mut is_asked, mut was_told) = (false, false);
    loop {
        let servers = hub.servers(user).await.map_err(failed)?;
        let server = servers.find(name);
        if let Some(server) = server.filter(|server| server.ready) {
            return Ok(server.clone());
        }
        let is_pending = server.is_some_and(|server| server.pending.is_some());
        let told = match (is_pending, is_asked) {
            (true, _) => start.follow().await,
            (false, false) => start.ask(options).await.map_err(failed)?.1,
            // Asked for, and neither there nor coming: the Hub may still know why.
            (false, true) => match start.follow().await {
                Told::Nothing => Told::Failed(String::new()),
                told => told,
            },
        };
        if let Told::Failed(said) = told {
            return Err(start.failed(&said));
        }
        is_asked = true;
        if start.is_late() {
            return Err(start.late());
        }
        // One that tells the end too early is asked in peace.
        if was_told || (is_pending && told == Told::Nothing) {
            start.pause().await;
        }
        was_told = told == Told::Ready;
    }
}
