/** The byte files that the Rust side writes: decode, compare with the value beside them, encode, compare the bytes. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Chunk, decodeFrame, encodeFrame, type Frame, type Position, type Version } from "../src/index.ts";

const FOLDER = process.env["TERRANE_VECTORS"] ?? fileURLToPath(new URL("../../vectors", import.meta.url));

const NAMES = [
  "hello", "subscribe_box", "subscribe_radius", "edit", "ping", "welcome", "registry", "snapshot_uniform",
  "snapshot_u4", "snapshot_u8", "snapshot_u16", "delta", "forget", "acknowledge", "pong", "caught_up", "refused",
];

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const position = (p: Position) => [...p];
const version = ({ epoch, count }: Version) => ({ epoch, count });

/** What the JSON beside a vector says, by kind of frame: the one place to change when the two are reconciled. */
const EXPECTED: { [K in Frame["kind"]]: (frame: Extract<Frame, { kind: K }>) => Record<string, unknown> } = {
  hello: (f) => ({
    lowest_version: f.lowestVersion, highest_version: f.highestVersion, session_id: hex(f.session), name: f.name,
  }),
  subscribe: ({ subscription, shape }) => shape.form === "box"
    ? { subscription_number: subscription, shape: "box", first: position(shape.first), end: position(shape.end) }
    : {
        subscription_number: subscription, shape: "radius", center: position(shape.center),
        horizontal_radius: shape.horizontal, vertical_radius: shape.vertical,
      },
  edit: (f) => ({
    input_sequence: `${f.sequence}`,
    voxels: f.voxels.map((voxel) => ({ position: position(voxel.position), block_id: voxel.block })),
  }),
  ping: (f) => ({ number: `${f.number}` }),
  welcome: (f) => ({
    protocol_version: f.version, resumed: f.resumed, epoch: f.epoch, session_id: hex(f.session),
    world_id: hex(f.world), tick: `${f.tick}`, acknowledged_input_sequence: `${f.acknowledged}`,
    tick_microseconds: f.tickMicroseconds, block_count: f.blockCount, spawn: position(f.spawn),
  }),
  registry: (f) => ({
    first_block_id: f.firstBlock,
    blocks: f.blocks.map(({ flags, color: [red, green, blue], light, name }) => ({
      flags, red, green, blue, light, name,
    })),
  }),
  snapshot: (f) => ({
    chunk: position(f.chunk), subscription_number: f.subscription, from_version: version(f.from),
    to_version: version(f.to), form: f.form, table: [...f.table],
  }),
  delta: (f) => ({
    chunk: position(f.chunk), from_version: version(f.from), to_version: version(f.to), tick: `${f.tick}`,
    runs: Array.from({ length: f.runs.length / 3 }, (_, run) => ({
      first: f.runs[3 * run], length: f.runs[3 * run + 1], block_id: f.runs[3 * run + 2],
    })),
  }),
  forget: (f) => ({ chunk: position(f.chunk), subscription_number: f.subscription }),
  acknowledge: (f) => ({
    input_sequence: `${f.sequence}`, tick: `${f.tick}`,
    refusals: f.refusals.map(({ sequence, reason }) => ({ input_sequence: `${sequence}`, reason })),
  }),
  pong: (f) => ({ number: `${f.number}`, tick: `${f.tick}` }),
  caughtUp: (f) => ({ subscription_number: f.subscription }),
  refused: (f) => ({ code: f.code, text: f.text }),
};

function describeFrame(frame: Frame): Record<string, unknown> {
  return (EXPECTED[frame.kind] as (frame: Frame) => Record<string, unknown>)(frame);
}

function checkSamples(frame: Frame, samples: Record<string, number>): void {
  if (frame.kind !== "snapshot") {
    throw new Error("only snapshots have voxel samples");
  }
  const chunk = Chunk.fromSnapshot(frame);
  for (const [index, block] of Object.entries(samples)) {
    expect(chunk.get(Number(index)), `voxel ${index}`).toBe(block);
  }
}

const present = existsSync(FOLDER)
  ? readdirSync(FOLDER).filter((file) => file.endsWith(".bin")).map((file) => file.slice(0, -4))
  : [];

describe("the byte files of sdk/vectors", () => {
  test.each([...new Set([...NAMES, ...present])])("%s", (name) => {
    expect(present, `sdk/vectors/${name}.bin is missing`).toContain(name);
    const bytes = new Uint8Array(readFileSync(`${FOLDER}/${name}.bin`));
    const { voxel_samples: samples, ...fields } = JSON.parse(readFileSync(`${FOLDER}/${name}.json`, "utf8"));
    const frame = decodeFrame(bytes);
    expect(describeFrame(frame)).toEqual(fields);
    if (samples !== undefined) {
      checkSamples(frame, samples);
    }
    expect(hex(encodeFrame(frame))).toBe(hex(bytes));
  });
});
