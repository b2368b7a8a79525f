/** Fields of paths: what their numbers mean, and how costs are packed. */
import type { ByteReader, ByteWriter } from "./bytes.ts";

/** The moves of a field by number, as steps along x, y and z: six over faces, twelve over edges, eight over corners. */
export const EXITS: readonly (readonly [x: number, y: number, z: number])[] = (() => {
  const faces = [[0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1], [-1, 0, 0], [1, 0, 0]] as const;
  const steps = [-1, 0, 1];
  const around = steps.flatMap((y) => steps.flatMap((z) => steps.map((x) => [x, y, z] as const)));
  const crossing = (axes: number) => around.filter((step) => step.filter((part) => part !== 0).length === axes);
  return [...faces, ...crossing(2), ...crossing(3)];
})();

/** What a field says in place of a move: it is a goal, its way costs more than can be told, it has none, nothing can be there. */
export const FieldMove = { goal: 252, tooFar: 253, unreachable: 254, blocked: 255 } as const;

/** The least cost, and the bytes that hold how much more the others are. */
export function costPacking(costs: Uint32Array): { base: number; costBytes: number } {
  if (costs.length === 0) {
    return { base: 0, costBytes: 0 };
  }
  let [base, most] = [costs[0]!, costs[0]!];
  for (const cost of costs) {
    base = Math.min(base, cost);
    most = Math.max(most, cost);
  }
  const spread = most - base;
  return { base, costBytes: spread === 0 ? 0 : spread <= 0xff ? 1 : spread <= 0xffff ? 2 : 4 };
}

/** Reads a cost for each voxel that has a move. Throws ProtocolError. */
export function decodeCosts(reader: ByteReader, moves: Uint8Array, base: number, costBytes: number): Uint32Array {
  let count = 0;
  for (const move of moves) {
    if (move < EXITS.length) {
      count += 1;
    } else if (move < FieldMove.goal) {
      throw reader.fail(`${move} is no move`);
    }
  }
  if (costBytes === 3 || costBytes > 4) {
    throw reader.fail(`costs of ${costBytes} bytes`);
  }
  const costs = new Uint32Array(count).fill(base);
  const packed = reader.take(count * costBytes);
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  for (let index = 0; index < count && costBytes > 0; index += 1) {
    const more = costBytes === 1 ? view.getUint8(index)
      : costBytes === 2 ? view.getUint16(2 * index, true) : view.getUint32(4 * index, true);
    if (base + more > 0xffff_ffff) {
      throw reader.fail(`a cost of ${base} + ${more}`);
    }
    costs[index] = base + more;
  }
  return costs;
}

/** Writes costs as `costPacking` says. */
export function encodeCosts(writer: ByteWriter, costs: Uint32Array, base: number, costBytes: number): void {
  const bytes = new Uint8Array(costs.length * costBytes);
  costs.forEach((cost, index) => {
    for (let part = 0; part < costBytes; part += 1) {
      bytes[costBytes * index + part] = (cost - base) >>> (8 * part);
    }
  });
  writer.put(bytes);
}
