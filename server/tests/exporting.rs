//! `terrane export --what`: support, light and components as the world has them, wherever the box is cut.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{shared, succeed, terrane};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

/// An array with what its `.json` says.
struct Array {
    min: [i32; 3],
    /// Sizes along y, z and x.
    shape: [usize; 3],
    values: Vec<u32>,
    side: Value,
}

impl Array {
    fn read(path: &Path) -> Self {
        let (bytes, side) = (fs::read(path).unwrap(), fs::read(path.with_extension("json")).unwrap());
        let side: Value = serde_json::from_slice(&side).unwrap();
        let start = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        assert!(bytes.starts_with(b"\x93NUMPY\x01\x00") && start.is_multiple_of(64));
        let header = String::from_utf8_lossy(&bytes[10..start]).into_owned();
        let (_, shape) = header.split_once("'shape': (").unwrap();
        let shape = shape.split_once(')').unwrap().0.split(',').map(|size| size.trim().parse().unwrap());
        let shape: [usize; 3] = shape.collect::<Vec<_>>().try_into().unwrap();
        let (descr, width) = match side.get("dtype").map(|dtype| dtype.as_str().unwrap()) {
            Some("uint8") => ("'|u1'", 1),
            Some("uint16") => ("'<u2'", 2),
            Some("uint32") => ("'<u4'", 4),
            None => ("'<u2'", 2),
            Some(other) => panic!("{other}"),
        };
        assert!(header.contains(&format!("'descr': {descr}, 'fortran_order': False")), "{header}");
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let values: Vec<u32> = bytes[start..].chunks_exact(width).map(number).collect();
        assert_eq!(values.len(), shape.iter().product::<usize>());
        let min = serde_json::from_value(side["origin"].clone()).unwrap();
        assert_eq!(side["axes"], "yzx");
        Self { min, shape, values, side }
    }

    fn at(&self, x: i32, y: i32, z: i32) -> u32 {
        let [x, y, z] = [x - self.min[0], y - self.min[1], z - self.min[2]].map(|at| usize::try_from(at).unwrap());
        assert!(y < self.shape[0] && z < self.shape[1] && x < self.shape[2]);
        self.values[(y * self.shape[1] + z) * self.shape[2] + x]
    }

    /// The values of a part of the box, in the same order.
    fn part(&self, within: [[i32; 3]; 2]) -> Vec<u32> {
        let [[x0, y0, z0], [x1, y1, z1]] = within;
        let rows = (y0..y1).flat_map(|y| (z0..z1).map(move |z| (y, z)));
        rows.flat_map(|(y, z)| (x0..x1).map(move |x| (x, y, z))).map(|(x, y, z)| self.at(x, y, z)).collect()
    }
}

fn text_of([[x0, y0, z0], [x1, y1, z1]]: [[i32; 3]; 2]) -> String {
    format!("{x0},{y0},{z0}:{x1},{y1},{z1}")
}

/// The array, and what was said of it.
fn export(world: &Path, what: &str, within: &str, more: &[&str]) -> (Array, Value) {
    let out = world.with_extension(format!("{what}.npy"));
    let (world, path) = (world.to_str().unwrap(), out.to_str().unwrap());
    let arguments = ["--json", "export", "--world", world, "--box", within, "--out", path, "--what", what];
    let facts = serde_json::from_str(&succeed(&[&arguments[..], more].concat())).unwrap();
    (Array::read(&out), facts)
}

fn on_the_cpu(world: &Path, what: &str, within: &str) -> Array {
    export(world, what, within, &["--compute", "cpu"]).0
}

/// Nothing but what is filled, and nothing falls.
fn built(folder: &Path, fills: &[&str]) -> PathBuf {
    let world = folder.join("built");
    let path = world.to_str().unwrap();
    succeed(&["new", "--world", path, "--generator", "void", "--physics", "off"]);
    let fills = fills.iter().flat_map(|fill| ["--fill", fill]);
    succeed(&["edit", "--world", path].into_iter().chain(fills).collect::<Vec<_>>());
    world
}

/// A deck of 81 planks on a pier of stone, which stands on bedrock.
const BRIDGE: &[&str] = &[
    "-2,60,-2:3,61,3=bedrock",
    "0,61,0:1,70,1=stone",
    "-40,70,0:41,71,1=oak_planks",
    "20,66,0:21,70,1=oak_planks",
    "3,69,0:4,70,1=glass",
    "5,71,0:6,73,1=sand",
    "6,72,0:7,73,1=sand",
    "0,80,0:1,81,1=stone",
];

#[test]
fn a_bridge_has_the_support_that_its_rules_say_whether_or_not_its_pier_is_in_the_box() {
    let folder = tempfile::tempdir().unwrap();
    let world = built(folder.path(), BRIDGE);
    let span = &["--rules", "span", "--compute", "cpu"];
    let (whole, facts) = export(&world, "support", "-48,56,-4:48,84,4", span);
    assert_eq!((&whole.side["what"], &whole.side["rules"]), (&"support".into(), &"span".into()));
    assert_eq!((&whole.side["compute"], &whole.side["dtype"]), (&"cpu".into(), &"uint8".into()));
    assert_eq!((&facts["what"], facts.get("dispatches")), (&"support".into(), None), "{facts}");
    assert!(whole.side["solid"].as_array().unwrap().len() > 10 && whole.side["digest"] == facts["digest"]);
    assert_eq!((whole.at(0, 60, 0), whole.at(2, 60, -2), whole.at(1, 61, 0)), (255, 255, 0), "bedrock, and air");
    assert!(
        (61..70).all(|y| whole.at(0, y, 0) == 252),
        "what is below hands on everything, up to the strength of stone"
    );
    for x in -40..41_i32 {
        let expected = 112_u32.saturating_sub(4 * x.unsigned_abs());
        assert_eq!(whole.at(x, 70, 0), expected, "planks carry 112 and lose 4 a block: at {x}");
    }
    assert_eq!([69, 68, 67, 66].map(|y| whole.at(20, y, 0)), [28, 24, 20, 16], "planks that hang lose 4 a block");
    assert_eq!(whole.at(3, 69, 0), 32, "glass carries no more than 32");
    assert_eq!([71, 72].map(|y| whole.at(5, y, 0)), [48, 48], "sand carries 48");
    assert_eq!(whole.at(6, 72, 0), 0, "nothing is below that sand");
    assert_eq!(whole.at(0, 80, 0), 0, "nothing holds that stone");
    let deck = [[-40, 70, 0], [41, 73, 1]];
    let (part, _) = export(&world, "support", &text_of(deck), span);
    assert_eq!(part.values, whole.part(deck), "the pier and the bedrock are not in this box");
}

#[test]
fn by_connectivity_everything_that_touches_what_is_held_has_255() {
    let folder = tempfile::tempdir().unwrap();
    let world = built(folder.path(), BRIDGE);
    let (deck, facts) = export(&world, "support", "-42,70,0:42,84,1", &["--rules", "connectivity"]);
    assert_eq!((&facts["rules"], &facts["compute"]), (&"connectivity".into(), &"cpu".into()));
    assert!((-40..41).all(|x| deck.at(x, 70, 0) == 255) && deck.at(6, 72, 0) == 255);
    assert_eq!((deck.at(41, 70, 0), deck.at(0, 80, 0)), (0, 0), "air, and what touches nothing");
}

#[test]
fn light_comes_from_the_sky_and_from_blocks_and_a_roof_outside_of_the_box_keeps_it_off() {
    let folder = tempfile::tempdir().unwrap();
    let fills = ["-40,70,0:41,71,1=stone", "0,75,20:1,76,21=glowstone", "-30,90,40:31,91,101=stone"];
    let world = built(folder.path(), &fills);
    let light = on_the_cpu(&world, "light", "-10,66,-5:11,82,80");
    assert_eq!(
        (&light.side["what"], &light.side["dtype"], light.side.get("rules")),
        (&"light".into(), &"uint8".into(), None)
    );
    assert_eq!(light.at(0, 71, 0), 0xf0, "full light of the sky is in the high four bits");
    assert_eq!((light.at(0, 70, 0), light.at(0, 69, 0)), (0, 0xe0), "in the stone, and below it from beside");
    let beside = [1, 2, 5, 14, 15].map(|far| light.at(0, 75, 20 - far) & 15);
    assert_eq!(beside, [14, 13, 10, 1, 0], "light of a block is in the low ones, one less a step");
    assert_eq!((light.at(0, 75, 20), light.at(0, 76, 20)), (0x0f, 0xfe), "the glowing block, and the air above it");
    assert_eq!(
        [39, 40, 41, 53, 54, 70].map(|z| light.at(0, 80, z) >> 4),
        [15, 14, 13, 1, 0, 0],
        "ever deeper under the roof"
    );
}

#[test]
fn what_meets_outside_of_the_box_is_one_component_and_numbers_follow_the_first_voxels_inside() {
    let folder = tempfile::tempdir().unwrap();
    let fills = ["0,100,0:1,110,1=stone", "4,100,0:5,110,1=stone", "0,110,0:5,111,1=stone", "2,103,0:3,104,1=stone"];
    let world = built(folder.path(), &fills);
    let legs = on_the_cpu(&world, "components", "0,100,0:5,110,1");
    assert_eq!((&legs.side["components"], &legs.side["dtype"]), (&2.into(), &"uint32".into()));
    let row = |array: &Array, y: i32| array.part([[0, y, 0], [5, y + 1, 1]]);
    assert_eq!((row(&legs, 100), row(&legs, 103)), (vec![1, 0, 0, 0, 1], vec![1, 0, 2, 0, 1]));
    let one = on_the_cpu(&world, "components", "2,103,0:5,104,1");
    assert_eq!(one.values, [1, 0, 2], "the single block is first in this box");
    let none = on_the_cpu(&world, "components", "0,120,0:5,121,1");
    assert_eq!((&none.side["components"], none.values.iter().max()), (&0.into(), Some(&0)));
}

/// Asserts that two arrays group the same voxels, whatever their numbers.
fn assert_same_groups(one: &[u32], other: &[u32]) {
    let pairs: BTreeSet<(u32, u32)> = one.iter().copied().zip(other.iter().copied()).collect();
    let (ones, others): (BTreeSet<u32>, BTreeSet<u32>) = pairs.iter().copied().unzip();
    assert_eq!((ones.len(), others.len()), (pairs.len(), pairs.len()), "{pairs:?}");
    assert!(pairs.iter().all(|(one, other)| (*one == 0) == (*other == 0)), "{pairs:?}");
}

#[test]
fn two_halves_of_a_box_have_what_the_whole_has() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("land");
    succeed(&["new", "--world", world.to_str().unwrap(), "--seed", "7"]);
    let (low, high) = ([-20, 40, -20], [20, 80, 20]);
    let halves = [
        [[low, [3, high[1], high[2]]], [[3, low[1], low[2]], high]],
        [[low, [high[0], 64, high[2]]], [[low[0], 64, low[2]], high]],
    ];
    for (what, rules) in [("support", "span"), ("support", "connectivity"), ("light", "span"), ("components", "span")] {
        let export = |within| export(&world, what, &text_of(within), &["--rules", rules, "--compute", "cpu"]).0;
        let whole = export([low, high]);
        assert!(whole.values.iter().collect::<BTreeSet<_>>().len() > 1, "{what}");
        for half in halves.into_iter().flatten() {
            let (found, expected) = (export(half).values, whole.part(half));
            if what == "components" {
                assert_same_groups(&found, &expected);
            } else {
                assert!(found == expected, "{what} by {rules} of {}", text_of(half));
            }
        }
    }
}

/// Components by flooding a whole world of (y, z, x) voxels, a voxel at a time.
fn flood(solid: &[bool], [height, depth, width]: [usize; 3]) -> Vec<u32> {
    let mut labels = vec![0; solid.len()];
    let mut count = 0;
    for start in 0..solid.len() {
        if !solid[start] || labels[start] > 0 {
            continue;
        }
        count += 1;
        labels[start] = count;
        let mut queue = VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            let (y, z, x) = (at / width / depth, at / width % depth, at % width);
            let beside = [
                (y > 0).then(|| at - width * depth),
                (y + 1 < height).then(|| at + width * depth),
                (z > 0).then(|| at - width),
                (z + 1 < depth).then(|| at + width),
                (x > 0).then(|| at - 1),
                (x + 1 < width).then(|| at + 1),
            ];
            for next in beside.into_iter().flatten().filter(|next| solid[*next]) {
                if labels[next] == 0 {
                    labels[next] = count;
                    queue.push_back(next);
                }
            }
        }
    }
    labels
}

/// The real forest as a world, the box it fills, and its blocks; none if its file is not here.
fn forest(folder: &Path) -> Option<(PathBuf, String, Array)> {
    let file = shared()?.join("forest-1.16.mca");
    let (world, out) = (folder.join("forest"), folder.join("blocks.npy"));
    let (path, name) = (world.to_str().unwrap(), out.to_str().unwrap());
    succeed(&["import", file.to_str().unwrap(), "--world", path]);
    let facts: Value = serde_json::from_str(&succeed(&["--json", "info", "--world", path])).unwrap();
    let bounds = facts["bounds"].as_str().unwrap().to_owned();
    succeed(&["export", "--world", path, "--box", &bounds, "--out", name]);
    Some((world, bounds, Array::read(&out)))
}

#[test]
fn components_of_the_real_forest_are_those_of_a_flood_of_it_in_all_of_it_and_in_a_part() {
    let folder = tempfile::tempdir().unwrap();
    let Some((world, bounds, mut all)) = forest(folder.path()) else {
        return eprintln!("the real region files are not here (TERRANE_SHARED): skipped");
    };
    let is_solid: BTreeSet<u32> = serde_json::from_value(all.side["solid"].clone()).unwrap();
    let solid: Vec<bool> = all.values.iter().map(|id| is_solid.contains(id)).collect();
    all.values = flood(&solid, all.shape);
    let found = on_the_cpu(&world, "components", &bounds);
    assert!(found.values == all.values, "of all of it");
    assert_eq!(found.side["components"], 119);
    // Caves, and rock that is cut all around; not on borders of chunks.
    let [x, y, z] = all.min;
    let part = [[x + 9, y + 4, z + 17], [x + 301, y + 49, z + 120]];
    let mut numbers = BTreeMap::from([(0, 0)]);
    let number = |label: u32| {
        let next = numbers.len() as u32;
        *numbers.entry(label).or_insert(next)
    };
    let expected: Vec<u32> = all.part(part).into_iter().map(number).collect();
    let found = on_the_cpu(&world, "components", &text_of(part));
    assert!(found.values == expected, "of a part");
    assert_eq!(found.side["components"], numbers.len() as u64 - 1);
    assert!(numbers.len() > 20, "{} components", numbers.len() - 1);
    // As many as the import of the file has, which another test counts by other means.
    let (held, _) = export(&world, "support", &bounds, &["--rules", "connectivity"]);
    let hanging = solid.iter().zip(&held.values).filter(|(solid, held)| **solid && **held == 0).count();
    assert_eq!(hanging, 838, "solid voxels that hang on nothing anchored");
    assert!(solid.iter().zip(&held.values).all(|(solid, held)| *solid || *held == 0));
}

/// What an independent reader says of a field, if there is one.
fn compared_with_dijkstra3d(enter: &Path, cost: &Path) -> Option<Value> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let own = || workspace.join("target/python/bin/python");
    let interpreter = std::env::var_os("TERRANE_PYTHON").map_or_else(own, PathBuf::from);
    let script = workspace.join("core/formats/tests/independent/compare_fields.py");
    let Ok(run) = std::process::Command::new(&interpreter).args([&script, enter, cost]).output() else {
        eprintln!("{}: dijkstra3d is not asked", interpreter.display());
        return None;
    };
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    Some(serde_json::from_slice(&run.stdout).unwrap())
}

/// The voxel of a box nearest to its middle that a mode can enter.
fn middle(enter: &Array) -> [i32; 3] {
    let [height, depth, width] = enter.shape.map(|size| size as i32);
    let blocked = enter.side["blocked"].as_u64().unwrap() as u32;
    let all = (0..height).flat_map(|y| (0..depth).flat_map(move |z| (0..width).map(move |x| [x, y, z])));
    let open = all
        .map(|[x, y, z]| [enter.min[0] + x, enter.min[1] + y, enter.min[2] + z])
        .filter(|[x, y, z]| enter.at(*x, *y, *z) != blocked);
    let far = |at: &[i32; 3]| {
        let offset = [0, 1, 2].map(|n| at[n] - enter.min[n] - [width, height, depth][n] / 2);
        offset.iter().map(|part| part * part).sum::<i32>()
    };
    open.min_by_key(far).unwrap()
}

/// Exports what entering costs and a field to the middle; gives what dijkstra3d says of them, and the field.
fn field_to_the_middle(world: &Path, mode: &str, within: &str) -> (Option<Value>, Array) {
    let (enter, _) = export(world, "enter", within, &["--mode", mode]);
    let goal = middle(&enter).map(|part| part.to_string()).join(",");
    let (cost, facts) = export(world, "cost", within, &["--mode", mode, "--goal", &goal, "--compute", "cpu"]);
    assert_eq!((&facts["mode"], facts["goals"].as_array().unwrap().len()), (&Value::from(mode), 1));
    let file = |what: &str| world.with_extension(format!("{what}.npy"));
    (compared_with_dijkstra3d(&file("enter"), &file("cost")), cost)
}

#[test]
fn fields_of_the_real_forest_and_of_random_blocks_are_those_of_dijkstra3d() {
    let folder = tempfile::tempdir().unwrap();
    if let Some((world, _, all)) = forest(folder.path()) {
        let [x, y, z] = all.min;
        let part = text_of([[x + 9, y + 3, z + 17], [x + 140, y + 90, z + 150]]);
        for mode in ["fly", "tunnel"] {
            let (theirs, _) = field_to_the_middle(&world, mode, &part);
            let theirs = theirs.unwrap_or_else(|| serde_json::json!({ "equal": true, "reached": 1_000_000 }));
            assert!(theirs["equal"] == true && theirs["reached"].as_u64() > Some(100_000), "{mode}: {theirs}");
        }
    }
    // Half of the voxels are walls, over borders of chunks: many ways end, and others are long.
    let world = folder.path().join("random");
    let path = world.to_str().unwrap();
    succeed(&["new", "--world", path, "--generator", "void", "--physics", "off"]);
    let mut state = 7u64;
    let mut lines = String::new();
    for y in 0..48 {
        let mut voxels = Vec::new();
        for n in 0..48 * 48 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let block = ["stone", "cobweb", "dirt"][(state >> 40) as usize % 3];
            if state >> 33 & 1 == 0 {
                voxels.push(format!("[{},{},{},\"{block}\"]", n % 48 - 20, y - 20, n / 48 - 20));
            }
        }
        lines += &format!("{{\"tick\":1,\"set\":[{}]}}\n", voxels.join(","));
    }
    let list = folder.path().join("random.jsonl");
    fs::write(&list, lines).unwrap();
    succeed(&["simulate", "--world", path, "--edits", list.to_str().unwrap(), "--ticks", "1"]);
    for mode in ["fly", "tunnel"] {
        let (theirs, cost) = field_to_the_middle(&world, mode, "-20,-20,-20:28,28,28");
        assert!(theirs.is_none_or(|theirs| theirs["equal"] == true), "{mode}");
        assert!(cost.values.iter().filter(|cost| **cost < 60_000).count() > 30_000, "{mode}");
    }
}

#[test]
fn moves_lead_to_the_goal_at_the_cost_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let world = built(folder.path(), &["-20,0,-20:20,1,20=stone", "-20,1,0:15,3,1=stone", "0,1,5:1,2,6=lava"]);
    let (within, goal) = ("-20,0,-20:20,6,20", ["--mode", "ground", "--goal", "0,1,10", "--compute", "cpu"]);
    let (enter, _) = export(&world, "enter", within, &["--mode", "ground"]);
    let (cost, _) = export(&world, "cost", within, &goal);
    let (flow, _) = export(&world, "flow", within, &goal);
    let number = |array: &Array, key: &str| array.side[key].as_u64().unwrap() as u32;
    assert_eq!(
        (number(&cost, "blocked"), number(&cost, "unreachable"), number(&cost, "too_far")),
        (65535, 65534, 65533)
    );
    assert_eq!((flow.at(0, 1, 10), flow.at(0, 1, 5)), (number(&flow, "goal"), number(&flow, "blocked")));
    let steps = [[0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1], [-1, 0, 0], [1, 0, 0]];
    let (mut at, mut paid) = ([0, 1, -10], 0);
    let begun = cost.at(0, 1, -10);
    while at != [0, 1, 10] {
        let step = steps[flow.at(at[0], at[1], at[2]) as usize];
        at = [0, 1, 2].map(|n| at[n] + step[n]);
        paid += enter.at(at[0], at[1], at[2]);
    }
    assert_eq!(paid, begun);
    assert_eq!(begun, 2 * (20 + 2 * 15), "around the wall, whose end is 15 away");
}

#[cfg(feature = "gpu")]
#[test]
fn a_device_computes_the_bytes_of_the_cpu_and_says_how_often_it_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    // Near the top of the world, so that a device in software has little to light.
    let fills = [
        "-40,1990,-40:40,1991,40=bedrock",
        "-3,1991,-3:3,2010,3=stone",
        "-40,2010,-40:40,2011,40=oak_planks",
        "-2,2012,-2:3,2015,3=glowstone",
    ];
    let world = built(folder.path(), &fills);
    let walking = ["--mode", "ground", "--goal", "-10,1991,0"];
    let flying = ["--mode", "fly", "--goal", "-10,1991,0"];
    for (what, more) in [
        ("support", &["--rules", "span"][..]),
        ("light", &[]),
        ("components", &[]),
        ("cost", &walking),
        ("flow", &walking),
        ("cost", &flying),
    ] {
        let compute = |compute: &str| {
            let more = [more, &["--compute", compute]].concat();
            let (array, facts) = export(&world, what, "-33,1988,-40:20,2020,9", &more);
            (array, facts, fs::read(world.with_extension(format!("{what}.npy"))).unwrap())
        };
        let ((_, on_cpu, cpu), (array, on_gpu, gpu)) = (compute("cpu"), compute("gpu"));
        assert!(cpu == gpu, "{what}");
        assert!(on_gpu["dispatches"].as_u64().is_some_and(|count| count > 0), "{on_gpu}");
        assert!(on_cpu["compute"] == "cpu" && on_gpu["compute"] != "cpu", "{on_gpu}");
        assert_eq!((&array.side["compute"], &array.side["dispatches"]), (&on_gpu["compute"], &on_gpu["dispatches"]));
    }
}

#[test]
fn what_can_not_be_computed_is_refused_with_the_way_out_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let world = built(folder.path(), &["0,0,0:2,2,2=stone"]);
    let path = folder.path().join("out.npy");
    let (world, out) = (world.to_str().unwrap(), path.to_str().unwrap());
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (vox, region) = (at("out.vox"), at("regions"));
    let cases: &[(i32, &str, &[&str], &[&str])] = &[
        (1, out, &["--what", "support"], &["built", "rules `off`", "--rules span"]),
        (1, out, &["--what", "support", "--rules", "off"], &["rules `off`", "--rules connectivity"]),
        (1, &vox, &["--what", "light"], &["out.vox", "light", "--out FILE.npy"]),
        (1, &region, &["--what", "components"], &["regions", "components", "--out FILE.npy"]),
        (1, out, &["--what", "light", "--format", "mca"], &["out.npy", "--format npy"]),
        (1, &at("out.json"), &["--what", "light", "--format", "npy"], &["out.json", "--out FILE.npy"]),
        (1, out, &["--what", "light", "--compute", "cpu", "--device", "any"], &["--device any", "--compute cpu"]),
        (1, out, &["--what", "components", "--compute", "cpu", "--device", "any"], &["exclude each other"]),
        (
            1,
            out,
            &["--what", "support", "--rules", "connectivity", "--compute", "gpu"],
            &["CPU only", "leave --compute"],
        ),
        (1, out, &["--what", "cost"], &["depends on who goes", "--mode"]),
        (1, out, &["--what", "light", "--mode", "fly"], &["light", "leave --mode"]),
        (1, out, &["--what", "cost", "--mode", "crawl", "--goal", "0,0,0"], &["crawl", "fly, ground, tunnel"]),
        (1, out, &["--what", "cost", "--mode", "fly"], &["at least one goal"]),
        (1, out, &["--what", "flow", "--mode", "fly", "--goal", "0,0,0"], &["0,0,0", "stone is in the way"]),
        (1, out, &["--what", "flow", "--mode", "fly", "--goal", "9,9,9"], &["outside the box"]),
        (2, out, &["--rules", "span"], &["--what"]),
        (2, out, &["--compute", "cpu"], &["--what"]),
        (2, out, &["--device", "any"], &["--what"]),
        (2, out, &["--what", "shadow"], &["support", "light", "components"]),
    ];
    for (code, out, more, parts) in cases {
        let arguments = ["export", "--world", world, "--box", "0,0,0:4,4,4", "--out", out];
        let output = terrane(&[&arguments[..], more].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(*code), "{more:?}: {text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{more:?}: {text}");
    }
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "only the world is there");
    succeed(&["export", "--world", world, "--box", "0,0,0:4,4,4", "--out", out, "--what", "light"]);
    let output = terrane(&["import", out, "--world", &at("again")]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1) && text.contains("out.npy") && text.contains("'<u2'"), "{text}");
}
