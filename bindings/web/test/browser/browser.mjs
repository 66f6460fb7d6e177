// Chromium and a server for the files of this folder.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

import puppeteer from "puppeteer-core";

/** The root of the repository: an example uses a picture of the documentation. */
const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".png": "image/png" };

/** How long a picture of `/slow/` takes. */
export const SLOW_MS = 400;

async function respond(request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  const isSlow = pathname.startsWith("/slow/");
  if (isSlow) await new Promise(resolve => setTimeout(resolve, SLOW_MS));
  try {
    const body = await readFile(join(ROOT, normalize(isSlow ? pathname.slice(5) : pathname)));
    response.writeHead(200, { "content-type": TYPES[extname(pathname)] ?? "application/octet-stream" }).end(body);
  } catch {
    response.writeHead(404).end();
  }
}

/** Opens pages at addresses of this server. */
export async function open() {
  const server = createServer(respond);
  await new Promise(resolve => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  const args = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"];
  const browser = await puppeteer.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
  return {
    /** A page, and what it wrote to the console as warnings and errors. */
    async page(path, { width = 1280, html, features = [] } = {}) {
      const page = await browser.newPage();
      const messages = [];
      page.on("console", message => {
        if (["error", "warn"].includes(message.type())) messages.push(message.text());
      });
      page.on("pageerror", error => messages.push(String(error)));
      await page.setViewport({ width, height: 900 });
      await page.emulateMediaFeatures(features);
      if (html) {
        await page.setRequestInterception(true);
        page.on("request", request => {
          if (request.url() === `${origin}${path}`) request.respond({ contentType: "text/html", body: html });
          else request.continue();
        });
      }
      await page.goto(`${origin}${path}`, { waitUntil: "load" });
      return { page, messages };
    },
    async close() {
      await browser.close();
      server.close();
    },
  };
}
