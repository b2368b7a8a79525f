//! An open device: its errors as values, its kernels made once each, and its memory.

use crate::assemble::assemble;
use crate::choice::{Choice, Listed, adapters, chosen, instance};
use crate::error::GpuError;
use crate::module::module;
use crate::shaders;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most bytes of one buffer that we ask for: what the interfaces can index with a signed number.
const BUFFER_BYTES_WANTED: u64 = i32::MAX as u64 & !0xFFFF;
/// Storage buffers that a kernel sees at once.
const STORAGE_BUFFERS: u32 = 5;
/// Most bytes of a workgroup's own memory that we ask for: what all but the smallest devices have.
const WORKGROUP_BYTES_WANTED: u32 = 32 << 10;

/// A graphics device, opened.
pub struct Device {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    listed: Listed,
    trouble: Arc<Trouble>,
    layouts: [(wgpu::BindGroupLayout, wgpu::PipelineLayout); 6],
    kernels: Mutex<BTreeMap<(String, &'static str), Arc<Kernel>>>,
}

/// What went wrong outside of any call.
#[derive(Default)]
struct Trouble {
    lost: Mutex<Option<String>>,
    uncaptured: Mutex<Option<String>>,
}

/// Which buffers a kernel sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// Parameters, footprints, maps.
    Maps,
    /// Parameters, chunks, maps, voxels to change in place.
    InPlace,
    /// Parameters, chunks, maps, voxels before, voxels after.
    WithHalo,
    /// Parameters, and words to write.
    Words,
    /// Relaxation: rules, chunks, queue, classes and exits, distances.
    Relax,
    /// Labelling: chunks, sums, bits, labels.
    Label,
}

impl Shape {
    /// The bindings, each with whether the kernel may write there.
    const fn bindings(self) -> &'static [(u32, bool)] {
        match self {
            Self::Maps => &[(0, false), (1, false), (2, true)],
            Self::InPlace => &[(0, false), (1, false), (2, true), (4, true)],
            Self::WithHalo => &[(0, false), (1, false), (2, true), (3, false), (4, true)],
            Self::Words => &[(0, false), (4, true)],
            Self::Relax => &[(0, false), (1, false), (2, true), (3, false), (4, true)],
            Self::Label => &[(1, false), (2, true), (3, false), (4, true)],
        }
    }

    const ALL: [Self; 6] = [Self::Maps, Self::InPlace, Self::WithHalo, Self::Words, Self::Relax, Self::Label];
}

/// One entry point of one shader, ready to run.
pub(crate) struct Kernel {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) shape: Shape,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({})", self.listed)
    }
}

impl Device {
    /// Opens a device.
    pub fn open(choice: &Choice) -> Result<Self, GpuError> {
        let instance = instance();
        let adapters = adapters(&instance);
        let listed: Vec<Listed> = adapters.iter().map(Listed::of).collect();
        let number = chosen(choice, &listed)?;
        Self::from_adapter(&adapters[number], listed[number].clone())
    }

    fn from_adapter(adapter: &wgpu::Adapter, listed: Listed) -> Result<Self, GpuError> {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("terrane"),
            required_features: adapter.features() & (wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SUBGROUP),
            required_limits: limits(adapter, &listed)?,
            ..Default::default()
        };
        let refused = |problem: wgpu::RequestDeviceError| GpuError::Refused {
            device: listed.name.clone(),
            problem: problem.to_string(),
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).map_err(refused)?;
        let trouble = Arc::new(Trouble::default());
        let heard = trouble.clone();
        device.set_device_lost_callback(move |reason, words| {
            *locked(&heard.lost) = Some(format!("{words} ({reason:?})"));
        });
        let heard = trouble.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            locked(&heard.uncaptured).get_or_insert(error.to_string());
        }));
        let layouts = Shape::ALL.map(|shape| layout(&device, shape));
        Ok(Self { device, queue, listed, trouble, layouts, kernels: Mutex::default() })
    }

    /// What the system says about it.
    pub const fn listed(&self) -> &Listed {
        &self.listed
    }

    /// Whether kernels may use subgroups.
    pub(crate) fn has_subgroups(&self) -> bool {
        self.device.features().contains(wgpu::Features::SUBGROUP)
    }

    /// Most bytes that a kernel sees of one buffer.
    pub(crate) fn binding_bytes_max(&self) -> u64 {
        let limits = self.device.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)
    }

    /// Most bytes of one buffer.
    pub(crate) fn buffer_bytes_max(&self) -> u64 {
        self.device.limits().max_buffer_size
    }

    pub(crate) fn bind_group_layout(&self, shape: Shape) -> &wgpu::BindGroupLayout {
        &self.layouts[shape as usize].0
    }

    /// An error if workgroups have less memory of their own than a kernel needs.
    pub(crate) fn check_workgroup_bytes(&self, needs: u32) -> Result<(), GpuError> {
        let has = self.device.limits().max_compute_workgroup_storage_size;
        let (device, limit) = (self.listed.name.clone(), "the memory of a workgroup");
        let weak = GpuError::TooWeak { device, limit, has: u64::from(has), needs: u64::from(needs) };
        if has < needs { Err(weak) } else { Ok(()) }
    }

    /// Buffers as a kernel sees them: binding, buffer, and how many bytes of it.
    pub(crate) fn bind(&self, shape: Shape, buffers: &[(u32, &wgpu::Buffer, u64)]) -> wgpu::BindGroup {
        let entry = |&(binding, buffer, bytes)| wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset: 0,
                size: std::num::NonZero::new(bytes),
            }),
        };
        let entries: Vec<_> = buffers.iter().map(entry).collect();
        let layout = self.bind_group_layout(shape);
        self.device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
    }

    /// Does something with the device, with all that the device has to say against it as the error. `doing` completes
    /// "refused …".
    pub(crate) fn guarded<T>(&self, doing: &str, work: impl FnOnce() -> T) -> Result<T, GpuError> {
        let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory];
        let scopes = filters.map(|filter| self.device.push_error_scope(filter));
        let done = work();
        // Innermost first, as they were nested.
        let mut first = None;
        for scope in scopes.into_iter().rev() {
            first = first.or(pollster::block_on(scope.pop()));
        }
        self.check(doing)?;
        match first {
            None => Ok(done),
            Some(error) => Err(self.error(doing, &error)),
        }
    }

    fn error(&self, doing: &str, error: &wgpu::Error) -> GpuError {
        let (device, doing) = (self.listed.name.clone(), doing.to_owned());
        match error {
            wgpu::Error::OutOfMemory { .. } => GpuError::OutOfMemory { device, doing },
            error => GpuError::Invalid { device, doing, problem: error.to_string() },
        }
    }

    /// The error for something that it refused in some other way.
    pub(crate) fn invalid(&self, doing: &str, problem: &str) -> GpuError {
        GpuError::Invalid { device: self.listed.name.clone(), doing: doing.to_owned(), problem: problem.to_owned() }
    }

    /// An error if the device is lost, or has complained outside of any call.
    pub(crate) fn check(&self, doing: &str) -> Result<(), GpuError> {
        let device = || self.listed.name.clone();
        if let Some(reason) = locked(&self.trouble.lost).clone() {
            return Err(GpuError::Lost { device: device(), reason });
        }
        match locked(&self.trouble.uncaptured).take() {
            Some(problem) => Err(GpuError::Invalid { device: device(), doing: doing.to_owned(), problem }),
            None => Ok(()),
        }
    }

    /// Gives the device up at once, as a driver does that resets it: whatever is under way or begun later ends in
    /// [`GpuError::Lost`].
    pub fn abandon(&self) {
        locked(&self.trouble.lost).get_or_insert_with(|| "it was given up by this program".to_owned());
        self.device.destroy();
    }

    /// Waits until a submission is through.
    pub(crate) fn wait(&self, submission: wgpu::SubmissionIndex, doing: &str) -> Result<(), GpuError> {
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        let polled = self.guarded(doing, || self.device.poll(wait))?;
        polled.map(|_| ()).map_err(|error| GpuError::Invalid {
            device: self.listed.name.clone(),
            doing: doing.to_owned(),
            problem: error.to_string(),
        })
    }

    /// The kernel of a shader's entry point; made at the first call. `stem` is for errors.
    pub(crate) fn kernel(
        &self,
        stem: &str,
        source: &str,
        entry: &'static str,
        shape: Shape,
    ) -> Result<Arc<Kernel>, GpuError> {
        let key = (format!("{shape:?} {source}"), entry);
        if let Some(kernel) = locked(&self.kernels).get(&key) {
            return Ok(kernel.clone());
        }
        let wrong = |problem| GpuError::Shader { stem: stem.to_owned(), problem };
        let whole = assemble(shaders::PRELUDE.as_str(), shaders::SHARED, &format!("shaders/{stem}.wgsl"), source)
            .map_err(wrong)?;
        let doing = format!("the kernel {entry:?} of the shader {stem:?}");
        let module = self.guarded(&doing, || module(&self.device, stem, source, &whole.text));
        let module = module.map_err(|error| match error {
            GpuError::Invalid { problem, .. } => wrong(placed(&whole, &problem)),
            other => other,
        })?;
        let pipeline = self.guarded(&doing, || {
            self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(stem),
                layout: Some(&self.layouts[shape as usize].1),
                module: &module,
                entry_point: Some(entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            })
        });
        let pipeline = pipeline.map_err(|error| match error {
            GpuError::Invalid { problem, .. } => wrong(problem),
            other => other,
        })?;
        let kernel = Arc::new(Kernel { pipeline, shape });
        locked(&self.kernels).insert(key, kernel.clone());
        Ok(kernel)
    }
}

/// naga's message with our file and line in front. It names the line as `┌─ LABEL:LINE:COLUMN`.
fn placed(whole: &crate::assemble::Assembled, problem: &str) -> String {
    let after_mark = problem.split_once("┌─ ").and_then(|(_, rest)| rest.lines().next());
    let line = after_mark.and_then(|place| place.rsplit(':').nth(1)).and_then(|line| line.parse().ok());
    line.map_or_else(
        || problem.to_owned(),
        |line| {
            let (file, line) = whole.place(line);
            format!("{file}:{line}: {problem}")
        },
    )
}

/// What the kernels need, raised to what the device has where more is better.
fn limits(adapter: &wgpu::Adapter, listed: &Listed) -> Result<wgpu::Limits, GpuError> {
    let has = adapter.limits();
    let mut limits = wgpu::Limits::downlevel_defaults();
    limits.max_storage_buffers_per_shader_stage = STORAGE_BUFFERS;
    limits.max_compute_workgroup_storage_size =
        has.max_compute_workgroup_storage_size.clamp(limits.max_compute_workgroup_storage_size, WORKGROUP_BYTES_WANTED);
    limits.max_buffer_size = has.max_buffer_size.min(BUFFER_BYTES_WANTED);
    limits.max_storage_buffer_binding_size = has.max_storage_buffer_binding_size.min(BUFFER_BYTES_WANTED);
    let needed = [
        ("the number of storage buffers", has.max_storage_buffers_per_shader_stage, STORAGE_BUFFERS),
        ("the size of a workgroup", has.max_compute_invocations_per_workgroup, crate::prelude::GROUP),
        ("the number of workgroups", has.max_compute_workgroups_per_dimension, u32::from(u16::MAX)),
    ];
    match needed.into_iter().find(|(_, has, needs)| has < needs) {
        None => Ok(limits),
        Some((limit, has, needs)) => {
            Err(GpuError::TooWeak { device: listed.name.clone(), limit, has: u64::from(has), needs: u64::from(needs) })
        }
    }
}

fn layout(device: &wgpu::Device, shape: Shape) -> (wgpu::BindGroupLayout, wgpu::PipelineLayout) {
    let entry = |&(binding, writes): &(u32, bool)| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only: !writes },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    };
    let entries: Vec<_> = shape.bindings().iter().map(entry).collect();
    let group = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
    let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&group)],
        immediate_size: 0,
    });
    (group, pipeline)
}
