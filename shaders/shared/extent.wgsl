// The least and the greatest of a number over a chunk's footprint, as `Maps::range` and `Maps::ground` have it.

var<workgroup> least: atomic<i32>;
var<workgroup> greatest: atomic<i32>;

// The least `low` and the greatest `high` of all invocations. Every invocation must call it.
fn extent(low: vec4<i32>, high: vec4<i32>, invocation: u32) -> vec2<i32> {
    if invocation == 0u {
        atomicStore(&least, 0x7FFFFFFF);
        atomicStore(&greatest, -0x7FFFFFFF);
    }
    workgroupBarrier();
    atomicMin(&least, min(min(low.x, low.y), min(low.z, low.w)));
    atomicMax(&greatest, max(max(high.x, high.y), max(high.z, high.w)));
    workgroupBarrier();
    return vec2<i32>(atomicLoad(&least), atomicLoad(&greatest));
}
