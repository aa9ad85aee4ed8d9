// Runs the page's feed without a browser: pages of events come out of a script, and what the visitor reads as the rate
// goes to standard output, one line per poll.
//
// Usage: node feed_page.mjs FOLDER-OF-THE-PAGE

import { pathToFileURL } from "node:url";

/** An element that takes everything; what the feed reads of it is true. */
function element() {
  const node = {
    children: [], dataset: {}, style: {}, classList: { toggle() {}, add() {}, remove() {} }, textContent: "", hidden: false,
    addEventListener() {}, setAttribute() {}, append() {}, remove() {},
    prepend(child) { this.children.unshift(child); },
    replaceChildren() { this.children.length = 0; },
    querySelectorAll: () => [],
    get lastElementChild() { return node.children.length ? { remove: () => node.children.pop() } : null; },
  };
  return node;
}

const elements = new Map();
globalThis.document = {
  hidden: false, body: element(),
  getElementById(id) {
    if (!elements.has(id)) elements.set(id, element());
    return elements.get(id);
  },
  createElement: element, addEventListener() {},
};
globalThis.sessionStorage = { getItem: () => null };

let number = 0;
let version = 0;
function event() {
  number += 1;
  const now = new Date().toISOString();
  return {
    doc_id: `d-${number}`, version: 1, passage: 0, title: "Title", text: "Title: text", event_time: now, indexed_at: now,
    index_version: version, type: "edit", wiki: "enwiki", user: "u", is_bot: false,
  };
}

/** Pages of the polls, in order: [events, whether the page is complete]. */
const polls = [
  // The first list, as long as the bound of a page.
  [[1, true]],
  // Cut short once, then whole: nothing is left out.
  [[1, false], [1, true]],
  // Cut short as often as the page follows.
  [[1, false], [1, false], [1, false], [1, false], [1, false]],
  [[1, true]],
];
let poll = -1;
let page = 0;
globalThis.fetch = async (path) => {
  if (path.includes("cursor=")) page += 1;
  else {
    if (poll >= 0) report();
    poll += 1;
    page = 0;
    version += 1;
  }
  if (poll >= polls.length) process.exit(0);
  const [count, complete] = polls[poll][page];
  const now = new Date().toISOString();
  const reply = {
    events: Array.from({ length: count }, event), generation: 1, index_version: version, indexed_at: now, now,
    freshness: "fresh", freshness_reason: "", events_behind: 0, pipeline: null, complete,
    next_cursor: complete ? null : `1.${version}.${number}`,
  };
  return { ok: true, status: 200, json: async () => reply };
};

function report() {
  console.log(elements.get("rate").textContent.startsWith("over") ? "over" : "all");
}

setTimeout(() => process.exit(1), 30000);
// Ten times as fast.
const [later, again] = [setTimeout, setInterval];
globalThis.setTimeout = (body, milliseconds) => later(body, milliseconds / 10);
globalThis.setInterval = (body, milliseconds) => again(body, milliseconds / 10);
const { startFeed } = await import(pathToFileURL(`${process.argv[2]}/feed.js`));
startFeed();
