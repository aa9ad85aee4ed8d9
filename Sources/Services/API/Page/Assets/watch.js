// The live feed: every document as it becomes searchable, with its way there.
import { api, el, failure, foreign, plain, serverNow, span } from "./dom.js";
import { clock, count, empty, labelled, origin, quantity, time, values, withoutTitle, words } from "./parts.js";
import { follow } from "./sse.js";
import { onStatus, platform } from "./status.js";
import { attributeFields } from "./attributes.js";

export const title = "Watch";

/** Everything that grows has a bound, so that a tab that is open for days stays as small as it was. */
const rowsMax = 150;
const waitingMax = 150;
const wayMax = 2000;
const measuredMax = 500;
const drawMilliseconds = 250;
/** A step that was not followed by the next one for so long was of an event that the logic leaves out. */
const lostMilliseconds = 8000;
/** How long a gap in the stream is spoken of, unless an event comes before. */
const noticeMilliseconds = 60000;
/** What the rate is an average of. */
const rateMilliseconds = 10000;
/** An event older than this when it came is a recorded one: its age says nothing about freshness. */
const recordedMilliseconds = 3600000;

const state = {
  rows: new Map(), waiting: [], ways: new Map(), done: new Map(), arrivals: [], measured: { committed: [], searchable: [], all: [] },
  counts: { received: 0, committed: 0, searchable: 0 }, isPaused: false, isHovered: false, stop: null, query: null, begun: 0, taken: 0,
  /** Why the stream is away; why the newest documents cannot be read; and a word about the stream, with its time. */
  failure: null, recentFailure: null, notice: null, said: null,
};

const list = el("ol", { class: "feed", tabIndex: 0, "aria-label": "Documents that just became searchable" });
const note = el("div", {});
const rate = el("span", { class: "faint" });
const held = el("button", { class: "small accent", type: "button", hidden: true, onclick: () => flush(true) });
const pause = el("button", { class: "small", type: "button", "aria-pressed": "false", onclick: togglePause }, "Pause");
const steps = el("dl", { class: "tiles steps" });
const attributes = attributeFields();
const form = el("form", { class: "filters", autocomplete: "off", "aria-label": "Which documents are shown" },
  labelled("text", el("input", { name: "text", size: 14, maxLength: 200, placeholder: "any" })),
  labelled("lang", el("input", { name: "lang", size: 6, placeholder: "en, de" })),
  attributes.node,
  el("button", { class: "small", type: "submit" }, "Filter"),
  el("button", { class: "small", type: "reset" }, "All"));

export function build(section) {
  section.append(
    el("div", { class: "bar" }, el("h1", {}, "Live feed"), rate, el("span", { class: "space" }), held, pause),
    form, steps, note, list);
  form.addEventListener("submit", (event) => { event.preventDefault(); restart(); });
  form.addEventListener("reset", () => { setTimeout(restart); });
  // Rows that move under the pointer cannot be clicked: new ones wait outside while it is over the list.
  list.addEventListener("pointerenter", (event) => { state.isHovered = event.pointerType === "mouse"; });
  list.addEventListener("pointerleave", () => { state.isHovered = false; });
  setInterval(draw, drawMilliseconds);
  onStatus(() => { if (state.stop) showNote(); });
}

export function show() {
  attributes.ready();
  if (!state.stop) restart();
}

/** A feed that nobody looks at costs the server and the tab nothing. */
export function hide() {
  state.stop?.();
  state.stop = null;
}

export function keyChanged() {
  attributes.forget();
  if (state.stop) restart();
}

function filter() {
  const query = new URLSearchParams();
  const wanted = values(form);
  if (wanted.text) query.append("text", wanted.text);
  for (const one of words(wanted.lang)) query.append("lang", one);
  const tests = attributes.tests(wanted);
  if (tests.length) query.append("filter", JSON.stringify({ must: tests }));
  return query;
}

async function restart() {
  hide();
  const query = filter();
  list.replaceChildren();
  Object.assign(state, { rows: new Map(), waiting: [], ways: new Map(), done: new Map(), arrivals: [], failure: null, recentFailure: null, notice: null, begun: performance.now(),
    counts: { received: 0, committed: 0, searchable: 0 }, measured: { committed: [], searchable: [], all: [] }, query: query.toString() });
  const live = new URLSearchParams(query);
  live.append("stages", "received,committed,searchable");
  state.stop = follow(`/stream?${live}`, { take, state: (error) => { state.failure = error; showNote(); } });
  const mine = state.query;
  try {
    const recent = await api(`/events/recent?limit=60${mine ? `&${mine}` : ""}`);
    if (state.query !== mine) return;
    for (const event of [...recent.events].reverse()) {
      if (!state.rows.has(event.doc_id)) append({ ...event, searchableAt: Date.parse(event.indexed_at) });
    }
  } catch (error) {
    if (state.query === mine) state.recentFailure = error;
  }
  showNote();
}

/** How much is held, and of how many events since the page was loaded: to check that it stays so little. */
export const sizes = () => ({
  rows: state.rows.size, waiting: state.waiting.length, ways: state.ways.size, done: state.done.size, arrivals: state.arrivals.length,
  measured: Math.max(...Object.values(state.measured).map((list) => list.length)), taken: state.taken,
});

/** An event of the stream. */
export function take(name, data) {
  if (name === "event") {
    state.taken += 1;
    state.arrivals.push(performance.now());
    // The stream has gone on since.
    if (state.notice !== null || state.recentFailure !== null) {
      [state.notice, state.recentFailure] = [null, null];
      showNote();
    }
    if (state.arrivals.length > 2000) state.arrivals.splice(0, 1000);
    // Its steps come before or after it.
    data.way = state.done.get(data.doc_id);
    state.waiting.push(data);
    if (state.waiting.length > waitingMax) state.waiting.shift();
  } else if (name === "deleted") {
    state.waiting = state.waiting.filter((event) => event.doc_id !== data.doc_id);
    state.rows.get(data.doc_id)?.node.classList.add("is-deleted");
  } else if (Object.hasOwn(state.counts, name)) {
    state.counts[name] += 1;
    step(name, data);
  } else if (name === "reset" || name === "gap") {
    const words = name === "gap" ? `${count(data.missing)} events are gone from the log (${data.reason}); the stream goes on behind them`
      : `The stream begins again elsewhere (${data.reason})`;
    state.notice = { words: `${words}, since ${clock(new Date(serverNow()).toISOString())}.`, at: performance.now() };
    showNote();
  }
}

function step(name, data) {
  const key = `${data.topic}/${data.partition}/${data.offset}`;
  const way = state.ways.get(key) ?? { at: performance.now() };
  way[name] = Date.parse(data.at);
  way.docID = data.doc_id ?? way.docID;
  state.ways.set(key, way);
  if (state.ways.size > wayMax) state.ways.delete(state.ways.keys().next().value);
  if (name === "committed" && way.received) measure("committed", way.committed - way.received);
  if (name !== "searchable") return;
  if (way.committed) measure("searchable", way.searchable - way.committed);
  if (way.received) measure("all", way.searchable - way.received);
  state.ways.delete(key);
  state.done.set(data.doc_id, way);
  if (state.done.size > waitingMax * 2) state.done.delete(state.done.keys().next().value);
  const row = state.rows.get(data.doc_id);
  if (row) showWay(row, way);
  else {
    const waiting = state.waiting.find((event) => event.doc_id === data.doc_id);
    if (waiting) waiting.way = way;
  }
}

function measure(name, milliseconds) {
  const list = state.measured[name];
  list.push(Math.max(0, milliseconds));
  if (list.length > measuredMax) list.shift();
}

const quantile = (sorted, share) => (sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] : null);

export function draw() {
  if (!state.stop || document.hidden) return;
  flush();
  const now = serverNow();
  for (const row of state.rows.values()) row.clock.textContent = span(now - row.since);
  const since = performance.now() - rateMilliseconds;
  while (state.arrivals.length && state.arrivals[0] < since) state.arrivals.shift();
  // In the first seconds there is less to be an average of.
  const seconds = Math.min(rateMilliseconds, Math.max(1000, performance.now() - state.begun)) / 1000;
  rate.textContent = state.arrivals.length ? `${quantity(state.arrivals.length / seconds, "per_second")}` : "";
  if (state.notice !== null && performance.now() - state.notice.at > noticeMilliseconds) {
    state.notice = null;
    showNote();
  }
  let published = 0;
  for (const [key, way] of state.ways) {
    if (performance.now() - way.at > lostMilliseconds) state.ways.delete(key);
    else if (way.committed) published += 1;
  }
  const of = (name) => {
    const sorted = [...state.measured[name]].sort((a, b) => a - b);
    return sorted.length ? `${quantity(quantile(sorted, 0.5), "ms")} / ${quantity(quantile(sorted, 0.95), "ms")}` : "–";
  };
  const tiles = [
    ["committed, not yet searchable", count(published)], ["received to committed, p50 / p95", of("committed")],
    ["committed to searchable", of("searchable")], ["received to searchable", of("all")],
  ];
  if (steps.children.length) tiles.forEach(([, value], index) => { steps.children[index].lastElementChild.textContent = value; });
  else steps.append(...tiles.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function flush(force = false) {
  const isHeld = !force && (state.isPaused || state.isHovered || list.matches(":focus-within"));
  held.hidden = !(isHeld && state.waiting.length);
  held.textContent = state.waiting.length === waitingMax ? `${waitingMax} or more new` : `${state.waiting.length} new`;
  if (isHeld || !state.waiting.length) return;
  for (const event of state.waiting) append(event);
  state.waiting = [];
  showNote();
}

function togglePause() {
  state.isPaused = !state.isPaused;
  pause.setAttribute("aria-pressed", String(state.isPaused));
  pause.textContent = state.isPaused ? "Resume" : "Pause";
  flush();
}

/** A row for a document, on top, in place of an older one of the same document. */
function append(event) {
  state.rows.get(event.doc_id)?.node.remove();
  state.rows.delete(event.doc_id);
  const happened = Date.parse(event.event_time);
  const found = event.searchableAt ?? event.way?.searchable ?? serverNow();
  const isRecorded = found - happened > recordedMilliseconds;
  const clock = el("time", { class: "age", dateTime: event.event_time,
    title: `event time ${plain(event.event_time)}${isRecorded ? "\nThe clock counts from when it became searchable: the event is recorded." : ""}` });
  const way = el("span", { class: "way" });
  const row = { clock, way, since: isRecorded ? found : happened };
  row.node = el("li", { class: "row" }, clock,
    el("div", { class: "row-main" },
      el("a", { class: "row-title", href: `#/trace/${encodeURIComponent(event.doc_id)}/${encodeURIComponent(event.collection ?? "")}`,
        title: "Trace it to its raw event" }, foreign(event.title || event.doc_id)),
      foreign(withoutTitle(event), "p", "row-text")),
    el("span", { class: "row-origin faint" }, origin(event)), way);
  if (event.way) showWay(row, event.way);
  else if (event.searchableAt) way.append(el("span", { class: "faint" }, "searchable ", time(event.indexed_at)));
  state.rows.set(event.doc_id, row);
  list.prepend(row.node);
  while (state.rows.size > rowsMax) {
    const [oldest, last] = state.rows.entries().next().value;
    last.node.remove();
    state.rows.delete(oldest);
  }
}

/** Received, committed, searchable: each with the time since the one before. */
function showWay(row, way) {
  const part = (name, from) => el("span", { class: `step-mark is-${name}`, title: `${name} ${new Date(way[name]).toISOString()}` },
    name, from ? ` +${quantity(Math.max(0, way[name] - from), "ms")}` : "");
  row.way.replaceChildren(...[
    way.received ? part("received", 0) : null,
    way.committed ? part("committed", way.received) : null,
    way.searchable ? part("searchable", way.committed ?? way.received) : null,
  ].filter(Boolean));
}

function showNote() {
  const { status, awaySince } = platform;
  list.classList.toggle("is-stale", awaySince !== null || status?.freshness === "stale" || status?.freshness === "unknown");
  const parts = [];
  if (state.failure) {
    parts.push(state.failure.status ? failure(state.failure)
      : el("p", { class: "notice", role: "status" }, `The live stream is interrupted: ${state.failure.message}. It is taken up again by itself.`));
  } else if (state.recentFailure) {
    parts.push(failure(state.recentFailure));
  } else if (state.notice) {
    parts.push(el("p", { class: "notice", role: "status" }, foreign(state.notice.words)));
  } else if (status && status.freshness !== "fresh") {
    parts.push(el("p", { class: "notice", role: "status" }, `The index is ${status.freshness}: `, foreign(status.freshness_reason)));
  }
  if (state.rows.size === 0 && !state.failure && !state.recentFailure) {
    parts.push(empty(state.query ? "No document passes the filters yet." : "Waiting for the first document…"));
  }
  // Said once: a status that is written again is read out again.
  const said = parts.map((part) => part.textContent).join("\n");
  if (said === state.said) return;
  state.said = said;
  note.replaceChildren(...parts);
}
