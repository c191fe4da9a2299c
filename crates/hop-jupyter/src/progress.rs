//! How the start of a server goes, as the Hub tells it while it happens: server-sent events whose data are JSON
//! (JupyterHub's REST API, `GET /users/NAME/server/progress`).

use hop_link::Telling;
use serde::Deserialize;
use std::collections::VecDeque;

/// A longer line is left out: a spawner may put whole pages into an event.
const LONGEST_LINE: usize = 64 * 1024;

/// Something that the Hub says of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It goes on.
    Goes {
        /// How far it is, in per cent; a spawner's guess.
        percent: Option<u8>,
        /// What happens: one line without control characters, at most 300 of them.
        message: String,
    },
    /// The server takes requests.
    Ready,
    /// It does not start.
    Failed {
        /// The Hub's words.
        message: String,
    },
}

/// The Hub's telling of a start.
#[derive(Debug)]
pub struct Progress {
    telling: Telling,
    events: Events,
    steps: VecDeque<Step>,
}

impl Progress {
    pub(crate) fn new(telling: Telling) -> Self {
        Self { telling, events: Events::default(), steps: VecDeque::new() }
    }

    /// What happens next; `None` when the Hub says no more. May be dropped: nothing is lost.
    pub async fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return Some(step);
            }
            let bytes = self.telling.next().await.ok()??;
            self.events.read(&bytes, |step| self.steps.push_back(step));
        }
    }
}

/// Bytes that arrive in any parts, and the events in them.
#[derive(Debug, Default)]
struct Events {
    line: Vec<u8>,
    is_too_long: bool,
}

impl Events {
    fn read(&mut self, bytes: &[u8], mut tell: impl FnMut(Step)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (part, is_whole) = part.strip_suffix(b"\n").map_or((part, false), |line| (line, true));
            self.is_too_long |= self.line.len() + part.len() > LONGEST_LINE;
            if !self.is_too_long {
                self.line.extend_from_slice(part);
            }
            if is_whole {
                if let Some(step) = Step::read(&self.line).filter(|_| !self.is_too_long) {
                    tell(step);
                }
                self.line.clear();
                self.is_too_long = false;
            }
        }
    }
}

/// An event as the Hub and its spawners write it.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    progress: Option<f64>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    ready: bool,
    #[serde(default)]
    failed: bool,
}

impl Step {
    /// The step in a line `data: {…}`; other lines keep the connection alive.
    fn read(line: &[u8]) -> Option<Self> {
        let event: Event = serde_json::from_slice(line.strip_prefix(b"data:")?).ok()?;
        let message: String = event.message.chars().filter(|c| !c.is_control()).take(300).collect();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
        let percent =
            event.progress.filter(|percent| (0.0..=100.0).contains(percent)).map(|percent| percent as u8);
        Some(match event {
            Event { ready: true, .. } => Self::Ready,
            Event { failed: true, .. } => Self::Failed { message },
            _ => Self::Goes { percent, message },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(parts: &[&[u8]]) -> Vec<Step> {
        let (mut events, mut steps) = (Events::default(), Vec::new());
        for part in parts {
            events.read(part, |step| steps.push(step));
        }
        steps
    }

    const START: &[u8] = b"\n\ndata: {\"progress\": 0, \"message\": \"Server requested\"}\n\n\n\n\
        data: {\"progress\": 50.5, \"message\": \"pulling\\u001b[2J image\", \"html_message\": \"x\"}\r\n\r\n\
        : a comment\nevent: x\ndata: no json\ndata: {\"message\": 1}\ndata: {\"progress\": 1e9}\n\n\
        data: {\"progress\": 100, \"ready\": true, \"message\": \"Server ready at /user/a/\", \"url\": \"/user/a/\"}\n\n";

    #[test]
    fn a_start_as_a_hub_tells_it() {
        let goes = |percent, message: &str| Step::Goes { percent, message: message.to_owned() };
        let wanted = [
            goes(Some(0), "Server requested"),
            goes(Some(50), "pulling[2J image"),
            goes(None, ""),
            Step::Ready,
        ];
        assert_eq!(read(&[START]), wanted);
        let failed = b"data: {\"progress\": 100, \"failed\": true, \"message\": \"Spawn failed: x\"}\n\n";
        assert_eq!(read(&[failed]), [Step::Failed { message: "Spawn failed: x".to_owned() }]);
    }

    #[test]
    fn an_endless_line_is_left_out_and_costs_no_memory() {
        let mut events = Events::default();
        let mut steps = Vec::new();
        events.read(b"data: {\"message\": \"", |step| steps.push(step));
        for _ in 0..1000 {
            events.read(&[b'x'; 1024], |step| steps.push(step));
            assert!(events.line.len() <= LONGEST_LINE);
        }
        events.read(b"\"}\ndata: {\"ready\": true}\n", |step| steps.push(step));
        assert_eq!(steps, [Step::Ready]);
    }

    proptest! {
        #[test]
        fn the_parts_in_which_it_arrives_do_not_matter(cuts in prop::collection::vec(0..START.len(), 0..20)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut parts = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([START.len()]) {
                parts.push(&START[from..cut]);
                from = cut;
            }
            prop_assert_eq!(read(&parts), read(&[START]));
        }

        #[test]
        fn never_panics(bytes: Vec<u8>, text: String, progress: f64) {
            let _ = read(&[&bytes, b"\n", text.as_bytes(), b"\n"]);
            let _ = read(&[format!("data: {{\"message\": {text:?}, \"progress\": {progress}}}\n").as_bytes()]);
        }
    }
}
