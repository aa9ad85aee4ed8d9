// Runs parts of the page without a browser. What is wrong goes to standard output, a line each; nothing where all is well.
//
// Usage: node page_modules.mjs FOLDER-OF-THE-PAGE

import { readdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

/** An element as far as these parts need one. */
function element(tag) {
  return {
    tag, children: [], className: "", style: {}, dataset: {},
    setAttribute() {}, addEventListener() {}, append(...parts) { this.children.push(...parts); },
    get textContent() { return this.children.map((child) => (typeof child === "string" ? child : child.textContent)).join(""); },
  };
}
globalThis.document = { createElement: element, createElementNS: (_, tag) => element(tag), getElementById: element };
globalThis.sessionStorage = { getItem: () => null };

const load = (name) => import(pathToFileURL(`${process.argv[2]}/${name}.js`));
const [{ marked, plain }, { EventParser, follow }, { difference, quantity }, { examples }, { faults }] =
  await Promise.all([load("dom"), load("sse"), load("parts"), load("questions"), load("faults")]);

function equal(what, found, wanted) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (left !== right) console.log(`${what}: ${left} and not ${right}`);
}

// Frames come in pieces that end anywhere, in each of the three forms of line ends.
const stream = "\uFEFF: hello\n\nid: 1\nevent: a\ndata: {\ndata: }\n\ndata:x\r\n\r\nid: 2\r\rdata: y\r\revent: b\nid\ndata\n\ndata: cut";
const expected = [["a", "{\n}", "1"], ["message", "x", "1"], ["message", "y", "2"], ["b", "", ""]];
for (let size = 1; size < 40; size += 1) {
  const seen = [];
  const parser = new EventParser((...frame) => seen.push(frame));
  for (let at = 1; at < stream.length; at += size) parser.push(stream.slice(at, at + size));
  equal(`frames in pieces of ${size}`, seen, expected);
}

// A stream that ends is asked for again, from the last id; one that is refused is not.
const asked = [];
const replies = [
  () => new Response("id: 7\ndata: 1\n\n"), () => { throw new TypeError("no network"); }, () => new Response("data: 2\n\nid: 8\n\n"),
  () => new Response(JSON.stringify({ error: { type: "forbidden", message: "no" } }), { status: 403 }),
];
globalThis.fetch = async (_, { headers }) => {
  asked.push(headers["Last-Event-ID"] ?? "");
  return replies[asked.length - 1]();
};
const taken = [];
await new Promise((done) => {
  follow("/stream", { waitMilliseconds: 2, take: (_, data) => taken.push(data), state: (error) => { if (error?.status === 403) done(); } });
});
equal("ids that are sent back", asked, ["", "7", "7", "8"]);
equal("what came", taken, [1, 2]);

// A stream that is open but dead is given up and asked for again.
let tries = 0;
const half = (signal) => new Response(new ReadableStream({
  start(controller) {
    signal.addEventListener("abort", () => controller.error(signal.reason));
    controller.enqueue(new TextEncoder().encode(": here\n\n"));
  },
}));
globalThis.fetch = async (_, { signal }) => {
  tries += 1;
  if (tries < 3) return half(signal);
  return new Response(JSON.stringify({ error: { type: "forbidden", message: "no" } }), { status: 403 });
};
const reasons = [];
await new Promise((done) => {
  follow("/stream", { waitMilliseconds: 2, silenceMilliseconds: 50, take() {}, state: (error) => {
    if (error) reasons.push(error.message);
    if (error?.status === 403) done();
  } });
});
equal("a stream that is silent", reasons, ["nothing came for 0.05 s", "nothing came for 0.05 s", "no"]);

// What would not be seen is shown, and what belongs to a script or an emoji is left alone.
const shown = (text) => marked(text).map((part) => (typeof part === "string" ? part : `<${part.textContent}>`)).join("");
for (const [text, wanted] of [
  ["a\u202Eb", "a<202E>b"], ["pay\u200Bpal", "pay<200B>pal"], ["x\u0000\u001B[1m", "x<0000><001B>[1m"], ["a\u200Db", "a<200D>b"],
  ["tag\u{E0041}", "tag<E0041>"], ["soft\u00ADhyphen", "soft<00AD>hyphen"], ["\uFEFF", "<FEFF>"], ["\u2066x\u2069", "<2066>x<2069>"],
  ["👩\u200D🚀", "👩\u200D🚀"], ["👍🏽", "👍🏽"], ["می\u200Cخواهم", "می\u200Cخواهم"], ["क्\u200Dष", "क्\u200Dष"], ["naïve Ω\n", "naïve Ω\n"],
]) equal(JSON.stringify(text), shown(text), wanted);

const sides = (before, after) => difference(before, after).map((side) => side.children.flat(Infinity).map((part) =>
  (typeof part === "string" ? part : `[${part.tag}:${part.textContent}]`)).join(""));
equal("words that differ", sides("one two three", "one 2 three"), ["one [del:two] three", "one [ins:2] three"]);
equal("words at the end", sides("one", "one two"), ["one", "one[ins: two]"]);
equal("the same", sides("one two", "one two"), ["one two", "one two"]);
equal("all else", sides("a", ""), ["[del:a]", ""]);

equal("numbers", [quantity(0, "ms"), quantity(1234, "ms"), quantity(0.9999, "share"), quantity(0.5, "share"), quantity(3 << 20, "bytes"), quantity(null, "ms")],
  ["0 ms", "1.23 s", "100 %", "50.0 %", "3.00 MiB", "–"]);

equal("questions", examples([{ title: "User talk:Ann" }, { title: "Q42" }, { title: "Lake Tahoe" }, { title: "Lake Tahoe" }, { title: "Москва" }]),
  ["what changed in Lake Tahoe?", "what changed in Москва?"]);
// One line for one cause, with what still works.
const part = (state, message = "", detail = {}) => ({ state, message, detail, last_ok: "2026-01-01T00:00:00Z" });
const told = (parts) => faults(Object.entries(parts)).map(([name, what, , effect]) => `${name}: ${what}: ${effect !== ""}`);
equal("all well", told({ broker: part("ok"), embedding: part("degraded", "switched off"), model: part("degraded", "failed", { circuit: "closed" }) }), []);
equal("the broker and what needs it", told({ "stream a": part("failed", "x"), broker: part("failed", "refused"), indexer: part("failed", "y"), index: part("ok") }),
  ["broker: has failed: refused (and so have stream a, indexer): true"]);
equal("the index in memory", told({ index: part("degraded", "it cannot be read; searches are done in memory"), indexer: part("failed", "y") }),
  ["index: it cannot be read (and so has indexer): true"]);
equal("two causes", told({ "source b": part("failed", "gone"), database: part("failed", "refused"), index: part("failed", "refused") }),
  ["source b: has failed: gone: true", "database: has failed: refused (and so has index): true"]);
equal("a model that rests", told({ model: part("degraded", "its last answer failed", { circuit: "open" }) }), ["model: its last answer failed: true"]);

// A document of another shape than the mapping is left as it is.
const { put } = await load("documents");
for (const [document, path, wanted] of [
  [{}, "id", { id: 1 }], [{}, "meta.id", { meta: { id: 1 } }], [{ meta: null }, "meta.id", { meta: { id: 1 } }], [{ meta: "x" }, "meta.id", { meta: "x" }],
  [{ meta: [] }, "meta.id", { meta: [] }], [{ meta: { id: 2 } }, "meta.id.no", { meta: { id: 2 } }], [[], "id", []], [{ about: "" }, "about.body", { about: "" }],
]) {
  put(document, path, 1);
  equal(`put at ${path}`, document, wanted);
}

// Where no element can mark it, text from outside goes through plain(): labels, titles and the browser's questions.
equal("hidden characters in a label", plain("a\u202Eb"), "a<U+202E>b");

/** The end of the expression that begins at `start`: the comma, or what closes, around it. Its templates' insertions go to `found`. */
function scan(text, start, found, closing = ",)}];") {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const sign = text[at];
    if (depth === 0 && closing.includes(sign)) return at;
    if ("([{".includes(sign)) depth += 1;
    else if (")]}".includes(sign)) depth -= 1;
    else if (sign === '"') {
      for (at += 1; at < text.length && text[at] !== '"'; at += 1) if (text[at] === "\\") at += 1;
    } else if (sign === "`") {
      for (at += 1; at < text.length && text[at] !== "`"; at += 1) {
        if (text[at] === "\\") at += 1;
        else if (text.startsWith("${", at)) {
          const end = scan(text, at + 2, found, "}");
          found.push(text.slice(at + 2, end));
          at = end;
        }
      }
    }
  }
  return text.length;
}

/** Numbers, states and words of the page's own, which need no marks. */
const own = new Set(["number", "code", "name", "value", "way", "isPaused", "isRecorded"]);
/** What of a module's labels, titles and questions is inserted as it came. */
function unmarked(text) {
  const found = [];
  for (const place of text.matchAll(/"aria-label"[:,]|\btitle:|\bconfirm\(/g)) scan(text, place.index + place[0].length, found);
  return found.filter((insertion) => insertion.replace(/"(?:[^"\\]|\\.)*"/g, "")
    .replace(/\b(?:plain|count|quantity)\((?:[^()]|\([^()]*\))*\)|\bnew Date\([^()]*\)\.toISOString\(\)/g, "")
    .match(/[\w$.[\]]+/g)?.some((word) => !own.has(word)) ?? false);
}
equal("insertions that are found", unmarked('el("a", { title: `of ${one.id}`, "aria-label": `Open ${isOld ? `${a[0]}` : ""} ${plain(b.c)}` }, `${d.e}`); confirm(`${id}?`);'),
  ["one.id", "a[0]", "isOld ? `${a[0]}` : \"\"", "id"]);
for (const name of readdirSync(process.argv[2]).filter((one) => one.endsWith(".js"))) {
  equal(`${name}: text from outside in labels, titles or questions without plain()`, unmarked(readFileSync(`${process.argv[2]}/${name}`, "utf8")), []);
}
process.exit(0);
