/** The end-to-end tests: a real browser against the double, or against the server in TERRANE_BIN. */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: { alias: { "@terrane/client": here("../../sdk/typescript/src/index.ts") } },
  test: {
    globals: true,
    dir: here("."),
    include: ["*.e2e.ts"],
    fileParallelism: false,
    testTimeout: 900_000,
    hookTimeout: 60_000,
  },
});
