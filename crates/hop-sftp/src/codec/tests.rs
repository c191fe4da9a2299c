//! Properties of the codec, and packets as OpenSSH's programs were seen to send them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{
    Attributes, ClientPacket, CopyData, Extended, Extension, FileSystemStatistics, FrameError, Hello,
    IdNames, LENGTH_PREFIX, Limits, MAX_PACKET_LENGTH, Malformed, NameEntry, OpenFlags, Owner, PacketType,
    Request, Response, ServerPacket, StatusCode, Times, frame_length,
};

/// Bytes that live as long as the test: packets borrow what they hold.
fn bytes() -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), 0..40).prop_map(|bytes| &*bytes.leak())
}

/// A path; one NUL at its end would be dropped.
fn path() -> impl Strategy<Value = &'static [u8]> {
    bytes().prop_map(|path| path.strip_suffix(b"\0").map_or(path, |_| b"/"))
}

fn attributes() -> impl Strategy<Value = Attributes> {
    (
        option::of(any::<u64>()),
        option::of(any::<(u32, u32)>()),
        option::of(any::<u32>()),
        option::of(any::<(u32, u32)>()),
        vec((vec(any::<u8>(), 0..10), vec(any::<u8>(), 0..10)), 0..3),
    )
        .prop_map(|(size, owner, permissions, times, extended)| Attributes {
            size,
            owner: owner.map(|(user, group)| Owner { user, group }),
            permissions,
            times: times.map(|(accessed, modified)| Times { accessed, modified }),
            extended,
        })
}

fn extended() -> impl Strategy<Value = Extended<'static>> {
    prop_oneof![
        (path(), path()).prop_map(|(old_path, new_path)| Extended::PosixRename { old_path, new_path }),
        (path(), path()).prop_map(|(old_path, new_path)| Extended::Hardlink { old_path, new_path }),
        path().prop_map(|path| Extended::Statvfs { path }),
        path().prop_map(|path| Extended::ExpandPath { path }),
        path().prop_map(|user| Extended::HomeDirectory { user }),
        bytes().prop_map(|handle| Extended::Fstatvfs { handle }),
        bytes().prop_map(|handle| Extended::Fsync { handle }),
        (path(), attributes()).prop_map(|(path, attributes)| Extended::Lsetstat { path, attributes }),
        Just(Extended::Limits),
        (bytes(), any::<(u64, u64, u64)>(), bytes()).prop_map(|(source, (from, length, to), target)| {
            Extended::CopyData(CopyData { source, source_offset: from, length, target, target_offset: to })
        }),
        (vec(any::<u32>(), 0..5), vec(any::<u32>(), 0..5))
            .prop_map(|(users, groups)| Extended::UsersGroupsById { users, groups }),
        bytes().prop_map(|payload| Extended::Unknown { name: b"something@example.org", payload }),
    ]
}

fn request() -> impl Strategy<Value = Request<'static>> {
    prop_oneof![
        (path(), any::<u32>(), attributes()).prop_map(|(path, flags, attributes)| Request::Open {
            path,
            flags: OpenFlags(flags),
            attributes
        }),
        (bytes(), any::<u64>(), any::<u32>()).prop_map(|(handle, offset, length)| Request::Read {
            handle,
            offset,
            length
        }),
        (bytes(), any::<u64>(), bytes()).prop_map(|(handle, offset, data)| Request::Write {
            handle,
            offset,
            data
        }),
        bytes().prop_map(|handle| Request::Close { handle }),
        bytes().prop_map(|handle| Request::Fstat { handle }),
        bytes().prop_map(|handle| Request::Readdir { handle }),
        (bytes(), attributes()).prop_map(|(handle, attributes)| Request::Fsetstat { handle, attributes }),
        (path(), attributes()).prop_map(|(path, attributes)| Request::Setstat { path, attributes }),
        (path(), attributes()).prop_map(|(path, attributes)| Request::Mkdir { path, attributes }),
        path().prop_map(|path| Request::Lstat { path }),
        path().prop_map(|path| Request::Stat { path }),
        path().prop_map(|path| Request::Opendir { path }),
        path().prop_map(|path| Request::Remove { path }),
        path().prop_map(|path| Request::Rmdir { path }),
        path().prop_map(|path| Request::Realpath { path }),
        path().prop_map(|path| Request::Readlink { path }),
        (path(), path()).prop_map(|(old_path, new_path)| Request::Rename { old_path, new_path }),
        (path(), path()).prop_map(|(target, link_path)| Request::Symlink { target, link_path }),
        extended().prop_map(Request::Extended),
        Just(Request::Unknown(PacketType::Unknown(99))),
        Just(Request::Unknown(PacketType::Data)),
    ]
}

fn response() -> impl Strategy<Value = Response<'static>> {
    let entry = (bytes(), bytes(), attributes()).prop_map(|(name, long_name, attributes)| NameEntry {
        name,
        long_name,
        attributes,
    });
    prop_oneof![
        (any::<u32>(), bytes(), bytes()).prop_map(|(code, message, language)| Response::Status {
            code: StatusCode::from_number(code),
            message,
            language
        }),
        (0..10_u32).prop_map(|code| Response::status(StatusCode::from_number(code))),
        bytes().prop_map(Response::Handle),
        bytes().prop_map(Response::Data),
        vec(entry, 0..4).prop_map(Response::Name),
        attributes().prop_map(Response::Attributes),
        bytes().prop_map(Response::ExtendedReply),
        Just(Response::Unknown(PacketType::Open)),
    ]
}

fn hello() -> impl Strategy<Value = Hello<'static>> {
    (any::<u32>(), vec((bytes(), bytes()), 0..4))
        .prop_map(|(version, extensions)| Hello { version, extensions })
}

fn client_packet() -> impl Strategy<Value = ClientPacket<'static>> {
    prop_oneof![
        1 => hello().prop_map(ClientPacket::Init),
        20 => (any::<u32>(), request()).prop_map(|(id, request)| ClientPacket::Request { id, request }),
    ]
}

fn server_packet() -> impl Strategy<Value = ServerPacket<'static>> {
    prop_oneof![
        1 => hello().prop_map(ServerPacket::Version),
        8 => (any::<u32>(), response()).prop_map(|(id, response)| ServerPacket::Response { id, response }),
    ]
}

/// The packet without its length, which must be right.
fn body(encoded: &[u8]) -> &[u8] {
    assert_eq!(frame_length(encoded), Ok(Some(encoded.len() - LENGTH_PREFIX)));
    &encoded[LENGTH_PREFIX..]
}

proptest! {
    #[test]
    fn client_packets_come_back(packet in client_packet()) {
        let mut encoded = Vec::new();
        packet.encode(&mut encoded);
        prop_assert_eq!(ClientPacket::decode(body(&encoded)), Ok(packet));
    }

    #[test]
    fn server_packets_come_back(packet in server_packet()) {
        let mut encoded = Vec::new();
        packet.encode(&mut encoded);
        prop_assert_eq!(ServerPacket::decode(body(&encoded)), Ok(packet));
    }

    #[test]
    fn a_cut_packet_is_malformed_or_a_shorter_one(packet in client_packet(), cut in any::<prop::sample::Index>()) {
        let mut encoded = Vec::new();
        packet.encode(&mut encoded);
        let whole = body(&encoded);
        let part = &whole[..cut.index(whole.len())];
        match ClientPacket::decode(part) {
            // With the id there, the error has it: such a request is answered.
            Err(Malformed { id, .. }) => prop_assert_eq!(
                id.is_some(),
                part.len() >= 5 && part.first() != Some(&1)
            ),
            Ok(shorter) => prop_assert_ne!(shorter, packet),
        }
    }

    #[test]
    fn no_bytes_panic(kind in any::<u8>(), rest in vec(prop_oneof![Just(0_u8), any::<u8>()], 0..200)) {
        let packet = [&[kind][..], &rest].concat();
        let _ = ClientPacket::decode(&packet);
        let _ = ServerPacket::decode(&packet);
        let _ = Limits::decode(&rest);
        let _ = FileSystemStatistics::decode(&rest);
        let _ = IdNames::decode(&rest);
        let _ = frame_length(&rest);
    }

    #[test]
    fn packet_types_and_codes_come_back(byte in any::<u8>(), number in any::<u32>()) {
        prop_assert_eq!(PacketType::from_byte(byte).byte(), byte);
        prop_assert_eq!(StatusCode::from_number(number).number(), number);
    }

    #[test]
    fn payloads_come_back(values in any::<[u64; 11]>(), users in vec(vec(any::<u8>(), 0..9), 0..5)) {
        let [packet_length, read_length, write_length, open_handles, ..] = values;
        let limits = Limits { packet_length, read_length, write_length, open_handles };
        let mut payload = Vec::new();
        limits.encode(&mut payload);
        prop_assert_eq!(Limits::decode(&payload), Ok(limits));

        let [block_size, fragment_size, blocks, blocks_free, blocks_available, files, files_free, files_available, id, flags, name_length] = values;
        let statistics = FileSystemStatistics {
            block_size, fragment_size, blocks, blocks_free, blocks_available, files, files_free, files_available, id,
            flags, name_length,
        };
        payload.clear();
        statistics.encode(&mut payload);
        prop_assert_eq!(FileSystemStatistics::decode(&payload), Ok(statistics));

        let names = IdNames { groups: users.iter().rev().cloned().collect(), users };
        payload.clear();
        names.encode(&mut payload);
        prop_assert_eq!(IdNames::decode(&payload), Ok(names));
    }
}

#[test]
fn counts_in_a_packet_reserve_nothing() {
    // A NAME and attributes that claim four thousand million entries.
    let name = b"h\0\0\0\x01\xff\xff\xff\xff";
    assert_eq!(ServerPacket::decode(name), Err(Malformed { id: Some(1), field: "file name" }));
    let attributes = b"i\0\0\0\x02\x80\0\0\0\xff\xff\xff\xff";
    assert_eq!(ServerPacket::decode(attributes), Err(Malformed { id: Some(2), field: "extended type" }));
}

#[test]
fn packets_as_openssh_sends_them() {
    // `sftp` 9.2: INIT, then an OPEN for reading.
    assert_eq!(
        ClientPacket::decode(b"\x01\0\0\0\x03"),
        Ok(ClientPacket::Init(Hello { version: 3, extensions: Vec::new() }))
    );
    let open =
        Request::Open { path: b"/dev/shm/sb/big", flags: OpenFlags::READ, attributes: Attributes::default() };
    assert_eq!(
        ClientPacket::decode(b"\x03\0\0\0\x05\0\0\0\x0f/dev/shm/sb/big\0\0\0\x01\0\0\0\0"),
        Ok(ClientPacket::Request { id: 5, request: open })
    );
    // `sftp-server` 9.2: the end of a file, a handle, attributes of /tmp.
    assert_eq!(
        ServerPacket::decode(b"e\0\0\x000\0\0\0\x01\0\0\0\x0bEnd of file\0\0\0\0"),
        Ok(ServerPacket::Response { id: 48, response: Response::status(StatusCode::Eof) })
    );
    assert_eq!(
        ServerPacket::decode(b"f\0\0\0\x1e\0\0\0\x04\0\0\0\x01"),
        Ok(ServerPacket::Response { id: 30, response: Response::Handle(b"\0\0\0\x01") })
    );
    let attributes = Attributes {
        size: Some(4096),
        owner: Some(Owner { user: 0, group: 0 }),
        permissions: Some(0o41_777),
        times: Some(Times { accessed: 0x6ab2_0959, modified: 0x6b02_deee }),
        extended: Vec::new(),
    };
    assert_eq!(
        ServerPacket::decode(
            b"i\0\0\x006\0\0\0\x0f\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0C\xffj\xb2\tYk\x02\xde\xee"
        ),
        Ok(ServerPacket::Response { id: 54, response: Response::Attributes(attributes) })
    );
}

#[test]
fn a_terminating_nul_is_dropped_once() {
    let decoded = ClientPacket::decode(b"\x11\0\0\0\x01\0\0\0\x06/tmp\0\0");
    assert_eq!(decoded, Ok(ClientPacket::Request { id: 1, request: Request::Stat { path: b"/tmp\0" } }));
}

#[test]
fn extension_names_come_back() {
    for extension in Extension::ALL {
        assert_eq!(Extension::from_name(extension.name().as_bytes()), Some(extension));
    }
    assert_eq!(Extension::from_name(b"fsync"), None);
}

#[test]
fn lengths_are_bounded() {
    let prefix = |length: usize| u32::try_from(length).expect("small").to_be_bytes();
    assert_eq!(frame_length(b"\0\0\0"), Ok(None));
    assert_eq!(frame_length(&prefix(MAX_PACKET_LENGTH)), Ok(Some(MAX_PACKET_LENGTH)));
    assert!(matches!(frame_length(&prefix(MAX_PACKET_LENGTH + 1)), Err(FrameError::TooLong { .. })));
    assert_eq!(frame_length(&prefix(0)), Err(FrameError::Empty));
    let text = frame_length(b"Welcome").expect_err("a shell's greeting").to_string();
    assert!(text.contains("\"Welc\""), "{text}");
}

#[test]
fn flags_are_shown_by_name() {
    let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
    assert_eq!(flags.to_string(), "WRITE,CREATE,TRUNCATE");
    assert!(flags.contains(OpenFlags::CREATE) && !flags.contains(OpenFlags::READ));
}
