//! Whose connection it is, where the system says so (Linux: /proc/net/tcp). A one-time link can be read by others of the
//! machine while a browser is started with it; so others are not even answered.
//!
//! Must stay true: a key is needed whatever is found here; where nothing is found, the key alone decides.

use std::net::{SocketAddr, SocketAddrV4};

/// Whether a connection from `peer` to `here` may be somebody else's: it is known to be another user's, not root's.
pub(super) fn is_strange(peer: SocketAddr, here: SocketAddr) -> bool {
    let (SocketAddr::V4(peer), SocketAddr::V4(here)) = (peer, here) else { return false };
    let Ok(table) = std::fs::read_to_string("/proc/net/tcp") else { return false };
    let ours = rustix::process::geteuid().as_raw();
    owner(&table, peer, here).is_some_and(|uid| uid != ours && uid != 0)
}

/// The user of the end at `from` of a connection to `to` (proc(5): local address, remote address, state, queues, timer,
/// retransmits, uid).
fn owner(table: &str, from: SocketAddrV4, to: SocketAddrV4) -> Option<u32> {
    let (from, to) = (written(from), written(to));
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_it = fields.next()? == from && fields.next()? == to;
        if is_it { fields.nth(4)?.parse().ok() } else { None }
    })
}

/// The address as one number of the machine's byte order.
fn written(address: SocketAddrV4) -> String {
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    #[cfg(target_endian = "little")]
    fn the_owner_is_that_of_the_far_end() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1F90 0100007F:C000 01 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 20 4 30 10 -1\n   \
            1: 0100007F:C000 0100007F:1F90 01 00000000:00000000 00:00000000 00000000 65534        0 2 1 0 20 4 30 10 -1\n";
        let at = |port| SocketAddrV4::new([127, 0, 0, 1].into(), port);
        assert_eq!(owner(table, at(0xC000), at(0x1F90)), Some(65534));
        assert_eq!(owner(table, at(0x1F90), at(0xC000)), Some(1000));
        assert_eq!(owner(table, at(0xC001), at(0x1F90)), None);
        assert_eq!(owner("", at(1), at(2)), None);
    }

    #[test]
    fn a_connection_of_ours_is_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, peer) = listener.accept().unwrap();
        assert!(!is_strange(peer, far.local_addr().unwrap()));
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let (SocketAddr::V4(from), SocketAddr::V4(to)) =
            (near.local_addr().unwrap(), near.peer_addr().unwrap())
        else {
            panic!("it is IPv4");
        };
        assert_eq!(owner(&table, from, to), Some(rustix::process::geteuid().as_raw()));
    }
}
