// Sums over a workgroup on devices with subgroups, of any size. `shared/sums.wgsl` has the same for others.

// By subgroup, of which each has four invocations or more.
var<workgroup> sums: array<u32, GROUP / 4u>;

// Which one of the workgroup this invocation is, which one of its subgroup, and how many that has. How a device spreads a
// workgroup over subgroups is its own matter, so `me` is counted along subgroups.
var<private> me: u32;
var<private> lane: u32;
var<private> lanes: u32;

struct Sum {
    // Over the invocations before this one.
    before: u32,
    // Over all.
    all: u32,
}

// Every invocation must call it.
fn sum_over(value: u32) -> Sum {
    let before = subgroupExclusiveAdd(value);
    let mine = me / lanes;
    workgroupBarrier();
    if lane == lanes - 1u {
        sums[mine] = before + value;
    }
    workgroupBarrier();
    var sum = Sum(before, 0u);
    for (var n = 0u; n < GROUP / lanes; n++) {
        let part = sums[n];
        sum.all += part;
        sum.before += select(0u, part, n < mine);
    }
    return sum;
}
