//! `terrane devices`.

use crate::failure::Failure;
use clap::Args;
use std::process::ExitCode;

/// List the graphics devices that `generate --compute gpu` can use, and say what is missing if there is none
#[derive(Args)]
pub struct Devices {}

impl Devices {
    #[cfg(feature = "gpu")]
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        use terrane_gpu::Choice;
        let listed = terrane_gpu::devices();
        if json {
            let facts: Vec<_> = listed.iter().map(facts).collect();
            say!("{}", serde_json::json!({ "devices": facts }));
        } else {
            listed.iter().for_each(|device| say!("{device}"));
        }
        if listed.is_empty() {
            // Opening says why there is none.
            let error = terrane_gpu::Device::open(&Choice::Any).err().map(|error| error.to_string());
            return Err(Failure::new(error.unwrap_or_else(|| "there is no graphics device".to_owned())));
        }
        if !json && listed.iter().all(terrane_gpu::Listed::is_software) {
            say!("These run on the CPU: --compute gpu takes them, --compute auto does not.");
        }
        Ok(ExitCode::SUCCESS)
    }

    #[cfg(not(feature = "gpu"))]
    pub fn run(self, _: bool) -> Result<ExitCode, Failure> {
        Err(Failure::new("this program was built without graphics devices: the feature `gpu` is on by default"))
    }
}

#[cfg(feature = "gpu")]
fn facts(device: &terrane_gpu::Listed) -> serde_json::Value {
    serde_json::json!({
        "name": device.name, "software": device.is_software(), "backend": device.backend, "driver": device.driver,
        "buffer_bytes_max": device.buffer_bytes_max, "binding_bytes_max": device.binding_bytes_max,
    })
}
