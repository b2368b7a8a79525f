/** The mesher in a Web Worker: one padded chunk in, one mesh out, in order. */
import { meshChunk } from "./mesher.ts";
import type { MeshAnswer, MeshTask } from "./pool.ts";

let classes = new Uint8Array(1);

self.onmessage = ({ data }: MessageEvent<MeshTask>) => {
  if (data.kind === "classes") {
    classes = data.classes;
    return;
  }
  const mesh = meshChunk(data.voxels, classes);
  const answer: MeshAnswer = { ticket: data.ticket, mesh };
  self.postMessage(answer, { transfer: [mesh.filled.buffer, mesh.translucent.buffer] });
};
