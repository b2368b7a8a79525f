//! `terrane edit`.

use crate::failure::Failure;
use crate::naming::Who;
use crate::simulating::script::{self, Script, Wish};
use crate::simulating::{Options, Run};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use terrane_world::block::Registry;
use terrane_world::space::{VoxelBox, VoxelPos};
use terrane_world::step::{ActorId, VoxelEdit};

/// Change a world that nobody serves: single voxels, boxes, blasts
///
/// All changes happen in one tick; then the world runs until everything has come to rest.
#[derive(Args)]
pub struct Edit {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// Set a voxel: X,Y,Z=BLOCK
    #[arg(long, value_name = "X,Y,Z=BLOCK", allow_hyphen_values = true)]
    set: Vec<Placed<VoxelPos>>,
    /// Fill a box: X0,Y0,Z0:X1,Y1,Z1=BLOCK, the end not included
    #[arg(long, value_name = "BOX=BLOCK", allow_hyphen_values = true)]
    fill: Vec<Placed<VoxelBox>>,
    /// Set off a blast: X,Y,Z=POWER
    #[arg(long, value_name = "X,Y,Z=POWER", allow_hyphen_values = true)]
    blast: Vec<Placed<VoxelPos>>,
    #[command(flatten)]
    who: Who,
    /// Most ticks that the world is run for; what is under way then goes on when it is next run or served
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    ticks: u64,
}

/// A place and what shall be there.
#[derive(Clone)]
struct Placed<P> {
    place: P,
    what: String,
}

impl<P: FromStr<Err: std::fmt::Display>> FromStr for Placed<P> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, what) = text.split_once('=').ok_or("the place comes first, then =, then what shall be there")?;
        Ok(Self { place: place.parse().map_err(|error| format!("{error}"))?, what: what.to_owned() })
    }
}

impl Edit {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let options = Options { world: self.world.clone(), threads: 0, memory_bytes: 1 << 30, dry_run: false };
        let mut run = Run::open(options, None)?;
        let mut script = self.script(run.world().registry())?;
        if script.last_tick() == 0 {
            return Err(Failure::new("nothing to do: give --set, --fill or --blast"));
        }
        self.who.name.iter().for_each(|name| run.introduce(self.who.actor().0, name));
        let world = &*run.world();
        let inputs = script.inputs(1, &|actor: ActorId| world.actor_sequence(actor));
        let mut report = run.step(&inputs)?;
        let (mut ticks, mut counts) = (1, report.counts);
        let refused = std::mem::take(&mut report.refused);
        while run.is_busy() && ticks < self.ticks {
            report = run.step(&[])?;
            ticks += 1;
            counts.left += report.counts.left;
            counts.landed += report.counts.landed;
            counts.destroyed += report.counts.destroyed;
        }
        let settled = !run.is_busy();
        run.close()?;
        refused.iter().for_each(|reason| eprintln!("refused: {reason}"));
        let (left, landed, destroyed) = (counts.left, counts.landed, counts.destroyed);
        if json {
            let facts = json!({ "ticks": ticks, "settled": settled, "left": left, "landed": landed, "destroyed": destroyed,
                "digest": report.digest, "refused": refused });
            say!("{facts}");
        } else {
            let state = if settled { "at rest" } else { "still under way" };
            say!("{ticks} ticks, {state}: {left} voxels fell, {landed} landed, {destroyed} were destroyed");
        }
        Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn script(&self, registry: &Registry) -> Result<Script, Failure> {
        let (mut script, actor) = (Script::default(), self.who.actor().0);
        let block = |name: &str| script::block(registry, name).map_err(Failure::new);
        let mut voxels = Vec::new();
        for Placed { place, what } in &self.set {
            voxels.push(VoxelEdit { pos: *place, block: block(what)?, sparse: None });
        }
        for Placed { place, what } in &self.fill {
            let filled = script::filled(*place, block(what)?).map_err(Failure::new)?;
            filled.into_iter().for_each(|wish| script.push(1, actor, wish));
        }
        script::split(voxels).into_iter().for_each(|wish| script.push(1, actor, wish));
        for Placed { place, what } in &self.blast {
            let power = script::power(what).map_err(Failure::new)?;
            script.push(1, actor, Wish::Blast(*place, power));
        }
        Ok(script)
    }
}
