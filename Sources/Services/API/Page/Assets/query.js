import { api, byId, el, failure, foreign, link } from "./dom.js";
import { openTrace } from "./trace.js";

const results = byId("results");
let mode = "search";
let running = null;

export function startQuery() {
  byId("tab-search").addEventListener("click", () => setMode("search"));
  byId("tab-ask").addEventListener("click", () => setMode("ask"));
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
}

export function setMode(next) {
  mode = next;
  byId("tab-search").setAttribute("aria-selected", String(mode === "search"));
  byId("tab-ask").setAttribute("aria-selected", String(mode === "ask"));
  byId("go").textContent = mode === "search" ? "Search" : "Ask";
  byId("query").placeholder = mode === "search" ? "Search edits by meaning or by words" : "Ask about what was edited";
}

/** Puts a text into the box and runs it. */
export function ask(nextMode, text) {
  setMode(nextMode);
  byId("query").value = text;
  run();
}

function words(id) {
  return byId(id).value.split(/[\s,]+/).filter(Boolean);
}

function request() {
  const filters = {};
  if (words("f-wiki").length) filters.wiki = words("f-wiki");
  if (words("f-lang").length) filters.lang = words("f-lang");
  if (byId("f-type").value) filters.type = byId("f-type").value;
  if (byId("f-bot").value) filters.is_bot = byId("f-bot").value === "true";
  for (const end of ["from", "to"]) {
    const value = byId(`f-${end}`).value;
    if (value) filters[end] = `${value.length === 16 ? `${value}:00` : value}Z`;
  }
  return { query: byId("query").value, mode: byId("f-mode").value, filters };
}

async function run(interpret = true) {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  const body = { ...request(), interpret };
  results.setAttribute("aria-busy", "true");
  results.classList.add("is-busy");
  try {
    if (mode === "search") {
      const reply = await api("/search", { ...body, top_k: 20 }, mine.signal);
      showHits(reply, body);
    } else {
      const reply = await api("/answer", { ...body, debug: true }, mine.signal);
      showAnswer(reply);
    }
    history.replaceState(null, "", `#${mode}=${encodeURIComponent(body.query)}`);
  } catch (error) {
    if (error.name !== "AbortError") results.replaceChildren(failure(error));
  } finally {
    if (running === mine) {
      results.removeAttribute("aria-busy");
      results.classList.remove("is-busy");
    }
  }
}

function summary(reply, text) {
  const missing = (reply.missing_arms ?? []).join(", ");
  return el("p", { class: "summary faint" },
    `${text} · ${reply.latency_ms.toFixed(1)} ms · generation ${reply.generation} · index ${reply.index_version}`,
    missing ? el("strong", { class: "warn" }, ` · without the ${missing} arm`) : null,
    reply.freshness === "fresh" ? null
      : el("strong", { class: "warn" }, ` · index ${reply.freshness}: ${reply.freshness_reason}`));
}

/** Which words of the query became filters, and the way to a search for all of its words. */
function understood(reply) {
  if (!reply.interpreted) return [];
  const parts = reply.interpreted.parts.map((part) => el("span", {}, `${part.kind} “`, foreign(part.text), "” "));
  return [el("p", { class: "understood faint" }, "Filtered by ", ...parts,
    el("button", { class: "small", type: "button", onclick: () => run(false) }, "Search all words"))];
}

function showHits(reply, body) {
  const count = reply.hits.length;
  const hits = el("ol", { class: "hits" });
  results.replaceChildren(
    summary(reply, count === 0 ? "No document matches" : `${count} ${count === 1 ? "document" : "documents"}`),
    ...understood(reply), hits);
  results.scrollTop = 0;
  appendHits(hits, reply, body);
}

function appendHits(hits, reply, body) {
  // A bar's full length: the cosine has an end (1), the others only a best one.
  const best = {
    vector: 1,
    lexical: Math.max(...reply.hits.map((hit) => hit.scores.lexical ?? 0), 0),
    fused: Math.max(...reply.hits.map((hit) => hit.scores.fused), 0),
  };
  for (const hit of reply.hits) hits.append(hitRow(hit, best));
  if (!reply.next_cursor) return;
  const more = el("button", {
    class: "more", onclick: async () => {
      more.disabled = true;
      try {
        const next = await api("/search", { ...body, top_k: 20, cursor: reply.next_cursor });
        more.remove();
        appendHits(hits, next, body);
      } catch (error) {
        more.replaceWith(failure(error));
      }
    },
  }, "More");
  hits.after(more);
}

function hitRow(hit, best) {
  return el("li", { class: "hit" },
    el("div", { class: "hit-head" }, link(hit.url, hit.title || hit.doc_id), el("span", { class: "space" }), traceButton(hit)),
    foreign(hit.snippet, "p", "snippet"),
    el("div", { class: "hit-foot" }, meta(hit), el("span", { class: "space" }),
      score("vector", hit.scores.vector, best.vector), score("lexical", hit.scores.lexical, best.lexical),
      score("fused", hit.scores.fused, best.fused)));
}

/** What tells where a hit is from: of a recent change its wiki and user, else its collection. */
function origin(hit) {
  if (hit.wiki === undefined) return [el("span", { class: "tag" }, hit.collection)];
  return [el("span", { class: "tag" }, hit.type), " ", hit.wiki, " · ", foreign(hit.user), hit.is_bot ? " (bot)" : ""];
}

function meta(hit) {
  return el("span", { class: "faint" },
    ...origin(hit), " · ",
    el("time", { dateTime: hit.event_time }, hit.event_time.replace("T", " ").replace(/(\.\d+)?Z$/, " UTC")));
}

function score(name, value, best) {
  if (value === null) return el("span", { class: "score none", title: `the ${name} arm did not find it` }, name, " –");
  const bar = el("span", { class: "score-bar" });
  bar.style.width = `${Math.max(0, Math.min(1, best > 0 ? value / best : 0)) * 36}px`;
  const digits = name === "fused" ? 4 : 3;
  return el("span", { class: `score score-${name}`, title: `${name}: ${value}` },
    name, " ", value.toFixed(digits), el("span", { class: "score-box" }, bar));
}

function traceButton(hit) {
  return el("button", { class: "small", type: "button", title: "From here back to the raw event", onclick: () => openTrace(hit.doc_id, hit.collection) }, "Trace");
}

function showAnswer(reply) {
  const text = el("div", { class: reply.refused ? "answer refused" : "answer" });
  for (const sentence of reply.sentences) {
    const marks = sentence.citations.map((number) => {
      const citation = reply.citations.find((one) => one.n === number);
      return el("button", {
        class: "cite", type: "button", title: citation?.title ?? "", "aria-label": `Trace of citation ${number}`,
        onclick: () => { if (citation) openTrace(citation.doc_id, citation.collection); },
      }, String(number));
    });
    text.append(el("p", {}, foreign(sentence.text), " ", marks));
  }
  const list = el("ol", { class: "hits" });
  for (const citation of reply.citations) {
    list.append(el("li", { class: "hit" },
      el("div", { class: "hit-head" }, el("span", { class: "cite" }, String(citation.n)), " ", link(citation.url, citation.title || citation.doc_id),
        el("span", { class: "space" }), traceButton(citation)),
      foreign(citation.snippet, "p", "snippet"), el("div", { class: "hit-foot" }, meta(citation))));
  }
  const support = reply.debug?.support;
  const why = support
    ? `${support.sentences_supported} of ${support.sentences_considered} sentences pass the thresholds; best cosine `
      + `${support.best_cosine?.toFixed(2) ?? "–"}, best coverage ${support.best_coverage?.toFixed(2) ?? "–"}`
    : "";
  results.replaceChildren(
    summary(reply, reply.refused ? "Refused" : `Answer ${reply.answer_id}`), ...understood(reply), text, list, el("p", { class: "faint" }, why));
  results.scrollTop = 0;
}
