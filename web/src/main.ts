/** Starts the viewer on the page, connected to the server that the page came from. */
import { readParameters } from "./parameters.ts";
import { Viewer } from "./viewer.ts";

function webSocketUrl({ protocol, host }: Location): string {
  return `${protocol === "https:" ? "wss" : "ws"}://${host}/ws`;
}

const canvas = document.querySelector<HTMLCanvasElement>("#view")!;
const overlay = document.querySelector<HTMLElement>("#overlay")!;
const viewer = new Viewer(canvas, overlay, webSocketUrl(location), readParameters(location.search));
window.terrane = viewer.hooks();
viewer.start();
