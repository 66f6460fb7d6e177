// Copies what the demo and the plain example import into demo/vendor: the package, BlurHash and ThumbHash.

import { cpSync, mkdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const path = name => fileURLToPath(new URL(`../${name}`, import.meta.url));
const vendor = path("demo/vendor");

rmSync(vendor, { recursive: true, force: true });
mkdirSync(vendor, { recursive: true });
cpSync(path("lib"), `${vendor}/aez-image`, { recursive: true });
cpSync(path("node_modules/blurhash/dist/esm/index.js"), `${vendor}/blurhash.js`);
cpSync(path("node_modules/thumbhash/thumbhash.js"), `${vendor}/thumbhash.js`);
