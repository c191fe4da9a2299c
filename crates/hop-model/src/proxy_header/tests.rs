use super::*;
use proptest::prelude::*;

/// Reads as a careful reader does: never more than is wanted.
fn feed(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
    let mut count = 0;
    loop {
        match ProxyHeader::read(&bytes[..count])? {
            ProxyProgress::Whole(header) => return Ok(Some((header, count))),
            ProxyProgress::Wants(0) => panic!("it wants nothing and is not whole"),
            ProxyProgress::Wants(more) if count + more > bytes.len() => return Ok(None),
            ProxyProgress::Wants(more) => count += more,
        }
    }
}

fn proxied(client: &str, server: &str) -> ProxyHeader {
    ProxyHeader::Proxied { client: client.parse().unwrap(), server: server.parse().unwrap() }
}

/// A header of version 2 with these parts.
fn made(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE.as_slice(), &[command, family], &length, rest].concat()
}

const SSH: &[u8] = b"SSH-2.0-OpenSSH_9.2\r\n";

#[test]
fn lines_of_version_1() {
    let four = proxied("192.0.2.7:56324", "198.51.100.1:22");
    let six = proxied("[2001:db8::7]:1", "[2001:db8::1]:65535");
    for (line, expected) in [
        ("PROXY TCP4 192.0.2.7 198.51.100.1 56324 22\r\n", Some(four)),
        ("PROXY TCP6 2001:db8::7 2001:db8::1 1 65535\r\n", Some(six)),
        ("PROXY UNKNOWN\r\n", Some(ProxyHeader::Own)),
        ("PROXY UNKNOWN ffff:f:f anything 1 2\r\n", Some(ProxyHeader::Own)),
        ("PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", None),
        ("PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n", None),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n", None),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 56324 22 1\r\n", None),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 +5 22\r\n", None),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 05 22\r\n", None),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 65536 22\r\n", None),
        ("PROXY TCP4  192.0.2.7 198.51.100.1 1 22\r\n", None),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 22\n", None),
        ("PROXY TCP4 192.0.2.007 198.51.100.1 1 22\r\n", None),
        ("PROXY UDP4 192.0.2.7 198.51.100.1 1 22\r\n", None),
        ("PROXY tcp4 192.0.2.7 198.51.100.1 1 22\r\n", None),
    ] {
        let bytes = [line.as_bytes(), SSH].concat();
        match expected {
            Some(header) => assert_eq!(feed(&bytes), Ok(Some((header, line.len()))), "{line}"),
            None => assert!(feed(&bytes).is_err(), "{line}"),
        }
    }
}

#[test]
fn headers_of_version_2() {
    let four = [&[192, 0, 2, 7, 198, 51, 100, 1][..], &[220, 4, 0, 22]].concat();
    let remarks = [four.as_slice(), &[4, 0, 2, 1, 2]].concat();
    let six = {
        let [client, server] = ["2001:db8::7", "2001:db8::1"].map(|text| text.parse::<Ipv6Addr>().unwrap());
        [&client.octets()[..], &server.octets(), &[0, 1, 255, 255]].concat()
    };
    let of_four = proxied("192.0.2.7:56324", "198.51.100.1:22");
    for (bytes, expected) in [
        (made(0x21, 0x11, &four), Some(of_four)),
        (made(0x21, 0x11, &remarks), Some(of_four)),
        (made(0x21, 0x21, &six), Some(proxied("[2001:db8::7]:1", "[2001:db8::1]:65535"))),
        (made(0x20, 0x00, &[]), Some(ProxyHeader::Own)),
        (made(0x20, 0x11, &four), Some(ProxyHeader::Own)),
        (made(0x21, 0x00, &[1, 2, 3]), Some(ProxyHeader::Own)),
        (made(0x21, 0x11, &four[..11]), None),
        (made(0x21, 0x21, &four), None),
        (made(0x21, 0x12, &four), None),
        (made(0x21, 0x31, &[0; 216]), None),
        (made(0x22, 0x11, &four), None),
        (made(0x31, 0x11, &four), None),
        (made(0x11, 0x11, &four), None),
        (made(0x21, 0x11, &vec![0; LONGEST]), None),
    ] {
        let all = [bytes.as_slice(), SSH].concat();
        match expected {
            Some(header) => assert_eq!(feed(&all), Ok(Some((header, bytes.len()))), "{bytes:?}"),
            None => assert!(feed(&all).is_err(), "{bytes:?}"),
        }
    }
}

#[test]
fn what_begins_otherwise_is_no_header_and_never_an_absent_one() {
    for bytes in
        [SSH, b"GET / HTTP/1.1\r\n\r\n", b"PROXY\tTCP4 ........", b"\r\n\r\n\0\r\nQUIX\n....", &[0; 15]]
    {
        assert_eq!(feed(bytes), Err(ProxyHeaderError::Absent), "{bytes:?}");
    }
    assert_eq!(feed(b""), Ok(None));
    let endless = [b"PROXY UNKNOWN".as_slice(), &[b'x'; 200]].concat();
    assert_eq!(feed(&endless), Err(ProxyHeaderError::Line("it has no end")));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = ProxyHeader::read(&bytes);
        for begin in [WORD.as_slice(), b"PROXY TCP4 ", b"PROXY TCP6 ", SIGNATURE, &made(0x21, 0x11, &[])[..14]] {
            let _ = feed(&[begin, &bytes].concat());
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_behind_it(
        client in any::<SocketAddr>(), server in any::<SocketAddr>(), behind in "[ -~\r\n]{0,40}"
    ) {
        let (header, binary) = match (client, server) {
            (SocketAddr::V4(one), SocketAddr::V4(other)) => {
                let rest = [&one.ip().octets()[..], &other.ip().octets(), &one.port().to_be_bytes(), &other.port().to_be_bytes()].concat();
                ("TCP4", made(0x21, 0x11, &rest))
            }
            (SocketAddr::V6(one), SocketAddr::V6(other)) => {
                let rest = [&one.ip().octets()[..], &other.ip().octets(), &one.port().to_be_bytes(), &other.port().to_be_bytes()].concat();
                ("TCP6", made(0x21, 0x21, &rest))
            }
            _ => return Ok(()),
        };
        let line = format!("PROXY {header} {} {} {} {}\r\n", client.ip(), server.ip(), client.port(), server.port());
        for bytes in [line.into_bytes(), binary] {
            let all = [bytes.as_slice(), behind.as_bytes()].concat();
            let (found, count) = feed(&all).unwrap().unwrap();
            prop_assert_eq!(count, bytes.len());
            let ProxyHeader::Proxied { client: got, server: to } = found else { panic!("not its own") };
            prop_assert_eq!((got.ip(), got.port()), (client.ip(), client.port()));
            prop_assert_eq!((to.ip(), to.port()), (server.ip(), server.port()));
        }
    }
}
