/** The mesher in a Web Worker: one padded chunk in, one mesh out, in order. */
import { ShadeMode } from "./layout.ts";
import { meshChunk } from "./mesher.ts";
import type { MeshAnswer, MeshTask } from "./pool.ts";

let classes = new Uint8Array(1);

self.onmessage = ({ data }: MessageEvent<MeshTask>) => {
  if (data.kind === "classes") {
    classes = data.classes;
    return;
  }
  const { ticket, voxels, shade } = data;
  const mesh = meshChunk(voxels, classes, shade);
  const answer: MeshAnswer = { ticket, mesh, mode: shade?.mode ?? ShadeMode.plain };
  self.postMessage(answer, { transfer: [mesh.filled.buffer, mesh.translucent.buffer] });
};
