import { api, byId, el, foreign, serverNow, setServerTime, span } from "./dom.js";
import { openTrace } from "./trace.js";

const rowsMax = 150;
const pollMilliseconds = 1000;
/** Documents asked for at once; when more came, the feed shows the newest and says that there are more. */
const pollMax = 100;
/** Further pages that one poll follows where the API looked at many documents and found few to show. */
const pagesMax = 4;
/** How the states that a reply names look; the page judges nothing by itself. */
const levels = { fresh: "good", late: "slow", stale: "bad", unknown: "bad" };
/** An event older than this when it came is a recorded one: its age says nothing about freshness. */
const recordedMilliseconds = 3600 * 1000;

const state = {
  seen: new Set(), waiting: [], version: null, generation: null,
  indexedAt: null, freshness: null, reason: "", behind: null, reachable: true, failure: "", arrivals: [], paused: false, hovered: false, isCapped: false,
};
const list = byId("feed");

export function startFeed() {
  byId("pause").addEventListener("click", () => {
    state.paused = !state.paused;
    byId("pause").setAttribute("aria-pressed", String(state.paused));
    byId("pause").textContent = state.paused ? "Resume" : "Pause";
    flush();
  });
  byId("fresh-rows").addEventListener("click", () => flush(true));
  // Rows that move under the pointer cannot be clicked: new ones wait outside while it is over the list.
  list.addEventListener("pointerenter", () => { state.hovered = true; });
  list.addEventListener("pointerleave", () => { state.hovered = false; flush(); });
  poll();
  setInterval(tick, 200);
}

async function poll() {
  try {
    const after = state.version === null ? "" : `&after=${state.version}`;
    const reply = await api(`/events/recent?limit=${pollMax}${after}`);
    let page = reply;
    for (let more = 0; more < pagesMax && page.complete === false && page.next_cursor; more += 1) {
      page = await api(`/events/recent?limit=${pollMax}${after}&cursor=${page.next_cursor}`);
      if (page.generation !== reply.generation) break;
      reply.events.push(...page.events);
    }
    state.reachable = true;
    accept(reply, page.complete === false);
  } catch (error) {
    state.reachable = false;
    state.failure = error.message;
  }
  setTimeout(poll, document.hidden ? 5 * pollMilliseconds : pollMilliseconds);
}

/** `isCutShort`: there may be more that is new than what came, and nobody will ask for it again. */
function accept(reply, isCutShort) {
  setServerTime(reply.now);
  if (state.generation !== null && state.generation !== reply.generation) {
    list.replaceChildren();
    state.seen.clear();
    state.waiting = [];
    state.generation = reply.generation;
    state.version = null;
    return;
  }
  state.generation = reply.generation;
  state.version = reply.index_version;
  state.indexedAt = Date.parse(reply.indexed_at ?? "") || null;
  state.freshness = reply.freshness;
  state.reason = reply.freshness_reason;
  state.behind = reply.events_behind;
  byId("version").textContent = `generation ${reply.generation} · index ${reply.index_version}`;
  showSource(reply.pipeline);
  for (const event of [...reply.events].reverse()) {
    const key = `${event.doc_id}\n${event.version}\n${event.passage}`;
    if (state.seen.has(key)) continue;
    state.seen.add(key);
    state.waiting.push(event);
    state.arrivals.push(serverNow());
  }
  if (state.seen.size > 20000) state.seen = new Set([...state.seen].slice(-5000));
  state.isCapped = (isCutShort || reply.events.length >= pollMax) && list.children.length > 0;
  state.waiting = state.waiting.slice(-rowsMax);
  flush();
}

function showSource(pipeline) {
  const pill = byId("source");
  const words = {
    live: "live stream", recording: "recording", generated: "generated events", unknown: "source not known here",
  };
  const kind = pipeline?.source ?? "unknown";
  pill.className = `pill source-${kind in words ? kind : "unknown"}`;
  pill.replaceChildren(words[kind] ?? kind);
  if (pipeline?.name) pill.append(" · ", foreign(pipeline.name));
}

function flush(force = false) {
  const held = !force && (state.paused || state.hovered);
  const button = byId("fresh-rows");
  button.hidden = !(held && state.waiting.length);
  button.textContent = `${state.waiting.length} new`;
  if (held) return;
  for (const event of state.waiting) list.prepend(row(event));
  state.waiting = [];
  while (list.children.length > rowsMax) list.lastElementChild.remove();
  byId("feed-empty").hidden = list.children.length > 0;
}

function row(event) {
  const eventTime = Date.parse(event.event_time);
  const indexedAt = Date.parse(event.indexed_at);
  const isRecorded = indexedAt - eventTime > recordedMilliseconds;
  const clock = el("time", { class: "age", dateTime: event.event_time });
  clock.title = `event time ${event.event_time}\nsearchable since ${event.indexed_at}`
    + (isRecorded ? "\nThe clock counts from the latter: the event is recorded." : "");
  clock.dataset.since = String(isRecorded ? indexedAt : eventTime);
  const lag = isRecorded ? null
    : el("span", { class: "lag", title: "from the event to being searchable" }, `+${span(indexedAt - eventTime)}`);
  const open = () => openTrace(event.doc_id, event.collection);
  return el("li", { class: "row", tabIndex: 0, onclick: open, onkeydown: (key) => { if (key.key === "Enter") open(); } },
    el("div", { class: "row-head" }, clock, el("span", { class: `tag tag-${event.type === "new" ? "new" : "edit"}` }, event.type ?? event.collection),
      foreign(event.title, "bdi", "row-title"), el("span", { class: "space" }), el("span", { class: "wiki" }, event.wiki ?? "")),
    foreign(withoutTitle(event), "div", "row-text"),
    el("div", { class: "row-foot faint" }, foreign(event.user ?? ""), event.is_bot ? el("span", { class: "tag" }, "bot") : null, lag));
}

/** Most texts begin with the title, which the row shows already. */
function withoutTitle(event) {
  const text = event.text;
  return text.startsWith(event.title) ? text.slice(event.title.length).replace(/^[:.\s]+/, "") : text;
}

function tick() {
  const now = serverNow();
  for (const clock of list.querySelectorAll("time")) clock.textContent = span(now - Number(clock.dataset.since));
  state.arrivals = state.arrivals.filter((time) => now - time < 10000);
  const rate = (state.arrivals.length / 10).toFixed(1);
  byId("rate").textContent = state.arrivals.length || state.isCapped ? `${state.isCapped ? "over " : ""}${rate} documents/s` : "";
  const { text, level } = freshness(now);
  const pill = byId("freshness");
  pill.textContent = text;
  pill.className = `pill level-${level}`;
  document.body.dataset.level = level;
  byId("feed").classList.toggle("is-stale", level === "bad");
  const behind = byId("behind");
  behind.hidden = !(state.reachable && state.behind > 0);
  behind.textContent = `index ${Number(state.behind).toLocaleString("en")} events behind`;
  behind.className = `pill level-${level}`;
}

/** One sentence on whether what the page shows is what the world does. */
function freshness(now) {
  if (!state.reachable) return { text: `not connected: ${state.failure}`, level: "bad" };
  if (state.freshness === null) return { text: "…", level: "slow" };
  const level = levels[state.freshness] ?? "bad";
  const newest = state.indexedAt === null ? "nothing indexed yet" : `newest ${span(now - state.indexedAt)} ago`;
  return { text: [state.freshness, newest, state.reason].filter(Boolean).join(" · "), level };
}
