//! The engine against real peers: OpenSSH's client and server (Debian packages openssh-client and
//! openssh-server).

mod openssh_client;
mod openssh_server;
mod support;
