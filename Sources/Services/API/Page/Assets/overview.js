// The first screen: is it fresh, how far behind, what is coming in, what can be done here.
import { api, el, failure, foreign, link, serverNow, span } from "./dom.js";
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
  { title: "Sources", name: "received", work: null, waits: null },
  { title: "Topic", name: "broker", work: "append", waits: "not acknowledged" },
  { title: "Lake", name: "committed", work: "commit", waits: "wait in the topic" },
  { title: "Index", name: "embedded", work: "write", waits: "wait in the lake's topic" },
  { title: "Search", name: "searchable", work: "in all", waits: "not searchable" },
];

const charts = [
  chart({ title: "Broker to searchable", unit: "ms", objective: 1000, objectiveText: "objective 1 s",
    lines: [{ name: "freshness_p50", label: "p50", className: "l-1" }, { name: "freshness_p95", label: "p95", className: "l-2" }],
    unless: "no event became searchable here" }),
  chart({ title: "Events behind", unit: "events", lines: [{ name: "events_behind", label: "behind", className: "l-1" }],
    unless: "not known" }),
  chart({ title: "Throughput", unit: "per_second",
    lines: [{ name: "received", label: "in", className: "l-3" }, { name: "committed", label: "lake", className: "l-2" },
      { name: "searchable", label: "found", className: "l-1" }], unless: "the stages run in other processes" }),
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
const tiles = el("dl", { class: "tiles" });
const flow = el("ol", { class: "flow", "aria-label": "The pipeline, from source to search" });
const newest = el("ol", { class: "newest" });
const newestState = el("div", {}, loading("Waiting for the first document…"));
const questions = el("ul", { class: "examples" });
const given = el("ul", { class: "plain given" });
const states = el("div", { class: "states" });
const historyState = el("div", {});
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
      el("div", { class: "bar" }, el("h2", { id: "home-hour" }, "The last hour"), states), historyState,
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
  fresh: "Fresh: all that came in is searchable.",
  late: "Late: events wait longer than they should.",
  stale: "Stale: what is searched is not what the stream holds.",
  unknown: "Unknown: nobody can tell how far the index is behind.",
};

function showStatus() {
  if (!isShown) return;
  const { status, awaySince, failure: words } = platform;
  headline.parentElement.className = `top-words is-${awaySince !== null ? "bad" : level(status?.freshness)}`;
  if (awaySince !== null) {
    headline.textContent = "Not connected: the figures below are the last ones known.";
    reason.textContent = words;
    return;
  }
  if (!status) {
    headline.textContent = words ? "The pipeline is not shown to you." : "Looking at the pipeline…";
    reason.textContent = words;
    return;
  }
  headline.textContent = sentences[status.freshness] ?? status.freshness;
  reason.textContent = [status.freshness_reason, delayWords(status)].filter(Boolean).join(" · ");
  const found = Object.fromEntries(status.stages.map((stage) => [stage.name, stage]));
  const indexed = Date.parse(status.indexed_at ?? "");
  const way = found.searchable?.latency_ms;
  tiles.replaceChildren(
    tile("newest", Number.isNaN(indexed) ? "–" : `${span(serverNow() - indexed)} ago`, "when the index last moved on"),
    tile("behind", count(status.events_behind), "events that came in and are not searchable yet"),
    tile("coming in", quantity((found.received ?? found.broker)?.rate_per_sec, "per_second"), "events from all sources, over the last seconds"),
    tile("to searchable, p50 / p95", way ? `${quantity(way.p50, "ms")} / ${quantity(way.p95, "ms")}` : "–", "from the broker until a search finds it"));
  flow.replaceChildren(...stages.map((stage) => node(stage, found[stage.name], status)));
}

function tile(name, value, what) {
  return el("div", { title: what }, el("dt", {}, name), el("dd", {}, value));
}

function delayWords(status) {
  const delay = status.delay;
  if (!delay) return "";
  const name = stages.find((stage) => stage.name === delay.stage)?.title ?? "Sources";
  if (delay.kind === "source") return "nothing new arrives from the sources";
  if (delay.kind === "waiting") return `${name} holds events up${delay.events === null ? "" : `: ${count(delay.events)} wait for it`}`;
  return `slowest step: ${name}, p95 ${quantity(delay.p95_ms, "ms")}`;
}

const searchableRate = (status) => status.stages.find((stage) => stage.name === "searchable")?.rate_per_sec ?? 0;

function node(stage, found, status) {
  const delay = status.delay;
  const isDelay = delay && (delay.stage === stage.name || (delay.kind === "source" && stage.name === "received"));
  const badge = isDelay
    ? el("span", { class: `badge ${delay.kind === "slowest" ? "is-slow" : "is-held"}` }, delay.kind === "slowest" ? "slowest" : "holds up")
    : null;
  // Where nothing is embedded, what is indexed is searchable at once.
  const rate = stage.name === "embedded" && found?.rate_per_sec === 0 ? searchableRate(status) : found?.rate_per_sec;
  const moves = rate > 0;
  const rows = [];
  if (stage.name === "received") {
    rows.push(...status.sources.slice(0, 4).map((source) => el("p", { class: "faint" },
      el("span", { class: `dot level-${level(source.freshness)}` }), foreign(source.name), ` · ${source.phase ?? source.connector}`)));
    if (status.sources.length > 4) rows.push(el("p", { class: "faint" }, `and ${status.sources.length - 4} more`));
  }
  if (found && stage.waits && found.lag !== null) rows.push(el("p", { class: found.lag > 0 ? "" : "faint" }, `${count(found.lag)} ${stage.waits}`));
  if (found?.latency_ms) {
    rows.push(el("p", {}, `${stage.work} `, el("strong", {}, quantity(found.latency_ms.p50, "ms")), ` / ${quantity(found.latency_ms.p95, "ms")}`));
  }
  if (stage.name === "searchable" && status.generation !== null) {
    rows.push(el("p", { class: "faint" }, `generation ${status.generation} · version ${count(status.index_version)}`));
  }
  return el("li", { class: `node${moves ? " moves" : ""}${isDelay ? " is-delay" : ""}` },
    el("div", { class: "node-head" }, el("h2", {}, stage.title), badge),
    el("p", { class: "node-rate" }, found ? quantity(rate, "per_second") : "runs elsewhere"), rows);
}

async function lookAtNewest() {
  try {
    const reply = await api(`/events/recent?limit=${newestMax}`);
    newestState.replaceChildren(reply.events.length ? "" : empty("No document yet. They appear here within a second of being indexed."));
    showNewest(reply.events.slice(0, newestMax));
  } catch (error) {
    newestState.replaceChildren(failure(error));
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
    traceLink(event.doc_id, event.collection, "Trace", { "aria-label": `Trace ${event.title}` }));
}

/** The answers given last, each a click from its raw events. */
async function lookAtAnswers() {
  try {
    const { answers } = await api(`/answers?limit=${givenMax}`);
    if (given.matches(":hover, :focus-within")) return;
    given.replaceChildren(...answers.map((one) => el("li", {}, el("span", { class: "faint" }, `${span(serverNow() - Date.parse(one.created_at))} ago`),
      el("span", { class: "one-line" }, foreign(one.question), one.refused ? el("span", { class: "faint" }, " · refused") : null),
      traceLink(one.answer_id, "", "Trace", { "aria-label": `Trace the answer to ${one.question}` }))));
  } catch { /* the view of traces says why there are none */ }
}

async function lookAtHistory() {
  try {
    const history = await api("/history");
    historyState.replaceChildren();
    for (const one of charts) one.show(history, slots);
    const now = history.freshness.at(-1);
    states.replaceChildren(strip(history.freshness, slots, `Freshness over the last hour, now ${now ?? "not known"}`),
      now ? pill(now) : "");
  } catch (error) {
    historyState.replaceChildren(failure(error));
  }
}
