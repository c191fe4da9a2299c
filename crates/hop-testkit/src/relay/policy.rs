//! Refuses what the configuration names.

use hop_ssh::connection::{ChannelKind, GlobalRequest};
use hop_ssh::relay::{RelayPolicy, Side, Verdict};

/// Refuses by name, whoever asks.
#[derive(Debug)]
pub(super) struct RefuseByName(pub(super) Vec<String>);

impl RefuseByName {
    fn verdict(&self, name: &str) -> Verdict {
        match self.0.iter().any(|refused| refused == name) {
            true => Verdict::Refuse("refused by the relay"),
            false => Verdict::Pass,
        }
    }
}

impl RelayPolicy for RefuseByName {
    fn open(&mut self, _from: Side, kind: &ChannelKind) -> Verdict {
        self.verdict(kind.name())
    }

    fn channel_request(&mut self, _from: Side, name: &str) -> Verdict {
        self.verdict(name)
    }

    fn global_request(&mut self, _from: Side, request: &GlobalRequest) -> Verdict {
        self.verdict(request.name())
    }
}
