/** The viewer: one frame as a list of stages, and what the player's commands do. */
import * as THREE from "three";
import { BlockFlag, chunkOfVoxel, isVoxelPosition, type BlockEntry, type Position } from "@terrane/client";
import { DrawClass } from "./mesh/layout.ts";
import { DISTANCE_RANGE, type Parameters } from "./parameters.ts";
import { Input, type Command } from "./player/input.ts";
import { EYE_HEIGHT, stepBody, touches, type Body } from "./player/motion.ts";
import { castRay, type RayHit } from "./player/raycast.ts";
import { BORDER_MODES, Borders, Selection, type BorderMode } from "./render/lines.ts";
import { Materials } from "./render/materials.ts";
import type { TestHooks } from "./test-hooks.ts";
import { BombTool } from "./tools/bomb.ts";
import { CrowdTool } from "./tools/crowd.ts";
import { FieldTool } from "./tools/field.ts";
import { ToolBox } from "./tools/tool-box.ts";
import { UndoTool } from "./tools/undo.ts";
import { WaysTool } from "./tools/ways.ts";
import { element } from "./ui/elements.ts";
import { Hud } from "./ui/hud.ts";
import { BlockPicker } from "./ui/picker.ts";
import { WorldView } from "./world/world-view.ts";

const SLOT_COUNT = 9;
const REACH_WALKING = 8;
const REACH_FLYING = 64;
const VERTICAL_CHUNKS = 4;
/** Chunks stay until they are so much further away than the view, so that going to and fro costs nothing. */
const MARGIN_CHUNKS = 2;
const LOOK_INTERVAL_MS = 250;
/** The drawing origin moves in such steps; the shaders' patterns repeat at the same distance. */
const ORIGIN_STEP = 4_096;
const LONGEST_FRAME_SECONDS = 0.1;
const HUD_INTERVAL_MS = 120;

/** The whole page. */
export class Viewer {
  private readonly renderer: THREE.WebGLRenderer;
  private readonly camera = new THREE.PerspectiveCamera(72, 1, 0.08, 4_000);
  private readonly stage = new THREE.Scene();
  private readonly materials = new Materials();
  private readonly selection = new Selection();
  private readonly borders = new Borders();
  private readonly world: WorldView;
  private readonly ways: WaysTool;
  private readonly field: FieldTool;
  private readonly crowd: CrowdTool;
  private readonly undo: UndoTool;
  private readonly tools: ToolBox;
  private readonly input: Input;
  private readonly hud: Hud;
  private readonly picker: BlockPicker;
  private readonly distanceInput = element("input");
  private readonly distanceOutput = element("output");
  private body: Body = { position: [0, 0, 0], velocity: [0, 0, 0], isFlying: false, isOnGround: false };
  private isPlaced: boolean;
  private origin: Position = [0, 0, 0];
  private horizontalChunks: number;
  private subscribed = "";
  private said = "";
  private saidAtMs = 0;
  private lookedAt: RayHit | null = null;
  private slots: (number | null)[] = Array.from({ length: SLOT_COUNT }, () => null);
  private chosenSlot = 0;
  private borderMode: BorderMode = "off";
  private isSupportShown = false;
  private isLit = true;
  private lastFrameMs = 0;
  private hudAtMs = 0;
  private framesSinceHud = 0;
  private framesPerSecond = 0;
  private waiting: { frames: number; resolve: () => void }[] = [];

  constructor(canvas: HTMLCanvasElement, overlay: HTMLElement, url: string, parameters: Parameters) {
    this.renderer = new THREE.WebGLRenderer({
      canvas, antialias: true, powerPreference: "high-performance", preserveDrawingBuffer: parameters.isTest,
    });
    // Our shaders encode their own colours.
    this.renderer.outputColorSpace = THREE.LinearSRGBColorSpace;
    this.horizontalChunks = parameters.distance;
    this.world = new WorldView(url, this.materials, {
      onWelcome: ({ spawn }) => this.placeAt(spawn),
      onBlocks: (blocks) => this.takeBlocks(blocks),
      onNotice: (text) => this.hud.say(text),
      onChunk: (position) => this.tools.chunkChanged(position),
    }, parameters.isKept);
    this.ways = new WaysTool(this.world);
    this.field = new FieldTool(this.world);
    this.crowd = new CrowdTool(this.world);
    this.undo = new UndoTool(this.world, this.materials);
    this.tools = new ToolBox([new BombTool(this.world), this.ways, this.field, this.crowd, this.undo]);
    this.input = new Input(canvas, (command) => this.obey(command), parameters.isTest);
    this.hud = new Hud(overlay, this.buildDistanceControl(), this.tools.tools, (command) => this.obey(command));
    this.picker = new BlockPicker(overlay, (id) => this.fillSlot(id), () => this.input.lock());
    this.isPlaced = parameters.at !== null;
    this.body = { ...this.body, position: parameters.at ?? [0, 0, 0], isFlying: parameters.isFlying };
    [this.input.yaw, this.input.pitch] = [(parameters.look[0] + 360) % 360, parameters.look[1]];
    this.buildStage();
    this.showTools();
    this.showSwitches();
  }

  /** Connects and draws from now on. */
  start(): void {
    this.world.open();
    this.renderer.setAnimationLoop((nowMs) => this.frame(nowMs));
  }

  /** See test-hooks.ts. */
  hooks(): TestHooks {
    const { client } = this.world;
    return {
      state: () => ({
        connection: this.world.connectionState.phase,
        tick: Number(client.tickAt(performance.now())),
        chunksHeld: client.chunks.size,
        chunksMeshed: this.world.meshedCount,
        caughtUp: client.caughtUp,
        unacknowledged: client.unacknowledgedCount,
        position: this.body.position,
        bodies: this.world.bodies.counts,
        supportChunks: this.world.supportCount,
        lightChunks: this.world.lightCount,
        received: client.received,
        kept: this.world.kept,
      }),
      block: (x, y, z) => this.world.blockAt(x, y, z)?.name ?? null,
      light: (x, y, z) => this.world.lightAt(x, y, z),
      edit: (x, y, z, name) => {
        const id = client.registry.findIndex((block) => block.name === name);
        return id >= 0 && this.world.edit([x, y, z], id);
      },
      blast: (x, y, z, power) => this.world.blast([x, y, z], power),
      teleport: (x, y, z, yaw, pitch) => {
        this.body = { ...this.body, position: [x, y, z], velocity: [0, 0, 0] };
        [this.input.yaw, this.input.pitch] = [(yaw + 360) % 360, pitch];
      },
      ways: () => this.ways.report(),
      crowd: () => this.crowd.report(),
      field: () => this.field.report(),
      undo: () => this.undo.report(),
      fieldCost: (x, y, z) => this.field.costAt([x, y, z]),
      settled: () => new Promise((resolve) => this.waiting.push({ frames: 3, resolve })),
    };
  }

  private buildStage(): void {
    const sky = new THREE.Mesh(new THREE.SphereGeometry(1, 24, 16), this.materials.sky);
    sky.frustumCulled = false;
    sky.renderOrder = 1e6;
    this.stage.matrixWorldAutoUpdate = true;
    this.stage.add(this.world.scene.group, this.world.bodyScene.group, sky, this.selection.object, this.borders.group, this.tools.group);
    this.setDistance(this.horizontalChunks);
    window.addEventListener("resize", () => this.resize());
    this.resize();
  }

  private buildDistanceControl(): HTMLElement {
    Object.assign(this.distanceInput, { type: "range", min: `${DISTANCE_RANGE.least}`, max: `${DISTANCE_RANGE.most}` });
    this.distanceInput.addEventListener("input", () => this.setDistance(Number(this.distanceInput.value)));
    return element("div", "controls", element("label", "", "view distance", this.distanceInput, this.distanceOutput));
  }

  private setDistance(chunks: number): void {
    this.horizontalChunks = Math.max(DISTANCE_RANGE.least, Math.min(DISTANCE_RANGE.most, chunks));
    this.distanceInput.value = `${this.horizontalChunks}`;
    this.distanceOutput.value = `${this.horizontalChunks}`;
    this.materials.setViewDistance(this.horizontalChunks, VERTICAL_CHUNKS);
  }

  private resize(): void {
    this.renderer.setPixelRatio(Math.min(2, window.devicePixelRatio));
    this.renderer.setSize(window.innerWidth, window.innerHeight, false);
    this.camera.aspect = window.innerWidth / window.innerHeight;
    this.camera.updateProjectionMatrix();
  }

  // A frame

  private frame(nowMs: number): void {
    const seconds = Math.min(LONGEST_FRAME_SECONDS, Math.max(0, nowMs - this.lastFrameMs) / 1_000);
    this.lastFrameMs = nowMs;
    this.input.repeat(nowMs);
    this.move(seconds);
    this.placeCamera();
    this.sayWhereOneLooks(nowMs);
    this.subscribeAround();
    this.world.setCenter(this.chunk());
    this.lookAround();
    this.world.bodies.update(performance.now());
    this.draw(nowMs);
    this.refreshHud(nowMs);
    this.resolveWaiting();
  }

  private move(seconds: number): void {
    const { input } = this;
    this.body = stepBody(this.body, {
      forward: input.axis("KeyW", "KeyS"),
      right: input.axis("KeyD", "KeyA"),
      isRising: input.isDown("Space"),
      isSinking: input.isDown("ShiftLeft", "ShiftRight"),
      yaw: THREE.MathUtils.degToRad(input.yaw),
      flySpeed: input.flySpeed,
    }, seconds, this);
  }

  isSolid(x: number, y: number, z: number): boolean {
    const block = this.world.blockAt(x, y, z);
    return block === null || (block.flags & BlockFlag.solid) !== 0;
  }

  isLiquid(x: number, y: number, z: number): boolean {
    return ((this.world.blockAt(x, y, z)?.flags ?? 0) & BlockFlag.liquid) !== 0;
  }

  isHeld(x: number, y: number, z: number): boolean {
    return this.isPlaced && this.world.classAt(x, y, z) !== null;
  }

  private eye(): Position {
    const [x, y, z] = this.body.position;
    return [x, y + EYE_HEIGHT, z];
  }

  private chunk(): Position {
    const [x, y, z] = this.eye().map(Math.floor) as unknown as Position;
    return chunkOfVoxel([x, y, z]);
  }

  private direction(): Position {
    const [yaw, pitch] = [this.input.yaw, this.input.pitch].map(THREE.MathUtils.degToRad) as [number, number];
    return [Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), -Math.cos(yaw) * Math.cos(pitch)];
  }

  private placeCamera(): void {
    const eye = this.eye();
    const snap = (value: number) => Math.round(value / ORIGIN_STEP) * ORIGIN_STEP;
    this.origin = [snap(eye[0]), 0, snap(eye[2])];
    this.camera.position.set(eye[0] - this.origin[0], eye[1] - this.origin[1], eye[2] - this.origin[2]);
    const [yaw, pitch] = [this.input.yaw, this.input.pitch].map(THREE.MathUtils.degToRad) as [number, number];
    this.camera.rotation.set(pitch, -yaw, 0, "YXZ");
    this.camera.updateMatrixWorld();
  }

  private subscribeAround(): void {
    const center = this.chunk();
    const wanted = `${center.join(" ")} ${this.horizontalChunks}`;
    if (!this.isPlaced || wanted === this.subscribed || !isVoxelPosition([center[0] * 32, center[1] * 32, center[2] * 32])) {
      return;
    }
    this.subscribed = wanted;
    this.world.subscribe({
      form: "radius", center, horizontal: this.horizontalChunks, vertical: VERTICAL_CHUNKS, margin: MARGIN_CHUNKS,
    });
  }

  /** Tells the server where one looks, not too often: what lies there comes first. */
  private sayWhereOneLooks(nowMs: number): void {
    const eye = this.eye().map(Math.floor) as unknown as Position;
    const forward = this.direction().map((part) => Math.round(part * 8) * 15) as unknown as Position;
    const said = `${chunkOfVoxel(eye).join(" ")} ${forward.join(" ")}`;
    if (this.isPlaced && said !== this.said && nowMs - this.saidAtMs >= LOOK_INTERVAL_MS && this.world.client.isLive) {
      [this.said, this.saidAtMs] = [said, nowMs];
      this.world.look(eye, forward);
    }
  }

  private lookAround(): void {
    const reach = this.tools.reach ?? (this.body.isFlying ? REACH_FLYING : REACH_WALKING);
    this.lookedAt = castRay(this.eye(), this.direction(), reach, (x, y, z) => {
      const drawn = this.world.classAt(x, y, z) ?? DrawClass.nothing;
      return drawn !== DrawClass.nothing && drawn !== DrawClass.liquid;
    });
    this.selection.show(this.lookedAt?.voxel ?? null, this.origin);
    this.borders.update(this.body.position, this.origin);
    this.tools.prepare({ origin: this.origin, lookedAt: this.lookedAt, feet: this.body.position });
  }

  private draw(nowMs: number): void {
    const eye = this.eye();
    const isSubmerged = this.isLiquid(Math.floor(eye[0]), Math.floor(eye[1]), Math.floor(eye[2]));
    this.materials.setFrame(nowMs / 1_000, new THREE.Vector3(eye[0] % 1e5, eye[1], eye[2] % 1e5), isSubmerged);
    this.world.scene.prepare(this.camera, this.origin);
    this.world.bodyScene.prepare(this.origin);
    this.renderer.render(this.stage, this.camera);
  }

  private refreshHud(nowMs: number): void {
    this.framesSinceHud += 1;
    const passedMs = nowMs - this.hudAtMs;
    if (passedMs < HUD_INTERVAL_MS) {
      return;
    }
    const rate = (this.framesSinceHud * 1_000) / passedMs;
    this.framesPerSecond += (rate - this.framesPerSecond) * (this.framesPerSecond === 0 ? 1 : 0.25);
    [this.hudAtMs, this.framesSinceHud] = [nowMs, 0];
    const { client } = this.world;
    const [x, y, z] = this.lookedAt?.voxel ?? [0, 0, 0];
    this.hud.refresh({
      position: this.body.position, yaw: this.input.yaw, pitch: this.input.pitch,
      falling: client.bodies.size,
      isFlying: this.body.isFlying, flySpeed: this.input.flySpeed, framesPerSecond: this.framesPerSecond,
      chunksHeld: client.chunks.size, chunksMeshed: this.world.meshedCount,
      tick: client.tickAt(performance.now()), roundTripMs: this.world.roundTripMs,
      connection: this.world.connectionState, nowMs: performance.now(),
      unacknowledged: client.unacknowledgedCount,
      lookedAt: this.lookedAt === null ? null : this.world.blockAt(x, y, z)?.name ?? null,
    });
    this.tools.refresh();
    this.showTools();
    this.hud.showHint(!this.input.isLocked && !this.picker.isOpen);
  }

  private resolveWaiting(): void {
    this.waiting = this.waiting.filter((entry) => {
      entry.frames -= this.world.isSettled && this.world.bodies.isSettled ? 1 : 0;
      if (entry.frames <= 0) {
        entry.resolve();
      }
      return entry.frames > 0;
    });
  }

  // What the server says

  private placeAt(spawn: Position): void {
    if (!this.isPlaced) {
      this.isPlaced = true;
      this.body = { ...this.body, position: [spawn[0] + 0.5, spawn[1], spawn[2] + 0.5] };
    }
  }

  private takeBlocks(blocks: readonly BlockEntry[]): void {
    this.picker.setBlocks(blocks);
    if (this.slots.every((slot) => slot === null)) {
      const offered = blocks.flatMap((block, id) => (block.flags & BlockFlag.picker ? [id] : []));
      this.slots = this.slots.map((_, index) => offered[index] ?? null);
    }
    this.showHotbar();
  }

  // What the player asks for

  private obey(command: Command): void {
    switch (command.kind) {
      case "fly":
        this.body = { ...this.body, isFlying: !this.body.isFlying };
        return;
      case "borders": return this.cycleBorders();
      case "picker": return this.picker.toggle();
      case "help": return this.hud.toggleHelp();
      case "distance": return this.setDistance(this.horizontalChunks + command.step);
      case "slot":
        this.chosenSlot = command.index;
        return this.showHotbar();
      case "pick": return this.pick();
      case "dig": return this.tools.click(this.lookedAt, command.isRepeated) ? undefined : this.dig();
      case "place": return this.tools.clear() ? undefined : this.placeBlock();
      case "tool":
        this.tools.toggle(command.name);
        return this.showTools();
      case "mode":
        this.tools.nextMode();
        return this.showTools();
      case "step":
        this.tools.step(command.step);
        return this.showTools();
      case "wheel":
        if (!this.tools.step(command.step)) {
          this.input.changeFlySpeed(command.step);
        }
        return this.showTools();
      case "support":
        this.isSupportShown = !this.isSupportShown;
        this.world.showSupport(this.isSupportShown);
        return this.showSwitches();
      case "light":
        this.isLit = !this.isLit;
        this.world.showLight(this.isLit);
        return this.showSwitches();
    }
  }

  private cycleBorders(): void {
    const next = (BORDER_MODES.indexOf(this.borderMode) + 1) % BORDER_MODES.length;
    this.borderMode = BORDER_MODES[next]!;
    this.borders.setMode(this.borderMode);
    this.hud.showLegend(this.borderMode);
  }

  private pick(): void {
    const id = this.lookedAt === null ? null : this.world.client.blockAt(this.lookedAt.voxel);
    if (id === null) {
      return;
    }
    const slot = this.slots.indexOf(id);
    if (slot >= 0) {
      this.chosenSlot = slot;
      this.showHotbar();
    } else {
      this.fillSlot(id);
    }
  }

  private dig(): void {
    if (this.lookedAt !== null) {
      this.world.edit(this.lookedAt.voxel, 0);
    }
  }

  private showTools(): void {
    this.hud.showTools((tool) => this.tools.isInHand(tool));
  }

  private showSwitches(): void {
    this.hud.showSwitches({ isSupportShown: this.isSupportShown, isLit: this.isLit });
  }

  private placeBlock(): void {
    const block = this.slots[this.chosenSlot] ?? null;
    if (this.lookedAt === null || block === null) {
      return;
    }
    const { voxel, normal } = this.lookedAt;
    const isPlant = this.world.classAt(...voxel) === DrawClass.plant;
    const target: Position = isPlant ? voxel : [voxel[0] + normal[0], voxel[1] + normal[1], voxel[2] + normal[2]];
    const current = this.world.blockAt(...target);
    const isFree = current !== null && (current.flags & BlockFlag.solid) === 0;
    if (isFree && !this.wouldBury(target, block)) {
      this.world.edit(target, block);
    }
  }

  /** A solid block must not be placed into the player's own body. */
  private wouldBury(target: Position, block: number): boolean {
    const isSolid = ((this.world.client.registry[block]?.flags ?? 0) & BlockFlag.solid) !== 0;
    return isSolid && !this.body.isFlying && touches(this.body.position, {
      isSolid: (x, y, z) => x === target[0] && y === target[1] && z === target[2],
    });
  }

  private fillSlot(id: number): void {
    this.slots[this.chosenSlot] = id;
    this.showHotbar();
  }

  private showHotbar(): void {
    const { registry } = this.world.client;
    this.hud.showHotbar(this.slots.map((id) => (id === null ? null : registry[id] ?? null)), this.chosenSlot);
  }
}
