//! The receiving half: the handshake, and inputs that come twice, too early or too fast.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;
use terrane_protocol::error::RefusedCode;
use terrane_protocol::limits::{
    EDIT_VOXELS_IN_FLIGHT_MAX, EDITS_IN_FLIGHT_MAX, HELLO_WITHIN, INPUT_VOXELS_PER_SECOND, PATH_REQUESTS_MAX,
    REQUESTS_PER_SECOND,
};
use terrane_protocol::message::{EditVoxel, Hello, Reason, SessionId};
use terrane_protocol::{
    ClientMessage, CrowdRequest, Event, MAGIC, PathRefusal, PathRequest, ProtocolError, Session, Shape, Wanted,
};
use terrane_world::block::BlockId;
use terrane_world::entity::state::Starts;

/// Nothing has been paid for since the start.
const NOW: Duration = Duration::ZERO;

fn hello() -> ClientMessage {
    ClientMessage::Hello(Hello { lowest: 1, highest: 3, resume: Some(SessionId([9; 16])), name: "Ada".into() })
}

fn edit(sequence: u64) -> ClientMessage {
    ClientMessage::Edit { sequence, voxels: vec![EditVoxel { pos: [1, 2, 3], block: BlockId(4) }] }
}

fn bytes(messages: &[ClientMessage]) -> Vec<u8> {
    let mut bytes = Vec::new();
    messages.iter().for_each(|message| message.encode(&mut bytes));
    bytes
}

fn open(acknowledged: u64) -> Session {
    let mut session = Session::new(Duration::ZERO);
    let stream = [&MAGIC[..], &bytes(&[hello()])].concat();
    let event = session.receive(NOW, &mut &stream[..]).unwrap();
    assert!(matches!(event, Some(Event::Hello(_))));
    session.welcome(acknowledged);
    session
}

fn receive(session: &mut Session, messages: &[ClientMessage]) -> Result<Vec<Event>, ProtocolError> {
    let stream = bytes(messages);
    let mut input = &stream[..];
    let mut events = Vec::new();
    while let Some(event) = session.receive(NOW, &mut input)? {
        events.push(event);
    }
    Ok(events)
}

fn sequences(events: &[Event]) -> Vec<u64> {
    events
        .iter()
        .map(|event| match event {
            Event::Edit { sequence, .. } | Event::Blast { sequence, .. } => *sequence,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn nothing_is_read_between_hello_and_welcome() {
    let mut session = Session::new(Duration::ZERO);
    let stream = [&MAGIC[..], &bytes(&[hello(), ClientMessage::Ping { number: 5 }])].concat();
    let mut input = &stream[..];
    assert!(matches!(session.receive(NOW, &mut input), Ok(Some(Event::Hello(_)))));
    let left = input.len();
    assert_eq!(session.receive(NOW, &mut input), Ok(None));
    assert_eq!(input.len(), left);
    session.welcome(0);
    assert_eq!(session.receive(NOW, &mut input), Ok(Some(Event::Ping { number: 5 })));
    assert_eq!(session.receive(NOW, &mut input), Ok(None));
}

#[test]
fn hello_comes_first_once_and_in_time() {
    let mut session = Session::new(Duration::ZERO);
    let stream = [&MAGIC[..], &bytes(&[edit(1)])].concat();
    assert_eq!(session.receive(NOW, &mut &stream[..]).unwrap_err().code(), RefusedCode::Hello);
    assert!(!session.can_receive(NOW));

    let error = receive(&mut open(0), &[hello()]).unwrap_err();
    assert_eq!(error, ProtocolError::HelloRepeated);

    let start = Duration::from_secs(100);
    let mut session = Session::new(start);
    assert_eq!(session.check_time(start + HELLO_WITHIN - Duration::from_millis(1)), Ok(()));
    assert_eq!(session.check_time(start + HELLO_WITHIN).unwrap_err().code(), RefusedCode::Hello);
    assert_eq!(open(0).check_time(Duration::MAX), Ok(()));
}

#[test]
fn a_client_of_another_version_is_told_so() {
    let hello = ClientMessage::Hello(Hello { lowest: 3, highest: 5, resume: None, name: String::new() });
    let stream = [&MAGIC[..], &bytes(&[hello])].concat();
    let error = Session::new(Duration::ZERO).receive(NOW, &mut &stream[..]).unwrap_err();
    assert_eq!(error, ProtocolError::Version { lowest: 3, highest: 5 });
}

#[test]
fn a_decided_input_is_acknowledged_again_and_one_under_way_is_not() {
    let mut session = open(0);
    assert_eq!(sequences(&receive(&mut session, &[edit(1), edit(2), edit(3)]).unwrap()), [1, 2, 3]);
    session.decided(2);
    let events = receive(&mut session, &[edit(1), edit(3), edit(2), edit(4)]).unwrap();
    assert_eq!(events[..2], [Event::Repeated { decided: 2 }, Event::Repeated { decided: 2 }]);
    assert_eq!(sequences(&events[2..]), [4]);
}

#[test]
fn a_gap_ends_the_connection() {
    let mut session = open(0);
    let error = receive(&mut session, &[edit(1), edit(3)]).unwrap_err();
    assert_eq!(error, ProtocolError::SequenceGap { expected: 2, found: 3 });
    assert!(!session.can_receive(NOW));
}

#[test]
fn a_resumed_session_goes_on_behind_what_was_acknowledged() {
    let mut session = open(41);
    let events = receive(&mut session, &[edit(40), edit(41), edit(42)]).unwrap();
    assert_eq!(events[..2], [Event::Repeated { decided: 41 }, Event::Repeated { decided: 41 }]);
    assert_eq!(sequences(&events[2..]), [42]);
}

#[test]
fn a_voxel_outside_the_world_refuses_the_edit_and_not_the_connection() {
    let mut session = open(0);
    let outside =
        ClientMessage::Edit { sequence: 1, voxels: vec![EditVoxel { pos: [0, 2_048, 0], block: BlockId(1) }] };
    let events = receive(&mut session, &[outside, edit(2)]).unwrap();
    assert_eq!(events[0], Event::Unfit { sequence: 1, reason: Reason::OutsideWorld });
    assert_eq!(sequences(&events[1..]), [2]);
}

fn blast(sequence: u64, y: i32) -> ClientMessage {
    ClientMessage::Blast { sequence, at: [1, y, 3], power: 64 }
}

#[test]
fn blasts_and_edits_are_numbered_together() {
    let mut session = open(0);
    let events = receive(&mut session, &[edit(1), blast(2, 5), edit(3), blast(4, 4_000), blast(5, -5)]).unwrap();
    assert_eq!(events[3], Event::Unfit { sequence: 4, reason: Reason::OutsideWorld });
    assert_eq!(sequences(&[&events[..3], &events[4..]].concat()), [1, 2, 3, 5]);
    assert!(matches!(events[1], Event::Blast { at, power: 64, .. } if at.to_array() == [1, 5, 3]));
    session.decided(2);
    assert_eq!(receive(&mut session, &[blast(2, 5), blast(3, 5)]).unwrap(), [Event::Repeated { decided: 2 }]);
    let error = receive(&mut session, &[blast(7, 5)]).unwrap_err();
    assert_eq!(error, ProtocolError::SequenceGap { expected: 6, found: 7 });
}

#[test]
fn blasts_wait_like_edits_when_they_come_faster_than_ticks_decide() {
    let mut session = open(0);
    let stream = bytes(&(1..=EDITS_IN_FLIGHT_MAX as u64 + 10).map(|n| blast(n, 0)).collect::<Vec<_>>());
    let (mut input, mut count) = (&stream[..], 0);
    while session.receive(NOW, &mut input).unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, EDITS_IN_FLIGHT_MAX);
}

#[test]
fn subscription_numbers_grow() {
    let subscribe =
        |subscription| ClientMessage::Subscribe { subscription, shape: Shape::new_box([0; 3], [1; 3]).unwrap() };
    let mut session = open(0);
    assert_eq!(receive(&mut session, &[subscribe(0), subscribe(7)]).unwrap().len(), 2);
    let error = receive(&mut session, &[subscribe(7)]).unwrap_err();
    assert_eq!(error, ProtocolError::SubscriptionOrder { found: 7, last: 7 });
}

#[test]
fn who_sends_faster_than_ticks_decide_has_to_wait() {
    let mut session = open(0);
    let all: Vec<_> = (1..=EDITS_IN_FLIGHT_MAX as u64 + 10).map(edit).collect();
    let stream = bytes(&all);
    let mut input = &stream[..];
    let mut count = 0;
    while session.receive(NOW, &mut input).unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, EDITS_IN_FLIGHT_MAX);
    assert!(!input.is_empty() && !session.can_receive(NOW));
    session.decided(5);
    for _ in 0..5 {
        assert!(session.receive(NOW, &mut input).unwrap().is_some());
    }
    assert_eq!(session.receive(NOW, &mut input), Ok(None));

    // The same by voxels: edits of the largest size.
    let large = |sequence| {
        let voxels = vec![EditVoxel { pos: [0; 3], block: BlockId(1) }; 4_096];
        ClientMessage::Edit { sequence, voxels }
    };
    let stream = bytes(&(1..=20).map(large).collect::<Vec<_>>());
    let (mut session, mut input, mut count) = (open(0), &stream[..], 0);
    while session.receive(NOW, &mut input).unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 16);
}

fn ask(request: u32) -> ClientMessage {
    let (wanted, mode) = (Wanted::Way, "ground".to_owned());
    ClientMessage::Path(PathRequest { request, wanted, around: 8, mode, from: [0; 3], to: [1; 3] })
}

#[test]
fn requests_are_open_until_they_are_finished_and_no_more_than_the_limit_are() {
    let mut session = open(0);
    let most = PATH_REQUESTS_MAX as u32;
    let events = receive(&mut session, &(0..=most).map(ask).collect::<Vec<_>>()).unwrap();
    assert!(events[..PATH_REQUESTS_MAX].iter().all(|event| matches!(event, Event::Path(_))));
    let Event::TooManyRequests(refused) = &events[PATH_REQUESTS_MAX] else { panic!("{events:?}") };
    assert_eq!((refused.request, refused.code), (most, PathRefusal::TooManyRequests));
    session.finished(3);
    assert!(matches!(receive(&mut session, &[ask(most)]).unwrap()[..], [Event::Path(_)]));
    let error = receive(&mut session, &[ask(7)]).unwrap_err();
    assert_eq!(error, ProtocolError::RequestInUse { request: 7 });
    assert_eq!(error.code(), RefusedCode::OutOfBounds);
}

#[test]
fn an_open_request_is_cancelled_once_and_another_not_at_all() {
    let mut session = open(0);
    let cancel = |request| ClientMessage::Cancel { request };
    let events = receive(&mut session, &[ask(5), cancel(6), cancel(5), cancel(5), ClientMessage::Ping { number: 1 }]);
    assert!(matches!(events.unwrap()[..], [Event::Path(_), Event::Cancel { request: 5 }, Event::Ping { .. }]));
    session.finished(5);
    assert!(matches!(receive(&mut session, &[cancel(5), ask(5)]).unwrap()[..], [Event::Path(_)]));
}

fn crowd(sequence: u64, within: [[i32; 3]; 2], goal: [i32; 3]) -> ClientMessage {
    let (mode, from) = ("ground".to_owned(), [[0, 0, 0], [4, 1, 4]]);
    ClientMessage::Crowd(CrowdRequest { sequence, mode, goals: vec![goal], within, from, agents: 9, speed: 128 })
}

#[test]
fn a_crowd_is_numbered_like_an_edit_and_one_that_cannot_be_is_refused_and_not_the_connection() {
    let mut session = open(0);
    let (within, goal) = ([[0; 3], [256, 256, 256]], [7, 8, 9]);
    let inputs = [
        crowd(1, within, goal),
        crowd(2, [[0; 3], [257, 256, 256]], goal),
        crowd(3, [[0; 3], [0, 4, 4]], goal),
        crowd(4, within, [0, 4_000, 0]),
        ClientMessage::Dismiss { sequence: 5 },
    ];
    let events = receive(&mut session, &inputs).unwrap();
    let Event::Crowd { sequence: 1, errand, starts } = &events[0] else { panic!("{events:?}") };
    assert_eq!((errand.goals[0].to_array(), errand.speed, errand.within.max()), (goal, 128, [256; 3]));
    assert!(matches!(starts, Starts::Within { count: 9, within } if within.max() == [4, 1, 4]));
    assert_eq!(events[1], Event::Unfit { sequence: 2, reason: Reason::BadBox });
    assert_eq!(events[2], Event::Unfit { sequence: 3, reason: Reason::BadBox });
    assert_eq!(events[3], Event::Unfit { sequence: 4, reason: Reason::OutsideWorld });
    assert_eq!(events[4], Event::Dismiss { sequence: 5 });
    assert_eq!(session.received(), 5);
}

#[test]
fn who_asks_faster_than_allowed_waits_and_loses_nothing() {
    let mut session = open(0);
    let stream = bytes(&(0..1_000).map(|number| ClientMessage::Ping { number }).collect::<Vec<_>>());
    let mut input = &stream[..];
    let mut seen = Vec::new();
    let mut read = |now, input: &mut &[u8]| {
        let before = seen.len();
        while let Some(event) = session.receive(now, input).unwrap() {
            let Event::Ping { number } = event else { panic!("{event:?}") };
            seen.push(number);
        }
        seen.len() - before
    };
    // Hello cost one of them.
    assert_eq!(read(NOW, &mut input), 2 * REQUESTS_PER_SECOND as usize - 1);
    assert_eq!(read(NOW, &mut input), 0);
    assert_eq!(read(Duration::from_secs(1), &mut input), REQUESTS_PER_SECOND as usize);
    assert_eq!(read(Duration::from_millis(1_500), &mut input), REQUESTS_PER_SECOND as usize / 2);
    assert_eq!(
        read(Duration::from_secs(60), &mut input),
        2 * REQUESTS_PER_SECOND as usize - REQUESTS_PER_SECOND as usize / 2 + 1
    );
    assert_eq!(seen, (0..1_000).collect::<Vec<_>>());
    assert!(input.is_empty());
}

#[test]
fn a_large_edit_is_taken_whole_and_paid_for_afterwards() {
    let mut session = open(0);
    let voxels = vec![EditVoxel { pos: [1, 2, 3], block: BlockId(4) }; 4_096];
    let edits: Vec<ClientMessage> =
        (1..=40).map(|sequence| ClientMessage::Edit { sequence, voxels: voxels.clone() }).collect();
    let stream = bytes(&edits);
    let mut input = &stream[..];
    let mut taken = 0;
    for second in 0..=3 {
        while session.receive(Duration::from_secs(second), &mut input).unwrap().is_some() {
            taken += 1;
            session.decided(taken);
        }
        let most = EDIT_VOXELS_IN_FLIGHT_MAX as u64 + second * INPUT_VOXELS_PER_SECOND;
        assert_eq!(taken, most.div_ceil(4_096), "after {second} s");
    }
}
