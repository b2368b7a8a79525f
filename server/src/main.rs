//! The one executable: the command line, and the wiring of roles to network, store and threads.
//!
//! Clocks, threads and entropy live here (and in net/shell); everything below takes them as arguments.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "this is where clocks and threads come from")]

/// Prints a line on stdout. Whoever closes the pipe early, as `head` does, has seen enough.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($part)*);
    }};
}

mod bars;
mod compute;
mod exporting;
mod failure;
mod logs;
mod memory;
mod naming;
mod parts;
mod pathing;
mod serving;
mod simulating;
mod stages;
mod stopping;
mod undoing;
mod verbs;
mod worlds;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// One seamless voxel world: generate it, import real ones, serve it.
#[derive(Parser)]
#[command(name = "terrane", version, after_help = EXAMPLES)]
struct CommandLine {
    /// Print facts as one JSON object on stdout
    #[arg(long, global = true)]
    json: bool,
    /// How the log on stderr looks
    #[arg(long, global = true, value_enum, default_value = "text")]
    log_format: logs::Format,
    /// What the log tells: error, warn, info, debug, trace, or a filter such as terrane=debug
    #[arg(long, global = true, default_value = "info")]
    log: String,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  terrane serve --world my-world --listen 127.0.0.1:7777
      a new world, served; open http://127.0.0.1:7777/ in a browser
  terrane import ~/.minecraft/saves/Home --world home && terrane serve --world home
      a Minecraft world, 1.13 or later
  terrane map --world home --out home.png
      a picture of it from above
  terrane path --world home --from 0,70,0 --to 90,66,40 --mode ground --map way.png
      the way for somebody on foot, and a picture of it
  terrane export --world home --box -64,0,-64:64,128,64 --out part.npy
      a part of it as a numpy array

Boxes are X0,Y0,Z0:X1,Y1,Z1; the second corner is not included. Y is up, from -2048 to 2047.
Exit code: 0 done, 1 something failed or was skipped, 2 wrong use, 130 interrupted.";

#[derive(Subcommand)]
enum Verb {
    New(verbs::new::New),
    Devices(verbs::devices::Devices),
    Serve(verbs::serve::Serve),
    Import(verbs::import::Import),
    Export(verbs::export::Export),
    Generate(verbs::generate::Generate),
    Simulate(verbs::simulate::Simulate),
    Edit(verbs::edit::Edit),
    Undo(verbs::undo::Undo),
    Restore(verbs::restore::Restore),
    Map(verbs::map::Map),
    Path(verbs::path::Path),
    Digest(verbs::digest::Digest),
    Info(verbs::info::Info),
    Pack(verbs::pack::Pack),
    Backup(verbs::backup::Backup),
    RestoreBackup(verbs::restore_backup::RestoreBackup),
    Check(verbs::check::Check),
}

fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return wrong_use(&error),
    };
    let json = line.json;
    if let Err(error) = logs::start(line.log_format, &line.log) {
        tell(&error.to_string(), json);
        return ExitCode::from(2);
    }
    let result = match line.verb {
        Verb::New(verb) => verb.run(json),
        Verb::Devices(verb) => verb.run(json),
        Verb::Serve(verb) => verb.run(json),
        Verb::Import(verb) => verb.run(json),
        Verb::Export(verb) => verb.run(json),
        Verb::Generate(verb) => verb.run(json),
        Verb::Simulate(verb) => verb.run(json),
        Verb::Edit(verb) => verb.run(json),
        Verb::Undo(verb) => verb.run(json),
        Verb::Restore(verb) => verb.run(json),
        Verb::Map(verb) => verb.run(json),
        Verb::Path(verb) => verb.run(json),
        Verb::Digest(verb) => verb.run(json),
        Verb::Info(verb) => verb.run(json),
        Verb::Pack(verb) => verb.run(json),
        Verb::Backup(verb) => verb.run(json),
        Verb::RestoreBackup(verb) => verb.run(json),
        Verb::Check(verb) => verb.run(json),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            tell(&failure.to_string(), json);
            ExitCode::FAILURE
        }
    }
}

fn tell(error: &str, json: bool) {
    eprintln!("error: {error}");
    if json {
        say!("{}", serde_json::json!({ "error": error }));
    }
}

/// Prints what the command line should have been, or the help or version that it asked for.
fn wrong_use(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    // The line was not understood, so only its raw words can say how it wants to be answered.
    if std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        let (problem, _) = text.split_once("\n\nUsage:").unwrap_or((&text, ""));
        let problem = match error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no verb was given: `terrane --help` lists them",
            _ => problem.trim().trim_start_matches("error: "),
        };
        say!("{}", serde_json::json!({ "error": problem }));
    }
    ExitCode::from(2)
}
