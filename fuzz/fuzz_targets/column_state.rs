//! Any bytes as the state of a column: a value or a typed error, in memory that the bytes bound. What is understood is
//! written back to bytes that mean the same, alone and after a state that holds some of its bodies already.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use terrane_world::physics::state::{BodyId, ColumnState};
use terrane_world::space::VoxelPos;

fn all(state: &ColumnState) -> BTreeSet<BodyId> {
    state.bodies.keys().copied().collect()
}

fuzz_target!(|data: &[u8]| {
    let Ok(state) = ColumnState::from_bytes(data, None) else {
        if let Ok((salvaged, missing)) = ColumnState::salvage(data, None) {
            assert!(missing > 0 || ColumnState::from_bytes(&salvaged.to_bytes(&all(&salvaged)), None) == Ok(salvaged));
        }
        return;
    };
    let whole = state.to_bytes(&all(&state));
    assert_eq!(ColumnState::from_bytes(&whole, None).as_ref(), Ok(&state));
    let short = state.to_bytes(&BTreeSet::new());
    assert_eq!(ColumnState::from_bytes(&short, Some(&state)).as_ref(), Ok(&state));
    let column = VoxelPos::new(0, 0, 0).expect("the middle").chunk().column();
    assert_eq!(state.is_empty(), state.term(column) == 0);
});
