//! `terrane undo`.

use crate::failure::{About, Failure};
use crate::naming::{Who, quoted};
use crate::stopping::{INTERRUPTED, on_signals};
use crate::undoing::when::When;
use crate::undoing::{Bench, Done, Names, check_reach, picture, telling};
use clap::{Args, ValueEnum};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use terrane_store::undo;
use terrane_world::space::VoxelBox;
use terrane_world::step::{ActorId, CauseKind};
use terrane_world::undo::plan::Plan;
use terrane_world::undo::{Filter, Kinds, Request, Rule, taking_back};

/// Take back what somebody did, or what happened somewhere, on a world that nobody serves
///
/// Every voxel that was changed last by what is meant goes back to what it was before. What others have built there since is a
/// conflict, and stays unless --conflict overwrite is given. First the world is run until nothing falls. With --preview
/// nothing is written: it tells how many voxels would go back, and what is in the way. An undo can be taken back by its number, with
/// --undo; one that was interrupted or killed can be finished, or taken back. docs/undo.md has the guarantees.
#[derive(Args)]
pub struct Undo {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// Whose changes: a name, or actor:N; may be given more than once
    #[arg(long, value_name = "NAME")]
    by: Vec<String>,
    /// Only this box, X0,Y0,Z0:X1,Y1,Z1, the end not included
    #[arg(long = "box", value_name = "BOX", allow_hyphen_values = true)]
    within: Option<VoxelBox>,
    /// Only what happened since: 2026-05-01T18:30:00Z, 10m (ago), 2h, 3d, or tick:N
    #[arg(long, value_name = "MOMENT")]
    since: Option<When>,
    /// Only what happened by such causes
    #[arg(long, value_enum, value_name = "CAUSE", value_delimiter = ',')]
    cause: Vec<Cause>,
    /// Take back the undo of this number
    #[arg(long, value_name = "N", conflicts_with_all = ["by", "within", "since", "cause"])]
    undo: Option<u64>,
    /// What happens where somebody else has built since
    #[arg(long, value_enum, default_value = "keep")]
    conflict: Conflict,
    /// Only tell what would happen
    #[arg(long)]
    preview: bool,
    /// A picture from above of what changes
    #[arg(long, value_name = "FILE.png")]
    map: Option<PathBuf>,
    /// Finish the undo that was cut off
    #[arg(long, conflicts_with_all = ["by", "within", "since", "cause", "undo", "take_back"])]
    finish: bool,
    /// Take back what the undo that was cut off has done
    #[arg(long, conflicts_with_all = ["by", "within", "since", "cause", "undo"])]
    take_back: bool,
    #[command(flatten)]
    who: Who,
    /// Most ticks that the world is run for until nothing falls
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    ticks: u64,
}

/// What happened.
#[derive(Clone, Copy, ValueEnum)]
enum Cause {
    /// Somebody set blocks.
    Edit,
    /// A blast destroyed them.
    Blast,
    /// Things lost their hold: falls, landings and slides.
    Collapse,
    /// Agents dug.
    Dig,
    /// Something was taken back.
    Undo,
}

impl Cause {
    fn kinds(self) -> Kinds {
        let kinds: &[CauseKind] = match self {
            Self::Edit => &[CauseKind::Edit],
            Self::Blast => &[CauseKind::Blast],
            Self::Collapse => &[CauseKind::Collapse, CauseKind::Landing, CauseKind::Slide],
            Self::Dig => &[CauseKind::Dig],
            Self::Undo => &[CauseKind::Undo],
        };
        kinds.iter().copied().collect()
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Conflict {
    /// Theirs stays.
    Keep,
    /// It goes back all the same.
    Overwrite,
}

impl Undo {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let goes_on = self.finish || self.take_back;
        let says_what = !self.by.is_empty() || !self.cause.is_empty();
        if !goes_on && !says_what && self.within.is_none() && self.since.is_none() && self.undo.is_none() {
            let what = "say what is to be taken back: --by, --box, --since, --cause or --undo; `terrane undo --help` has all of them";
            return Err(Failure::new(what));
        }
        let bench = Bench::open(&self.world, self.preview, self.ticks)?;
        let unfinished = bench.store().unfinished_undos().pop();
        let (request, is_new) = match (unfinished, goes_on) {
            (Some(unfinished), true) if self.finish => (unfinished, false),
            (Some(unfinished), true) => {
                let id = bench.next_id();
                (taking_back(unfinished.id, (id, id), self.who.actor(), self.rule(), true), true)
            }
            (None, true) => return Err(Failure::new(format!("{}: no undo is unfinished", self.world.display()))),
            (Some(unfinished), false) => return Err(Failure::new(cut_off(&self.world, unfinished.id))),
            (None, false) => (self.request(&bench)?, true),
        };
        let order = Order {
            request,
            is_new,
            preview: self.preview,
            map: self.map.as_deref(),
            who: &self.who,
            takes_gaps: true,
        };
        order.carry_out(bench, &self.world, json)
    }

    const fn rule(&self) -> Rule {
        match self.conflict {
            Conflict::Keep => Rule::Keep,
            Conflict::Overwrite => Rule::Overwrite,
        }
    }

    fn request(&self, bench: &Bench) -> Result<Request, Failure> {
        let (id, actor, rule) = (bench.next_id(), self.who.actor(), self.rule());
        if let Some(undo) = self.undo {
            let history = bench.history()?;
            if !undo::knows(&history, undo, &|| true).about(&self.world)? {
                let reach = check_reach(&history, undo).map_or_else(String::new, |(_, reach)| format!(": {reach}"));
                let (world, what) = (self.world.display(), format!("there is no undo {undo} in history{reach}"));
                return Err(Failure::new(format!("{world}: {what}; undos say their number when they are done")));
            }
            return Ok(taking_back(undo, (id, id), actor, rule, false));
        }
        let since = self.since.map_or(Ok(0), |when| bench.first_tick(when))?;
        let actors = if self.by.is_empty() { None } else { Some(self.actors(bench, since)?) };
        let kinds = self.cause.iter().map(|cause| cause.kinds()).reduce(Kinds::and).unwrap_or_else(Kinds::all_but_undo);
        let filter = Filter { actors, within: self.within, since, until: id, kinds, undo: None };
        Ok(Request { id, actor, filter, rule, takes_back: None })
    }

    /// The actors that have acted under the names asked for.
    fn actors(&self, bench: &Bench, since: u64) -> Result<BTreeSet<ActorId>, Failure> {
        let names = names(bench, since)?;
        let mut actors = BTreeSet::new();
        for by in &self.by {
            if let Some(number) = by.strip_prefix("actor:").and_then(|number| number.parse().ok()) {
                actors.insert(ActorId(number));
                continue;
            }
            let of_name: Vec<ActorId> =
                names.iter().filter(|(_, names)| names.contains(by)).map(|(actor, _)| *actor).collect();
            if of_name.is_empty() {
                return Err(Failure::new(nobody(by, &names, bench, since)?));
            }
            actors.extend(of_name);
        }
        Ok(actors)
    }
}

fn names(bench: &Bench, since: u64) -> Result<Names, Failure> {
    undo::names(&bench.history()?, since, &|| true).map_err(|error| Failure::new(error.to_string()))
}

/// That nobody has acted under a name, who has, and how far back that is known.
fn nobody(by: &str, names: &Names, bench: &Bench, since: u64) -> Result<String, Failure> {
    let known = telling::known(names);
    let reach = check_reach(&bench.history()?, since).map_or_else(String::new, |(_, reach)| format!("; {reach}"));
    Ok(format!("nobody called {by:?} is in history ({known}; actor:N names somebody by number){reach}"))
}

pub fn cut_off(world: &Path, undo: u64) -> String {
    let (path, world) = (world.display(), quoted(world));
    format!(
        "{path}: undo {undo} was cut off: `terrane undo --world {world} --finish` does the rest of it, `--take-back` in place of that puts \
         back what it has changed"
    )
}

/// A request, and what is to be done with it.
pub struct Order<'a> {
    pub request: Request,
    /// It has not begun before.
    pub is_new: bool,
    pub preview: bool,
    pub map: Option<&'a Path>,
    pub who: &'a Who,
    /// It is done although history has gaps.
    pub takes_gaps: bool,
}

impl Order<'_> {
    /// Plans, tells, draws, and unless it is a preview does it.
    pub fn carry_out(&self, mut bench: Bench, world: &Path, json: bool) -> Result<ExitCode, Failure> {
        let Self { request, .. } = self;
        let since = request.filter.since;
        let plan = bench.plan(request)?;
        let names = names(&bench, since)?;
        if plan.summary.lost_frames > 0 && !self.takes_gaps {
            let what = format!("history has {} gaps since then", plan.summary.lost_frames);
            let way_out =
                "what was there can't be told for certain; --despite-gaps gives back what the rest of it tells";
            return Err(Failure::new(format!("{}: {what}: {way_out}", world.display())));
        }
        let reach = check_reach(&bench.history()?, since);
        reach.iter().for_each(|(_, reach)| eprintln!("{reach}"));
        let known_from = reach.map(|(known_from, _)| known_from);
        if !json {
            say!("{}", telling::sentences(&plan.summary, request, &names));
        }
        if let Some(map) = self.map {
            picture::write(map, bench.store(), &plan, request.filter.within)?;
            if !json {
                let [comes, goes, both] = [picture::COMES.0, picture::GOES.0, picture::BOTH.0];
                say!("{}: {comes} what comes back, {goes} what goes, {both} both", map.display());
            }
        }
        let summary = plan.summary.clone();
        let told = telling::Told { summary: &summary, request, known_from };
        let is_idle = self.is_new && summary.voxels == 0 && request.takes_back.is_none();
        if self.preview || is_idle {
            if json {
                let done = Done { put_back: 0, stayed: 0, is_interrupted: false };
                say!("{}", telling::facts(&told, &names, Some(&done).filter(|_| !self.preview)));
            }
            bench.close()?;
            return Ok(ExitCode::SUCCESS);
        }
        let done = self.run(&mut bench, plan, world)?;
        bench.close()?;
        if json {
            say!("{}", telling::facts(&told, &names, Some(&done)));
        } else {
            self.tell_done(&done, world);
        }
        Ok(if done.is_interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
    }

    fn run(&self, bench: &mut Bench, plan: Plan, world: &Path) -> Result<Done, Failure> {
        let stop = on_signals()?;
        self.who.name.iter().for_each(|name| bench.store().introduce(self.request.actor, name));
        if self.is_new {
            bench.begin(&self.request)?;
        }
        let cut_off = |failure| Failure::new(format!("{failure}\n{}", cut_off(world, self.request.id)));
        bench.run(&self.request, plan, &stop).map_err(cut_off)
    }

    fn tell_done(&self, done: &Done, world: &Path) {
        let (id, place) = (self.request.id, quoted(world));
        if done.is_interrupted {
            say!("interrupted when {} voxels were back\n{}", done.put_back, cut_off(world, id));
            return;
        }
        let stayed = if done.stayed > 0 {
            format!(", {} had been changed meanwhile and stayed", done.stayed)
        } else {
            String::new()
        };
        say!(
            "undo {id} is done, {} voxels are back{stayed}; `terrane undo --world {place} --undo {id}` takes it back",
            done.put_back
        );
    }
}
