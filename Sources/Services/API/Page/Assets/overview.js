// The first screen: is it fresh, how far behind, what is coming in, what can be done here.
import { api, el, failure, foreign, link, plain, serverNow, span } from "./dom.js";
import { count, empty, level, loading, origin, pill, quantity, traceLink } from "./parts.js";
import { chart, strip } from "./chart.js";
import { onStatus, platform, repeat } from "./status.js";
import { examples } from "./questions.js";

export const title = "Overview";

const historyMilliseconds = 5000;
const newestMilliseconds = 1500;
const slots = 360;
const newestMax = 7;
const givenMax = 3;

/** The picture's stages: title, name in /pipeline/status, what its time is, what waits for it. */
const stages = [
  { title: "Sources", name: "received", spent: "to arrive", waits: null },
  { title: "Topic", name: "broker", spent: "to the topic", waits: null },
  { title: "Lake", name: "committed", spent: "to the lake", waits: "wait in the topic" },
  { title: "Index", name: "indexed", spent: "to the index", waits: "wait in the lake's topic" },
  { title: "Search", name: "searchable", spent: "to a search", waits: "not searchable" },
];

const badges = { slowest: "slowest", standing: "stands still", waiting: "holds up", source: "holds up" };
const sourcesMax = 4;

const charts = [
  chart({ title: "Broker to searchable", unit: "ms", objective: 1000, objectiveText: "objective 1 s",
    lines: [{ name: "freshness_p50", label: "p50", className: "l-1" }, { name: "freshness_p95", label: "p95", className: "l-2" }],
    unless: "nothing became searchable" }),
  chart({ title: "Events behind", unit: "events", lines: [{ name: "events_behind", label: "behind", className: "l-1" }],
    unless: "not known" }),
  chart({ title: "Throughput", unit: "per_second",
    lines: [{ name: "received", label: "in", className: "l-3" }, { name: "committed", label: "lake", className: "l-2" },
      { name: "searchable", label: "found", className: "l-1" }], unless: "nothing was seen to pass" }),
  chart({ title: "Queries, p95", unit: "ms", objective: 50, objectiveText: "searches: 50 ms",
    lines: [{ name: "search_p95", label: "search", className: "l-1" }, { name: "answer_p95", label: "answer", className: "l-2" }],
    unless: "nobody has asked" }),
  chart({ title: "Cache hits", unit: "share", top: 1, lines: [{ name: "cache_hits", label: "hits", className: "l-1" }],
    unless: "nobody has asked" }),
  chart({ title: "Recall@10, sampled", unit: "share", bottom: 0.8, top: 1, objective: 0.95, objectiveText: "objective 95 %",
    lines: [{ name: "recall", label: "recall", className: "l-1" }], unless: "no search was sampled" }),
  chart({ title: "Processor", unit: "cores", lines: [{ name: "processor", label: "cores", className: "l-1" }], unless: "not known" }),
  chart({ title: "Memory", unit: "bytes", lines: [{ name: "memory", label: "resident", className: "l-1" }], unless: "not known" }),
];

const headline = el("h1", { class: "headline", id: "headline" }, "Looking at the pipeline…");
const reason = el("p", { class: "headline-why" });
const figures = { newest: tile(), behind: tile(), rate: tile(), way: tile() };
const tiles = el("dl", { class: "tiles" }, Object.values(figures).map((one) => one.node));
const picture = stages.map(node);
const flow = el("ol", { class: "flow", "aria-label": "The pipeline, from source to search" }, picture.map((one) => one.node));
const newest = el("ol", { class: "newest" });
const newestState = el("div", {}, loading("Waiting for the first document…"));
const questions = el("ul", { class: "examples" });
const given = el("ul", { class: "plain given" });
const states = el("div", { class: "states" });
const historyState = el("div", {});
const hour = el("h2", { id: "home-hour" }, "The last hour");
let isShown = false;

export function build(section) {
  const box = el("input", { id: "home-query", type: "search", maxLength: 2000, dir: "auto", "aria-label": "Question",
    placeholder: "Ask about what was just edited" });
  const go = (way) => { if (box.value.trim()) location.hash = `#/ask/${way}/${encodeURIComponent(box.value)}`; };
  section.append(
    el("div", { class: "top" }, el("div", { class: "top-words" }, headline, reason), tiles),
    el("div", { class: "panel" }, flow),
    el("div", { class: "pair" },
      el("section", { class: "panel", "aria-labelledby": "home-ask" },
        el("h2", { id: "home-ask" }, "Ask, search, trace"),
        el("form", { class: "line", onsubmit: (event) => { event.preventDefault(); go("ask"); } }, box,
          el("button", { class: "accent", type: "submit" }, "Ask"),
          el("button", { type: "button", onclick: () => go("search") }, "Search")),
        questions, given,
        el("p", { class: "ways" },
          el("a", { href: "#/watch" }, "Watch every event on its way"), " · ",
          el("a", { href: "#/trace" }, "Trace an answer to its raw event"), " · ",
          el("a", { href: "#/replay" }, "Replay other logic"))),
      el("section", { class: "panel", "aria-labelledby": "home-newest" },
        el("div", { class: "bar" }, el("h2", { id: "home-newest" }, "Newest documents"), el("span", { class: "space" }),
          el("a", { class: "small button", href: "#/watch" }, "Watch")), newestState, newest)),
    el("section", { class: "panel", "aria-labelledby": "home-hour" },
      el("div", { class: "bar" }, hour, states), historyState,
      el("div", { class: "charts" }, charts.map((one) => one.node))));
  onStatus(showStatus);
  const whileSeen = (look, milliseconds) => repeat(async () => { if (isShown && !document.hidden) await look(); }, milliseconds);
  whileSeen(() => Promise.all([lookAtHistory(), lookAtAnswers()]), historyMilliseconds);
  whileSeen(lookAtNewest, newestMilliseconds);
}

export function show() {
  isShown = true;
  showStatus();
  lookAtNewest();
  lookAtHistory();
  lookAtAnswers();
}

export function hide() {
  isShown = false;
}

const sentences = {
  fresh: "Fresh: what comes in is searchable within moments.",
  late: "Late: events wait longer than they should.",
  stale: "Stale: what is searched is not what the stream holds.",
  unknown: "Unknown: nobody can tell how far the index is behind.",
};

/** What the figures are of while no status is known, or none is shown. */
const nothing = { freshness: null, delay: null, stages: [], sources: [], indexed_at: null, events_behind: null, way_ms: null, generation: null };

function showStatus() {
  if (!isShown) return;
  const { status, awaySince, troubledSince, failure: words } = platform;
  const state = awaySince !== null ? "bad" : troubledSince !== null ? "slow" : level(status?.freshness);
  headline.parentElement.className = `top-words is-${state}`;
  // Figures of before stay while nobody has newer ones; those that this key may not see do not.
  if (awaySince !== null || troubledSince !== null) {
    write(headline, unanswered(status, awaySince));
    write(reason, words);
    return;
  }
  if (status) {
    write(headline, sentences[status.freshness] ?? status.freshness);
    write(reason, [status.freshness_reason, delayWords(status)].filter(Boolean).join(" · "));
  } else {
    write(headline, words ? "The pipeline is not shown to you." : "Looking at the pipeline…");
    write(reason, words);
  }
  showFigures(status ?? nothing);
}

/** Why the figures are not those of now. */
function unanswered(status, awaySince) {
  if (awaySince !== null) return status ? "Not connected: the figures below are the last ones known." : "Not connected.";
  return status ? "The API does not tell how it is with the pipeline: the figures below are the last ones known."
    : "The API does not tell yet how it is with the pipeline.";
}

function showFigures(status) {
  const found = Object.fromEntries(status.stages.map((stage) => [stage.name, stage]));
  const indexed = Date.parse(status.indexed_at ?? "");
  const way = status.way_ms;
  figures.newest.show("newest", Number.isNaN(indexed) ? "–" : `${span(serverNow() - indexed)} ago`, "when the index last moved on");
  // What came just now is under way, and no fault.
  if (status.freshness === "fresh") figures.behind.show("on the way", count(status.events_behind), "events that came in just now and are about to be searchable");
  else figures.behind.show("behind", count(status.events_behind), "events that came in and are not searchable yet");
  figures.rate.show("coming in", quantity(found.received?.rate_per_sec, "per_second"), "events from all sources, over the last seconds");
  figures.way.show("event to search, p50 / p95", way ? `${quantity(way.p50, "ms")} / ${quantity(way.p95, "ms")}` : "–",
    "from the event, or from its arrival where it is a recorded one, until a search finds it");
  for (const one of picture) one.show(found[one.name], status);
}

/** Changes a text in place, and only where it differs: what is selected stays selected, and nothing is read out again. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function tile() {
  const [name, value] = [el("dt"), el("dd")];
  const node = el("div", {}, name, value);
  return { node, show(title, text, what) {
    write(name, title);
    write(value, text);
    if (node.title !== what) node.title = what;
  } };
}

function delayWords(status) {
  const delay = status.delay;
  if (!delay) return "";
  const name = stages.find((stage) => stage.name === delay.stage)?.title ?? "Sources";
  const waiting = delay.events === null ? "" : `: ${count(delay.events)} wait for it`;
  switch (delay.kind) {
    case "source": return "nothing new arrives from the sources";
    case "waiting": return `${name} holds events up${waiting}`;
    case "standing": return `${name} stands still${waiting}, and it has taken none for some seconds`;
    default: return `slowest step: ${name}, p95 ${quantity(delay.p95_ms, "ms")}`;
  }
}

/** A stage of the picture, made once and written over. */
function node(stage) {
  const badge = el("span", { class: "badge", hidden: true });
  const rate = el("p", { class: "node-rate" }, "–");
  const [waiting, middle, high, version] = [el("p", { hidden: true }), el("strong"), el("span"), el("p", { class: "faint", hidden: true })];
  const spent = el("p", { hidden: true, title: "p50 / p95 of what became searchable in the last minute" }, middle, " / ", high, ` ${stage.spent}`);
  const sources = stage.name === "received" ? Array.from({ length: sourcesMax + 1 }, sourceLine) : [];
  const box = el("li", { class: "node" }, el("div", { class: "node-head" }, el("h2", {}, stage.title), badge), rate,
    sources.map((line) => line.node), waiting, spent, version);
  return { node: box, name: stage.name, show(found, status) {
    const delay = status.delay;
    const isDelay = delay !== null && (delay.stage === stage.name || (delay.kind === "source" && stage.name === "received"));
    badge.hidden = !isDelay;
    if (isDelay) write(badge, badges[delay.kind] ?? delay.kind);
    badge.classList.toggle("is-held", isDelay && delay.kind !== "slowest");
    box.classList.toggle("is-delay", isDelay);
    box.classList.toggle("moves", found?.rate_per_sec > 0);
    write(rate, quantity(found?.rate_per_sec, "per_second"));
    sources.forEach((line, index) => line.show(status.sources, index));
    // While all is well, what waits is what came just now: one figure on top says how much.
    waiting.hidden = !(stage.waits && status.freshness !== "fresh" && found && found.lag !== null);
    if (!waiting.hidden) {
      waiting.classList.toggle("faint", found.lag === 0);
      write(waiting, `${count(found.lag)} ${stage.waits}`);
    }
    spent.hidden = !found?.dwell_ms;
    if (!spent.hidden) {
      write(middle, quantity(found.dwell_ms.p50, "ms"));
      write(high, quantity(found.dwell_ms.p95, "ms"));
    }
    version.hidden = !(stage.name === "searchable" && status.generation !== null);
    if (!version.hidden) write(version, `generation ${status.generation} · version ${count(status.index_version)}`);
  } };
}

/** One of the sources, or how many more there are. */
function sourceLine() {
  const [dot, name, state] = [el("span"), el("span"), el("span")];
  const line = el("p", { class: "faint", hidden: true }, dot, name, state);
  let shown = null;
  return { node: line, show(all, index) {
    const source = all[index];
    line.hidden = !source;
    if (!source) return;
    if (index === sourcesMax) {
      dot.className = "";
      name.replaceChildren();
      shown = null;
      write(state, `and ${all.length - sourcesMax} more`);
      return;
    }
    dot.className = `dot level-${level(source.freshness)}`;
    if (shown !== source.name) name.replaceChildren(foreign(source.name));
    shown = source.name;
    // Where its connector runs in another process, its topic alone tells of it.
    const last = source.last_event ? `last ${span(serverNow() - Date.parse(source.last_event))} ago` : source.connector;
    write(state, ` · ${source.phase ?? last}`);
  } };
}

/** What a key showed is not shown without it. */
const isRefused = (error) => error.status === 401 || error.status === 403;

async function lookAtNewest() {
  try {
    const reply = await api(`/events/recent?limit=${newestMax}`);
    newestState.replaceChildren(reply.events.length ? "" : empty("No document yet. They appear here within a second of being indexed."));
    showNewest(reply.events.slice(0, newestMax));
  } catch (error) {
    newestState.replaceChildren(failure(error));
    if (isRefused(error)) showNewest([]);
  }
}

/** What is under the pointer or has the focus stays where it is: a row that moves cannot be clicked. */
function showNewest(events) {
  if (!newest.matches(":hover, :focus-within")) newest.replaceChildren(...events.map(row));
  if (questions.matches(":hover, :focus-within")) return;
  const asked = examples(events);
  if (asked.join("\n") === questions.dataset.asked) return;
  questions.dataset.asked = asked.join("\n");
  questions.replaceChildren(...asked.map((question) => el("li", {},
    el("a", { class: "example", href: `#/ask/ask/${encodeURIComponent(question)}` }, foreign(question)))));
}

/** Recorded events are old when they come: their age says nothing, so the clock counts from when they were indexed. */
function row(event) {
  const [happened, indexed] = [Date.parse(event.event_time), Date.parse(event.indexed_at)];
  const since = indexed - happened > 3600000 ? indexed : happened;
  return el("li", {}, el("span", { class: "age" }, span(serverNow() - since)), el("span", { class: "one-line" }, link(event.url, event.title || event.doc_id)),
    el("span", { class: "faint one-line origin" }, origin(event)),
    traceLink(event.doc_id, event.collection, "Trace", { "aria-label": `Trace ${plain(event.title || event.doc_id)}` }));
}

/** The answers given last, each a click from its raw events. */
async function lookAtAnswers() {
  try {
    const { answers } = await api(`/answers?limit=${givenMax}`);
    if (given.matches(":hover, :focus-within")) return;
    given.replaceChildren(...answers.map((one) => el("li", {}, el("span", { class: "faint" }, `${span(serverNow() - Date.parse(one.created_at))} ago`),
      el("span", { class: "one-line" }, foreign(one.question), one.refused ? el("span", { class: "faint" }, " · refused") : null),
      traceLink(one.answer_id, "", "Trace", { "aria-label": `Trace the answer to ${plain(one.question)}` }))));
  } catch (error) {
    // The view of traces says why there are none.
    if (isRefused(error)) given.replaceChildren();
  }
}

async function lookAtHistory() {
  try {
    const history = await api("/history");
    historyState.replaceChildren();
    const minutes = Math.round(slots * history.step_seconds / 60);
    const length = minutes === 60 ? "last hour" : `last ${minutes} minutes`;
    write(hour, `The ${length}`);
    for (const one of charts) one.show(history, slots);
    const now = history.freshness.at(-1);
    states.replaceChildren(strip(history.freshness, slots, `Freshness over the ${length}, now ${now ?? "not known"}`),
      now ? pill(now) : "");
  } catch (error) {
    historyState.replaceChildren(failure(error));
  }
}
