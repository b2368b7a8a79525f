/** Terrane's TypeScript SDK: everything a client needs to speak the protocol of `docs/protocol.md`. */
export { ProtocolError } from "./bytes.ts";
export * from "./chunk.ts";
export * from "./client.ts";
export * from "./connection.ts";
export { HeldCrowd, type CrowdOptions, type HeldAgent } from "./crowds.ts";
export * from "./fall.ts";
export { EXITS, FieldMove } from "./field.ts";
export * from "./frames.ts";
export * from "./limits.ts";
export * from "./overlay.ts";
export {
  Field, PathRefusedError, type Box, type End, type FieldEvent, type FieldPart, type PathOptions, type Reachability, type Way,
} from "./paths.ts";
export type { Voxels } from "./packed-chunk.ts";
export * from "./reader.ts";
export { UndoRefusedError, type Undo, type UndoEvent, type UndoOptions, type UndoState } from "./undos.ts";
