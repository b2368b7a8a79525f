//! `terrane generate` on a graphics device, in software where there is no other, and `terrane devices`.
#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{succeed, terrane};
use std::path::Path;

const BOX: &str = "-64,-128,-64:64,128,160";
const PART: &str = "-64,-64,-64:32,64,32";

fn json(arguments: &[&str]) -> serde_json::Value {
    let output = terrane(&[&["--json"], arguments].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn generate(world: &Path, within: &str, more: &[&str]) -> serde_json::Value {
    let world = world.to_str().unwrap();
    let arguments = ["generate", "--world", world, "--seed", "11", "--box", within];
    json(&[&arguments[..], more].concat())
}

fn digest(world: &Path) -> String {
    succeed(&["digest", "--world", world.to_str().unwrap()])
}

#[test]
fn a_device_stores_what_the_cpu_stores_and_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let [cpu, gpu, both] = ["cpu", "gpu", "both"].map(|name| folder.path().join(name));
    let facts = generate(&cpu, BOX, &["--compute", "cpu"]);
    assert_eq!((&facts["compute"], &facts["left"]), (&"cpu".into(), &0.into()), "{facts}");
    let facts = generate(&gpu, BOX, &["--compute", "gpu"]);
    assert_eq!((&facts["made"], &facts["left"]), (&facts["chunks"], &0.into()), "{facts}");
    assert_ne!(facts["compute"], "cpu", "{facts}");
    // A part on the CPU, the rest on the device, with so little memory that batches are divided.
    let part = generate(&both, PART, &["--compute", "cpu"]);
    let rest = generate(&both, BOX, &["--compute", "gpu", "--memory", "60M", "--threads", "2"]);
    assert_eq!(rest["already_there"], part["stored"], "{rest}");
    let again = generate(&both, BOX, &["--compute", "gpu"]);
    assert_eq!((&again["made"], &again["already_there"]), (&0.into(), &again["chunks"]), "{again}");
    assert_eq!(digest(&gpu), digest(&cpu));
    assert_eq!(digest(&both), digest(&cpu));
}

#[test]
fn devices_are_listed_and_one_that_is_not_there_is_refused_with_those_that_are() {
    let listed = json(&["devices"]);
    let name = listed["devices"][0]["name"].as_str().unwrap_or_else(|| panic!("no device: {listed}")).to_owned();
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    let world = world.to_str().unwrap();
    let arguments = ["generate", "--world", world, "--box", "0,0,0:32,32,32"];
    let refused = terrane(&[&arguments[..], &["--device", "no such device"]].concat());
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains(&name) && text.contains("no such device"), "{text}");
    let refused = terrane(&[&arguments[..], &["--device", &name, "--compute", "cpu"]].concat());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("exclude each other"));
    let facts = json(&[&arguments[..], &["--device", &name.to_uppercase()]].concat());
    assert_eq!(facts["compute"].as_str(), Some(name.as_str()), "{facts}");
}
