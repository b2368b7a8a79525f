//! The shaders of `shaders/`, as the build script has checked and embedded them.

use std::sync::LazyLock;

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// The constants that stand before every shader.
pub static PRELUDE: LazyLock<String> = LazyLock::new(crate::prelude::prelude);

/// A shader that a program brings along: the twin of a stage of its own, or of a built-in one in the place of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shader {
    /// The stem that `Stage::twin` names.
    pub stem: String,
    /// WGSL, which may include our shared files with lines such as `//!include stage`.
    pub source: String,
}

/// The source of a stem, from `own` before the built-in ones.
pub(crate) fn source<'a>(stem: &str, own: &'a [Shader]) -> Option<&'a str> {
    let brought = own.iter().find(|shader| shader.stem == stem).map(|shader| shader.source.as_str());
    brought.or_else(|| BUILT_IN.iter().find(|(known, _)| *known == stem).map(|(_, source)| *source))
}
