//! `world.toml` and the registry file: what a world is.

use crate::FORMAT_VERSION;
use crate::door::{Dir, Open};
use crate::error::{Context, StoreError};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use terrane_world::block::{BlockRule, Registry, parse_rules};
use terrane_world::generate::stage::StageSource;
use terrane_world::generate::{Generator, GeneratorSetting, PluginFile, StageSetting};
use terrane_world::path::mode::{Mode, parse_modes};
use terrane_world::physics::RuleSet;
use xxhash_rust::xxh3::xxh3_64;

/// The settings file.
pub const SETTINGS_FILE: &str = "world.toml";
/// What the settings file was when the world was made.
pub const SETTINGS_COPY: &str = "world.toml.copy";
/// The registry, and the copy that it can be repaired from.
pub const REGISTRY_FILES: [&str; 2] = ["registry", "registry.copy"];
const MINUTE_MS: u64 = 60_000;
/// Most minutes of `[cold]`: a century, so that they are a number of milliseconds.
const COLD_MINUTES_MAX: f64 = 52_560_000.0;
const REGISTRY_HEAD: &str = "terrane registry 1";

/// Above the generator in the text of a world that lists stages.
const STAGES_HINT: &str = "# The stages run in this order. Each may have settings, be moved or left out, and plug-ins may stand among them:\n\
     # docs/generation.md has the settings of every stage, docs/plugins.md tells how to write one.\n";

/// When a served world packs a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cold {
    /// Milliseconds that nobody has touched it; 0 for never.
    pub after_ms: u64,
}

impl Default for Cold {
    fn default() -> Self {
        Self { after_ms: 30 * MINUTE_MS }
    }
}

/// How far back history goes; 0 sets no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryLimits {
    /// Most bytes of the journal.
    #[serde(default)]
    pub bytes: u64,
    /// Most days.
    #[serde(default)]
    pub days: u64,
}

impl HistoryLimits {
    /// Everything is kept.
    pub const NONE: Self = Self { bytes: 0, days: 0 };
}

/// Those of a new world.
impl Default for HistoryLimits {
    fn default() -> Self {
        Self { bytes: 1 << 30, days: 90 }
    }
}

/// What a world says that says nothing of it: nothing is taken away that nobody has agreed to.
const fn unlimited() -> HistoryLimits {
    HistoryLimits::NONE
}

/// What `world.toml` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The world's id, random.
    pub id: [u8; 16],
    /// The seed of its generator.
    pub seed: u64,
    /// The generator of chunks that are not stored.
    pub generator: GeneratorSetting,
    /// Which rules decide what falls.
    pub physics: RuleSet,
    /// The world's own block rules, on top of the built-in ones.
    pub rules: BTreeMap<String, BlockRule>,
    /// The world's own movement modes, on top of the built-in ones.
    pub modes: BTreeMap<String, Mode>,
    /// When regions are packed.
    pub cold: Cold,
    /// How far back history goes.
    pub history: HistoryLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: toml::Spanned<u32>,
    id: toml::Spanned<String>,
    // A string, because a TOML integer is signed.
    seed: toml::Spanned<String>,
    #[serde(default)]
    physics: RuleSet,
    generator: RawGenerator,
    #[serde(default = "unlimited")]
    history: HistoryLimits,
    #[serde(default)]
    plugins: BTreeMap<String, String>,
    #[serde(default)]
    #[allow(dead_code, reason = "parsed again by the registry's own parser, which knows lines and accepted values")]
    rules: toml::Table,
    #[serde(default)]
    #[allow(dead_code, reason = "parsed again by the modes' own parser")]
    modes: toml::Table,
    #[serde(default)]
    cold: Option<RawCold>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCold {
    after_minutes: toml::Spanned<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGenerator {
    name: String,
    version: u32,
    #[serde(default)]
    stage: Vec<RawStage>,
}

#[derive(Deserialize)]
struct RawStage {
    stage: String,
    #[serde(flatten)]
    settings: toml::Table,
}

impl RawGenerator {
    fn with_plugins(self, plugins: BTreeMap<String, String>) -> GeneratorSetting {
        let stage = |raw: RawStage| StageSetting { stage: raw.stage, settings: raw.settings };
        let stages = self.stage.into_iter().map(stage).collect();
        GeneratorSetting { name: self.name, version: self.version, stages, plugins }
    }
}

impl Settings {
    /// The text of `world.toml` for a new world.
    pub fn to_toml(&self) -> String {
        let id: String = self.id.iter().map(|byte| format!("{byte:02x}")).collect();
        let stages = if self.generator.stages.is_empty() { "" } else { STAGES_HINT };
        format!(
            "# A Terrane world. Physics, [history], [rules] and [modes] may be changed at any time. Id, seed, generator and plug-ins are what its\n\
             # chunks are made from: as long as nothing has been stored in it they may be changed, after that a change is refused.\n\
             format = {FORMAT_VERSION}\nid = \"{id}\"\nseed = \"{}\"\n\
             # What falls: \"span\" (by strength and losses), \"connectivity\" (what is not connected to bedrock) or \"off\".\n\
             physics = \"{}\"\n\n{stages}{}\n\
             # A region that nobody has touched for so many minutes is packed while the world is served; 0 for never.\n\
             [cold]\nafter_minutes = {}\n\n\
             # How far back changes can be undone, in bytes and in days; 0 sets no limit.\n\
             [history]\nbytes = {}\ndays = {}\n\n\
             # The world's own block rules, for example:\n# [rules.oak_planks]\n# strength = 200\n# colour = \"#a2834f\"\n\n\
             # The world's own movement modes, for example:\n# [modes.giant]\n# cost = \"walk\"\n# height = 5\n# width = 3\n",
            self.seed,
            self.physics.name(),
            self.generator.to_toml(),
            self.cold.after_ms as f64 / MINUTE_MS as f64,
            self.history.bytes,
            self.history.days
        )
    }

    /// Parses `world.toml`.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let at = |offset: usize, what: String| StoreError::corrupt(SETTINGS_FILE, offset as u64, what);
        let raw: Raw = toml::from_str(text)
            .map_err(|e| at(e.span().map_or(0, |s| s.start), format!("{}{}", line_of(text, e.span()), e.message())))?;
        if *raw.format.get_ref() != FORMAT_VERSION {
            let found = *raw.format.get_ref();
            return Err(StoreError::Version { file: SETTINGS_FILE.into(), found, supported: FORMAT_VERSION });
        }
        let id = parse_id(raw.id.get_ref())
            .ok_or_else(|| at(raw.id.span().start, "id must be 32 hexadecimal digits".into()))?;
        let seed = (raw.seed.get_ref().parse()).map_err(|_| {
            at(raw.seed.span().start, "seed must be a whole number from 0 to 18446744073709551615".into())
        })?;
        let cold = raw.cold.map_or_else(
            || Ok(Cold::default()),
            |cold| {
                let minutes = *cold.after_minutes.get_ref();
                if !(0.0..=COLD_MINUTES_MAX).contains(&minutes) {
                    let span = cold.after_minutes.span();
                    let what = format!(
                        "{}after_minutes must be a number from 0 to {COLD_MINUTES_MAX}",
                        line_of(text, Some(span.clone()))
                    );
                    return Err(at(span.start, what));
                }
                Ok(Cold { after_ms: (minutes * MINUTE_MS as f64).ceil() as u64 })
            },
        )?;
        Ok(Self {
            id,
            seed,
            physics: raw.physics,
            generator: raw.generator.with_plugins(raw.plugins),
            rules: parse_rules(SETTINGS_FILE, &tables_of(text, "rules"))?,
            modes: parse_modes(SETTINGS_FILE, &tables_of(text, "modes"))?,
            cold,
            history: raw.history,
        })
    }

    /// A hash of what must never change.
    pub fn identity(&self) -> u64 {
        let mut text = format!("{} {}", self.seed, self.generator.identity()).into_bytes();
        text.extend_from_slice(&self.id);
        xxh3_64(&text)
    }
}

fn line_of(text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let Some(span) = span else { return String::new() };
    let before = &text[..text.floor_char_boundary(span.start)];
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("line {}, column {column}: ", before.matches('\n').count() + 1)
}

fn parse_id(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut id = [0u8; 16];
    for (n, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).ok()?;
    }
    Some(id)
}

/// Cuts the `[PART.NAME]` tables of one part out of the text, as `[NAME]` for the part's own parser, keeping lines and columns.
fn tables_of(text: &str, part: &str) -> String {
    let head = format!("[{part}.");
    let mut tables = String::with_capacity(text.len());
    let mut inside = false;
    for line in text.lines() {
        let start = line.trim_start();
        if start.starts_with('[') {
            inside = start.starts_with(&head);
        }
        if inside {
            let bare = format!("{:>width$}", "[", width = head.len());
            tables.push_str(&line.replacen(&head, &bare, usize::from(start.starts_with(&head))));
        }
        tables.push('\n');
    }
    tables
}

/// Writes a file whole, or leaves the one that was there.
pub(crate) fn replace_file(dir: &dyn Dir, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let new = format!("{name}.new");
    let file = dir.open(&new, Open::Create).at("creating", &new, 0)?;
    file.write_at(bytes, 0).at("writing", &new, 0)?;
    file.sync().synced(&new)?;
    dir.rename(&new, name).at("renaming", name, 0)?;
    dir.sync("").synced("the world's folder")
}

pub(crate) fn read_file(dir: &dyn Dir, name: &str) -> Result<Vec<u8>, StoreError> {
    let file = dir.open(name, Open::Read).at("opening", name, 0)?;
    let mut bytes = vec![0u8; file.len().at("measuring", name, 0)? as usize];
    file.read_at(&mut bytes, 0).at("reading", name, 0)?;
    Ok(bytes)
}

/// Reads `world.toml`, or its copy.
pub fn read_settings(dir: &dyn Dir, file: &str) -> Result<Settings, StoreError> {
    let bytes = read_file(dir, file)?;
    let text = String::from_utf8(bytes)
        .map_err(|e| StoreError::corrupt(file, e.utf8_error().valid_up_to() as u64, "it is not UTF-8"))?;
    Settings::parse(&text)
}

/// The path of a plug-in's file in the world's folder.
pub fn plugin_file(name: &str) -> String {
    format!("plugins/{name}.wasm")
}

/// Reads the plug-ins that the settings pin.
pub fn read_plugins(dir: &dyn Dir, generator: &GeneratorSetting) -> Result<Vec<PluginFile>, StoreError> {
    let read = |(name, sha256): (&String, &String)| -> Result<PluginFile, StoreError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            let what = format!("the plug-in {name:?} must be named in letters, digits, - and _: its file is NAME.wasm");
            return Err(StoreError::corrupt(SETTINGS_FILE, 0, what));
        }
        let wasm = read_file(dir, &plugin_file(name))?;
        Ok(PluginFile { name: name.clone(), sha256: sha256.clone(), wasm })
    };
    generator.plugins.iter().map(read).collect()
}

/// The generator that the settings name.
pub fn make_generator(
    dir: &dyn Dir,
    settings: &Settings,
    registry: &Registry,
    source: &dyn StageSource,
) -> Result<Generator, StoreError> {
    let plugins = read_plugins(dir, &settings.generator)?;
    Ok(Generator::new(&settings.generator, settings.seed, registry, &plugins, source)?)
}

/// Writes the registry: the copy first, so that the copy never knows less.
pub fn write_registry(dir: &dyn Dir, registry: &Registry) -> Result<(), StoreError> {
    let mut text = format!("{REGISTRY_HEAD}\n");
    for name in registry.names() {
        text.push_str(name);
        text.push('\n');
    }
    let checksum = xxh3_64(text.as_bytes());
    let _ = writeln!(text, "checksum {checksum:016x}");
    for file in REGISTRY_FILES.iter().rev() {
        replace_file(dir, file, text.as_bytes())?;
    }
    Ok(())
}

/// Reads one registry file, without the rules.
pub fn read_registry_names(dir: &dyn Dir, file: &str) -> Result<Vec<String>, StoreError> {
    parse_registry(file, &read_file(dir, file)?)
}

/// The names in the bytes of a registry file.
pub fn parse_registry(file: &str, bytes: &[u8]) -> Result<Vec<String>, StoreError> {
    let wrong = |offset: usize, what: &str| StoreError::corrupt(file, offset as u64, what);
    let text = std::str::from_utf8(bytes).map_err(|e| wrong(e.valid_up_to(), "it is not UTF-8"))?;
    let (names, last) = text
        .strip_suffix('\n')
        .and_then(|text| text.rsplit_once('\n'))
        .ok_or_else(|| wrong(bytes.len(), "its last line is not a checksum"))?;
    if last != format!("checksum {:016x}", xxh3_64(&bytes[..=names.len()])) {
        return Err(wrong(names.len() + 1, "it does not match its checksum"));
    }
    let mut lines = names.lines();
    match lines.next() {
        Some(REGISTRY_HEAD) => Ok(lines.map(str::to_owned).collect()),
        Some(head) if head.starts_with("terrane registry ") => {
            let found = head.trim_start_matches("terrane registry ").parse().unwrap_or(0);
            Err(StoreError::Version { file: file.into(), found, supported: FORMAT_VERSION })
        }
        _ => Err(wrong(0, "it does not begin like a registry")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_as_written_and_own_rules_count() {
        let settings = Settings {
            id: [7; 16],
            seed: u64::MAX,
            generator: GeneratorSetting::plain("hills", 1),
            physics: RuleSet::Connectivity,
            rules: BTreeMap::new(),
            modes: BTreeMap::new(),
            cold: Cold { after_ms: 90_000 },
            history: HistoryLimits { bytes: 5, days: 6 },
        };
        let text = settings.to_toml();
        assert_eq!(Settings::parse(&text).unwrap(), settings);
        let without = text.replace("[cold]\nafter_minutes = 1.5\n", "");
        assert_eq!(Settings::parse(&without).unwrap().cold, Cold::default());
        let own = Settings::parse(&format!("{text}[rules.stone]\nstrength = 8\ncolour = \"#010203\"\n")).unwrap();
        assert_eq!(own.rules["stone"].strength, 8);
        let old = text.replace("[history]\nbytes = 5\ndays = 6\n", "");
        assert_eq!(Settings::parse(&old).unwrap().history, HistoryLimits::NONE, "nobody has agreed to a limit");
        let own = Settings::parse(&text.replace("bytes = 5\n", "")).unwrap();
        assert_eq!(own.history, HistoryLimits { bytes: 0, days: 6 });
        let own = Settings::parse(&format!("{text}[modes.giant]\ncost = \"walk\"\nheight = 5\n")).unwrap();
        assert_eq!((own.modes["giant"].height, own.rules.len()), (5, 0));
        let error = Settings::parse(&format!("{text}[modes.giant]\ncost = \"crawl\"\n")).unwrap_err().to_string();
        let line = text.lines().count() + 2;
        assert!(error.contains(&format!("world.toml:{line}:8")), "{error}");
        let wrong =
            Settings::parse(&format!("{text}[rules.stone]\nstrength = -8\ncolour = \"#010203\"\n")).unwrap_err();
        let line = text.lines().count() + 2;
        assert!(wrong.to_string().starts_with(&format!("world.toml:{line}:12")), "{wrong}");
    }

    #[test]
    fn listed_stages_come_back_in_their_order_and_with_their_settings() {
        let mut generator = GeneratorSetting::listed("terrain", 1);
        assert!(generator.stages.len() > 5 && generator.is_plain());
        generator.stages.swap(0, 1);
        let table = toml::Table::from_iter([("rocks".to_owned(), vec!["stone", "tuff"].into())]);
        generator.stages[4].settings = table;
        generator.plugins.insert("lanterns".into(), "00".repeat(32));
        assert!(!generator.is_plain());
        let settings = Settings {
            id: [7; 16],
            seed: 1,
            generator,
            physics: RuleSet::Span,
            rules: BTreeMap::new(),
            modes: BTreeMap::new(),
            cold: Cold::default(),
            history: HistoryLimits { bytes: 5, days: 6 },
        };
        let text = settings.to_toml();
        assert!(text.contains("docs/generation.md"), "{text}");
        assert_eq!(Settings::parse(&text).unwrap(), settings);
    }

    #[test]
    fn a_wrong_settings_file_says_where_and_what() {
        for (text, part) in [
            ("format = 2\nid = \"00\"\nseed = \"1\"\n[generator]\nname=\"void\"\nversion=1\n", "format version 2"),
            ("format = 1\nid = \"00\"\nseed = \"1\"\n[generator]\nname=\"void\"\nversion=1\n", "32 hexadecimal"),
            ("format = 1\nseed = \"1\"\n", "missing field"),
            (
                "format = 1\nid = \"00\"\nseed = \"1\"\nphysics = \"on\"\n[generator]\nname=\"void\"\nversion=1\n",
                "expected one of `off`, `connectivity`, `span`",
            ),
            (
                "format = 1\nid = \"00000000000000000000000000000000\"\nseed = \"1\"\n[cold]\nafter_minutes = -1\n[generator]\nname=\"void\"\nversion=1\n",
                "line 5, column 17: after_minutes must be a number from 0",
            ),
            (
                "format = 1\nid = \"00\"\nseed = \"1\"\n[generator]\nname=\"void\"\nversion=1\n[history]\ndays = -1\n",
                "line 8",
            ),
            ("format = 1\nsead = \"1\"\n", "line 2, column 1"),
        ] {
            let error = Settings::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
