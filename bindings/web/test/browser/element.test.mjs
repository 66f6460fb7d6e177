// `<aez-img>` in Chromium.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { encodeTask, native } from "../native.mjs";
import { SLOW_MS, open } from "./browser.mjs";

let browser;
before(async () => { browser = await open(); });
after(() => browser.close());

/** A picture of one colour, and one with a transparent half. */
const fill = pixel => ({ width: 60, height: 40, data: Uint8Array.from({ length: 9600 }, (_, at) => pixel(at >> 2)[at & 3]) });
const [opaque, transparent] = native([
  encodeTask(fill(() => [200, 40, 40, 255]), 30),
  encodeTask(fill(place => (place % 60 < 30 ? [200, 40, 40, 255] : [0, 0, 0, 0])), 30),
]);

const PICTURE = "docs/sample.png";

/** Holds the place of the element until its script has loaded, as the README says. */
const PLACE = "display: inline-block; width: 288px; aspect-ratio: 288 / 192; vertical-align: bottom";

/** A page with a body, and observers that were there before anything else. */
const html = body => `<!doctype html><link rel="icon" href="data:,">
<script>
  window.shifts = 0;
  new PerformanceObserver(list => { for (const entry of list.getEntries()) shifts += entry.value })
    .observe({ type: "layout-shift", buffered: true });
</script>
<script type="module" src="/bindings/web/lib/element.js"></script>
<body style="margin: 0">${body}<p>Text below</p>`;

const element = (attributes, preview = opaque) => `<aez-img preview="${preview}" alt="A field" ${attributes}></aez-img>`;

/** What the first element of a page shows. */
const look = page => page.$eval("aez-img", host => {
  const [canvas, image] = ["canvas", "img"].map(name => getComputedStyle(host.shadowRoot.querySelector(name)));
  const { width, height } = host.getBoundingClientRect();
  return {
    state: host.state, width, height, canvas: canvas.display !== "none" && Number(canvas.opacity), image: Number(image.opacity),
    transition: image.transitionDuration,
  };
});

const settled = page => page.waitForFunction(() => document.querySelector("aez-img").shadowRoot.querySelector(".done"));

test("the preview is there at once, the picture fades in, and nothing moves", async () => {
  const body = element(`src="/slow/${PICTURE}" width="288" height="192" style="${PLACE}"`);
  const { page, messages } = await browser.page("/fade.html", { html: html(body) });
  await settled(page);
  const after = await look(page);
  assert.deepEqual([after.state, after.canvas, after.image, after.width, after.height], ["loaded", false, 1, 288, 192]);
  assert.equal(await page.evaluate("shifts"), 0);
  // Again, with a look in between.
  await page.$eval("aez-img", host => { host.src = `${host.src}?again`; });
  const early = await look(page);
  assert.deepEqual([early.state, early.image], ["preview", 0]);
  await page.waitForFunction(() => document.querySelector("aez-img").state === "loaded");
  assert.equal((await look(page)).transition, "0.3s");
  await settled(page);
  assert.deepEqual(messages, []);
});

test("without a size, the preview's aspect ratio holds its place", async () => {
  const { page } = await browser.page("/ratio.html", { html: html(`<div style="width: 300px">${element(`src="/slow/${PICTURE}"`)}</div>`) });
  await settled(page);
  const { width, height } = await look(page);
  assert.equal(width, 300);
  assert.ok(Math.abs(height - 200) < 4, `${height}`);
});

test("reduced motion has no transition", async () => {
  const features = [{ name: "prefers-reduced-motion", value: "reduce" }];
  const { page } = await browser.page("/still.html", { html: html(element(`src="/slow/${PICTURE}"`)), features });
  await settled(page);
  assert.equal((await look(page)).transition, "0s");
});

test("a preview does not shine through a transparent picture", async () => {
  const picture = encodeURIComponent("<svg xmlns='http://www.w3.org/2000/svg' width='60' height='40'><circle r='9' cx='30' cy='20'/></svg>");
  for (const preview of [transparent, opaque]) {
    const body = element(`src="data:image/svg+xml,${picture}" width="60" height="40"`, preview);
    const { page } = await browser.page("/transparent.html", { html: html(body) });
    await settled(page);
    assert.equal((await look(page)).canvas, false);
    const corner = await page.evaluate(async url => {
      const image = Object.assign(new Image(), { src: url });
      await image.decode();
      const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
      context.drawImage(image, 2, 2, 1, 1, 0, 0, 1, 1);
      return [...context.getImageData(0, 0, 1, 1).data];
    }, `data:image/png;base64,${await (await page.$("aez-img")).screenshot({ encoding: "base64" })}`);
    assert.deepEqual(corner, [255, 255, 255, 255]);
  }
});

test("the preview stays where the picture cannot be loaded", async () => {
  const { page } = await browser.page("/broken.html", { html: html(element('src="/missing.png" width="60" height="40"')) });
  await page.waitForSelector("aez-img[state=failed]");
  const { canvas, image } = await look(page);
  assert.deepEqual([canvas, image], [1, 0]);
});

test("a damaged preview does not stop the picture", async () => {
  const { page, messages } = await browser.page("/damaged.html", { html: html(element(`src="/${PICTURE}" width="60" height="40"`, "x y")) });
  await settled(page);
  assert.equal((await look(page)).image, 1);
  assert.match(messages.join(), /aez-img: not a valid preview/);
});

test("the description is there for screen readers, before and after", async () => {
  for (const src of [PICTURE, "missing.png"]) {
    const { page } = await browser.page("/name.html", { html: html(element(`src="/${src}" width="60" height="40"`)) });
    await page.waitForSelector("aez-img[state]");
    const tree = JSON.stringify(await page.accessibility.snapshot({ interestingOnly: true }));
    assert.match(tree, /"role":"image?",[^{}]*"name":"A field"/);
    assert.equal(tree.match(/A field/g).length, 1);
  }
});

test("many previews leave the page responsive", async () => {
  const { page } = await browser.page("/many.html", { html: html("") });
  const { longest, total } = await page.evaluate(async text => {
    const start = performance.now();
    for (let at = 0; at < 100; at++) {
      const host = document.createElement("aez-img");
      for (const [name, value] of [["preview", text], ["width", 60], ["height", 40]]) host.setAttribute(name, value);
      document.body.append(host);
    }
    let [longest, last] = [performance.now() - start, performance.now()];
    const isShown = host => !host.shadowRoot.querySelector("canvas").hidden;
    const hosts = [...document.querySelectorAll("aez-img")];
    while (!hosts.every(isShown)) {
      await new Promise(resolve => setTimeout(resolve, 0));
      [longest, last] = [Math.max(longest, performance.now() - last), performance.now()];
    }
    return { longest, total: performance.now() - start };
  }, opaque);
  console.log(`Chromium: 100 elements in ${total.toFixed(0)} ms, longest task ${longest.toFixed(0)} ms`);
  assert.ok(longest < 150, `${longest} ms`);
});

test("pictures far below are not loaded", async () => {
  const body = `<div style="height: 20000px"></div>${element(`src="/${PICTURE}" width="60" height="40"`)}`;
  const { page } = await browser.page("/lazy.html", { html: html(body) });
  await new Promise(resolve => setTimeout(resolve, SLOW_MS));
  assert.equal((await look(page)).state, "preview");
  await page.$eval("aez-img", host => host.scrollIntoView());
  await page.waitForSelector("aez-img[state=loaded]");
});
