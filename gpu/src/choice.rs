//! Which devices there are, and which one is meant.

use crate::error::GpuError;
use std::fmt::Write as _;

/// Which device to use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Choice {
    /// A real graphics processor: one with its own memory before one that shares the CPU's. Never software.
    #[default]
    Auto,
    /// As [`Choice::Auto`], and a device in software where there is no other.
    Any,
    /// The first whose name contains this, in upper or lower case.
    Named(String),
}

impl From<&str> for Choice {
    /// `auto`, `gpu`, or part of a name.
    fn from(word: &str) -> Self {
        match word {
            "auto" => Self::Auto,
            "gpu" => Self::Any,
            name => Self::Named(name.to_owned()),
        }
    }
}

/// What kind of device it is, the one to be preferred first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// With memory of its own.
    Discrete,
    /// In one package with the CPU.
    Integrated,
    /// Handed through from the host of a virtual machine.
    Virtual,
    /// The driver does not say.
    Other,
    /// A program that runs on the CPU, such as llvmpipe: right, and slow.
    Software,
}

/// A device as the system lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The name, as the driver says it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The interface it is reached through: `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// The driver and its version.
    pub driver: String,
    /// Most bytes of one buffer.
    pub buffer_bytes_max: u64,
    /// Most bytes of one buffer that a kernel sees.
    pub binding_bytes_max: u64,
    /// Whether it can time its own work.
    pub timestamps: bool,
}

impl Listed {
    /// Whether it is a program on the CPU.
    pub const fn is_software(&self) -> bool {
        matches!(self.kind, Kind::Software)
    }

    pub(crate) fn of(adapter: &wgpu::Adapter) -> Self {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        Self {
            kind: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => Kind::Discrete,
                wgpu::DeviceType::IntegratedGpu => Kind::Integrated,
                wgpu::DeviceType::VirtualGpu => Kind::Virtual,
                wgpu::DeviceType::Cpu => Kind::Software,
                wgpu::DeviceType::Other => Kind::Other,
            },
            backend: info.backend.to_string(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            name: info.name,
            buffer_bytes_max: limits.max_buffer_size,
            binding_bytes_max: limits.max_storage_buffer_binding_size,
            timestamps: adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY),
        }
    }
}

impl std::fmt::Display for Listed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            Kind::Discrete => "discrete",
            Kind::Integrated => "integrated",
            Kind::Virtual => "virtual",
            Kind::Other => "of unknown kind",
            Kind::Software => "software",
        };
        let mebibytes = self.binding_bytes_max.min(self.buffer_bytes_max) >> 20;
        write!(f, "{} ({kind}, {}, {}, {mebibytes} MiB at once)", self.name, self.backend, self.driver)
    }
}

/// Every device that the system knows, in its own order. A device may stand there once for each of its drivers.
pub fn devices() -> Vec<Listed> {
    adapters(&instance()).iter().map(Listed::of).collect()
}

pub(crate) fn instance() -> wgpu::Instance {
    let mut how = wgpu::InstanceDescriptor::new_without_display_handle();
    how.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    how.flags = wgpu::InstanceFlags::empty();
    wgpu::Instance::new(how)
}

pub(crate) fn adapters(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()))
}

/// Which of the listed devices is meant.
pub(crate) fn chosen(choice: &Choice, there: &[Listed]) -> Result<usize, GpuError> {
    if there.is_empty() {
        return Err(GpuError::NoDevice { advice: advice() });
    }
    let best = |fits: &dyn Fn(&Listed) -> bool| {
        let fitting = there.iter().enumerate().filter(|(_, listed)| fits(listed));
        fitting.min_by_key(|(_, listed)| listed.kind).map(|(number, _)| number)
    };
    let (found, asked) = match choice {
        Choice::Auto => (
            best(&|listed| !listed.is_software()),
            "a real graphics processor (\"gpu\" instead of \"auto\" takes a software device too)".to_owned(),
        ),
        Choice::Any => (best(&|_| true), "usable".to_owned()),
        Choice::Named(name) => {
            let part = name.to_lowercase();
            let number = there.iter().position(|listed| listed.name.to_lowercase().contains(&part));
            (number, format!("called {name:?} or like it"))
        }
    };
    found.ok_or_else(|| GpuError::NoSuchDevice { asked, there: lines(there) })
}

fn lines(there: &[Listed]) -> String {
    let mut text = String::new();
    for listed in there {
        let _ = writeln!(text, "  {listed}");
    }
    text.trim_end().to_owned()
}

/// What is probably missing where there is no device at all.
fn advice() -> String {
    if !cfg!(target_os = "linux") {
        return "Install the graphics driver of its maker, or use the CPU.".to_owned();
    }
    let render_nodes = std::fs::read_dir("/dev/dri").map(|nodes| nodes.count()).unwrap_or(0);
    let hardware = if render_nodes == 0 && !std::path::Path::new("/dev/nvidia0").exists() {
        "The system shows no graphics hardware either (/dev/dri is empty, there is no /dev/nvidia0); in a container it has to \
         be handed in (--gpus all, or --device /dev/dri)."
    } else {
        "There is graphics hardware; if its driver is installed, this user may lack the right to use it: join the groups \
         that own /dev/dri/* (render, video)."
    };
    format!(
        "On Linux a device takes the Vulkan loader (Debian and Ubuntu: libvulkan1) and a driver with a file in \
         /usr/share/vulkan/icd.d: mesa-vulkan-drivers for AMD and Intel, and for llvmpipe, which needs no hardware; NVIDIA's \
         comes with its own driver (nvidia_icd.json). {hardware}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, kind: Kind) -> Listed {
        Listed {
            name: name.to_owned(),
            kind,
            backend: "vulkan".to_owned(),
            driver: "a driver 1.2".to_owned(),
            buffer_bytes_max: 1 << 30,
            binding_bytes_max: 128 << 20,
            timestamps: true,
        }
    }

    #[test]
    fn the_best_real_device_is_chosen_and_software_only_when_asked_for() {
        let all = [
            listed("llvmpipe (LLVM 15)", Kind::Software),
            listed("UHD 630", Kind::Integrated),
            listed("H100", Kind::Discrete),
        ];
        for (choice, there, expected) in [
            ("auto", &all[..], Some(2)),
            ("auto", &all[..2], Some(1)),
            ("auto", &all[..1], None),
            ("gpu", &all[..], Some(2)),
            ("gpu", &all[..1], Some(0)),
            ("uhd", &all[..], Some(1)),
            ("LLVMpipe", &all[..], Some(0)),
            ("radeon", &all[..], None),
        ] {
            let found = chosen(&Choice::from(choice), there);
            assert_eq!(found.as_ref().ok().copied(), expected, "{choice}: {found:?}");
        }
    }

    #[test]
    fn an_error_names_what_there_is_and_what_to_do() {
        let all = [listed("llvmpipe (LLVM 15)", Kind::Software)];
        let error = chosen(&Choice::Auto, &all).expect_err("there is only software").to_string();
        assert!(error.contains("llvmpipe (LLVM 15) (software, vulkan, a driver 1.2, 128 MiB at once)"), "{error}");
        assert!(error.contains("\"gpu\" instead of \"auto\""), "{error}");
        let error = chosen(&Choice::Any, &[]).expect_err("there is nothing").to_string();
        assert!(cfg!(not(target_os = "linux")) || error.contains("mesa-vulkan-drivers"), "{error}");
    }
}
