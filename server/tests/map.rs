//! `terrane map`: every layer as a picture and as tiles, by the real executable.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod common;

use common::{succeed, terrane};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// 320×272 places: two tiles along each edge, none of them whole but one.
const BOX: &str = "-300,0,-17:20,90,255";
const LAYERS: [&str; 5] = ["top", "biome", "height", "cave:20", "vein"];

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn world(folder: &Path) -> PathBuf {
    let world = folder.join("world");
    succeed(&["new", "--world", path(&world), "--seed", "7"]);
    world
}

/// Width, height and pixels of a PNG.
fn pixels(file: &Path) -> (usize, usize, Vec<[u8; 4]>) {
    let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(file).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgba);
    (info.width as usize, info.height as usize, bytes.as_chunks().0.to_vec())
}

fn map(world: &Path, more: &[&str]) -> Value {
    let output = terrane(&[&["--json", "map", "--world", path(world)], more].concat());
    assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn fails(arguments: &[&str], parts: &[&str]) {
    let output = terrane(arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{arguments:?}");
    parts.iter().for_each(|part| assert!(text.contains(part), "{arguments:?}: {part} is not in {text}"));
}

#[test]
fn tiles_are_the_picture_in_pieces_and_their_average() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    for layer in LAYERS {
        let (out, tiles) = (folder.path().join("map.png"), folder.path().join(layer));
        let facts = map(&world, &["--layer", layer, "--box", BOX, "--out", path(&out), "--tiles", path(&tiles)]);
        assert_eq!(
            (&facts["width"], &facts["height"], &facts["tiles"], &facts["zooms"]),
            (&320.into(), &272.into(), &5.into(), &2.into()),
            "{facts}"
        );
        let (width, height, whole) = pixels(&out);
        assert_eq!((width, height), (320, 272), "{layer}");
        assert!(whole.iter().collect::<BTreeSet<_>>().len() > 8, "{layer} has colours");
        for (x, z) in (0..320).flat_map(|x| [0, 255, 256, 271].map(|z| (x, z))) {
            let tile = tiles.join(format!("1/{}/{}.png", x / 256, z / 256));
            if x % 64 == 0 || x == 255 {
                assert_eq!(pixels(&tile).2[z % 256 * 256 + x % 256], whole[z * 320 + x], "{layer}: {x}, {z}");
            }
        }
        let four = [0, 1, 320, 321].map(|at| whole[at + 640 * 20 + 60]);
        let above = pixels(&tiles.join("0/0/0.png")).2[20 * 256 + 30];
        for part in 0..3 {
            let sum: i32 = four.iter().map(|pixel| i32::from(pixel[part])).sum();
            assert!((sum - 4 * i32::from(above[part])).abs() <= 4, "{layer}: {four:?} became {above:?}");
        }
        let page = fs::read_to_string(tiles.join("index.html")).unwrap();
        assert!(page.contains(&format!("\"layer\":\"{layer}\"")) && !page.contains("http"), "{layer}");
    }
}

#[test]
fn a_picture_may_be_smaller_than_what_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    let (world, out) = (world(folder.path()), folder.path().join("small.png"));
    let facts = map(&world, &["--layer", "height", "--box", BOX, "--shrink", "8", "--out", path(&out)]);
    assert_eq!((&facts["width"], &facts["height"]), (&40.into(), &34.into()));
    assert_eq!(pixels(&out).2.len(), 40 * 34);
}

#[test]
fn the_legend_says_how_much_of_the_map_each_biome_covers() {
    let folder = tempfile::tempdir().unwrap();
    let (world, out) = (world(folder.path()), folder.path().join("biomes.png"));
    let arguments = ["--layer", "biome", "--box", "-512,0,-512:512,1,512", "--out", path(&out)];
    let facts = map(&world, &arguments);
    let legend = facts["legend"].as_object().unwrap();
    let sum: f64 = legend.values().map(|share| share.as_f64().unwrap()).sum();
    assert!(legend.len() > 4 && (sum - 1.0).abs() < 1e-6, "{legend:?}");
    let text = succeed(&[&["map", "--world", path(&world)], &arguments[..]].concat());
    assert!(text.contains(" %  ") && text.contains("ocean"), "{text}");
}

#[test]
fn stored_chunks_count_where_there_are_some() {
    let folder = tempfile::tempdir().unwrap();
    let (world, out) = (world(folder.path()), folder.path().join("cut.png"));
    let arguments = ["--layer", "cave:20", "--box", "0,0,0:64,64,64", "--out", path(&out)];
    map(&world, &arguments);
    let made = pixels(&out);
    succeed(&["generate", "--world", path(&world), "--box", "0,0,0:32,32,32"]);
    map(&world, &arguments);
    assert_eq!(pixels(&out), made, "stored or made is the same");
    map(&world, &["--layer", "cave:20", "--out", path(&out)]);
    let (width, height, stored) = pixels(&out);
    assert_eq!((width, height), (32, 32), "without a box it is what is stored");
    assert_eq!(stored[..32], made.2[..32]);
}

#[test]
fn what_cannot_be_drawn_is_said_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let (world, hills) = (world(folder.path()), folder.path().join("hills"));
    succeed(&["new", "--world", path(&hills), "--generator", "hills"]);
    let out = folder.path().join("map.png");
    for layer in ["biome", "height"] {
        let arguments = ["map", "--world", path(&hills), "--layer", layer, "--out", path(&out)];
        fails(&arguments, &[&format!("layer {layer}"), "hills 1", "stages", "--layer top"]);
    }
    for layer in ["top", "cave:20", "vein"] {
        map(&hills, &["--layer", layer, "--box", "0,0,0:40,90,40", "--out", path(&out)]);
    }
    fails(&["map", "--world", path(&world), "--box", BOX], &["--out", "--tiles"]);
    fails(&["map", "--world", path(&world), "--layer", "caves", "--out", "x"], &["cave:Y"]);
    let wide = ["map", "--world", path(&world), "--box", "0,0,0:20000,1,1", "--layer", "biome", "--out", path(&out)];
    fails(&wide, &["20000", "--shrink", "--tiles"]);
    assert!(terrane(&[&wide[..], &["--shrink", "4"]].concat()).status.success());
    fails(&["map", "--world", path(&world), "--box", "0,0,0:300000,1,1", "--tiles", path(&out)], &["262144"]);
}
