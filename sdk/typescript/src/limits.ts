/** Every maximum of the client protocol, as `docs/protocol.md` states it. */

/** The four bytes that both sides send first: `TRNE`. */
export const MAGIC = Uint8Array.of(0x54, 0x52, 0x4e, 0x45);
/** The one protocol version that this SDK speaks. */
export const PROTOCOL_VERSION = 2;
/** Bytes of a frame's header: length, kind, flags. */
export const HEADER_BYTES = 8;
/** Largest payload towards the server. */
export const MAX_PAYLOAD_TO_SERVER_BYTES = 65_552;
/** Largest payload towards the client. */
export const MAX_PAYLOAD_TO_CLIENT_BYTES = 1_048_576;
/** Largest name in a Hello. */
export const MAX_NAME_BYTES = 64;
/** Most chunks that one subscription may hold. */
export const MAX_SUBSCRIPTION_CHUNKS = 65_536;
/** Largest radius, in chunks. */
export const MAX_RADIUS_CHUNKS = 64;
/** Largest margin of a radius, in chunks. */
export const MAX_MARGIN_CHUNKS = 8;
/** Most chunks that one Holds names. */
export const MAX_HOLDS_CHUNKS = Math.floor((MAX_PAYLOAD_TO_SERVER_BYTES - 8) / 20);
/** Most chunks that one Same names. */
export const MAX_SAME_CHUNKS = 1_024;
/** Most voxels in an Edit by the page's own count. */
export const MAX_EDIT_VOXELS = 4_096;
/** Most voxels that fit into a payload towards the server: 16 bytes go to the Edit's own fields. */
export const MAX_EDIT_VOXELS_PER_FRAME = Math.min(
  MAX_EDIT_VOXELS,
  Math.floor((MAX_PAYLOAD_TO_SERVER_BYTES - 16) / 16),
);
/** Most runs in one Body frame. */
export const MAX_BODY_RUNS = 4_096;
/** Most parts of one body. */
export const MAX_BODY_PARTS = 64;
/** Most voxels of one body. */
export const MAX_BODY_VOXELS = 262_144;
/** Width of the widest body. */
export const MAX_BODY_WIDTH = 64;
/** Most bodies that a client is told of at a time. */
export const MAX_BODIES = 4_096;
/** Most bytes of a movement mode's name. */
export const MAX_MODE_NAME_BYTES = 32;
/** Most movement modes of a world. */
export const MAX_MODES = 128;
/** Most goals of one field. */
export const MAX_GOALS = 16;
/** Most agents of a world. */
export const MAX_AGENTS = 131_072;
/** Most goals of one crowd, as told. */
export const MAX_CROWD_GOALS = 256;
/** Most agents of one crowd that are told of in one column. */
export const MAX_COLUMN_AGENTS = 32_768;
/** Voxels along one side of a column. */
export const COLUMN_SIDE = 128;
/** Most chunks that the box of a field may touch. */
export const MAX_FIELD_CHUNKS = 512;
/** Most waypoints in one PathAnswer. */
export const MAX_PART_WAYPOINTS = 4_096;
/** Most requests for ways and fields that a client may have open. */
export const MAX_OPEN_REQUESTS = 32;
/** Most causes that the plan of an undo names. */
export const MAX_UNDO_CAUSES = 7;
/** Most others that the plan of an undo names. */
export const MAX_UNDO_OTHERS = 32;
/** Most voxels that are told of what an undo would put back. */
export const MAX_GHOST_VOXELS = 65_536;
/** Voxels along one side of a chunk. */
export const CHUNK_SIDE = 32;
/** Voxels in a chunk. */
export const CHUNK_VOXELS = 32_768;
/** x and z of a voxel lie in [−2³⁰, 2³⁰). */
export const VOXEL_SIDE_LIMIT = 2 ** 30;
/** y of a voxel lies in [−2048, 2048). */
export const VOXEL_HEIGHT_LIMIT = 2_048;
/** x and z of a chunk lie in [−2²⁵, 2²⁵). */
export const CHUNK_SIDE_LIMIT = 2 ** 25;
/** y of a chunk lies in [−64, 64). */
export const CHUNK_HEIGHT_LIMIT = 64;
