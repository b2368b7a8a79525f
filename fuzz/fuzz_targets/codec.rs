//! Any bytes as a packed chunk, as changes and as deltas: a value or a typed error, in memory that the bytes bound. What is
//! understood is written back to bytes that mean the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use terrane_world::delta::outer::Outer;
use terrane_world::delta::{
    Class, changes, codec, pack_chunk, pack_deltas, unpack_changes, unpack_chunk, unpack_deltas,
};

fuzz_target!(|data: &[u8]| {
    let mut outer = Outer::new();
    let _ = unpack_changes(data, &mut outer);
    let inner = data.get(1..).unwrap_or_default();
    for chunk in [unpack_chunk(data, &mut outer), codec::unpack(inner)].into_iter().flatten() {
        let mut bytes = Vec::new();
        pack_chunk(&chunk, Class::Small, &mut outer, &mut bytes);
        assert!(unpack_chunk(&bytes, &mut outer) == Ok(chunk));
    }
    for deltas in [unpack_deltas(data, &mut outer), changes::unpack_whole(inner)].into_iter().flatten() {
        let mut bytes = Vec::new();
        pack_deltas(deltas.tick, &deltas.chunks, Class::Small, &mut outer, &mut bytes);
        assert_eq!(unpack_deltas(&bytes, &mut outer), Ok(deltas));
    }
});
