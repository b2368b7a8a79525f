//! Lists of inputs: a JSON object a line, as `terrane simulate --edits` reads them.

use crate::failure::Failure;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use terrane_world::block::{BlockId, Registry};
use terrane_world::entity::state::{Errand, Starts};
use terrane_world::limits::{EDIT_VOXELS_MAX, TICK_INPUTS_MAX};
use terrane_world::space::{VoxelBox, VoxelPos};
use terrane_world::step::{ActorId, Input, VoxelEdit};

/// What a line may be, for people.
const FORMS: &str = "a line is {\"tick\": 1, \"set\": [[X, Y, Z, \"stone\"], …]}, \
                     {\"tick\": 1, \"fill\": \"X0,Y0,Z0:X1,Y1,Z1\", \"block\": \"air\"}, \
                     {\"tick\": 1, \"blast\": [X, Y, Z], \"power\": 40}, \
                     {\"tick\": 1, \"crowd\": \"ground\", \"count\": 2000, \"from\": BOX, \"goals\": [[X, Y, Z], …], \
                     \"within\": BOX, \"speed\": 128} or {\"tick\": 1, \"dismiss\": true}, \
                     each with \"actor\": N if it is not actor 1, and \"name\": \"Ann\" for what that actor is called";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    tick: u64,
    #[serde(default = "first_actor")]
    actor: u64,
    name: Option<String>,
    set: Option<Vec<(i32, i32, i32, String)>>,
    fill: Option<String>,
    block: Option<String>,
    blast: Option<[i32; 3]>,
    power: Option<i64>,
    crowd: Option<String>,
    count: Option<u32>,
    from: Option<String>,
    goals: Option<Vec<[i32; 3]>>,
    within: Option<String>,
    speed: Option<u16>,
    dismiss: Option<bool>,
}

impl Line {
    /// Which of its keys, other than those that every line may have, there are.
    fn keys(&self) -> Vec<&'static str> {
        let all = [
            ("set", self.set.is_some()),
            ("fill", self.fill.is_some()),
            ("block", self.block.is_some()),
            ("blast", self.blast.is_some()),
            ("power", self.power.is_some()),
            ("crowd", self.crowd.is_some()),
            ("count", self.count.is_some()),
            ("from", self.from.is_some()),
            ("goals", self.goals.is_some()),
            ("within", self.within.is_some()),
            ("speed", self.speed.is_some()),
            ("dismiss", self.dismiss.is_some()),
        ];
        all.into_iter().filter(|(_, is_there)| *is_there).map(|(key, _)| key).collect()
    }
}

const fn first_actor() -> u64 {
    1
}

/// Something to be done, before it has a number.
pub enum Wish {
    /// Set voxels.
    Set(Vec<VoxelEdit>),
    /// Set off a blast.
    Blast(VoxelPos, u8),
    /// Send a crowd.
    Crowd(Errand, Starts),
    /// Take the actor's crowds out of the world.
    Dismiss,
}

/// Inputs by tick, counted from 1.
#[derive(Default)]
pub struct Script {
    ticks: BTreeMap<u64, Vec<(u64, Wish)>>,
    /// What actors are called.
    pub names: BTreeMap<u64, String>,
}

impl Script {
    /// Reads a list. `path` only names it in errors.
    pub fn parse(path: &Path, bytes: &[u8], registry: &Registry) -> Result<Self, Failure> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            Failure::new(format!("{}:{line}: this is not UTF-8 text; {FORMS}", path.display()))
        })?;
        let mut script = Self::default();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |what: String| Failure::new(format!("{}:{}: {what}; {FORMS}", path.display(), number + 1));
            let line: Line = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            let wishes = wishes(&line, registry).map_err(wrong)?;
            if line.tick == 0 {
                return Err(wrong("ticks are counted from 1".into()));
            }
            wishes.into_iter().for_each(|wish| script.push(line.tick, line.actor, wish));
            script.names.extend(line.name.map(|name| (line.actor, name)));
            if script.ticks[&line.tick].len() > TICK_INPUTS_MAX {
                return Err(wrong(format!("a tick takes {TICK_INPUTS_MAX} inputs of {EDIT_VOXELS_MAX} voxels")));
            }
        }
        Ok(script)
    }

    /// Adds something to a tick.
    pub fn push(&mut self, tick: u64, actor: u64, wish: Wish) {
        self.ticks.entry(tick).or_default().push((actor, wish));
    }

    /// The last tick that has inputs.
    pub fn last_tick(&self) -> u64 {
        self.ticks.keys().next_back().copied().unwrap_or(0)
    }

    /// The inputs of a tick, numbered on from the last sequence of each actor.
    pub fn inputs(&mut self, tick: u64, last: &dyn Fn(ActorId) -> u64) -> Vec<Input> {
        let mut sequences: BTreeMap<u64, u64> = BTreeMap::new();
        let wishes = self.ticks.remove(&tick).unwrap_or_default();
        let number = |(actor, wish): (u64, Wish)| {
            let actor_id = ActorId(actor);
            let sequence = sequences.entry(actor).or_insert_with(|| last(actor_id));
            *sequence += 1;
            match wish {
                Wish::Set(voxels) => Input::Edit { actor: actor_id, sequence: *sequence, voxels },
                Wish::Blast(at, power) => Input::Blast { actor: actor_id, sequence: *sequence, at, power },
                Wish::Crowd(errand, starts) => Input::Crowd { actor: actor_id, sequence: *sequence, errand, starts },
                Wish::Dismiss => Input::Dismiss { actor: actor_id, sequence: *sequence },
            }
        };
        wishes.into_iter().map(number).collect()
    }
}

fn wishes(line: &Line, registry: &Registry) -> Result<Vec<Wish>, String> {
    let voxel = |[x, y, z]: [i32; 3]| VoxelPos::new(x, y, z).map_err(|error| error.to_string());
    let parse = |text: &str| text.parse::<VoxelBox>().map_err(|error| error.to_string());
    let keys = line.keys();
    match line {
        Line { set: Some(set), .. } if keys == ["set"] => {
            if set.is_empty() {
                return Err("\"set\" names no voxel".into());
            }
            let edit = |(x, y, z, name): &(i32, i32, i32, String)| {
                Ok(VoxelEdit { pos: voxel([*x, *y, *z])?, block: block(registry, name)?, sparse: None })
            };
            Ok(split(set.iter().map(edit).collect::<Result<_, String>>()?))
        }
        Line { fill: Some(fill), block: Some(name), .. } if keys == ["fill", "block"] => {
            filled(parse(fill)?, block(registry, name)?)
        }
        Line { blast: Some(at), power: Some(power), .. } if keys == ["blast", "power"] => {
            Ok(vec![Wish::Blast(voxel(*at)?, self::power(&power.to_string())?)])
        }
        Line {
            crowd: Some(mode),
            count: Some(count),
            from: Some(from),
            goals: Some(goals),
            within: Some(within),
            speed: Some(speed),
            ..
        } if keys.len() == 6 => {
            let goals = goals.iter().map(|goal| voxel(*goal)).collect::<Result<_, String>>()?;
            let errand = Errand { mode: mode.clone(), goals, within: parse(within)?, speed: *speed };
            Ok(vec![Wish::Crowd(errand, Starts::Within { within: parse(from)?, count: *count })])
        }
        Line { dismiss: Some(true), .. } if keys == ["dismiss"] => Ok(vec![Wish::Dismiss]),
        _ => Err("it has to be one of these forms, with all of its keys and no others".into()),
    }
}

/// The block of a name, or what is wrong with it.
pub fn block(registry: &Registry, name: &str) -> Result<BlockId, String> {
    registry.id(name).ok_or_else(|| {
        let base = terrane_world::block::base_name(name);
        let like = registry.names().iter().filter(|known| known.contains(base)).take(5).map(AsRef::as_ref);
        let like: Vec<&str> = like.collect();
        let like = if like.is_empty() { nearest(registry, base) } else { like };
        format!("{name:?} is no block of this world (there is {})", like.join(", "))
    })
}

/// The five names that read most like one.
fn nearest<'a>(registry: &'a Registry, name: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = registry.names().iter().map(AsRef::as_ref).collect();
    names.sort_by(|a, b| strsim::jaro_winkler(b, name).total_cmp(&strsim::jaro_winkler(a, name)));
    names.truncate(5);
    names
}

/// The power of a blast, or what is wrong with it.
pub fn power(text: &str) -> Result<u8, String> {
    let power = text.parse().ok().filter(|power| *power > 0);
    power.ok_or_else(|| format!("{text} is no power of a blast: 1 to 255 is accepted"))
}

/// A box of one block, in as many edits as it takes.
pub fn filled(within: VoxelBox, block: BlockId) -> Result<Vec<Wish>, String> {
    let voxels: usize = within.size().iter().product();
    let most = TICK_INPUTS_MAX * EDIT_VOXELS_MAX;
    if voxels > most {
        return Err(format!("the box {within} has {voxels} voxels, and a tick changes at most {most}"));
    }
    let ([x0, y0, z0], [x1, y1, z1]) = (within.min(), within.max());
    let all = (y0..y1).flat_map(|y| (z0..z1).flat_map(move |z| (x0..x1).map(move |x| [x, y, z])));
    let edit = |at: [i32; 3]| {
        let pos = VoxelPos::try_from(at).map_err(|error| error.to_string())?;
        Ok(VoxelEdit { pos, block, sparse: None })
    };
    Ok(split(all.map(edit).collect::<Result<_, String>>()?))
}

/// Voxels in edits that are small enough.
pub fn split(voxels: Vec<VoxelEdit>) -> Vec<Wish> {
    voxels.chunks(EDIT_VOXELS_MAX).map(|part| Wish::Set(part.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Script, Failure> {
        Script::parse(Path::new("edits.jsonl"), text.as_bytes(), &Registry::built_in())
    }

    #[test]
    fn lines_become_inputs_that_are_numbered_on() {
        let text = "{\"tick\":2,\"set\":[[1,2,3,\"stone\"],[1,3,3,\"air\"]]}\n\n\
                    {\"tick\":2,\"actor\":9,\"blast\":[0,0,0],\"power\":8}\n\
                    {\"tick\":1,\"fill\":\"0,0,0:17,16,16\",\"block\":\"sand\"}\n";
        let mut script = parse(text).unwrap();
        assert_eq!(script.last_tick(), 2);
        let inputs = script.inputs(1, &|_| 5);
        assert_eq!(inputs.iter().map(Input::asked_by).collect::<Vec<_>>(), [(ActorId(1), 6), (ActorId(1), 7)]);
        let sizes = inputs.iter().map(|input| match input {
            Input::Edit { voxels, .. } => voxels.len(),
            _ => 0,
        });
        assert_eq!(sizes.collect::<Vec<_>>(), [4096, 256]);
        let inputs = script.inputs(2, &|_| 0);
        assert!(
            matches!(&inputs[..], [Input::Edit { voxels, .. }, Input::Blast { power: 8, sequence: 1, .. }] if voxels.len() == 2)
        );
    }

    #[test]
    fn a_crowd_is_sent_and_dismissed() {
        let text = "{\"tick\":1,\"crowd\":\"fly\",\"count\":7,\"from\":\"0,0,0:2,2,2\",\"goals\":[[9,1,1]],\
                    \"within\":\"0,0,0:16,16,16\",\"speed\":128}\n{\"tick\":3,\"dismiss\":true}\n";
        let mut script = parse(text).unwrap();
        let inputs = script.inputs(1, &|_| 0);
        let [Input::Crowd { errand, starts: Starts::Within { count: 7, .. }, .. }] = &inputs[..] else {
            panic!("{inputs:?}")
        };
        assert_eq!((errand.mode.as_str(), errand.speed, errand.goals.len()), ("fly", 128, 1));
        assert!(matches!(script.inputs(3, &|_| 1)[..], [Input::Dismiss { sequence: 2, .. }]));
    }

    #[test]
    fn a_wrong_line_is_named_with_what_is_wrong() {
        for (text, part) in [
            ("{\"tick\":1}", "one of these forms"),
            ("{\"tick\":1,\"crowd\":\"ground\",\"count\":5}", "one of these forms"),
            ("{\"tick\":1,\"dismiss\":false}", "one of these forms"),
            ("\n{\"tick\":1,\"set\":[[0,0,0,\"stonee\"]]}", "edits.jsonl:2: \"stonee\" is no block"),
            ("{\"tick\":1,\"set\":[[0,9999,0,\"stone\"]]}", "9999"),
            ("{\"tick\":1,\"fill\":\"0,0,0\",\"block\":\"air\"}", "X0,Y0,Z0:X1,Y1,Z1"),
            ("{\"tick\":1,\"fill\":\"0,0,0:1024,1024,1024\",\"block\":\"air\"}", "at most"),
            ("{\"tick\":0,\"blast\":[0,0,0],\"power\":3}", "counted from 1"),
            ("{\"tick\":1,\"blast\":[0,0,0],\"power\":300}", "edits.jsonl:1: 300 is no power of a blast: 1 to 255"),
            ("{\"tick\":1,\"blast\":[0,0,0],\"power\":0}", "1 to 255"),
            ("{\"tick\":1,\"set\":[[0,0,0,\"stnoe\"]]}", "(there is stone"),
            ("{\"tick\":1,\"blast\":[0,0,0],\"power\":3,\"colour\":1}", "unknown field"),
            ("no json", "edits.jsonl:1"),
        ] {
            let error = parse(text).err().unwrap_or_else(|| panic!("{text} passed")).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let error = Script::parse(Path::new("edits.jsonl"), b"\n\n{\xff}", &Registry::built_in()).err().unwrap();
        assert!(error.to_string().starts_with("edits.jsonl:3: this is not UTF-8"), "{error}");
    }
}
