//! Movement modes: what a body is, and what it can do.

use crate::block::{BLOCKED, BlockRule, GROUND_COST, Problem, Registry, RulesError, number};
use crate::relax::{ALL, FACES};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// The built-in modes, in the format that a world's `[modes]` uses too.
pub const BUILT_IN_MODES: &str = include_str!("modes.toml");

/// The highest a body may be.
pub const HEIGHT_MAX: u8 = 8;
/// The widest a body may be.
pub const WIDTH_MAX: u8 = 4;
/// The highest step.
pub const STEP_MAX: u8 = 4;
/// The deepest fall: what it takes to see one stays within half a chunk of a voxel.
pub const DROP_MAX: u8 = 14;
/// Modes of one world.
pub const MODES_MAX: usize = 64;
/// Letters of a mode's name.
pub const MODE_NAME_MAX: usize = 32;

/// Which of a block's costs a mode pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// It stands on the ground and pays for that.
    Walk,
    /// It moves freely through what can be flown through.
    Fly,
    /// It moves freely through what can be swum in.
    Swim,
    /// It moves freely, and digs.
    Dig,
}

/// One way of moving.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mode {
    /// Its name.
    pub name: String,
    /// What it pays.
    pub medium: Medium,
    /// Whether it moves over edges and corners too, not over faces alone.
    pub diagonal: bool,
    /// Voxels that the body is high.
    pub height: u8,
    /// Voxels that it is wide along x and z.
    pub width: u8,
    /// Voxels that it climbs in one step.
    pub step_up: u8,
    /// Voxels that it may fall.
    pub drop: u8,
    /// Whether it swims where it can't stand.
    pub swim: bool,
    /// Whether it climbs.
    pub climb: bool,
}

/// What one block is to a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footing {
    /// What the body pays to be in it; 0 if it can't.
    pub through: u8,
    /// What it pays to stand on it; 0 if it can't.
    pub on: u8,
    /// It floats in it.
    pub floats: bool,
    /// It holds on to it.
    pub holds: bool,
    /// Its head may be in it.
    pub breathes: bool,
}

impl Mode {
    /// Whether it has to stand on something.
    pub const fn walks(&self) -> bool {
        matches!(self.medium, Medium::Walk)
    }

    /// Whether what it may do at a voxel follows from the block there alone.
    pub const fn is_plain(&self) -> bool {
        !self.walks() && !self.diagonal && self.height == 1 && self.width == 1
    }

    /// All moves it ever makes, as a mask of [`EXITS`](crate::relax::EXITS).
    pub const fn exits(&self) -> u32 {
        if self.diagonal { ALL } else { FACES }
    }

    /// What a block is to it.
    pub fn footing(&self, rule: &BlockRule) -> Footing {
        let open = |cost: u8| if cost == BLOCKED { 0 } else { cost };
        let free = |cost| Footing { through: open(cost), breathes: true, ..Footing::default() };
        match self.medium {
            Medium::Fly => free(rule.cost.fly),
            Medium::Swim => free(rule.cost.swim),
            Medium::Dig => free(rule.cost.dig),
            Medium::Walk if rule.solid => Footing { on: open(rule.cost.walk), ..Footing::default() },
            Medium::Walk => {
                let floats = self.swim && rule.liquid && rule.cost.swim != BLOCKED;
                let through = open(if floats { rule.cost.swim } else { rule.cost.walk });
                let holds = self.climb && rule.climb && through > 0;
                Footing { through, on: 0, floats, holds, breathes: floats || !rule.liquid }
            }
        }
    }

    /// What each block of a registry is to it, by id.
    pub fn footings(&self, registry: &Registry) -> Vec<Footing> {
        registry.iter().map(|(_, _, rule)| self.footing(rule)).collect()
    }

    /// What a voxel costs at least in which it has no ground under it: a step up or down is a step.
    pub const fn cost_in_air(&self) -> u8 {
        GROUND_COST
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMode {
    cost: Medium,
    neighbours: Option<Spanned<i64>>,
    height: Option<Spanned<i64>>,
    width: Option<Spanned<i64>>,
    step_up: Option<Spanned<i64>>,
    drop: Option<Spanned<i64>>,
    swim: Option<Spanned<bool>>,
    climb: Option<Spanned<bool>>,
}

fn mode(name: &str, raw: RawMode) -> Result<Mode, Problem> {
    let walks = raw.cost == Medium::Walk;
    let only_walk = [
        ("step_up", raw.step_up.as_ref().map(Spanned::span)),
        ("drop", raw.drop.as_ref().map(Spanned::span)),
        ("swim", raw.swim.as_ref().map(Spanned::span)),
        ("climb", raw.climb.as_ref().map(Spanned::span)),
    ];
    if let Some((key, Some(span))) = only_walk.into_iter().find(|(_, span)| !walks && span.is_some()) {
        return Err((span, format!("{key} is for modes with cost = \"walk\": leave it out")));
    }
    let diagonal = match &raw.neighbours {
        None => false,
        Some(neighbours) => match neighbours.get_ref() {
            6 => false,
            26 => true,
            _ => return Err((neighbours.span(), "neighbours must be 6 or 26".to_owned())),
        },
    };
    let yes = |value: Option<Spanned<bool>>| walks && value.is_none_or(Spanned::into_inner);
    Ok(Mode {
        name: name.to_owned(),
        medium: raw.cost,
        diagonal,
        height: number(raw.height, 1, 1, HEIGHT_MAX.into(), "height")? as u8,
        width: number(raw.width, 1, 1, WIDTH_MAX.into(), "width")? as u8,
        step_up: number(raw.step_up, walks.into(), 0, STEP_MAX.into(), "step_up")? as u8,
        drop: number(raw.drop, if walks { 3 } else { 0 }, 0, DROP_MAX.into(), "drop")? as u8,
        swim: yes(raw.swim),
        climb: yes(raw.climb),
    })
}

/// The modes of one world, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modes(BTreeMap<String, Mode>);

impl Modes {
    /// The built-in ones.
    pub fn built_in() -> Self {
        Self(parse_modes("built-in modes", BUILT_IN_MODES).expect("the built-in modes are tested"))
    }

    /// The built-in ones with a world's own on top.
    pub fn with(own: &BTreeMap<String, Mode>) -> Self {
        let mut modes = Self::built_in();
        modes.0.extend(own.iter().map(|(name, mode)| (name.clone(), mode.clone())));
        modes
    }

    /// A mode by name.
    pub fn get(&self, name: &str) -> Option<&Mode> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Mode> {
        self.0.values()
    }

    /// Their names with commas, for messages.
    pub fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// Parses modes; `file` only names the text in errors.
pub fn parse_modes(file: &str, text: &str) -> Result<BTreeMap<String, Mode>, RulesError> {
    let at = |problem: Problem| RulesError::at(file, text, problem);
    let raw: BTreeMap<Spanned<String>, RawMode> =
        toml::from_str(text).map_err(|e| at((e.span().unwrap_or(0..0), e.message().to_owned())))?;
    let mut modes = BTreeMap::new();
    for (name, raw) in raw {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        if name.get_ref().is_empty() || name.get_ref().len() > MODE_NAME_MAX || !name.get_ref().bytes().all(is_plain) {
            let message = format!(
                "{:?} is no name for a mode: lower-case letters, digits, _ and -, {MODE_NAME_MAX} at most",
                name.get_ref()
            );
            return Err(at((name.span(), message)));
        }
        if modes.len() == MODES_MAX {
            return Err(at((name.span(), format!("a world has {MODES_MAX} modes at most"))));
        }
        modes.insert(name.get_ref().clone(), mode(name.get_ref(), raw).map_err(at)?);
    }
    Ok(modes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_modes_are_those_that_are_promised() {
        let modes = Modes::built_in();
        assert_eq!(modes.names(), "fly, ground, tunnel");
        let ground = modes.get("ground").unwrap();
        assert!(ground.walks() && ground.swim && ground.climb && !ground.diagonal);
        assert_eq!((ground.height, ground.width, ground.step_up, ground.drop), (2, 1, 1, 3));
        assert!(modes.get("fly").unwrap().is_plain() && modes.get("tunnel").unwrap().is_plain());
    }

    #[test]
    fn blocks_are_what_their_costs_say() {
        let (modes, registry) = (Modes::built_in(), Registry::built_in());
        let footing = |mode: &str, block: &str| {
            modes.get(mode).unwrap().footing(registry.rule(registry.id(block).unwrap()).unwrap())
        };
        assert_eq!((footing("ground", "stone").through, footing("ground", "stone").on), (0, 2));
        assert!(footing("ground", "stone_bricks").on < footing("ground", "grass_block").on);
        assert!(footing("ground", "mud").on > footing("ground", "grass_block").on);
        assert_eq!(footing("ground", "lava"), Footing::default());
        assert!(footing("ground", "water").floats && footing("ground", "ladder").holds);
        assert_eq!((footing("fly", "stone").through, footing("fly", "air").through), (0, 1));
        assert_eq!((footing("tunnel", "stone").through, footing("tunnel", "bedrock").through), (10, 0));
        assert_eq!(footing("tunnel", "lava").through, 0);
    }

    #[test]
    fn a_wrong_mode_is_told_with_its_line() {
        for (text, line, part) in [
            ("[slug]\n", 1, "cost"),
            ("[slug]\ncost = \"crawl\"\n", 2, "walk"),
            ("[slug]\ncost = \"walk\"\nheight = 9\n", 3, "1 to 8"),
            ("[slug]\ncost = \"walk\"\nneighbours = 18\n", 3, "6 or 26"),
            ("[slug]\ncost = \"fly\"\ndrop = 2\n", 3, "leave it out"),
            ("[slug]\ncost = \"fly\"\nspeed = 2\n", 3, "unknown field"),
            ("[\"a slug\"]\ncost = \"fly\"\n", 1, "name for a mode"),
        ] {
            let error = parse_modes("modes.toml", text).expect_err(text);
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.message.contains(part), "{text}: {error}");
        }
        let own = parse_modes("world.toml", "[giant]\ncost = \"walk\"\nheight = 5\nwidth = 3\nswim = false\n").unwrap();
        let giant = Modes::with(&own).get("giant").unwrap().clone();
        assert!(!giant.swim && giant.climb && (giant.height, giant.width, giant.drop) == (5, 3, 3));
    }
}
