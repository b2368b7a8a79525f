//! The block registry of a world, and the rules of blocks.
//!
//! An id stands for a name with its states, `oak_stairs[facing=north,half=bottom]`; rules belong to the
//! name without the states, `oak_stairs`. The registry belongs to the world and only grows.

use crate::limits::{BLOCK_NAME_BYTES_MAX, BLOCKS_MAX, REACH};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use toml::Spanned;

/// The built-in rules, in the format that a world's `[rules]` uses too.
pub const BUILT_IN_RULES: &str = include_str!("blocks.toml");

/// One entry of the world's registry. 0 is always air.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    bytemuck::Pod,
    bytemuck::Zeroable,
)]
#[repr(transparent)]
#[serde(transparent)]
pub struct BlockId(pub u16);

/// Air, in every world.
pub const AIR: BlockId = BlockId(0);

/// What a movement mode pays for a voxel; 255 stands for "blocked".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovementCost {
    /// To stand on it, if it is solid; else to walk through it.
    pub walk: u8,
    /// To fly through it.
    pub fly: u8,
    /// To swim through it.
    pub swim: u8,
    /// To dig into it.
    pub dig: u8,
}

/// What a step onto plain ground costs on foot: there is room below it for roads.
pub const GROUND_COST: u8 = 2;

/// Entering is impossible.
pub const BLOCKED: u8 = 255;

/// The rules of every block with one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRule {
    /// Bodies can't pass.
    pub solid: bool,
    /// Light and sight can't pass; hides the faces behind it.
    pub opaque: bool,
    /// Flows, can be swum in, is drawn translucent.
    pub liquid: bool,
    /// Offered by block pickers.
    pub pickable: bool,
    /// How much support it can carry on, 0..=255.
    pub strength: u8,
    /// What support loses on its way in from a side, 1..=255. From below it loses nothing.
    pub side_loss: u8,
    /// What support loses on its way in from above, 1..=255.
    pub hang_loss: u8,
    /// Supports itself for ever.
    pub anchored: bool,
    /// Takes support from below alone, and runs down slopes.
    pub loose: bool,
    /// What a blast loses in it, 1..=255.
    pub blast_loss: u8,
    /// Power of its own blast when it is set off; 0 for what doesn't explode.
    pub explosive: u8,
    /// What bodies on the move pay for it.
    pub cost: MovementCost,
    /// Can be climbed, up and down.
    pub climb: bool,
    /// Light given off, 0..=15.
    pub light: u8,
    /// Light lost in it, 1..=15.
    pub light_loss: u8,
    /// Red, green, blue.
    pub colour: [u8; 3],
}

/// What is wrong with a rules file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct RulesError {
    /// The file as the caller named it.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What is wrong and what would be accepted.
    pub message: String,
}

impl RulesError {
    /// A problem with its place in the text.
    pub(crate) fn at(file: &str, text: &str, (span, message): Problem) -> Self {
        let before = &text[..text.floor_char_boundary(span.start)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Self { file: file.to_owned(), line, column, message }
    }
}

/// Why a name can't be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No id is left.
    #[error(
        "the world's registry is full: {needed} block states are needed and {BLOCKS_MAX} is the most a world can hold; \
         import less into this world, or make a second one"
    )]
    Full {
        /// How many entries the registry would have needed.
        needed: usize,
    },
    /// The text is not a block's name.
    #[error(
        "{name:?} is not a block name: use lower-case letters, digits, _ - . / : and then, if it has states, \
         [key=value,…] with sorted keys, {BLOCK_NAME_BYTES_MAX} bytes at most"
    )]
    Name {
        /// The text given.
        name: String,
    },
    /// Two rules together reach further than a tick may look.
    #[error(
        "{what} of {strong} is {most}, and {loss} of {weak} is {least}: that reaches past {REACH} voxels. {what} may be at \
         most {REACH} × the smallest {loss} of all blocks: give {strong} at most {}, or {weak} at least {}",
        u32::from(*least) * REACH as u32,
        u32::from(*most).div_ceil(REACH as u32)
    )]
    Reach {
        /// The rule that is too large.
        what: &'static str,
        /// The block that has it.
        strong: String,
        /// Its value.
        most: u8,
        /// The rule that is too small.
        loss: &'static str,
        /// The block that has it.
        weak: String,
        /// Its value.
        least: u8,
    },
    /// A stored list of names is not a registry.
    #[error("entry {index} of the registry, {name:?}, {problem}")]
    List {
        /// Position in the list, which is the id.
        index: usize,
        /// The name found there.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

fn yes() -> bool {
    true
}

/// A rule as written: what is left out keeps the value of the plain block.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(default = "yes")]
    solid: bool,
    opaque: Option<bool>,
    #[serde(default)]
    liquid: bool,
    #[serde(default = "yes")]
    pickable: bool,
    strength: Option<Spanned<i64>>,
    side_loss: Option<Spanned<i64>>,
    hang_loss: Option<Spanned<i64>>,
    #[serde(default)]
    anchored: bool,
    #[serde(default)]
    loose: bool,
    blast_loss: Option<Spanned<i64>>,
    explosive: Option<Spanned<i64>>,
    #[serde(default)]
    cost: RawCost,
    #[serde(default)]
    climb: bool,
    light: Option<Spanned<i64>>,
    light_loss: Option<Spanned<i64>>,
    colour: Spanned<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawCost {
    walk: Option<Spanned<Cost>>,
    fly: Option<Spanned<Cost>>,
    swim: Option<Spanned<Cost>>,
    dig: Option<Spanned<Cost>>,
}

#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum Cost {
    Number(i64),
    Word(String),
}

/// A problem at a byte span of the text.
pub(crate) type Problem = (std::ops::Range<usize>, String);

/// A whole number of a rules file, or what it is if it is left out.
pub(crate) fn number(value: Option<Spanned<i64>>, default: i64, min: i64, max: i64, key: &str) -> Result<i64, Problem> {
    let Some(value) = value else { return Ok(default) };
    let given = *value.get_ref();
    if (min..=max).contains(&given) {
        return Ok(given);
    }
    Err((value.span(), format!("{key} = {given} is out of range: a whole number from {min} to {max} is accepted")))
}

fn cost(value: Option<Spanned<Cost>>, default: u8, key: &str) -> Result<u8, Problem> {
    let Some(value) = value else { return Ok(default) };
    match value.get_ref() {
        Cost::Number(n) if (1..255).contains(n) => Ok(*n as u8),
        Cost::Word(word) if word == "blocked" => Ok(BLOCKED),
        _ => Err((value.span(), format!("cost.{key} must be a whole number from 1 to 254, or \"blocked\""))),
    }
}

fn colour(value: &Spanned<String>) -> Result<[u8; 3], Problem> {
    let text = value.get_ref();
    let wrong =
        || (value.span(), format!("colour = {text:?} must be \"#rrggbb\" in hexadecimal, for example \"#7d7d7d\""));
    let digits = text.strip_prefix('#').filter(|d| d.len() == 6 && d.is_ascii()).ok_or_else(wrong)?;
    let value = u32::from_str_radix(digits, 16).map_err(|_| wrong())?;
    Ok([(value >> 16) as u8, (value >> 8) as u8, value as u8])
}

fn rule(raw: Spanned<RawRule>) -> Result<BlockRule, Problem> {
    let raw = raw.into_inner();
    let (on_foot, in_air) = if raw.solid { (GROUND_COST, BLOCKED) } else { (1, 1) };
    Ok(BlockRule {
        solid: raw.solid,
        opaque: raw.opaque.unwrap_or(raw.solid),
        liquid: raw.liquid,
        pickable: raw.pickable,
        strength: number(raw.strength, if raw.solid { 128 } else { 0 }, 0, 255, "strength")? as u8,
        side_loss: number(raw.side_loss, 8, 1, 255, "side_loss")? as u8,
        hang_loss: number(raw.hang_loss, 16, 1, 255, "hang_loss")? as u8,
        anchored: raw.anchored,
        loose: raw.loose,
        blast_loss: number(raw.blast_loss, if raw.solid { 16 } else { 4 }, 1, 255, "blast_loss")? as u8,
        explosive: number(raw.explosive, 0, 0, 255, "explosive")? as u8,
        cost: MovementCost {
            walk: cost(raw.cost.walk, if raw.liquid { 4 } else { on_foot }, "walk")?,
            fly: cost(raw.cost.fly, if raw.liquid { BLOCKED } else { in_air }, "fly")?,
            swim: cost(raw.cost.swim, if raw.liquid { 2 } else { BLOCKED }, "swim")?,
            dig: cost(raw.cost.dig, if raw.solid { 10 } else { 1 }, "dig")?,
        },
        climb: raw.climb,
        light: number(raw.light, 0, 0, 15, "light")? as u8,
        light_loss: number(raw.light_loss, if raw.opaque.unwrap_or(raw.solid) { 15 } else { 1 }, 1, 15, "light_loss")?
            as u8,
        colour: colour(&raw.colour)?,
    })
}

/// Parses rules; `file` only names the text in errors. The keys are block names without states.
pub fn parse_rules(file: &str, text: &str) -> Result<BTreeMap<String, BlockRule>, RulesError> {
    let at = |problem: Problem| RulesError::at(file, text, problem);
    let raw: BTreeMap<Spanned<String>, Spanned<RawRule>> =
        toml::from_str(text).map_err(|e| at((e.span().unwrap_or(0..0), e.message().to_owned())))?;
    let mut rules = BTreeMap::new();
    for (name, raw) in raw {
        if base_name(name.get_ref()) != name.get_ref() || !is_block_name(name.get_ref()) {
            let message = format!(
                "{:?} is not a block's name: rules belong to the name without states, such as \"oak_stairs\"",
                name.get_ref()
            );
            return Err(at((name.span(), message)));
        }
        rules.insert(name.into_inner(), rule(raw).map_err(&at)?);
    }
    Ok(rules)
}

/// The name without its states: `oak_stairs` of `oak_stairs[half=top]`.
pub fn base_name(name: &str) -> &str {
    name.split('[').next().unwrap_or(name)
}

/// Whether a text can be a block's name with its states. Keys must be sorted, so that one state has one name.
pub fn is_block_name(name: &str) -> bool {
    let plain = |text: &str, more: &[u8]| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || more.contains(&b))
    };
    let (base, states) = match name.split_once('[') {
        None => (name, None),
        Some((base, rest)) => match rest.strip_suffix(']') {
            None => return false,
            Some(states) => (base, Some(states)),
        },
    };
    let mut last_key = "";
    let states_fit = states.is_none_or(|states| {
        states.split(',').all(|state| {
            let Some((key, value)) = state.split_once('=') else { return false };
            let sorted = key > last_key;
            last_key = key;
            sorted && plain(key, b"_-.") && plain(value, b"_-.")
        })
    });
    name.len() <= BLOCK_NAME_BYTES_MAX && plain(base, b"_-./:") && states_fit
}

/// The blocks of one world: names by id, and the rules of each.
#[derive(Debug, Clone)]
pub struct Registry {
    names: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, BlockId>,
    rule_of: Vec<u32>,
    rules: Vec<BlockRule>,
    rule_names: HashMap<String, u32>,
}

impl Registry {
    /// The registry of a new world: every built-in block, air first, then by name.
    pub fn built_in() -> Self {
        let rules = parse_rules("built-in blocks", BUILT_IN_RULES).expect("the built-in rules are tested");
        let names: Vec<String> =
            ["air".to_owned()].into_iter().chain(rules.keys().filter(|n| *n != "air").cloned()).collect();
        Self::from_names(&names, &BTreeMap::new()).expect("the built-in names are tested")
    }

    /// A stored world's registry: names in id order, and the world's own rules on top of the built-in ones.
    pub fn from_names<S: AsRef<str>>(names: &[S], own: &BTreeMap<String, BlockRule>) -> Result<Self, RegistryError> {
        let mut rules = parse_rules("built-in blocks", BUILT_IN_RULES).expect("the built-in rules are tested");
        rules.extend(own.iter().map(|(name, rule)| (name.clone(), rule.clone())));
        let mut registry = Self {
            names: Vec::new(),
            ids: HashMap::new(),
            rule_of: Vec::new(),
            rules: vec![unknown_rule()],
            rule_names: HashMap::new(),
        };
        check_reach(&rules)?;
        for (name, rule) in rules {
            registry.rule_names.insert(name, registry.rules.len() as u32);
            registry.rules.push(rule);
        }
        if names.len() > BLOCKS_MAX {
            return Err(RegistryError::Full { needed: names.len() });
        }
        for (index, name) in names.iter().map(AsRef::as_ref).enumerate() {
            let problem = |problem| RegistryError::List { index, name: name.to_owned(), problem };
            if (index == 0) != (name == "air") {
                return Err(problem("is out of place: air has id 0, and only air"));
            }
            if !is_block_name(name) {
                return Err(problem("is not a block name"));
            }
            if registry.ids.contains_key(name) {
                return Err(problem("is there twice"));
            }
            registry.push(name);
        }
        if names.is_empty() {
            return Err(RegistryError::List {
                index: 0,
                name: String::new(),
                problem: "is missing: a registry holds air at least",
            });
        }
        Ok(registry)
    }

    fn push(&mut self, name: &str) -> BlockId {
        let id = BlockId(self.names.len() as u16);
        let name: Arc<str> = name.into();
        let rule = self.rule_names.get(base_name(&name)).copied().or_else(|| self.colour_rule(&name));
        self.rule_of.push(rule.unwrap_or(0));
        self.ids.insert(Arc::clone(&name), id);
        self.names.push(name);
        id
    }

    /// Makes the rule of a block that is only a colour, `vox:rrggbb`: the plain block in that colour, offered by pickers.
    fn colour_rule(&mut self, name: &str) -> Option<u32> {
        let colour = named_colour(name)?;
        self.rules.push(BlockRule { pickable: true, colour, ..self.rules[0].clone() });
        Some(self.rules.len() as u32 - 1)
    }

    /// Gives every name an id; those that are new get the next ones in sorted order. Either all fit or nothing changes.
    /// Returns the names that are new.
    pub fn register_all<S: AsRef<str> + Ord>(&mut self, names: &BTreeSet<S>) -> Result<Vec<Arc<str>>, RegistryError> {
        let mut new = Vec::new();
        for name in names.iter().map(AsRef::as_ref) {
            if !is_block_name(name) {
                return Err(RegistryError::Name { name: name.chars().take(BLOCK_NAME_BYTES_MAX).collect() });
            }
            if !self.ids.contains_key(name) {
                new.push(name);
            }
        }
        new.sort_unstable();
        let needed = self.names.len() + new.len();
        if needed > BLOCKS_MAX {
            return Err(RegistryError::Full { needed });
        }
        Ok(new
            .into_iter()
            .map(|name| {
                let id = self.push(name);
                Arc::clone(&self.names[usize::from(id.0)])
            })
            .collect())
    }

    /// How many blocks there are; ids run from 0 to one below it.
    #[allow(clippy::len_without_is_empty, reason = "a registry always holds air")]
    pub fn len(&self) -> usize {
        self.names.len()
    }
    /// Whether the id is registered.
    pub fn contains(&self, id: BlockId) -> bool {
        usize::from(id.0) < self.names.len()
    }
    /// The name with its states, if the id is registered.
    pub fn name(&self, id: BlockId) -> Option<&str> {
        self.names.get(usize::from(id.0)).map(AsRef::as_ref)
    }
    /// The id of a name with its states.
    pub fn id(&self, name: &str) -> Option<BlockId> {
        self.ids.get(name).copied()
    }
    /// All names in id order.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }
    /// The rule of a block, if the id is registered. Blocks nobody has written a rule for are plain and solid.
    pub fn rule(&self, id: BlockId) -> Option<&BlockRule> {
        self.rule_of.get(usize::from(id.0)).map(|&rule| &self.rules[rule as usize])
    }
    /// Every block with its name and rule, in id order.
    pub fn iter(&self) -> impl Iterator<Item = (BlockId, &str, &BlockRule)> {
        self.names
            .iter()
            .zip(&self.rule_of)
            .enumerate()
            .map(|(id, (name, &rule))| (BlockId(id as u16), name.as_ref(), &self.rules[rule as usize]))
    }
    /// Whether this block has a rule of its own (written, or made from its colour), or only the plain one.
    pub fn has_own_rule(&self, id: BlockId) -> bool {
        self.rule_of.get(usize::from(id.0)).is_some_and(|&rule| rule != 0)
    }
}

/// Support and blasts end within [`REACH`]: the largest value is at most that many times the smallest loss.
fn check_reach(rules: &BTreeMap<String, BlockRule>) -> Result<(), RegistryError> {
    let plain = ("(a block without a rule)".to_owned(), unknown_rule());
    let all = || rules.iter().chain([(&plain.0, &plain.1)]);
    // Anchored blocks hold whatever is beside them, whatever they would carry on; what is not solid carries nothing.
    let carrying = || all().filter(|(_, rule)| rule.solid && !rule.anchored);
    let check = |what, strongest: Option<(&String, u8)>, loss, weakest: Option<(&String, u8)>| {
        let (Some((strong, most)), Some((weak, least))) = (strongest, weakest) else { return Ok(()) };
        if u32::from(most) <= u32::from(least) * REACH as u32 {
            return Ok(());
        }
        Err(RegistryError::Reach { what, strong: strong.clone(), most, loss, weak: weak.clone(), least })
    };
    let strongest = carrying().map(|(name, rule)| (name, rule.strength)).max_by_key(|(_, strength)| *strength);
    let weakest = carrying().map(|(name, rule)| (name, rule.side_loss)).min_by_key(|(_, loss)| *loss);
    check("strength", strongest, "side_loss", weakest)?;
    let strongest = all().map(|(name, rule)| (name, rule.explosive)).max_by_key(|(_, power)| *power);
    let weakest = all().map(|(name, rule)| (name, rule.blast_loss)).min_by_key(|(_, loss)| *loss);
    check("explosive", strongest, "blast_loss", weakest)
}

/// The colour in a name of the form `vox:rrggbb`, which blocks without another name get from MagicaVoxel files.
fn named_colour(name: &str) -> Option<[u8; 3]> {
    let digits = name.strip_prefix("vox:").filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([red, green, blue])
}

/// The rule of a block that no file mentions: plain, solid, not offered by pickers.
fn unknown_rule() -> BlockRule {
    let text = "[unknown]\npickable = false\ncolour = \"#a08c9b\"\n";
    parse_rules("the plain block", text).expect("a constant").remove("unknown").expect("a constant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_set_has_sixty_blocks_and_air_is_zero() {
        let registry = Registry::built_in();
        assert!(registry.len() >= 60, "{} blocks", registry.len());
        assert_eq!(registry.id("air"), Some(AIR));
        assert!(!registry.rule(AIR).unwrap().solid);
        let bedrock = registry.id("bedrock").unwrap();
        assert!(registry.rule(bedrock).unwrap().anchored);
    }

    #[test]
    fn a_bad_file_is_refused_with_line_column_and_what_is_accepted() {
        let cases = [
            ("[stone]\ncolour = 5\n", 2, "string"),
            ("[stone]\ncolour = \"grey\"\n", 2, "#rrggbb"),
            ("[stone]\ncolour = \"#000000\"\nstrenght = 4\n", 3, "expected one of"),
            ("[stone]\ncolour = \"#000000\"\nlight = 16\n", 3, "0 to 15"),
            ("[stone]\ncolour = \"#000000\"\nsolid = maybe\n", 3, ""),
            ("[stone]\ncolour = \"#000000\"\ncost = { walk = \"never\" }\n", 3, "\"blocked\""),
            ("[stone]\ncolour = \"#000000\"\nside_loss = 0\n", 3, "1 to 255"),
            ("[stone]\ncolour = \"#000000\"\nhang_loss = 0\n", 3, "1 to 255"),
            ("[stone]\ncolour = \"#000000\"\nstrength = 256\n", 3, "0 to 255"),
            ("[\"stone[a=b]\"]\ncolour = \"#000000\"\n", 1, "without states"),
            ("[stone]\n[stone]\n", 2, "duplicate"),
        ];
        for (text, line, expected) in cases {
            let error = parse_rules("rules.toml", text).expect_err(text);
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.column >= 1 && error.to_string().starts_with("rules.toml:"), "{error}");
            assert!(error.message.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn rules_that_reach_past_a_tick_are_refused_and_both_blocks_are_named() {
        let with = |text: &str| Registry::from_names(&["air"], &parse_rules("rules.toml", text).unwrap());
        let error = with("[ice]\ncolour = \"#000000\"\nside_loss = 1\n").unwrap_err();
        let text = error.to_string();
        assert!(matches!(&error, RegistryError::Reach { weak, .. } if weak == "ice"), "{text}");
        assert!(text.contains("at most 64") && text.contains("ice at least 4"), "{text}");
        let error = with(
            "[air]\nsolid = false\ncolour = \"#000000\"\nblast_loss = 1\n\n[tnt]\ncolour = \"#000000\"\nexplosive = 65\n",
        );
        assert!(matches!(error, Err(RegistryError::Reach { what: "explosive", .. })), "{error:?}");
        assert!(with("[air]\nsolid = false\ncolour = \"#000000\"\nblast_loss = 1\n").is_ok());
    }

    #[test]
    fn names_have_one_spelling() {
        for good in ["air", "oak_stairs[facing=north,half=bottom]", "mod:block/a-b.c[a=1]"] {
            assert!(is_block_name(good), "{good}");
        }
        for bad in ["", "Air", "a b", "oak[", "oak[]", "oak[b=1,a=2]", "oak[a=1,a=2]", "oak[a=]", "oak[a=1]x", "é"] {
            assert!(!is_block_name(bad), "{bad}");
        }
    }

    #[test]
    fn new_ids_come_in_sorted_order_and_never_move() {
        let mut registry = Registry::built_in();
        let before = registry.names().to_vec();
        let new = registry.register_all(&BTreeSet::from(["zz[a=1]", "aa", "stone"])).unwrap();
        assert_eq!(new.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["aa", "zz[a=1]"]);
        assert_eq!(registry.names()[..before.len()], before[..]);
        assert!(registry.rule(registry.id("aa").unwrap()).unwrap().solid);
    }

    #[test]
    fn a_block_named_after_a_colour_has_it() {
        let mut registry = Registry::built_in();
        registry.register_all(&BTreeSet::from(["vox:0a80ff", "vox:0a80fg", "vox:0a80f"])).unwrap();
        let rule = |name| registry.rule(registry.id(name).unwrap()).unwrap();
        assert_eq!(rule("vox:0a80ff"), &BlockRule { pickable: true, colour: [10, 128, 255], ..unknown_rule() });
        assert!(registry.has_own_rule(registry.id("vox:0a80ff").unwrap()));
        assert_eq!((rule("vox:0a80fg"), rule("vox:0a80f")), (&unknown_rule(), &unknown_rule()));
        let stored = Registry::from_names(registry.names(), &BTreeMap::new()).unwrap();
        assert_eq!(stored.rule(stored.id("vox:0a80ff").unwrap()), Some(rule("vox:0a80ff")));
    }

    #[test]
    fn past_the_last_id_nothing_is_registered_and_the_error_says_so() {
        let mut registry = Registry::built_in();
        let many: BTreeSet<String> = (0..BLOCKS_MAX).map(|n| format!("b{n:05}")).collect();
        let before = registry.len();
        let needed = before + BLOCKS_MAX;
        assert_eq!(registry.register_all(&many), Err(RegistryError::Full { needed }));
        assert_eq!(registry.len(), before);
        let fits: BTreeSet<String> = many.into_iter().take(BLOCKS_MAX - before).collect();
        registry.register_all(&fits).unwrap();
        assert_eq!(registry.len(), BLOCKS_MAX);
    }
}
