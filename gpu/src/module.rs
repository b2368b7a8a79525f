//! A shader as the device takes it. The one place of this crate with unsafe code.

use crate::shaders;

/// Makes the module of a shader's `text`, of which the part behind the prelude is `source`. Every index is checked; that loops
/// end is checked only in shaders that a program brings along. Ours are left without that counter in each turn of each loop: it
/// takes 4 to 9 % of the time on a large device, and keeps short loops from being unrolled.
pub(crate) fn module(device: &wgpu::Device, stem: &str, source: &str, text: &str) -> wgpu::ShaderModule {
    let is_ours = shaders::source(stem, &[]).is_some_and(|built_in| built_in == source);
    let checks = wgpu::ShaderRuntimeChecks { force_loop_bounding: !is_ours, ..wgpu::ShaderRuntimeChecks::checked() };
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(stem), source: wgpu::ShaderSource::Wgsl(text.into()) };
    // SAFETY: it asks that loops end where their bounding is left out. Those of shaders/ count to a bound, take bits off a word
    // until it is zero, follow links that lead to smaller ids, or go on while a distance falls, which it can't do more often than
    // its number allows.
    #[allow(unsafe_code, reason = "said above")]
    unsafe {
        device.create_shader_module_trusted(descriptor, checks)
    }
}
