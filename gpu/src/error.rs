//! What can go wrong on a graphics device. None of it is a panic, and none of it leaves half-made chunks behind.

use terrane_world::generate::GenerateError;

/// An error of choosing, opening or using a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// There is no device at all.
    #[error("there is no graphics device that Vulkan, Metal or DirectX 12 knows of. {advice}")]
    NoDevice {
        /// What is probably missing, and how to get it.
        advice: String,
    },
    /// There are devices, but none that was asked for.
    #[error("no graphics device is {asked}; there are:\n{there}")]
    NoSuchDevice {
        /// What was asked for.
        asked: String,
        /// The devices that there are, one a line.
        there: String,
    },
    /// The device can do less than the kernels need.
    #[error("{device} is too small: {limit} is {has} there and has to be {needs}; choose another device or the CPU")]
    TooWeak {
        /// The device's name.
        device: String,
        /// Which of its limits.
        limit: &'static str,
        /// What it has.
        has: u64,
        /// What is needed.
        needs: u64,
    },
    /// The driver did not hand the device out.
    #[error("{device} could not be opened: {problem}")]
    Refused {
        /// The device's name.
        device: String,
        /// The driver's words.
        problem: String,
    },
    /// The device is gone: unplugged, reset, or stopped by its driver for taking too long.
    #[error("{device} was lost: {reason}; what it was making is gone, open it anew or go on with the CPU")]
    Lost {
        /// The device's name.
        device: String,
        /// The driver's words.
        reason: String,
    },
    /// The device's memory is full.
    #[error("{device} has no memory left for {doing}; allow fewer bytes with --memory")]
    OutOfMemory {
        /// The device's name.
        device: String,
        /// What it was for.
        doing: String,
    },
    /// One batch is more than the memory that was allowed, or more than the device binds at once.
    #[error(
        "{chunks} chunks need {needs} bytes on the device, and {allowed} are allowed; ask for fewer at once, or allow more"
    )]
    TooLarge {
        /// Chunks that would have been made, those in halos included.
        chunks: usize,
        /// What they need.
        needs: u64,
        /// What is allowed.
        allowed: u64,
    },
    /// What is in flight leaves no room.
    #[error(
        "{in_use} of {allowed} bytes on the device are in use and {needs} more were asked for: collect a batch first"
    )]
    Full {
        /// Bytes in use.
        in_use: u64,
        /// Bytes asked for.
        needs: u64,
        /// What is allowed.
        allowed: u64,
    },
    /// A shader is not right.
    #[error("the shader {stem:?} is not right: {problem}")]
    Shader {
        /// Its stem.
        stem: String,
        /// File and line, and what is wrong there.
        problem: String,
    },
    /// The device refused something that we asked of it, which is our mistake or the driver's.
    #[error("{device} refused {doing}: {problem}; please report this with the output of `terrane devices`")]
    Invalid {
        /// The device's name.
        device: String,
        /// What was being done.
        doing: String,
        /// The refusal.
        problem: String,
    },
    /// Something was to be measured that does not run on the device as a whole.
    #[error("stage {stage:?} has no twin in WGSL and runs on the CPU, so there is nothing to measure")]
    NoTwin {
        /// The stage.
        stage: String,
    },
    /// A stage that runs on the CPU failed.
    #[error(transparent)]
    Stage(#[from] GenerateError),
}
