//! Where stages come from that no generator has of its own: plug-ins, in a program that was built with them.

use terrane_world::generate::stage::StageSource;

/// The source of stages with which this program opens worlds.
#[cfg(feature = "plugins")]
pub fn source() -> impl StageSource {
    terrane_plugin::Plugins::new()
}

/// The source of stages with which this program opens worlds: it knows plug-ins by name, and can't run them.
#[cfg(not(feature = "plugins"))]
pub fn source() -> impl StageSource {
    without::Refused
}

#[cfg(not(feature = "plugins"))]
mod without {
    use std::sync::Arc;
    use terrane_world::generate::stage::{Making, Stage, StageSource};
    use terrane_world::generate::{GeneratorError, StageSetting};

    pub struct Refused;

    impl StageSource for Refused {
        fn stage(
            &self,
            setting: &StageSetting,
            making: &mut Making<'_>,
        ) -> Result<Option<Arc<dyn Stage>>, GeneratorError> {
            if !making.plugins.iter().any(|plugin| plugin.name == setting.stage) {
                return Ok(None);
            }
            let problem = "this program was built without plug-ins: use one that was built with the feature `plugins`, \
                           as it is by default";
            Err(GeneratorError::Plugin { plugin: setting.stage.clone(), problem: problem.to_owned() })
        }
    }
}
