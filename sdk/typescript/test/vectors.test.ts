/** The byte files that the Rust side writes: decode, compare with the value beside them, encode, compare the bytes. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  AT_REST, Chunk, decodeFrame, encodeFrame, EXITS, fallOn, FieldMove, VELOCITY_LIMIT, type AgentPlace, type Frame, type Position, type Version,
} from "../src/index.ts";

const FOLDER = process.env["TERRANE_VECTORS"] ?? fileURLToPath(new URL("../../vectors", import.meta.url));

const NAMES = [
  "hello", "subscribe_box", "subscribe_radius", "edit", "ping", "welcome", "registry", "snapshot_uniform",
  "snapshot_u4", "snapshot_u8", "snapshot_u16", "snapshot_rows_u4", "snapshot_rows_u8", "delta", "delta_none", "same", "look", "holds", "forget", "acknowledge", "pong", "caught_up", "refused", "blast",
  "overlay", "body", "body_moves", "body_ends", "overlay_none", "overlay_runs", "overlay_u4", "overlay_u8",
  "overlay_light", "overlay_daylight", "path_request", "path_request_reachable", "field_request", "cancel", "modes",
  "path_answer", "path_answer_none", "field_chunk_runs", "field_chunk_closed", "field_chunk_u4", "field_chunk_u8",
  "field_chunk_wide", "field_state", "field_state_stale", "path_refused", "crowd_request", "dismiss", "crowd", "agents",
  "agents_none", "agent_moves", "crowd_end", "undo_request", "undo_request_box", "undo_act", "undo_plan", "undo_ghost",
  "undo_progress", "undo_refused",
];

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const position = (p: Position) => [...p];
const version = ({ epoch, count }: Version) => ({ epoch, count });

/** What the JSON beside a vector says, by kind of frame; `kind` itself is compared by encoding again. */
const EXPECTED: { [K in Frame["kind"]]: (frame: Extract<Frame, { kind: K }>) => Record<string, unknown> } = {
  hello: (f) => ({ lowest: f.lowestVersion, highest: f.highestVersion, session: hex(f.session), name: f.name }),
  subscribe: ({ subscription, shape }) => shape.form === "box"
    ? { subscription, shape: 0, first: position(shape.first), past_last: position(shape.end) }
    : {
        subscription, shape: 1, centre: position(shape.center), horizontal_radius: shape.horizontal,
        vertical_radius: shape.vertical, margin: shape.margin,
      },
  edit: (f) => ({
    sequence: `${f.sequence}`,
    voxels: f.voxels.map((voxel) => ({ pos: position(voxel.position), block: voxel.block })),
  }),
  ping: (f) => ({ number: `${f.number}` }),
  welcome: (f) => ({
    version: f.version, resumed: Number(f.resumed), epoch: f.epoch, session: hex(f.session), world: hex(f.world),
    tick: `${f.tick}`, acknowledged: `${f.acknowledged}`, tick_us: f.tickMicroseconds, blocks: f.blockCount,
    spawn: position(f.spawn), identity: `${f.identity}`,
  }),
  registry: (f) => ({
    first: f.firstBlock,
    count: f.blocks.length,
    blocks: f.blocks.map(({ flags, color, light, name }, index) => ({
      id: f.firstBlock + index, name, light, colour: [...color], solid: (flags & 1) !== 0, opaque: (flags & 2) !== 0,
      liquid: (flags & 4) !== 0, pickable: (flags & 8) !== 0,
    })),
  }),
  snapshot: (f) => ({
    pos: position(f.chunk), subscription: f.subscription, version: version(f.version), form: f.form, table: [...f.table],
    voxel_sum: Chunk.fromSnapshot(f).decode().reduce((sum, block) => (Math.imul(sum, 31) + block) >>> 0, 0),
  }),
  delta: (f) => ({
    tick: `${f.tick}`,
    chunks: f.chunks.map(({ chunk, from, to, runs }) => ({
      pos: position(chunk), from: version(from), to: version(to), runs: runsOf(runs),
    })),
  }),
  same: (f) => ({ subscription: f.subscription, chunks: f.chunks.map(position) }),
  look: (f) => ({ eye: position(f.eye), forward: position(f.forward) }),
  holds: (f) => ({ chunks: f.chunks.map((held) => ({ pos: position(held.chunk), version: version(held.version) })) }),
  forget: (f) => ({ pos: position(f.chunk), subscription: f.subscription }),
  acknowledge: (f) => ({
    sequence: `${f.sequence}`, tick: `${f.tick}`,
    refusals: f.refusals.map(({ sequence, reason }) => ({ sequence: `${sequence}`, reason })),
  }),
  pong: (f) => ({ number: `${f.number}`, tick: `${f.tick}` }),
  caughtUp: (f) => ({ subscription: f.subscription }),
  refused: (f) => ({ code: f.code, text: f.text }),
  blast: (f) => ({ sequence: `${f.sequence}`, at: position(f.position), power: f.power }),
  overlay: (f) => ({ kinds: f.kinds }),
  body: (f) => ({
    handle: f.handle, tick: `${f.tick}`, origin: position(f.origin), corner: position(f.corner), part: f.part,
    parts: f.parts, voxels: f.voxels,
    runs: f.runs.map(({ first, length, block }) => ({ first: position(first), length, block })),
  }),
  bodyMoves: (f) => ({ tick: `${f.tick}`, moves: f.moves.map((move) => ({ ...move })) }),
  bodyEnds: (f) => ({ handles: [...f.handles] }),
  overlayData: ({ chunk, overlay, version: about, values }) => ({
    pos: position(chunk), overlay, version: version(about),
    values: values === null ? null : samples(values),
  }),
  pathRequest: ({ request, wanted, around, mode, from, to }) => ({
    request, wanted, around, mode, from: position(from), to: position(to),
  }),
  fieldRequest: ({ request, mode, goals, first, end }) => ({
    request, mode, goals: goals.map(position), first: position(first), past_last: position(end),
  }),
  cancel: ({ request }) => ({ request }),
  modes: ({ modes }) => ({ modes: modes.map(({ stepUp, ...mode }) => ({ ...mode, step_up: stepUp })) }),
  pathAnswer: (f) => ({
    request: f.request, part: f.part, last: f.last, end: f.end, cost: `${f.cost}`, searched: `${f.searched}`,
    tick: `${f.tick}`, waypoints: f.waypoints.map(position),
  }),
  fieldChunk: (f) => ({
    request: f.request, pos: position(f.chunk), tick: `${f.tick}`, moves: samples(f.moves), costs: f.costs.length,
    first_costs: [...f.costs.subarray(0, 4)],
  }),
  fieldState: ({ request, current, tick, chunks }) => ({ request, current, tick: `${tick}`, chunks }),
  pathRefused: ({ request, code, text }) => ({ request, code, text }),
  crowdRequest: ({ sequence, agents, speed, mode, goals, first, end, fromFirst, fromEnd }) => ({
    sequence: `${sequence}`, agents, speed, mode, goals: goals.map(position), first: position(first),
    past_last: position(end), from_first: position(fromFirst), from_past_last: position(fromEnd),
  }),
  dismiss: ({ sequence }) => ({ sequence: `${sequence}` }),
  crowd: ({ handle, sequence, mode, speed, goals, first, end }) => ({
    handle, sequence: `${sequence}`, mode, speed, goals: goals.map(position), first: position(first), past_last: position(end),
  }),
  agents: ({ handle, column, tick, agents }) => ({
    handle, column: [...column], tick: `${tick}`, agents: agents.map(place),
  }),
  agentMoves: ({ handle, column, from, tick, steps, entered }) => ({
    handle, column: [...column], from: `${from}`, tick: `${tick}`, steps: steps.map((step) => ({ ...step })),
    entered: entered.map(place),
  }),
  crowdEnd: ({ handle }) => ({ handle }),
  undoRequest: ({ request, causes, overwrite, box, by, sinceMs, undo }) => ({
    request, causes, rule: Number(overwrite), name: by, since_ms: `${sinceMs}`, undo: `${undo}`,
    box: box === null ? null : { first: position(box.first), past_last: position(box.end) },
  }),
  undoAct: ({ request, act }) => ({ request, act }),
  undoPlan: (f) => ({
    request: f.request, chunks: f.chunks, voxels: `${f.voxels}`, unchanged: `${f.unchanged}`, conflicts: `${f.conflicts}`,
    replaced: `${f.unknown}`, begins: `${f.historyFrom}`, gaps: f.gaps,
    causes: f.causes.map(({ cause, voxels }) => ({ cause, voxels: `${voxels}` })),
    others: f.others.map(({ cause, voxels, name }) => ({ cause, voxels: `${voxels}`, name })),
  }),
  undoGhost: ({ request, last, more, tick, chunks }) => ({
    request, last, cut: more, tick: `${tick}`,
    chunks: chunks.map(({ chunk, runs }) => ({ pos: position(chunk), from: NO_VERSION, to: NO_VERSION, runs: runsOf(runs) })),
  }),
  undoProgress: ({ request, state, undo, looked, of, stayed }) => ({
    request, state, undo: `${undo}`, looked_at: `${looked}`, of: `${of}`, stayed: `${stayed}`,
  }),
  undoRefused: ({ request, code, text }) => ({ request, code, text }),
};

const NO_VERSION = { epoch: 0, count: 0 };

const runsOf = (runs: Uint16Array) => Array.from({ length: runs.length / 3 }, (_, run) => ({
  first: runs[3 * run], length: runs[3 * run + 1], block: runs[3 * run + 2],
}));

const place = (agent: AgentPlace) => ({ number: agent.number, at: position(agent.position), exit: agent.exit });

const samples = (values: Uint8Array) =>
  [0, 1, 31, 32, 1_024, 12_345, 20_001, 32_767].map((index) => [index, values[index]]);

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

test("bodies fall as the Rust side lets them fall", () => {
  const { fallen_and_velocity: ticks } = JSON.parse(readFileSync(`${FOLDER}/fall.json`, "utf8"));
  let fall = AT_REST;
  for (const [fallen, velocity] of ticks) {
    expect(fall).toEqual({ fallen, velocity, phase: 0 });
    fall = fallOn(fall);
  }
  expect(ticks.at(-1)[1]).toBe(VELOCITY_LIMIT);
});

test("moves have the numbers that the Rust side gives them", () => {
  const { exits, instead_of_a_move: instead } = JSON.parse(readFileSync(`${FOLDER}/exits.json`, "utf8"));
  expect(EXITS.map((step) => [...step])).toEqual(exits);
  expect(FieldMove).toEqual({ goal: instead[0], tooFar: instead[1], unreachable: instead[2], blocked: instead[3] });
});

const present = existsSync(FOLDER)
  ? readdirSync(FOLDER).filter((file) => file.endsWith(".bin")).map((file) => file.slice(0, -4))
  : [];

describe("the byte files of sdk/vectors", () => {
  test.each([...new Set([...NAMES, ...present])])("%s", (name) => {
    expect(present, `sdk/vectors/${name}.bin is missing`).toContain(name);
    const bytes = new Uint8Array(readFileSync(`${FOLDER}/${name}.bin`));
    const { voxel_samples: samples, kind, ...fields } = JSON.parse(readFileSync(`${FOLDER}/${name}.json`, "utf8"));
    const frame = decodeFrame(bytes);
    expect(describeFrame(frame)).toEqual(fields);
    if (samples !== undefined) {
      checkSamples(frame, samples);
    }
    expect(new DataView(bytes.buffer, bytes.byteOffset).getUint16(4, true)).toBe(kind);
    if (["snapshot", "delta", "undoGhost"].includes(frame.kind)) {
      // The server packs; this side only has to be understood.
      expect(decodeFrame(encodeFrame(frame))).toEqual(frame);
    } else {
      expect(hex(encodeFrame(frame))).toBe(hex(bytes));
    }
  });
});
