/** How the viewer is built and tested. The SDK is taken from its source beside this folder. */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const sdk = fileURLToPath(new URL("../sdk/typescript", import.meta.url));

export default defineConfig({
  base: "./",
  // The SDK's one package is installed here, too.
  resolve: {
    alias: {
      "@terrane/client": `${sdk}/src/index.ts`,
      fzstd: fileURLToPath(new URL("node_modules/fzstd", import.meta.url)),
    },
  },
  build: { target: "es2022", chunkSizeWarningLimit: 1_000 },
  worker: { format: "es" },
  server: { fs: { allow: [".", sdk] }, proxy: { "/ws": { target: "ws://127.0.0.1:7700", ws: true } } },
  test: {
    globals: true,
    dir: "..",
    include: ["web/test/**/*.test.ts", "sdk/typescript/test/**/*.test.ts"],
  },
});
