/** The server under test: the double, or the real one named by TERRANE_BIN. Both can be killed and started again. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DoubleServer } from "../test/double-server.ts";

const PAGE_FOLDER = fileURLToPath(new URL("../dist", import.meta.url));
const START_LIMIT_MS = 30_000;

/** What a test needs of a server. */
export interface ServerUnderTest {
  readonly origin: string;
  start(): Promise<void>;
  kill(): Promise<void>;
  /** Kills it and removes its world. */
  dispose(): Promise<void>;
}

/**
 * A server on its own port with its own, empty world. `verbs` are the arguments of commands that make the real server's world
 * before it starts; the world itself is put behind each.
 */
export function makeServer(port: number, verbs: readonly (readonly string[])[] = []): ServerUnderTest {
  const folder = mkdtempSync(join(tmpdir(), "terrane-e2e-"));
  const binary = process.env["TERRANE_BIN"];
  if (binary !== undefined) {
    verbs.forEach((verb) => execFileSync(binary, [...verb, "--world", join(folder, "world")]));
  }
  const server = binary === undefined ? new RestartableDouble(folder, port) : new RealServer(binary, folder, port);
  return {
    origin: `http://127.0.0.1:${port}`,
    start: () => server.start(),
    kill: () => server.kill(),
    dispose: async () => {
      await server.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

class RestartableDouble {
  private running: DoubleServer | null = null;
  constructor(private readonly folder: string, private readonly port: number) {}

  async start(): Promise<void> {
    this.running = new DoubleServer(join(this.folder, "edits.json"), PAGE_FOLDER);
    await this.running.listen(this.port);
  }

  async kill(): Promise<void> {
    await this.running?.kill();
    this.running = null;
  }
}

/** `TERRANE_ARGS` adds arguments behind `serve`, split at spaces. */
class RealServer {
  private process: ChildProcess | null = null;
  constructor(private readonly binary: string, private readonly folder: string, private readonly port: number) {}

  async start(): Promise<void> {
    const extra = (process.env["TERRANE_ARGS"] ?? "").split(" ").filter((part) => part !== "");
    const address = `127.0.0.1:${this.port}`;
    this.process = spawn(this.binary, ["serve", "--world", join(this.folder, "world"), "--listen", address, ...extra], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    await this.waitForPage(`http://${address}/`);
  }

  async kill(): Promise<void> {
    const child = this.process;
    this.process = null;
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
    }
  }

  private async waitForPage(url: string): Promise<void> {
    for (let waitedMs = 0; waitedMs < START_LIMIT_MS; waitedMs += 100) {
      const answer = await fetch(url).catch(() => null);
      if (answer?.ok) {
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`${this.binary} did not serve ${url} within ${START_LIMIT_MS} ms`);
  }
}
