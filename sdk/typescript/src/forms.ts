/** How a chunk holds its voxels; the numbers are those of the server's own forms. */
export const SnapshotForm = { uniform: 1, u4: 2, u8: 3, u16: 4 } as const;
