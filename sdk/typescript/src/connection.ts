/**
 * A thin WebSocket shell around the Client: moves bytes, keeps the clock, and reconnects by itself.
 */
import { ProtocolError } from "./bytes.ts";
import type { Client, ClientEvent } from "./client.ts";

/** How the connection stands. */
export type ConnectionState =
  | { readonly phase: "connecting" }
  | { readonly phase: "live" }
  | { readonly phase: "reconnecting"; readonly atMs: number; readonly reason: string }
  | { readonly phase: "refused"; readonly atMs: number; readonly code: number; readonly reason: string }
  | { readonly phase: "closed" };

/** The part of a WebSocket that the shell uses. */
export interface Socket {
  binaryType: string;
  onopen: (() => void) | null;
  onclose: (() => void) | null;
  onerror: (() => void) | null;
  onmessage: ((message: { data: unknown }) => void) | null;
  send(bytes: Uint8Array): void;
  close(): void;
}

/** The outside as the shell sees it; tests pass their own. */
export interface Surroundings {
  openSocket(url: string): Socket;
  nowMs(): number;
  /** In [0, 1). */
  random(): number;
  /** Calls back later; returns how to call it off. */
  later(delayMs: number, callback: () => void): () => void;
}

/** The browser's (and Node's) own socket, clock and timers. */
export const REAL_SURROUNDINGS: Surroundings = {
  openSocket: (url) => new WebSocket(url) as unknown as Socket,
  nowMs: () => performance.now(),
  random: () => Math.random(),
  later: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** First upper bound of a wait. */
export const BACKOFF_BASE_MS = 500;
/** Largest upper bound of a wait. */
export const BACKOFF_CAP_MS = 15_000;
/** Time between two Pings; it also finds connections that died without a word. */
export const PING_INTERVAL_MS = 5_000;
/** A connection on which nothing came for so long after a Ping is given up. */
export const SILENCE_LIMIT_MS = 12_000;

/** Exponential backoff with full jitter: anywhere between 0 and base · 2^attempt, capped. */
export function backoffMs(attempt: number, random: number): number {
  return random * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** attempt);
}

/** Keeps a client connected to one address. */
export class Connection {
  private socket: Socket | null = null;
  private current: ConnectionState = { phase: "connecting" };
  private attempt = 0;
  /** When the oldest Ping went out behind which nothing has come; null if something has. */
  private unansweredSinceMs: number | null = null;
  private refusal: { code: number; text: string } | null = null;
  private cancelTimer: () => void = () => {};

  constructor(
    private readonly url: string,
    private readonly client: Client,
    private readonly onEvent: (event: ClientEvent) => void,
    private readonly onState: (state: ConnectionState) => void = () => {},
    private readonly surroundings: Surroundings = REAL_SURROUNDINGS,
  ) {}

  /** How the connection stands now. */
  get state(): ConnectionState {
    return this.current;
  }

  /** Opens the connection; from now on it is kept open. */
  open(): void {
    this.cancelTimer();
    this.refusal = null;
    this.enter({ phase: "connecting" });
    const socket = this.surroundings.openSocket(this.url);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.opened(socket);
    socket.onmessage = ({ data }) => this.received(socket, data);
    socket.onclose = () => this.lost(socket, "the connection was lost");
    socket.onerror = () => {};
    this.watch(socket);
  }

  /** Closes it for good. */
  close(): void {
    const socket = this.socket;
    this.socket = null;
    this.cancelTimer();
    socket?.close();
    this.client.closed();
    this.enter({ phase: "closed" });
  }

  /** Sends what the client has to say; call it after `subscribe` or `edit`. */
  flush(): void {
    const socket = this.socket;
    if (socket === null) {
      return;
    }
    for (let bytes = this.client.pollOutput(); bytes !== null; bytes = this.client.pollOutput()) {
      socket.send(bytes);
    }
  }

  /** Hands on the events of what was done to the client by other ways than the server's; call it after `adopt`. */
  drain(): void {
    this.drainEvents();
  }

  private enter(state: ConnectionState): void {
    this.current = state;
    this.onState(state);
  }

  private opened(socket: Socket): void {
    if (socket === this.socket) {
      this.client.opened();
      this.flush();
    }
  }

  private received(socket: Socket, data: unknown): void {
    if (socket !== this.socket) {
      return;
    }
    this.unansweredSinceMs = null;
    try {
      if (!(data instanceof ArrayBuffer)) {
        throw new ProtocolError("a text message; only binary messages count", "WebSocket", 0);
      }
      this.client.receive(this.surroundings.nowMs(), new Uint8Array(data));
    } catch (error) {
      this.damaged(socket, error);
    }
    this.drainEvents();
    this.flush();
  }

  private damaged(socket: Socket, error: unknown): void {
    if (!(error instanceof ProtocolError)) {
      throw error;
    }
    this.client.abandonSession();
    this.lost(socket, `the server's bytes could not be read: ${error.message}`);
    socket.close();
  }

  private drainEvents(): void {
    for (let event = this.client.pollEvent(); event !== null; event = this.client.pollEvent()) {
      if (event.kind === "refused") {
        this.refusal = event;
      } else if (event.kind === "welcome") {
        this.attempt = 0;
        this.enter({ phase: "live" });
      }
      this.onEvent(event);
    }
  }

  /**
   * One timer per connection: pings while it stands, gives it up when a Ping stayed unanswered. What
   * counts is the time since the Ping, since browsers hold back the timers of hidden pages.
   */
  private watch(socket: Socket): void {
    this.unansweredSinceMs = this.surroundings.nowMs();
    const look = () => {
      const nowMs = this.surroundings.nowMs();
      if (this.unansweredSinceMs !== null && nowMs - this.unansweredSinceMs > SILENCE_LIMIT_MS) {
        this.lost(socket, "the server went silent");
        socket.close();
        return;
      }
      this.unansweredSinceMs ??= nowMs;
      this.client.ping(nowMs);
      this.flush();
      this.cancelTimer = this.surroundings.later(PING_INTERVAL_MS, look);
    };
    this.cancelTimer = this.surroundings.later(PING_INTERVAL_MS, look);
  }

  private lost(socket: Socket, reason: string): void {
    if (socket !== this.socket) {
      return;
    }
    this.socket = null;
    this.cancelTimer();
    this.client.closed();
    const delayMs = backoffMs(this.attempt, this.surroundings.random());
    const atMs = this.surroundings.nowMs() + delayMs;
    this.attempt += 1;
    this.cancelTimer = this.surroundings.later(delayMs, () => this.open());
    this.enter(this.refusal === null
      ? { phase: "reconnecting", atMs, reason }
      : { phase: "refused", atMs, code: this.refusal.code, reason: this.refusal.text });
  }
}
