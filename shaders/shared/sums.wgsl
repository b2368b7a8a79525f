// Sums over a workgroup on any device. `shared/subgroups.wgsl` has the same for those with subgroups.

var<workgroup> sums: array<u32, GROUP>;

// Which one of the workgroup this invocation is.
var<private> me: u32;

struct Sum {
    // Over the invocations before this one.
    before: u32,
    // Over all.
    all: u32,
}

// Every invocation must call it.
fn sum_over(value: u32) -> Sum {
    workgroupBarrier();
    sums[me] = value;
    workgroupBarrier();
    for (var step = 1u; step < GROUP; step = step << 1u) {
        var other = 0u;
        if me >= step {
            other = sums[me - step];
        }
        workgroupBarrier();
        sums[me] += other;
        workgroupBarrier();
    }
    return Sum(sums[me] - value, sums[GROUP - 1u]);
}
