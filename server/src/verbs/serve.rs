//! placeholder
use crate::failure::Failure;
use clap::Args;
use std::process::ExitCode;
/// Serve
#[derive(Args)]
pub struct Serve {}
impl Serve {
    pub fn run(self, _json: bool) -> Result<ExitCode, Failure> {
        Err(Failure::new(""))
    }
}
