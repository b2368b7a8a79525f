/** Terrane's TypeScript SDK: everything a client needs to speak the protocol of `docs/protocol.md`. */
export { ProtocolError } from "./bytes.ts";
export * from "./chunk.ts";
export * from "./client.ts";
export * from "./connection.ts";
export * from "./fall.ts";
export * from "./frames.ts";
export * from "./limits.ts";
export * from "./overlay.ts";
export * from "./reader.ts";
