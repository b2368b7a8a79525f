//! `terrane path`.

mod picture;

use crate::failure::{About, Failure};
use crate::pathing;
use crate::worlds;
use clap::Args;
use picture::Drawn;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use terrane_store::{Access, Store};
use terrane_world::path::box_around;
use terrane_world::path::navigation::Resident;
use terrane_world::path::search::{End, Route, Searcher};
use terrane_world::resident::Residency;
use terrane_world::space::VoxelPos;

/// Find the way between two voxels, for one movement mode or several
///
/// The way costs at most 1.05 times the best one (docs/paths.md says what is legal and what it costs). It is looked for in a
/// box around both ends; where it would have to leave that, it ends at the border. Chunks that are not stored are taken
/// as the generator makes them. The exit code is 1 if there is no way for one of the modes.
#[derive(Args)]
pub struct Path {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// Where from: the lowest voxel of the body
    #[arg(long, value_name = "X,Y,Z", allow_hyphen_values = true)]
    from: VoxelPos,
    /// Where to
    #[arg(long, value_name = "X,Y,Z", allow_hyphen_values = true)]
    to: VoxelPos,
    /// Who goes: ground, fly, tunnel, or a mode of the world's own; may be given more than once
    #[arg(long, value_name = "MODE", default_value = "ground")]
    mode: Vec<String>,
    /// How far around both ends the way may lead, in voxels
    #[arg(long, value_name = "VOXELS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(..=65_536))]
    around: u32,
    /// A picture: the ways from above, and below that a cut through the world from one end to the other
    #[arg(long, value_name = "FILE.png")]
    map: Option<PathBuf>,
}

impl Path {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let store = worlds::open(&self.world, Access::Read)?;
        let source = pathing::watched(&store);
        let mut resident = pathing::residency(&source)?;
        let mut routes = Vec::new();
        for mode in &self.mode {
            let pool = Arc::clone(resident.pool());
            let route = pool.install(|| self.route(&store, &mut resident, mode));
            pathing::check(&source).about(&self.world)?;
            routes.push((mode.as_str(), route?));
        }
        if json {
            let answers: Vec<Value> = routes.iter().map(|(mode, route)| self.told(mode, route)).collect();
            say!("{}", json!({ "from": self.from.to_array(), "to": self.to.to_array(), "ways": answers }));
        } else {
            routes.iter().for_each(|(mode, route)| say!("{mode}: {}", sentence(route)));
        }
        if let Some(map) = &self.map {
            let ways = routes.iter().map(|(_, route)| &route.voxels[..]).collect();
            let drawn = Drawn { store: &store, from: self.from, to: self.to, ways };
            drawn.write(map, &mut resident)?;
            pathing::check(&source).about(&self.world)?;
            if !json {
                let colours = self.mode.iter().zip(picture::COLOURS.iter().cycle());
                let legend: Vec<String> = colours.map(|(mode, (name, _))| format!("{mode} {name}")).collect();
                say!("{}: {}", map.display(), legend.join(", "));
            }
        }
        let found = routes.iter().all(|(_, route)| route.end == End::Goal);
        Ok(if found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn route(&self, store: &Store, resident: &mut Residency, mode: &str) -> Result<Route, Failure> {
        let mut navigation = pathing::navigation(store, mode).about(&self.world)?;
        let mut blocks = Resident(resident, 0);
        let within = Some(box_around(self.from, self.to, self.around));
        let registry = store.registry();
        let mut searcher = Searcher::default();
        let found = searcher.route_within(&mut navigation, &mut blocks, &registry, self.from, self.to, within);
        found.about(&self.world)
    }

    fn told(&self, mode: &str, route: &Route) -> Value {
        let waypoints: Vec<[i32; 3]> = route.waypoints.iter().map(|at| route.voxels[*at].to_array()).collect();
        json!({ "mode": mode, "end": name(route.end), "cost": route.cost, "steps": route.voxels.len().saturating_sub(1),
            "waypoints": waypoints, "searched": route.searched })
    }
}

const fn name(end: End) -> &'static str {
    match end {
        End::Goal => "goal",
        End::Border => "border",
        End::Unreachable => "unreachable",
        End::TooFar => "too far",
    }
}

fn sentence(route: &Route) -> String {
    let way = || {
        let waypoints: Vec<String> = route.waypoints.iter().map(|at| route.voxels[*at].to_string()).collect();
        format!("{} steps, cost {}, by {}", route.voxels.len() - 1, route.cost, waypoints.join(" "))
    };
    match route.end {
        End::Goal => way(),
        End::Border => format!("no way inside the box (a larger --around may have one); to its border: {}", way()),
        End::Unreachable => "there is no way".to_owned(),
        End::TooFar => format!("too far: the search gave up after {} voxels", route.searched),
    }
}
