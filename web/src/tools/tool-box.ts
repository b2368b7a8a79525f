/** All tools, and which of them is in hand. */
import * as THREE from "three";
import type { Position } from "@terrane/client";
import type { RayHit } from "../player/raycast.ts";
import type { Tool, ToolFrame } from "./tool.ts";

/** At most one tool is in hand; without one a click digs. */
export class ToolBox {
  /** What the tools draw. */
  readonly group = new THREE.Group();
  private inHand: Tool | null = null;

  constructor(readonly tools: readonly Tool[]) {
    tools.forEach(({ object }) => object && this.group.add(object));
  }

  /** How far the tool in hand reaches; null for as far as one digs. */
  get reach(): number | null {
    return this.inHand?.reach ?? null;
  }

  isInHand(tool: Tool): boolean {
    return tool === this.inHand;
  }

  /** Takes a tool in hand, or puts it away if it is there. */
  toggle(name: string): void {
    const wanted = this.tools.find((tool) => tool.name === name) ?? null;
    this.inHand = wanted === this.inHand ? null : wanted;
    this.refresh();
  }

  /** A click. Returns whether a tool was in hand; a held button clicks once. */
  click(hit: RayHit | null, isRepeated: boolean): boolean {
    if (hit !== null && !isRepeated) {
      this.inHand?.click(hit);
    }
    return this.inHand !== null;
  }

  /** Clears what the tool in hand shows. Returns whether it is one that shows something. */
  clear(): boolean {
    this.inHand?.clear?.();
    return this.inHand?.clear !== undefined;
  }

  /** Returns whether the tool in hand has something to make more or less of. */
  step(step: number): boolean {
    return this.inHand?.step?.(step) ?? false;
  }

  nextMode(): void {
    this.inHand?.nextMode?.();
  }

  prepare(frame: ToolFrame): void {
    this.tools.forEach((tool) => tool.prepare?.(frame));
  }

  refresh(): void {
    this.tools.forEach((tool) => tool.refresh?.(tool === this.inHand));
  }

  chunkChanged(chunk: Position): void {
    this.tools.forEach((tool) => tool.chunkChanged?.(chunk));
  }
}
