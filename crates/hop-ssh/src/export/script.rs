//! A script for state that moves: any bytes as the state that a process is handed.

use super::*;
use crate::config::{ClientConfig, ServerConfig};
use crate::fuzzing::Script;
use crate::relay::{PassAll, Relay, Side};
use crate::transport::Transport;
use hop_keys::Identity;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Takes the bytes up as a transport's or a relay's state. What is taken up can be used and handed on, and
/// reads the same the next time.
pub fn import(script: &[u8]) {
    let mut script = Script::new(script);
    let (kind, now) = (script.byte(), Instant::now());
    let state = Exported(Zeroizing::new(script.remainder().to_vec()));
    if kind & 1 == 0 {
        let read = |state: &Exported| match kind & 2 {
            0 => Transport::import_server(state, server(), now),
            _ => Transport::import_client(state, client(), now),
        };
        let Ok(transport) = read(&state) else { return };
        let again = |transport: Transport| transport.export().map_err(|(_, reason)| reason).expect("at rest");
        let first = again(transport);
        let second = again(read(&first).expect("what was exported can be imported"));
        assert_eq!(first.0, second.0, "the state changes when it moves");
        let mut transport = read(&second).expect("what was exported can be imported");
        // A damaged state may well fail now; it must fail in order.
        let later = now + Duration::from_secs(4000);
        let _ = transport.send(b"^payload", &[]);
        while matches!(transport.next(now), Ok(Some(_))) {}
        let _ = transport.rekey_due(later);
        let _ = transport.on_time(later);
        let _ = transport.start_rekey(later);
    } else {
        let read = |state: &Exported| Relay::import(state, setup(), now);
        let Ok(relay) = read(&state) else { return };
        let Ok(state) = relay.export() else { return };
        let mut relay =
            read(&state).map_err(|error| error.to_string()).expect("what was exported can be imported");
        let _ = relay.process(now);
        let _ = relay.on_time(now + Duration::from_secs(4000));
        let _ = relay.channel_count() + usize::from(relay.wants_read(Side::Client));
    }
}

/// States of transports and relays in the form that [`import`] takes: what fuzzing starts from.
pub fn states() -> Vec<(&'static str, Vec<u8>)> {
    let now = Instant::now();
    let (client, server) = crate::transport::script::established();
    let near = Transport::import_server(server, self::server(), now).expect("our own export");
    let far = Transport::import_client(client, self::client(), now).expect("our own export");
    let relay = Relay::new(near, far, Box::new(PassAll), None, now).map_err(|error| error.error);
    let relay = relay.expect("both legs are open").export().map_err(|(_, reason)| reason).expect("at rest");
    let script = |kind: u8, state: &Exported| [&[kind], &state.0[..]].concat();
    vec![("server", script(0, server)), ("client", script(2, client)), ("relay", script(1, &relay))]
}

fn server() -> Arc<ServerConfig> {
    Arc::new(ServerConfig::new(Vec::new()))
}

fn client() -> Arc<ClientConfig> {
    Arc::new(ClientConfig::new(Arc::new(|_: &Identity| Ok(()))))
}

fn setup() -> RelaySetup {
    RelaySetup { server: server(), client: client(), policy: Box::new(PassAll), keepalive: None }
}
