//! What `world.toml` says about a generator: name, version, stages, plug-ins.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A generator by name and version, with the stages that were chosen for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GeneratorSetting {
    /// The name.
    pub name: String,
    /// The version, pinned when the world was made.
    pub version: u32,
    /// The stages in order; empty stands for the version's own list.
    pub stages: Vec<StageSetting>,
    /// SHA-256 of every plug-in by name, 64 hexadecimal digits.
    pub plugins: BTreeMap<String, String>,
}

/// One stage with its settings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StageSetting {
    /// The name of a built-in stage, of a plug-in, or of a stage that the program brings along.
    pub stage: String,
    /// Its settings; what is left out keeps the version's own value.
    pub settings: toml::Table,
}

/// A plug-in's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginFile {
    /// The name in `[plugins]`.
    pub name: String,
    /// The pinned SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// The file's bytes.
    pub wasm: Vec<u8>,
}

impl GeneratorSetting {
    /// A generator as its version has it.
    pub fn plain(name: &str, version: u32) -> Self {
        Self { name: name.to_owned(), version, ..Self::default() }
    }

    /// The same with its version's own stages written out one by one, so that they can be changed. It makes the same
    /// chunks.
    pub fn listed(name: &str, version: u32) -> Self {
        let stages = super::own_stages(name, version).iter();
        let stages =
            stages.map(|stage| StageSetting { stage: (*stage).to_owned(), ..StageSetting::default() }).collect();
        Self { stages, ..Self::plain(name, version) }
    }

    /// Whether nothing was chosen beyond name and version: a list that only writes the version's own stages out says no
    /// more than no list.
    pub fn is_plain(&self) -> bool {
        let own = Self::listed(&self.name, self.version).stages;
        self.plugins.is_empty() && (self.stages.is_empty() || self.stages == own)
    }

    /// The part of `world.toml` that says this. The same settings give the same text.
    pub fn to_toml(&self) -> String {
        let mut text = format!("[generator]\nname = {:?}\nversion = {}\n", self.name, self.version);
        for stage in &self.stages {
            let _ = write!(text, "\n[[generator.stage]]\nstage = {:?}\n", stage.stage);
            for (key, value) in &stage.settings {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text.push_str("\n# SHA-256 by name of the plug-in stages, whose files are plugins/NAME.wasm.\n[plugins]\n");
        for (name, sha256) in &self.plugins {
            let _ = writeln!(text, "{name} = {sha256:?}");
        }
        text
    }

    /// What must never change, as text: name and version, and all that was chosen beyond them.
    pub fn identity(&self) -> String {
        let mut text = format!("{} {}", self.name, self.version);
        if !self.stages.is_empty() || !self.plugins.is_empty() {
            let _ = write!(text, "\n{}", self.to_toml());
        }
        text
    }
}
