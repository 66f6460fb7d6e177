// The demo and the plain example in Chromium. SCREENSHOTS is a folder for pictures of them.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { decodeTask, encodeTask, native } from "../native.mjs";
import { budget, draw } from "../pictures.mjs";
import { open } from "./browser.mjs";

const DEMO = "/bindings/web/demo/index.html";
const PLAIN = "/bindings/web/examples/plain/index.html";
const SLACK = process.env.AEZ_FAST ? 1 : 3;

let browser;
before(async () => { browser = await open(); });
after(() => browser.close());

test("the demo decodes a hundred previews to the pixels of the native program", async () => {
  const { page, messages } = await browser.page(DEMO);
  const texts = native(Array.from({ length: 100 }, (_, seed) => encodeTask(draw(seed), budget(seed))));
  const expected = native(texts.map(text => decodeTask(text)));
  const { pixels, ms } = await page.evaluate(async texts => {
    const { decodePreview } = await import("aez-image");
    decodePreview(texts[0]);
    const start = performance.now();
    const pictures = texts.map(text => decodePreview(text));
    const ms = (performance.now() - start) / texts.length;
    const toText = data => btoa(Array.from(data, byte => String.fromCharCode(byte)).join(""));
    return { pixels: pictures.map(picture => toText(picture.data)), ms };
  }, texts);
  assert.deepEqual(pixels, expected);
  console.log(`Chromium: ${ms.toFixed(2)} ms for a preview`);
  assert.ok(ms <= 8 * SLACK, `${ms} ms`);
  assert.deepEqual(messages, []);
});

test("the first preview of a page is decoded within 100 ms", async () => {
  const [text] = native([encodeTask(draw(1), 30)]);
  const html = `<!doctype html><link rel="icon" href="data:,"><script type="module">
    import { decodePreview } from "/bindings/web/lib/index.js";
    const start = performance.now();
    decodePreview("${text}");
    window.ms = performance.now() - start;
  </script>`;
  const times = [];
  for (let round = 0; round < 3; round++) {
    const { page, messages } = await browser.page(`/first${round}.html`, { html });
    times.push(await page.evaluate("ms"));
    assert.deepEqual(messages, []);
    await page.close();
  }
  console.log(`Chromium: first preview of a page ${times.map(time => time.toFixed(0)).join(", ")} ms`);
  assert.ok(Math.min(...times) <= 100 * SLACK);
});

test("a worker decodes previews", async () => {
  const [text] = native([encodeTask(draw(1), 30)]);
  const { page } = await browser.page(DEMO);
  const width = await page.evaluate(text => new Promise((resolve, reject) => {
    // The page's policy allows workers of its own origin only.
    const worker = new Worker(`${location.origin}/bindings/web/test/browser/worker.mjs?${encodeURIComponent(text)}`, { type: "module" });
    worker.onmessage = event => resolve(event.data);
    worker.onerror = () => reject(new Error("the worker failed"));
  }), text);
  assert.ok(width > 0);
});

test("the demo follows the slider, and shows texts that are pasted", async () => {
  const { page, messages } = await browser.page(DEMO);
  await page.waitForSelector("figure:nth-child(4)");
  const bytes = () => page.$eval("figure:nth-child(2) dd", cell => Number(cell.textContent));
  assert.ok(await bytes() <= 30);
  await page.$eval("#budget", slider => {
    slider.value = 200;
    slider.dispatchEvent(new Event("input"));
  });
  await page.waitForFunction(() => document.querySelector("figure:nth-child(2) dd").textContent > 60);
  const text = await page.$eval("#text", area => area.value);
  const paste = value => page.$eval("#text", (area, value) => {
    area.value = value;
    area.dispatchEvent(new Event("input"));
  }, value);
  await paste(`${text}A`);
  assert.match(await page.$eval("#message", line => line.textContent), /not a valid preview/);
  await paste(text);
  assert.equal(await page.$$eval("figure", figures => figures.length), 1);
  assert.deepEqual(messages, []);
});

test("a file that is chosen is compared", async () => {
  const { page, messages } = await browser.page(DEMO);
  const input = await page.$("#file");
  await input.uploadFile(new URL("../../../../docs/sample.png", import.meta.url).pathname);
  await page.waitForFunction(() => document.querySelector("figure dd")?.textContent === "256 × 171");
  await input.uploadFile(new URL(import.meta.url).pathname);
  await page.waitForFunction(() => document.querySelector("#message").textContent.includes("no picture"));
  assert.deepEqual(messages, []);
});

for (const width of [360, 1280]) {
  for (const [name, path] of [["demo", DEMO], ["plain", PLAIN]]) {
    test(`${name} fits into ${width} pixels`, async () => {
      for (const scheme of ["light", "dark"]) {
        const features = [{ name: "prefers-color-scheme", value: scheme }];
        const { page } = await browser.page(path, { width, features });
        await page.waitForSelector("figure:nth-child(4), aez-img[state]");
        await new Promise(resolve => setTimeout(resolve, 500));
        const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(inner <= outer, `${inner} > ${outer}`);
        const folder = process.env.SCREENSHOTS;
        if (folder) await page.screenshot({ path: `${folder}/${name}-${width}-${scheme}.png`, fullPage: true });
        await page.close();
      }
    });
  }
}
