//! Journals whose checksums are right and whose content is not: what fuzzing found, kept as it was found.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::create;
use std::sync::Arc;
use terrane_store::double::MemoryDir;
use terrane_store::journal::{self, FRAME_HEAD};
use terrane_store::{Access, Repair, Store, StoreError, check};

/// A whole frame around any payload.
fn frame(sequence: u64, synced: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0u8; FRAME_HEAD];
    frame.extend_from_slice(payload);
    journal::seal_frame(&mut frame, sequence, synced);
    frame
}

/// A new world with these bytes behind the header of its first segment.
fn world_with(journal_bytes: &[u8]) -> Arc<MemoryDir> {
    let dir = MemoryDir::new();
    create(&dir, "void").unwrap();
    dir.damage(&journal::segment_name(1), |segment| segment.extend_from_slice(journal_bytes));
    Arc::new(dir)
}

/// A record of kind 2: a chunk at the origin was loaded as a whole by this epoch.
fn replaced(epoch: u32) -> Vec<u8> {
    let mut record = vec![2];
    record.extend([0u64, 0].iter().flat_map(|n| n.to_le_bytes()));
    record.extend([0i32, 0].iter().flat_map(|n| n.to_le_bytes()));
    record.extend(epoch.to_le_bytes());
    record.extend(1u64.to_le_bytes());
    record.extend([0u8; 12]);
    record.extend([0u32, 0, epoch, 1].iter().flat_map(|n| n.to_le_bytes()));
    record.extend(7u64.to_le_bytes());
    record
}

#[test]
fn a_whole_frame_that_cant_be_this_journals_costs_no_memory_and_is_left_alone() {
    let mut bytes = frame(1, 0, &[6]);
    bytes[32] ^= 1;
    bytes.extend(frame(1 << 40, u64::MAX, &[6]));
    let dir = world_with(&bytes);
    for repair in [false, true] {
        // Repair ends with opening the world, which this one does not survive; that is reported too.
        let report = check(dir.clone(), repair, &|_, _| ()).unwrap();
        let impossible = report.problems.iter().filter(|problem| problem.repair == Repair::Impossible).count();
        assert_eq!(impossible, if repair { 2 } else { 1 }, "{report:?}");
    }
    assert!(matches!(Store::open(dir, Access::Write), Err(StoreError::Corrupt { .. })));
}

#[test]
fn the_last_epoch_and_the_last_sequence_are_errors_and_no_overflow() {
    let dir = world_with(&frame(1, 0, &replaced(u32::MAX)));
    assert!(Store::open(dir.clone(), Access::Read).is_ok());
    let error = Store::open(dir, Access::Write).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    for sequence in [0, u64::MAX] {
        assert!(journal::parse_frame(&frame(sequence, 0, &[6])).is_none());
    }
}
