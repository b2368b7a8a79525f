//! Every message survives the way there and back, and no bytes at all make a reader panic or hoard memory.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use common::{client_message, field_chunk, overlay_values, server_message};
use proptest::prelude::*;
use terrane_protocol::error::RefusedCode;
use terrane_protocol::limits::{
    HEADER_BYTES, OUTPUT_UNDO_BYTES_MAX, PAYLOAD_TO_SERVER_BYTES_MAX, UNDO_GHOST_VOXELS_MAX, UNDO_PENDING_MAX,
};
use terrane_protocol::message::{EditVoxel, Refused};
use terrane_protocol::undo::ghost_frames;
use terrane_protocol::{
    AgentMoves, AgentPlace, AgentStep, Agents, AgentsPart, BodyFrames, BodyMove, ChunkStream, ClientMessage, CrowdInfo,
    CrowdRequest, FieldRequest, FieldState, FrameReader, Kind, MAGIC, OverlayKind, PathPart, PathRefusal, PathRefused,
    PathRequest, ProtocolError, ServerMessage, Shape, Towards, UndoGhost, UndoOther, UndoPlan, UndoProgress,
    UndoRefusal, UndoRefused, UndoRequest, UndoState, Wanted,
};
use terrane_world::block::BlockId;
use terrane_world::chunk::Version;
use terrane_world::delta::changes::Changes;
use terrane_world::entity::state::Agent;
use terrane_world::path::mode::Modes;
use terrane_world::path::search::End;
use terrane_world::physics::state::{BodyId, BodyVoxel, Phase};
use terrane_world::relax::EXITS;
use terrane_world::space::{ChunkPos, ColumnPos, LocalIndex, VoxelBox, VoxelPos};
use terrane_world::step::{ActorId, Cause, CauseKind, ChunkDelta, Run};
use terrane_world::undo::plan::{Plan, Planner};
use terrane_world::undo::{Filter, Kinds, Request, Rule};

/// Reads a whole stream in pieces, and gives what was read with the error that ended it.
fn read<M>(
    towards: Towards,
    stream: &[u8],
    pieces: &[usize],
    decode: fn(Kind, &[u8]) -> Result<M, ProtocolError>,
) -> (Vec<M>, Option<ProtocolError>) {
    let mut reader = FrameReader::new(towards);
    let mut messages = Vec::new();
    let mut rest = stream;
    let mut pieces = pieces.iter().copied().cycle();
    while !rest.is_empty() {
        let (mut piece, after) = rest.split_at(pieces.next().unwrap_or(1).clamp(1, rest.len()));
        rest = after;
        loop {
            let message = match reader.next(&mut piece) {
                Ok(None) => break,
                Ok(Some(frame)) => decode(frame.kind, frame.payload),
                Err(error) => return (messages, Some(error)),
            };
            match message {
                Ok(message) => messages.push(message),
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(piece.is_empty());
        assert!(reader.buffered_bytes() <= HEADER_BYTES + towards.payload_bytes_max());
    }
    (messages, None)
}

fn to_server(stream: &[u8], pieces: &[usize]) -> (Vec<ClientMessage>, Option<ProtocolError>) {
    read(Towards::Server, stream, pieces, ClientMessage::decode)
}

fn to_client(stream: &[u8], pieces: &[usize]) -> (Vec<ServerMessage>, Option<ProtocolError>) {
    read(Towards::Client, stream, pieces, ServerMessage::decode)
}

/// A frame with any header and payload, behind the magic.
fn raw(length: u32, kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &length.to_le_bytes(), &kind.to_le_bytes(), &flags.to_le_bytes(), payload].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn client_messages_come_back_whatever_the_pieces(
        messages in prop::collection::vec(client_message(), 1..6),
        pieces in prop::collection::vec(1usize..500, 1..10),
    ) {
        let mut stream = MAGIC.to_vec();
        messages.iter().for_each(|message| message.encode(&mut stream));
        prop_assert_eq!(to_server(&stream, &pieces), (messages, None));
    }

    #[test]
    fn server_messages_come_back_whatever_the_pieces(
        messages in prop::collection::vec(server_message(), 1..4),
        pieces in prop::collection::vec(1usize..9_000, 1..10),
    ) {
        let mut stream = MAGIC.to_vec();
        messages.iter().for_each(|message| message.encode(&mut stream));
        prop_assert_eq!(to_client(&stream, &pieces), (messages, None));
    }

    #[test]
    fn damaged_streams_end_in_a_typed_error_or_in_other_messages(
        from_client in client_message(),
        from_server in server_message(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut towards_server, mut towards_client) = (MAGIC.to_vec(), MAGIC.to_vec());
        from_client.encode(&mut towards_server);
        from_server.encode(&mut towards_client);
        for (stream, client) in [(towards_server, false), (towards_client, true)] {
            let mut damaged = stream.clone();
            for (at, bit) in &damage {
                damaged[at.index(stream.len())] ^= 1 << bit;
            }
            damaged.truncate(cut.index(stream.len()) + 1);
            let error = if client { to_client(&damaged, &[64]).1 } else { to_server(&damaged, &[64]).1 };
            if let Some(error) = error {
                prop_assert!(!error.to_string().is_empty());
                prop_assert!((1..=8).contains(&error.code().number()));
            }
        }
    }

    #[test]
    fn noise_behind_the_magic_never_panics(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let stream = [&MAGIC[..], &noise].concat();
        to_server(&stream, &[7]);
        to_client(&stream, &[7]);
        for kind in Kind::ALL {
            let _ = ClientMessage::decode(kind, &noise);
            let _ = ServerMessage::decode(kind, &noise);
        }
    }

    #[test]
    fn a_payload_one_byte_short_or_long_is_refused(message in server_message(), longer in any::<bool>()) {
        let mut frame = Vec::new();
        message.encode(&mut frame);
        let mut payload = frame.split_off(HEADER_BYTES);
        if longer { payload.push(0) } else { payload.pop(); }
        let error = ServerMessage::decode(message.kind(), &payload).unwrap_err();
        prop_assert_eq!(error.code(), RefusedCode::BadPayload);
    }
}

#[test]
fn each_broken_rule_has_its_code() {
    let edit = |count: u16, sequence: u64, tail: u8| {
        let mut payload = [&sequence.to_le_bytes()[..], &count.to_le_bytes(), &[0; 6]].concat();
        payload.extend([0; 15]);
        payload.push(tail);
        payload
    };
    let subscribe = |shape: u16, second: [i32; 3]| {
        let mut payload = [&7u32.to_le_bytes()[..], &shape.to_le_bytes(), &[0; 14]].concat();
        second.iter().for_each(|value| payload.extend(value.to_le_bytes()));
        payload
    };
    let blast = |sequence: u64, tail: u8| [&sequence.to_le_bytes()[..], &[0; 15], &[tail]].concat();
    let overlay = |kinds: u32, zero: u32| [kinds.to_le_bytes(), zero.to_le_bytes()].concat();
    let look = |y: i32, zero: u8| [&[0; 4][..], &y.to_le_bytes(), &[0; 7], &[zero]].concat();
    let holds = |count: u32, y: i32| [&count.to_le_bytes()[..], &[0; 8], &y.to_le_bytes(), &[0; 12]].concat();
    let cases: Vec<(&str, Vec<u8>, RefusedCode)> = vec![
        ("blast 0", raw(24, 5, 0, &blast(0, 0)), RefusedCode::OutOfBounds),
        ("reserved in a blast", raw(24, 5, 0, &blast(1, 1)), RefusedCode::BadPayload),
        ("short blast", raw(23, 5, 0, &[0; 23]), RefusedCode::BadPayload),
        ("an overlay that nobody knows", raw(8, 6, 0, &overlay(1 << 31, 0)), RefusedCode::OutOfBounds),
        ("reserved in an overlay", raw(8, 6, 0, &overlay(1, 1)), RefusedCode::BadPayload),
        ("a body from a client", raw(48, 0x8009, 0, &[0; 48]), RefusedCode::UnknownKind),
        ("magic", b"TRNX".to_vec(), RefusedCode::BadMagic),
        ("an HTTP request", b"GET / HTTP/1.1\r\n".to_vec(), RefusedCode::BadMagic),
        ("length", raw(PAYLOAD_TO_SERVER_BYTES_MAX as u32 + 1, 3, 0, &[]), RefusedCode::FrameTooLong),
        ("largest length", raw(u32::MAX, 3, 0, &[]), RefusedCode::FrameTooLong),
        ("kind", raw(8, 99, 0, &[0; 8]), RefusedCode::UnknownKind),
        ("direction", raw(16, 0x8007, 0, &[0; 16]), RefusedCode::UnknownKind),
        ("flags", raw(8, 4, 1, &[0; 8]), RefusedCode::BadPayload),
        ("short ping", raw(7, 4, 0, &[0; 7]), RefusedCode::BadPayload),
        ("long ping", raw(9, 4, 0, &[0; 9]), RefusedCode::BadPayload),
        ("no voxels", raw(32, 3, 0, &edit(0, 1, 0)), RefusedCode::OutOfBounds),
        ("too many voxels", raw(32, 3, 0, &edit(4_097, 1, 0)), RefusedCode::OutOfBounds),
        ("fewer voxels than stated", raw(32, 3, 0, &edit(2, 1, 0)), RefusedCode::BadPayload),
        ("sequence 0", raw(32, 3, 0, &edit(1, 0, 0)), RefusedCode::OutOfBounds),
        ("reserved", raw(32, 3, 0, &edit(1, 1, 1)), RefusedCode::BadPayload),
        ("shape", raw(32, 2, 0, &subscribe(2, [0; 3])), RefusedCode::OutOfBounds),
        ("radius", raw(32, 2, 0, &subscribe(1, [65, 0, 0])), RefusedCode::OutOfBounds),
        ("margin", raw(32, 2, 0, &subscribe(1, [1, 0, 9])), RefusedCode::OutOfBounds),
        ("too many chunks with the margin", raw(32, 2, 0, &subscribe(1, [64, 2, 1])), RefusedCode::OutOfBounds),
        ("an eye outside", raw(16, 12, 0, &look(2_048, 0)), RefusedCode::OutOfBounds),
        ("reserved in a look", raw(16, 12, 0, &look(0, 1)), RefusedCode::BadPayload),
        ("chunks that are not there", raw(28, 13, 0, &holds(2, 0)), RefusedCode::BadPayload),
        ("too many chunks", raw(28, 13, 0, &holds(4_000, 0)), RefusedCode::OutOfBounds),
        ("a chunk outside", raw(28, 13, 0, &holds(1, 64)), RefusedCode::OutOfBounds),
        ("box", raw(32, 2, 0, &subscribe(0, [300, 64, 300])), RefusedCode::OutOfBounds),
        ("box outside", raw(32, 2, 0, &subscribe(0, [i32::MAX, 1, 1])), RefusedCode::OutOfBounds),
    ];
    for (name, stream, code) in cases {
        let error = to_server(&stream, &[3]).1.unwrap_or_else(|| panic!("{name} was accepted"));
        assert_eq!(error.code(), code, "{name}: {error}");
        let whole = to_server(&stream, &[stream.len()]).1.unwrap();
        assert_eq!(whole.code(), code, "{name}: the pieces made a difference");
    }
}

#[test]
fn a_stated_length_costs_no_memory() {
    let mut reader = FrameReader::new(Towards::Server);
    let stream = raw(PAYLOAD_TO_SERVER_BYTES_MAX as u32, 3, 0, &[1, 2, 3]);
    assert_eq!(reader.next(&mut &stream[..]), Ok(None));
    assert_eq!(reader.buffered_bytes(), HEADER_BYTES + 3);
}

#[test]
fn the_largest_edit_fits_its_frame() {
    let voxels = vec![EditVoxel { pos: [1, 2, 3], block: BlockId(4) }; 4_096];
    let message = ClientMessage::Edit { sequence: 1, voxels };
    let mut stream = MAGIC.to_vec();
    message.encode(&mut stream);
    assert_eq!(stream.len(), MAGIC.len() + HEADER_BYTES + PAYLOAD_TO_SERVER_BYTES_MAX);
    assert_eq!(to_server(&stream, &[1_000]), (vec![message], None));
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let text = "é".repeat(2_000);
    let mut stream = MAGIC.to_vec();
    ServerMessage::Refused(Refused { code: RefusedCode::Stopping, text }).encode(&mut stream);
    let (messages, error) = to_client(&stream, &[100]);
    assert_eq!(error, None);
    let ServerMessage::Refused(refused) = &messages[0] else { panic!("{messages:?}") };
    assert_eq!(refused.text, "é".repeat(512));
}

#[test]
fn an_empty_box_is_a_subscription_to_nothing() {
    let shape = Shape::new_box([3, 3, 3], [3, 3, 3]).unwrap();
    assert!(shape.chunks().is_empty());
}

#[test]
fn what_is_packed_is_refused_where_it_is_no_chunk_or_more_than_one_may_be() {
    let snapshot = |packed: &[u8]| ServerMessage::decode(Kind::Snapshot, &[&[0; 24][..], packed].concat());
    let delta = |packed: &[u8]| ServerMessage::decode(Kind::Delta, packed);
    // A uniform chunk, and no changes.
    assert!(snapshot(&[0x10, 1, 7, 0]).is_ok());
    assert!(delta(&[0x10, 0x20, 5, 0, 0]).is_ok());
    let with_data = [&[0x10, 1, 7, 0][..], &1u32.to_le_bytes(), &[3, 0, 0, 0], &1u32.to_le_bytes(), &[9]].concat();
    let cases: Vec<(&str, Result<ServerMessage, ProtocolError>)> = vec![
        ("no outer stage", snapshot(&[0x12, 1, 7, 0])),
        ("no inner layout", snapshot(&[0x10, 9, 7, 0])),
        ("too short", snapshot(&[0x10, 1, 7])),
        ("too long", snapshot(&[0x10, 1, 7, 0, 0])),
        ("sparse data", snapshot(&with_data)),
        ("more than a chunk may be", snapshot(&[0x11, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3])),
        ("more than changes may be", delta(&[0x11, 0x81, 0x80, 0x40, 1, 2, 3])),
        ("a chunk in place of changes", delta(&[0x10, 1, 7, 0])),
        ("no zstd", delta(&[0x11, 5, 1, 2, 3])),
    ];
    for (name, result) in cases {
        let error = result.expect_err(name);
        assert_eq!(error.code(), RefusedCode::BadPayload, "{name}: {error}");
    }
}

/// A frame towards the server with some bytes of its payload overwritten.
fn spoiled_request(message: &ClientMessage, offset: usize, bytes: &[u8]) -> Result<ClientMessage, ProtocolError> {
    let mut frame = Vec::new();
    message.encode(&mut frame);
    let mut payload = frame.split_off(HEADER_BYTES);
    payload[offset..offset + bytes.len()].copy_from_slice(bytes);
    ClientMessage::decode(message.kind(), &payload)
}

#[test]
fn each_broken_rule_of_a_request_has_its_code() {
    let mode = || "ground".to_owned();
    let (from, to) = ([1, 2, 3], [i32::MAX; 3]);
    let path = ClientMessage::Path(PathRequest { request: 7, wanted: Wanted::Way, around: 9, mode: mode(), from, to });
    let field =
        ClientMessage::Field(FieldRequest { request: 8, mode: mode(), goals: vec![from, to], first: to, end: from });
    let cancel = ClientMessage::Cancel { request: 7 };
    let (within, agents, speed) = ([from, to], 5, 6);
    let goals = vec![from, to];
    let crowd =
        ClientMessage::Crowd(CrowdRequest { sequence: 1, mode: mode(), goals, within, from: within, agents, speed });
    let dismiss = ClientMessage::Dismiss { sequence: 1 };
    let cases: [(&str, &ClientMessage, usize, &[u8], RefusedCode); 19] = [
        ("sequence 0 of a crowd", &crowd, 0, &[0], RefusedCode::OutOfBounds),
        ("no agents", &crowd, 8, &[0], RefusedCode::OutOfBounds),
        ("too many agents", &crowd, 8, &131_073u32.to_le_bytes(), RefusedCode::OutOfBounds),
        ("no speed", &crowd, 12, &[0], RefusedCode::OutOfBounds),
        ("no goals of a crowd", &crowd, 14, &[0], RefusedCode::OutOfBounds),
        ("goals of a crowd that are not there", &crowd, 14, &[3], RefusedCode::BadPayload),
        ("a long name of a crowd", &crowd, 15, &[33], RefusedCode::OutOfBounds),
        ("sequence 0 of a dismissal", &dismiss, 0, &[0], RefusedCode::OutOfBounds),
        ("what is asked", &path, 4, &[2], RefusedCode::OutOfBounds),
        ("no name", &path, 5, &[0], RefusedCode::OutOfBounds),
        ("a long name", &path, 5, &[33], RefusedCode::OutOfBounds),
        ("a name that is not there", &path, 5, &[7], RefusedCode::BadPayload),
        ("reserved", &path, 7, &[1], RefusedCode::BadPayload),
        ("a name that is no text", &path, 36, &[0xff], RefusedCode::BadPayload),
        ("no goals", &field, 5, &[0], RefusedCode::OutOfBounds),
        ("too many goals", &field, 5, &[17], RefusedCode::OutOfBounds),
        ("goals that are not there", &field, 5, &[3], RefusedCode::BadPayload),
        ("reserved in a field", &field, 6, &[1], RefusedCode::BadPayload),
        ("reserved in a cancel", &cancel, 4, &[1], RefusedCode::BadPayload),
    ];
    for (name, message, offset, bytes, code) in cases {
        let error = spoiled_request(message, offset, bytes).expect_err(name);
        assert_eq!(error.code(), code, "{name}: {error}");
    }
    assert!(spoiled_request(&path, 24, &[0xff; 12]).is_ok(), "a place outside the world is for the world to refuse");
}

/// A frame towards the client with some bytes of its payload overwritten.
fn spoiled(message: &ServerMessage, offset: usize, bytes: &[u8]) -> Result<ServerMessage, ProtocolError> {
    let mut frame = Vec::new();
    message.encode(&mut frame);
    let mut payload = frame.split_off(HEADER_BYTES);
    payload[offset..offset + bytes.len()].copy_from_slice(bytes);
    ServerMessage::decode(message.kind(), &payload)
}

/// A body of single voxels that don't touch, `count` of them, in as many parts as it takes.
fn parts(count: usize) -> Vec<ServerMessage> {
    let place =
        |index: usize| VoxelPos::new((index % 32 * 2) as i32 - 40, (index / 2_048) as i32, (index / 32 % 64) as i32);
    let voxel = |index| BodyVoxel { pos: place(index).unwrap(), block: BlockId(7), sparse: None };
    let mut voxels: Vec<BodyVoxel> = (0..count).map(voxel).collect();
    voxels.sort_unstable_by_key(|voxel| voxel.pos);
    let shape = terrane_world::physics::state::Shape::new(voxels);
    let frames = BodyFrames::new(9, BodyId { tick: 3, origin: shape.voxels()[0].pos }, &shape);
    frames.parts.iter().map(|part| ServerMessage::decode(Kind::Body, &part[HEADER_BYTES..]).unwrap()).collect()
}

#[test]
fn each_broken_rule_of_a_body_has_its_code() {
    let body = &parts(3)[0];
    assert_eq!(spoiled(body, 0, &[0]).unwrap().kind(), Kind::Body);
    let moves = ServerMessage::BodyMoves {
        tick: 7,
        moves: vec![BodyMove { handle: 1, fallen: 256, velocity: 30, phase: Phase::Falling }],
    };
    let ends = ServerMessage::BodyEnds { handles: vec![1] };
    let cases: [(&str, &ServerMessage, usize, &[u8], RefusedCode); 15] = [
        ("origin", body, 16, &[0, 8, 0, 0], RefusedCode::OutOfBounds),
        ("corner", body, 28, &[0, 8, 0, 0], RefusedCode::OutOfBounds),
        ("part", body, 36, &[1, 0], RefusedCode::OutOfBounds),
        ("no parts", body, 38, &[0, 0], RefusedCode::OutOfBounds),
        ("too many parts", body, 38, &[65, 0], RefusedCode::OutOfBounds),
        ("no voxels", body, 40, &[0], RefusedCode::OutOfBounds),
        ("fewer voxels than in the runs", body, 40, &[2], RefusedCode::OutOfBounds),
        ("more runs than there are", body, 44, &[4], RefusedCode::BadPayload),
        ("a run that is not behind the last", body, 48 + 8 + 3, &[0], RefusedCode::OutOfBounds),
        ("a run that is too wide", body, 48 + 4, &[65], RefusedCode::OutOfBounds),
        ("reserved in a run", body, 48 + 5, &[1], RefusedCode::BadPayload),
        ("phase", &moves, 16 + 10, &[3], RefusedCode::OutOfBounds),
        ("velocity", &moves, 16 + 8, &[1, 4], RefusedCode::OutOfBounds),
        ("no moves", &moves, 8, &[0], RefusedCode::OutOfBounds),
        ("more ends than there are", &ends, 0, &[2], RefusedCode::BadPayload),
    ];
    for (name, message, offset, bytes, code) in cases {
        let error = spoiled(message, offset, bytes).expect_err(name);
        assert_eq!(error.code(), code, "{name}: {error}");
    }
}

#[test]
fn a_body_of_many_runs_travels_in_parts_and_one_of_many_voxels_in_few() {
    let parts = parts(10_000);
    assert_eq!(parts.len(), 3);
    let bodies: Vec<_> = parts
        .iter()
        .map(|part| match part {
            ServerMessage::Body(body) => body,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(bodies.iter().enumerate().all(|(index, body)| usize::from(body.part) == index && body.parts == 3));
    assert_eq!(bodies.iter().map(|body| body.runs.len()).sum::<usize>(), 10_000);
    let voxel = |index: i32| BodyVoxel {
        pos: VoxelPos::new(index % 64, index / 4_096, index / 64 % 64).unwrap(),
        block: BlockId(7),
        sparse: None,
    };
    let mut voxels: Vec<BodyVoxel> = (0..262_144).map(voxel).collect();
    voxels.sort_unstable_by_key(|voxel| voxel.pos);
    let shape = terrane_world::physics::state::Shape::new(voxels);
    let frames = BodyFrames::new(1, BodyId { tick: 1, origin: VoxelPos::new(0, 0, 0).unwrap() }, &shape);
    assert_eq!(frames.parts.len(), 1, "a cube of 64 of one block is a run a row");
    assert!(frames.meets(Shape::new_box([1, -64, 1], [2, -63, 2]).unwrap()), "it may come everywhere below");
    assert!(!frames.meets(Shape::new_box([0, 2, 0], [1, 3, 1]).unwrap()), "and nowhere above");
    assert!(!frames.meets(Shape::new_box([2, 0, 0], [3, 1, 1]).unwrap()));
}

#[test]
fn an_overlay_takes_its_smallest_form_and_each_broken_rule_has_its_code() {
    let data = |kinds, run| {
        let (pos, version) = (ChunkPos::new(1, 2, 3).unwrap(), Version { epoch: 1, count: 2 });
        ServerMessage::OverlayData { pos, kind: OverlayKind::Support, version, values: overlay_values(kinds, run) }
    };
    let bytes = |message: &ServerMessage| {
        let mut frame = Vec::new();
        message.encode(&mut frame);
        frame.len() - HEADER_BYTES - 32
    };
    let (none, one, few, many) = (data(0, 1), data(1, 1), data(16, 1), data(256, 1));
    assert_eq!([&none, &one, &few, &many].map(bytes), [0, 3, 16 + 16_384, 32_768]);
    let cases: [(&str, &ServerMessage, usize, &[u8], RefusedCode); 10] = [
        ("kind", &one, 12, &[9], RefusedCode::OutOfBounds),
        ("form", &one, 14, &[4], RefusedCode::OutOfBounds),
        ("reserved", &one, 28, &[1], RefusedCode::BadPayload),
        ("runs that don't fill the chunk", &one, 32, &[0xff, 0x7f], RefusedCode::OutOfBounds),
        ("runs that overflow the chunk", &one, 32, &[1, 0x80], RefusedCode::OutOfBounds),
        ("index", &few, 24, &[15], RefusedCode::OutOfBounds),
        ("table", &few, 24, &[17], RefusedCode::OutOfBounds),
        ("a table that does not ascend", &few, 33, &[0], RefusedCode::OutOfBounds),
        ("a table with a value that does not occur", &few, 48, &[0x10; 16_384], RefusedCode::OutOfBounds),
        ("bytes where runs are shorter", &many, 32, &[7; 32_768], RefusedCode::OutOfBounds),
    ];
    for (name, message, offset, bytes, code) in cases {
        let error = spoiled(message, offset, bytes).expect_err(name);
        assert_eq!(error.code(), code, "{name}: {error}");
    }
}

#[test]
fn each_broken_rule_of_an_answer_about_paths_has_its_code() {
    let modes = ServerMessage::Modes { modes: Modes::built_in().iter().cloned().collect() };
    let waypoints = vec![VoxelPos::new(1, 2, 3).unwrap()];
    let way = PathPart { request: 1, part: 0, last: true, end: End::Goal, cost: 5, searched: 6, tick: 7, waypoints };
    let (way, state) = (
        ServerMessage::PathAnswer(way),
        ServerMessage::FieldState(FieldState { request: 1, current: true, tick: 2, chunks: 3 }),
    );
    let refused =
        ServerMessage::PathRefused(PathRefused { request: 1, code: PathRefusal::TooFar, text: "too far".into() });
    let (few, wide) = (ServerMessage::FieldChunk(field_chunk(3, 100, 70, 9)), field_chunk(30, 1, 70, 70_000));
    let (runs, wide) = (ServerMessage::FieldChunk(field_chunk(1, 1, 70, 0)), ServerMessage::FieldChunk(wide));
    let cases: [(&str, &ServerMessage, usize, &[u8], RefusedCode); 20] = [
        ("more modes than there are", &modes, 0, &[4], RefusedCode::BadPayload),
        ("medium", &modes, 8, &[4], RefusedCode::OutOfBounds),
        ("flags of a mode", &modes, 9, &[8], RefusedCode::OutOfBounds),
        ("height", &modes, 10, &[0], RefusedCode::OutOfBounds),
        ("width", &modes, 11, &[5], RefusedCode::OutOfBounds),
        ("part", &way, 6, &[2], RefusedCode::OutOfBounds),
        ("end", &way, 7, &[4], RefusedCode::OutOfBounds),
        ("waypoints", &way, 32, &[2], RefusedCode::BadPayload),
        ("too many waypoints", &way, 32, &[1, 0x10], RefusedCode::OutOfBounds),
        ("a waypoint outside", &way, 44, &[0, 8, 0, 0], RefusedCode::OutOfBounds),
        ("state", &state, 4, &[2], RefusedCode::OutOfBounds),
        ("reserved in a state", &state, 20, &[1], RefusedCode::BadPayload),
        ("code", &refused, 4, &[12], RefusedCode::OutOfBounds),
        ("a text that is not there", &refused, 6, &[8], RefusedCode::BadPayload),
        ("a form that no moves have", &few, 24, &[0], RefusedCode::OutOfBounds),
        ("costs of three bytes", &wide, 25, &[3], RefusedCode::OutOfBounds),
        ("costs that are not there", &few, 25, &[2], RefusedCode::BadPayload),
        ("costs beyond what can be told", &wide, 32, &[0xff; 4], RefusedCode::OutOfBounds),
        ("a move that there is not", &runs, 42, &[26], RefusedCode::OutOfBounds),
        ("a number that is no move", &runs, 42, &[251], RefusedCode::OutOfBounds),
    ];
    for (name, message, offset, bytes, code) in cases {
        let error = spoiled(message, offset, bytes).expect_err(name);
        assert_eq!(error.code(), code, "{name}: {error}");
    }
}

#[test]
fn a_chunk_of_a_field_takes_as_few_bytes_for_its_costs_as_they_need() {
    let bytes = |spread: u32| {
        let mut frame = Vec::new();
        ServerMessage::FieldChunk(field_chunk(1, 1, 1_000_000, spread)).encode(&mut frame);
        frame.len() - HEADER_BYTES - 40 - 3
    };
    assert_eq!([0, 255, 256, 65_535, 65_536].map(bytes), [0, 32_768, 2 * 32_768, 2 * 32_768, 4 * 32_768]);
}

#[test]
fn a_way_of_many_waypoints_travels_in_parts() {
    let waypoints: Vec<VoxelPos> = (0..10_000).map(|x| VoxelPos::new(x, 1, 2).unwrap()).collect();
    let whole = PathPart { request: 1, part: 0, last: true, end: End::Goal, cost: 5, searched: 6, tick: 7, waypoints };
    let parts = whole.clone().split();
    let told: Vec<(u16, bool, usize)> = parts.iter().map(|part| (part.part, part.last, part.waypoints.len())).collect();
    assert_eq!(told, [(0, false, 4_096), (1, false, 4_096), (2, true, 1_808)]);
    assert_eq!(parts.iter().flat_map(|part| part.waypoints.clone()).collect::<Vec<_>>(), whole.waypoints);
    let none = PathPart { waypoints: Vec::new(), ..whole };
    assert_eq!(none.clone().split(), [none], "no way is one part too");
}

#[test]
fn a_body_falls_on_as_the_world_moves_it() {
    let mut now = BodyMove { handle: 1, fallen: 0, velocity: 0, phase: Phase::Falling };
    for tick in 1..=200u32 {
        now = now.fallen_on();
        assert_eq!(u32::from(now.velocity), (10 * tick).min(1_024));
    }
    assert_eq!(now.fallen, (1..=200).map(|tick| (10 * tick).min(1_024)).sum::<u32>());
    let landing = BodyMove { phase: Phase::Landing, ..now };
    assert_eq!(landing.fallen_on(), landing);
}

fn agents_part() -> AgentsPart {
    AgentsPart { column: ColumnPos::new(-1, 2).unwrap(), handle: 9 }
}

fn placed(number: u32, x: i32, exit: Option<u8>) -> AgentPlace {
    AgentPlace { number, at: VoxelPos::new(x, 64, 300).unwrap(), exit }
}

#[test]
fn each_broken_rule_of_crowds_and_agents_has_its_code() {
    let goal = VoxelPos::new(1, 2, 3).unwrap();
    let within = VoxelBox::new([0; 3], [9; 3]).unwrap();
    let (mode, goals) = ("ground".to_owned(), vec![goal]);
    let crowd = ServerMessage::Crowd(CrowdInfo { handle: 9, sequence: 0, mode, speed: 1, goals, within });
    let list = vec![placed(3, -5, None), placed(4, -6, Some(2))];
    let agents = ServerMessage::Agents(Agents { part: agents_part(), tick: 7, agents: list.clone() });
    let steps = vec![AgentStep { number: 3, exit: None }, AgentStep { number: 4, exit: Some(25) }];
    let moves = AgentMoves { part: agents_part(), from: 6, tick: 7, steps, entered: list };
    let moves = ServerMessage::AgentMoves(moves);
    let end = ServerMessage::CrowdEnd { handle: 9 };
    let cases: [(&str, &ServerMessage, usize, &[u8], RefusedCode); 19] = [
        ("speed", &crowd, 4, &[0, 0], RefusedCode::OutOfBounds),
        ("no goals", &crowd, 6, &[0], RefusedCode::OutOfBounds),
        ("too many goals", &crowd, 6, &257u16.to_le_bytes(), RefusedCode::OutOfBounds),
        ("a box the wrong way round", &crowd, 16, &[99], RefusedCode::OutOfBounds),
        ("reserved in a crowd", &crowd, 41, &[1], RefusedCode::BadPayload),
        ("a column outside the world", &agents, 4, &i32::MAX.to_le_bytes(), RefusedCode::OutOfBounds),
        ("too many agents", &agents, 12, &32_769u32.to_le_bytes(), RefusedCode::OutOfBounds),
        ("agents that are not there", &agents, 12, &[3], RefusedCode::BadPayload),
        ("numbers that go back", &agents, 24, &[4], RefusedCode::OutOfBounds),
        ("a number that no agent has", &agents, 32, &131_072u32.to_le_bytes(), RefusedCode::OutOfBounds),
        ("a bit too many", &agents, 31, &[0xff], RefusedCode::OutOfBounds),
        ("an exit that is none", &agents, 28, &(26u32 << 26).to_le_bytes(), RefusedCode::OutOfBounds),
        ("no time between", &moves, 24, &[6], RefusedCode::OutOfBounds),
        ("too many steps", &moves, 12, &32_769u32.to_le_bytes(), RefusedCode::OutOfBounds),
        ("steps that are not there", &moves, 12, &[9], RefusedCode::BadPayload),
        ("reserved in moves", &moves, 36, &[1], RefusedCode::BadPayload),
        ("steps that go back", &moves, 44, &(3u32 << 5).to_le_bytes(), RefusedCode::OutOfBounds),
        ("a step through no exit", &moves, 44, &(4u32 << 5 | 26).to_le_bytes(), RefusedCode::OutOfBounds),
        ("reserved in an end", &end, 4, &[1], RefusedCode::BadPayload),
    ];
    for (name, message, offset, bytes, code) in cases {
        let error = spoiled(message, offset, bytes).expect_err(name);
        assert_eq!(error.code(), code, "{name}: {error}");
    }
}

#[test]
fn what_agents_did_is_told_as_steps_and_as_entries() {
    let agent = |number, x, z, exit| Agent { number, at: VoxelPos::new(x, 64, z).unwrap(), progress: 0, exit };
    let east = EXITS.iter().position(|step| *step == [1, 0, 0]).unwrap() as u8;
    let before = [agent(1, -9, 300, 255), agent(2, -9, 300, 255), agent(4, -9, 300, 255), agent(6, -9, 300, 3)];
    let after = [agent(2, -8, 300, east), agent(3, -1, 300, 0), agent(4, -20, 310, east), agent(6, -9, 300, 3)];
    let moves = AgentMoves::between(agents_part(), (5, &before), (8, &after));
    assert_eq!((moves.from, moves.tick), (5, 8));
    assert_eq!(moves.steps, [AgentStep { number: 1, exit: None }, AgentStep { number: 2, exit: Some(east) }]);
    let entered: Vec<u32> = moves.entered.iter().map(|agent| agent.number).collect();
    assert_eq!(entered, [3, 4], "who came from elsewhere, and who did not take one step");
    assert!(AgentMoves::between(agents_part(), (5, &before), (8, &before)).is_empty());
}

#[test]
fn each_broken_rule_of_an_undo_has_its_code() {
    let name = "Ann".to_owned();
    let whole = UndoRequest {
        request: 7,
        causes: 0,
        rule: Rule::Keep,
        since_ms: 0,
        undo: None,
        within: Some([[1, 2, 3], [4, 5, 6]]),
        name,
    };
    let boxless = ClientMessage::Undo(UndoRequest { within: None, ..whole.clone() });
    let ask = ClientMessage::Undo(whole);
    let act = ClientMessage::UndoAct { request: 7, ends: false };
    let cases: [(&str, &ClientMessage, usize, &[u8], RefusedCode); 10] = [
        ("a cause that nobody knows", &ask, 4, &[32], RefusedCode::OutOfBounds),
        ("what becomes of conflicts", &ask, 5, &[2], RefusedCode::OutOfBounds),
        ("whether there is a box", &ask, 6, &[2], RefusedCode::OutOfBounds),
        ("a box that is not there", &ask, 6, &[0], RefusedCode::BadPayload),
        ("a box without its flag", &boxless, 47, &[1], RefusedCode::BadPayload),
        ("a long name", &ask, 7, &[65], RefusedCode::OutOfBounds),
        ("a name that is not there", &ask, 7, &[4], RefusedCode::BadPayload),
        ("a name that is no text", &ask, 48, &[0xff], RefusedCode::BadPayload),
        ("what is to be done", &act, 4, &[2], RefusedCode::OutOfBounds),
        ("reserved in an act", &act, 7, &[1], RefusedCode::BadPayload),
    ];
    for (name, message, offset, bytes, code) in cases {
        let error = spoiled_request(message, offset, bytes).expect_err(name);
        assert_eq!(error.code(), code, "{name}: {error}");
    }
    assert!(spoiled_request(&ask, 36, &[0xff; 12]).is_ok(), "a box that the world has not is for the server to refuse");
}

#[test]
fn each_broken_rule_of_an_answer_about_an_undo_has_its_code() {
    let other = UndoOther { cause: CauseKind::Edit, voxels: 1, name: "Ann".into() };
    let (causes, others) = (vec![(CauseKind::Blast, 5)], vec![other]);
    let counts = UndoPlan {
        request: 7,
        chunks: 1,
        voxels: 5,
        unchanged: 0,
        conflicts: 1,
        replaced: 0,
        begins: 0,
        gaps: 0,
        causes,
        others,
    };
    let plan = ServerMessage::UndoPlan(counts);
    let changes = Changes { tick: 7, chunks: Vec::new() };
    let ghost = ServerMessage::UndoGhost(UndoGhost { request: 7, last: true, is_cut: false, changes });
    let progress = UndoProgress { request: 7, state: UndoState::Going, undo: 9, looked_at: 1, of: 2, stayed: 0 };
    let progress = ServerMessage::UndoProgress(progress);
    let refused = UndoRefused { request: 7, code: UndoRefusal::Another, text: "one goes on".into() };
    let refused = ServerMessage::UndoRefused(refused);
    let cases: [(&str, &ServerMessage, usize, &[u8], RefusedCode); 18] = [
        ("too many causes", &plan, 48, &[8], RefusedCode::OutOfBounds),
        ("causes that are not there", &plan, 48, &[7], RefusedCode::BadPayload),
        ("too many others", &plan, 50, &[33], RefusedCode::OutOfBounds),
        ("others that are not there", &plan, 50, &[2], RefusedCode::BadPayload),
        ("a cause that is none", &plan, 56, &[8], RefusedCode::OutOfBounds),
        ("reserved behind a cause", &plan, 57, &[1], RefusedCode::BadPayload),
        ("another's cause that is none", &plan, 72, &[0], RefusedCode::OutOfBounds),
        ("a long name of another", &plan, 73, &[65], RefusedCode::OutOfBounds),
        ("reserved behind a name's length", &plan, 79, &[1], RefusedCode::BadPayload),
        ("whether it is the last", &ghost, 4, &[2], RefusedCode::OutOfBounds),
        ("whether there is more", &ghost, 5, &[2], RefusedCode::OutOfBounds),
        ("reserved in a ghost", &ghost, 7, &[1], RefusedCode::BadPayload),
        ("nothing that is packed", &ghost, 8, &[9], RefusedCode::BadPayload),
        ("a state that is none", &progress, 4, &[4], RefusedCode::OutOfBounds),
        ("reserved in progress", &progress, 5, &[1], RefusedCode::BadPayload),
        ("more looked at than there is", &progress, 16, &[3], RefusedCode::OutOfBounds),
        ("more stayed than was looked at", &progress, 32, &[2], RefusedCode::OutOfBounds),
        ("a code that is none", &refused, 4, &[8], RefusedCode::OutOfBounds),
    ];
    for (name, message, offset, bytes, code) in cases {
        let error = spoiled(message, offset, bytes).expect_err(name);
        assert_eq!(error.code(), code, "{name}: {error}");
    }
}

#[test]
fn causes_are_asked_for_in_the_groups_that_people_know() {
    let kinds = |causes| {
        let ask = UndoRequest {
            request: 1,
            causes,
            rule: Rule::Keep,
            since_ms: 0,
            undo: None,
            within: None,
            name: String::new(),
        };
        CauseKind::ALL.into_iter().filter(|kind| ask.kinds().has(*kind)).map(CauseKind::name).collect::<Vec<_>>()
    };
    assert_eq!(kinds(0), ["edit", "blast", "collapse", "landing", "slide", "dig"]);
    assert_eq!(kinds(0b00110), ["blast", "collapse", "landing", "slide"]);
    assert_eq!(kinds(0b11001), ["edit", "dig", "undo"]);
}

/// The plan of taking back that so many voxels of each of these chunks became another block.
fn plan_of(chunks: &[([i32; 3], u16)]) -> Plan {
    let filter = Filter { actors: None, within: None, since: 0, until: 9, kinds: Kinds::all_but_undo(), undo: None };
    let request = Request { id: 10, actor: ActorId(1), filter, rule: Rule::Keep, takes_back: None };
    let mut planner = Planner::new(&request, 1 << 20);
    for (pos, length) in chunks {
        let cause = Cause { kind: CauseKind::Edit, actor: ActorId(2), root: 1 };
        let run = Run { first: LocalIndex::new(0).unwrap(), length: *length, old: BlockId(5), new: BlockId(0) };
        let (pos, from, to) = (ChunkPos::try_from(*pos).unwrap(), Version::NONE, Version::GENERATED);
        let delta = ChunkDelta { pos, from, to, cause, body: None, runs: vec![run], sparse: Vec::new() };
        planner.take(5, &delta).unwrap();
    }
    planner.finish()
}

fn ghosts(frames: &[Vec<u8>]) -> Vec<UndoGhost> {
    let ghost = |frame: &Vec<u8>| match ServerMessage::decode(Kind::UndoGhost, &frame[HEADER_BYTES..]).unwrap() {
        ServerMessage::UndoGhost(ghost) => ghost,
        other => panic!("{other:?}"),
    };
    frames.iter().map(ghost).collect()
}

#[test]
fn a_ghost_begins_where_the_most_is_and_ends_where_it_is_enough() {
    let near = ghosts(&ghost_frames(7, 9, &plan_of(&[([0, 0, 0], 40), ([9, 0, 0], 900), ([8, 1, 0], 3)])));
    assert_eq!((near.len(), near[0].last, near[0].is_cut, near[0].changes.tick), (1, true, false, 9));
    let places: Vec<[i32; 3]> = near[0].changes.chunks.iter().map(|change| change.pos.to_array()).collect();
    assert_eq!(places, [[9, 0, 0], [8, 1, 0], [0, 0, 0]]);
    assert!(near[0].changes.chunks.iter().flat_map(|change| &change.runs).all(|run| run.block == BlockId(5)));
    let none = ghosts(&ghost_frames(7, 9, &plan_of(&[])));
    assert!(none.len() == 1 && none[0].last && !none[0].is_cut && none[0].changes.chunks.is_empty());
    // Much, in few chunks and in many.
    for (chunks, each) in [(9, 30_000), (3_000, 30)] {
        let places: Vec<([i32; 3], u16)> = (0..chunks).map(|x| ([x, 0, 0], each)).collect();
        let frames = ghost_frames(7, 9, &plan_of(&places));
        let parts = ghosts(&frames);
        assert!(parts.iter().all(|part| part.is_cut) && parts.len() > 1);
        assert_eq!(parts.iter().filter(|part| part.last).count(), 1, "and that is the last one");
        assert!(parts.last().unwrap().last);
        let changes = parts.iter().flat_map(|part| &part.changes.chunks);
        let voxels: usize = changes.flat_map(|change| &change.runs).map(|run| usize::from(run.length)).sum();
        assert!(voxels <= UNDO_GHOST_VOXELS_MAX && voxels + 30_000 > UNDO_GHOST_VOXELS_MAX, "{voxels}");
        assert!(frames.iter().map(Vec::len).sum::<usize>() < OUTPUT_UNDO_BYTES_MAX);
    }
}

#[test]
fn whoever_does_not_read_about_undos_has_few_bytes_wait_and_is_cut_off() {
    let mut stream = ChunkStream::default();
    let held = stream.held_bytes();
    let frames = ghost_frames(7, 9, &plan_of(&[([0; 3], 30_000), ([1, 0, 0], 30_000)]));
    stream.offer_undo_plan(frames.clone());
    let once = stream.held_bytes();
    (0..100).for_each(|_| stream.offer_undo_plan(frames.clone()));
    assert!(once > held && stream.held_bytes() == once, "a newer plan takes the place of the one before");
    let progress = |request| UndoProgress { request, state: UndoState::Going, undo: 9, looked_at: 1, of: 2, stayed: 0 };
    (0..100).for_each(|_| stream.offer_undo_progress(progress(7)).unwrap());
    let refused = |request| UndoRefused { request, code: UndoRefusal::Another, text: "x".repeat(1_024) };
    for request in 1..UNDO_PENDING_MAX as u32 {
        stream.refuse_undo(refused(request)).unwrap();
    }
    assert!(stream.held_bytes() - held <= OUTPUT_UNDO_BYTES_MAX);
    let error = stream.refuse_undo(refused(99)).unwrap_err();
    assert!(matches!(error, ProtocolError::Unread { .. }), "{error}");
    assert!(stream.offer_undo_progress(progress(100)).is_err());
    let before = stream.held_bytes();
    stream.drop_undo_plan();
    assert_eq!(before - stream.held_bytes(), once - held, "what nobody wants to see does not wait");
}
