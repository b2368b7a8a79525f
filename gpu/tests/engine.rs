//! The engine gives the pipeline's own bytes: with and without halos, with a stage on the CPU in between, in one batch and in
//! many, near the origin and at the ends of the world.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may panic, and read a clock")]

mod common;

use common::{Moss, Mounds, Sieve, chunks, device, open, options, pipeline};
use std::sync::Arc;
use terrane_gpu::{Engine, GpuError, Options, Shader};
use terrane_world::generate::pipeline::Pipeline;
use terrane_world::generate::stage::{Draft, Stage};
use terrane_world::space::ChunkPos;

fn with_moss() -> Arc<Pipeline> {
    pipeline(vec![Arc::new(Mounds { seed: 7 }), Arc::new(Moss { entry: 3 })])
}

/// A box around the origin, the lowest and the highest corner of the world, and the layer that everything rests on.
fn places() -> Vec<ChunkPos> {
    let (low, high, top) = (-(1 << 25), 1 << 25, 64);
    let mut places = chunks([-1..2, -2..1, -1..1]);
    places.extend(chunks([low..low + 2, -1..1, low..low + 1]));
    places.extend(chunks([high - 2..high, -1..1, high - 1..high]));
    places.extend(chunks([0..1, -64..-61, 0..1]));
    places.extend(chunks([0..1, top - 1..top, 0..1]));
    places
}

#[test]
fn the_device_makes_the_bytes_of_the_cpu() {
    let (ours, theirs) = (with_moss(), with_moss());
    let engine = Engine::with(device(), ours.clone(), options()).unwrap();
    let made = engine.chunks(&places()).unwrap();
    assert!(made == theirs.chunks(&places()).unwrap());
    assert!(made.iter().any(|chunk| chunk.table().len() > 2), "there is something to see");
    assert_eq!(ours.runs(), [0, 0], "nothing ran on the CPU");
    assert!(engine.notes().is_empty());
    // Maps and voxels of mounds, voxels of moss.
    assert_eq!(engine.dispatches().into_iter().collect::<Vec<_>>(), [("moss", 1), ("mounds", 2)]);
}

#[test]
fn a_stage_without_a_twin_runs_on_the_cpu_in_between() {
    let stages = || -> Arc<Pipeline> {
        let moss: Arc<dyn Stage> = Arc::new(Moss { entry: 3 });
        pipeline(vec![Arc::new(Mounds { seed: 7 }), Arc::new(Sieve), moss.clone(), Arc::new(Mounds { seed: 8 }), moss])
    };
    for stages in [stages, with_moss] {
        // Without shaders of their own all of them run there.
        for options in [options(), Options::default()] {
            let engine = Engine::with(device(), stages(), options.clone()).unwrap();
            assert!(engine.chunks(&places()).unwrap() == stages().chunks(&places()).unwrap(), "{options:?}");
            let without = engine.dispatches().is_empty();
            assert_eq!(engine.notes().is_empty(), !without && stages().stages().len() == 2, "{:?}", engine.notes());
        }
    }
}

#[test]
fn many_small_batches_give_the_same_as_one() {
    let engine = Engine::with(device(), with_moss(), options()).unwrap();
    let whole = engine.chunks(&places()).unwrap();
    let memory_bytes = 8 << 20;
    let small = Engine::with(device(), with_moss(), Options { memory_bytes, in_flight: 3, ..options() }).unwrap();
    assert!(small.batches(&places()).unwrap().len() > 3);
    assert!(small.chunks(&places()).unwrap() == whole);
    assert!(small.buffers().1 <= memory_bytes, "{:?}", small.buffers());
    // With a stage on the CPU, too, and for a box, a tower and a line.
    let sieved = || pipeline(vec![Arc::new(Mounds { seed: 7 }), Arc::new(Sieve), Arc::new(Moss { entry: 3 })]);
    let small_sieved = Engine::with(device(), sieved(), Options { memory_bytes, ..options() }).unwrap();
    let shapes = [chunks([0..3, 0..3, 0..3]), chunks([9..10, -64..64, 5..6]), chunks([0..90, 0..1, 0..1])].concat();
    assert!(small_sieved.chunks(&shapes).unwrap() == sieved().chunks(&shapes).unwrap());
    assert!(small_sieved.buffers().1 <= memory_bytes, "{:?}", small_sieved.buffers());
    // The order and repetitions are the caller's.
    let mixed = [places()[4], places()[0], places()[4]];
    assert!(small.chunks(&mixed).unwrap() == [whole[4].clone(), whole[0].clone(), whole[4].clone()]);
}

#[test]
fn buffers_are_used_again() {
    let engine = Engine::with(device(), with_moss(), options()).unwrap();
    let one = chunks([0..2, -1..1, 0..2]);
    engine.chunks(&one).unwrap();
    let made = engine.buffers().0;
    engine.chunks(&one).unwrap();
    assert_eq!(engine.buffers().0, made);
}

#[test]
fn batches_in_flight_do_not_disturb_each_other() {
    let engine = Engine::with(device(), with_moss(), options()).unwrap();
    let (one, other) = (chunks([0..2, -1..1, 0..2]), chunks([7..9, -1..1, 3..4]));
    let (first, second) = (engine.submit(&one).unwrap(), engine.submit(&other).unwrap());
    drop(engine.submit(&one).unwrap());
    let third = engine.submit(&one).unwrap();
    assert!(engine.collect(second).unwrap() == engine.chunks(&other).unwrap());
    assert!(engine.collect(third).unwrap() == engine.chunks(&one).unwrap());
    assert!(first.is_ready().unwrap());
    assert!(engine.collect(first).unwrap() == with_moss().chunks(&one).unwrap());
}

#[test]
fn what_does_not_fit_is_an_error_that_says_by_how_much() {
    let tiny = Options { memory_bytes: 200_000, ..options() };
    let engine = Engine::with(device(), with_moss(), tiny).unwrap();
    let error = engine.chunks(&chunks([0..1, 0..1, 0..1])).unwrap_err();
    assert!(matches!(error, GpuError::TooLarge { chunks: 27, allowed: 200_000, .. }), "{error}");
    // One batch too many in flight.
    let narrow = Options { memory_bytes: 6 << 20, in_flight: 1, ..options() };
    let engine = Engine::with(device(), with_moss(), narrow).unwrap();
    let one = chunks([0..1, 0..1, 0..1]);
    let mut held = Vec::new();
    let error = loop {
        match engine.submit(&one) {
            Ok(ticket) => held.push(ticket),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, GpuError::Full { .. }), "{error}");
    assert!(engine.collect(held.pop().unwrap()).is_ok());
    assert!(engine.submit(&one).is_ok());
}

#[test]
fn a_shader_that_is_wrong_is_an_error_with_file_and_line() {
    let with = |source: &str| {
        let shaders = vec![Shader { stem: "mounds".to_owned(), source: source.to_owned() }];
        let pipeline = pipeline(vec![Arc::new(Mounds { seed: 7 })]);
        Engine::with(device(), pipeline, Options { shaders, ..Options::default() }).err().map(|error| error.to_string())
    };
    let error = with("//!include stage\n\nfn wrong() -> u32 { return 1i; }\n").expect("a wrong type");
    assert!(error.contains("\"mounds\"") && error.contains("shaders/mounds.wgsl:3"), "{error}");
    let error = with("//!include stag\n").expect("a wrong include");
    assert!(error.contains("shaders/mounds.wgsl:1: there is no shared file \"stag\""), "{error}");
    let error = with("//!include stage\n").expect("no entry point");
    assert!(error.contains("maps"), "{error}");
    // It sees voxels before the stage, and the stage has declared no halo.
    let moss = include_str!("shaders/moss.wgsl");
    assert!(with(&(moss.to_owned() + "\n@compute @workgroup_size(1) fn maps() {}")).is_some());
    assert!(with(include_str!("shaders/mounds.wgsl")).is_none(), "the device is as good as before");
}

#[test]
fn a_lost_device_is_an_error() {
    let device = open();
    let engine = Engine::with(device.clone(), with_moss(), options()).unwrap();
    let one = chunks([0..1, 0..1, 0..1]);
    let under_way = engine.submit(&one).unwrap();
    device.abandon();
    for error in [engine.collect(under_way).map(|_| ()), engine.chunks(&one).map(|_| ())] {
        assert!(matches!(error, Err(GpuError::Lost { .. })), "{error:?}");
    }
    assert!(matches!(Engine::with(device, with_moss(), options()).err(), Some(GpuError::Lost { .. })));
}

#[test]
fn one_stage_runs_by_itself() {
    let (cpu, gpu) = (with_moss(), with_moss());
    let engine = Engine::with(device(), gpu, options()).unwrap();
    let (set, maps_set) = (chunks([0..2, -1..1, 0..2]), chunks([-1..3, 0..1, -1..3]));
    let footprints = maps_set.iter().map(|pos| [pos.x(), pos.z()]);
    let mut ours = footprints.map(|[x, z]| ([x, z], terrane_world::generate::stage::Maps::new(x, z))).collect();
    engine.run_maps(0, &mut ours).unwrap();
    assert!(ours.iter().all(|([x, z], maps)| *maps == cpu.maps(*x, *z).unwrap()));
    let all = chunks([-1..3, -2..2, -1..3]);
    let mut drafts: std::collections::BTreeMap<_, _> = all.iter().map(|pos| (*pos, Draft::new(*pos))).collect();
    let mut theirs = drafts.clone();
    for (stage, set) in [(0, &all), (1, &set)] {
        engine.run_blocks(stage, set, &ours, &mut drafts).unwrap();
        cpu.run_blocks(stage, set, &ours, &mut theirs).unwrap();
        assert!(drafts.iter().all(|(pos, draft)| draft.entries() == theirs[pos].entries()), "stage {stage}");
    }
}

#[test]
fn a_batch_is_measured_on_the_device() {
    let begun = std::time::Instant::now();
    let engine = Engine::with(device(), with_moss(), options()).unwrap();
    let targets = chunks([0..2, -1..1, 0..2]);
    let measured = engine.measure(&targets, 3, &|| begun.elapsed()).unwrap();
    assert_eq!((measured.voxels, measured.voxels_made), (8 * 32768, 64 * 32768));
    assert!(measured.gigavoxels_a_second() > 0.0 && measured.share_of_bandwidth() > 0.0, "{measured:?}");
    let by_stage: std::time::Duration = measured.stages.iter().map(|stage| stage.maps + stage.blocks).sum();
    assert!(by_stage <= measured.run * 2, "{measured:?}");
    let on_the_cpu = Engine::with(device(), pipeline(vec![Arc::new(Sieve)]), options()).unwrap();
    let error = on_the_cpu.measure(&targets, 1, &|| begun.elapsed()).unwrap_err();
    assert_eq!(error, GpuError::NoTwin { stage: "sieve".to_owned() });
}

#[test]
fn the_engine_can_be_shared_among_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Engine>();
    shared::<terrane_gpu::Device>();
    fn sent<T: Send>() {}
    sent::<terrane_gpu::Ticket>();
}

#[test]
fn threads_that_read_back_at_once_all_get_their_results() {
    // Whichever thread polls hears of everybody's results and passes them on.
    let engine = Engine::with(device(), with_moss(), options()).unwrap();
    let one = chunks([0..1, 0..1, 0..1]);
    let expected = engine.chunks(&one).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| assert!(engine.chunks(&one).unwrap() == expected)));
        }
    });
}
