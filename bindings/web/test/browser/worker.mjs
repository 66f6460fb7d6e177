// Decodes the preview in its address.

import { decodePreview } from "../../lib/index.js";

postMessage(decodePreview(decodeURIComponent(location.search.slice(1))).width);
