//! `terrane restore`.

use super::undo::Order;
use crate::failure::Failure;
use crate::naming::Who;
use crate::undoing::when::When;
use crate::undoing::{Bench, check_reach};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use terrane_world::space::VoxelBox;
use terrane_world::step::CauseKind;
use terrane_world::undo::{Filter, Request, Rule};

/// Give a box back as it was at some moment, on a world that nobody serves
///
/// Whatever has changed in the box since goes back, whoever did it. It is an undo of everything in that box, and can be taken
/// back with `terrane undo --undo N`. First the world is run until nothing falls.
#[derive(Args)]
pub struct Restore {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// The box, X0,Y0,Z0:X1,Y1,Z1, the end not included
    #[arg(long = "box", value_name = "BOX", allow_hyphen_values = true)]
    within: VoxelBox,
    /// As it was then: 2026-05-01T18:30:00Z, 10m (ago), 2h, 3d, or tick:N
    #[arg(long, value_name = "MOMENT")]
    at: When,
    /// Only tell what would happen
    #[arg(long)]
    preview: bool,
    /// A picture from above of what changes
    #[arg(long, value_name = "FILE.png")]
    map: Option<PathBuf>,
    /// Also where history has gaps, so that it may be given back otherwise than it was
    #[arg(long)]
    despite_gaps: bool,
    #[command(flatten)]
    who: Who,
    /// Most ticks that the world is run for until nothing falls
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    ticks: u64,
}

impl Restore {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let bench = Bench::open(&self.world, self.preview, self.ticks)?;
        if let Some(unfinished) = bench.store().unfinished_undos().pop() {
            return Err(Failure::new(super::undo::cut_off(&self.world, unfinished.id)));
        }
        // The moment itself counts to what was.
        let since = match self.at {
            When::Tick(tick) => tick.saturating_add(1),
            When::Time(time_ms) => bench.first_tick(When::Time(time_ms.saturating_add(1)))?,
            When::Ago(ms) => bench.first_tick(When::Ago(ms.saturating_sub(1)))?,
        };
        if let Some((_, reach)) = check_reach(&bench.history()?, since) {
            return Err(Failure::new(format!("{}: {reach}", self.world.display())));
        }
        let id = bench.next_id();
        let (within, kinds) = (Some(self.within), CauseKind::ALL.into_iter().collect());
        let filter = Filter { actors: None, within, since, until: id, kinds, undo: None };
        let request = Request { id, actor: self.who.actor(), filter, rule: Rule::Overwrite, takes_back: None };
        let order = Order {
            request,
            is_new: true,
            preview: self.preview,
            map: self.map.as_deref(),
            who: &self.who,
            takes_gaps: self.despite_gaps,
        };
        order.carry_out(bench, &self.world, json)
    }
}
