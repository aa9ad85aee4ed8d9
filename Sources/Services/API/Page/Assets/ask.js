// Search and answers: what is found with the scores of both arms, what is answered with its citations.
import { api, el, failure, foreign, link, plain } from "./dom.js";
import { action, count, empty, labelled, option, origin, quantity, time, traceLink, values, words } from "./parts.js";
import { readEvents } from "./sse.js";
import { showAnswer } from "./answer.js";
import { examples } from "./questions.js";
import { attributeFields } from "./attributes.js";

export const title = "Ask";

const attributes = attributeFields();
let mode = "ask";
let running = null;
let lastRun = "";

const query = el("input", { id: "query", type: "search", dir: "auto", maxLength: 2000, "aria-label": "Question or query" });
const go = el("button", { class: "accent", type: "submit", id: "go" }, "Ask");
const modes = ["ask", "search"].map((name) => el("button", {
  type: "button", id: `mode-${name}`, "aria-pressed": String(name === mode), onclick: () => setMode(name),
}, name === "ask" ? "Ask" : "Search"));
const filters = el("div", { class: "filters" },
  labelled("arms", el("select", { name: "mode" }, option("hybrid", "both, fused"), option("vector"), option("lexical"))),
  labelled("lang", el("input", { name: "lang", size: 6, placeholder: "en, de" })),
  attributes.node,
  labelled("from (UTC)", el("input", { name: "from", type: "datetime-local", step: 1 })),
  labelled("to (UTC)", el("input", { name: "to", type: "datetime-local", step: 1 })));
const more = el("details", { class: "filter-box" }, el("summary", {}, "Filters"), filters);
const form = el("form", { class: "ask-form", autocomplete: "off" },
  el("div", { class: "line" }, el("div", { class: "modes", role: "group", "aria-label": "What to do with the text" }, modes), query, go), more);
const results = el("div", { class: "results", id: "results", "aria-live": "polite" });

export function build(section) {
  section.append(el("h1", { class: "unseen" }, "Ask and search"), form, results);
  form.addEventListener("submit", (event) => { event.preventDefault(); lastRun = ""; run(); });
  setMode("ask");
}

/** `#/ask/ask/QUESTION` and `#/ask/search/QUERY`. */
export function show(way, text) {
  if (way !== undefined && text !== undefined) {
    setMode(way === "search" ? "search" : "ask");
    query.value = text;
    if (lastRun !== `${mode} ${text}`) run();
  } else if (!results.children.length) {
    introduce();
  }
  attributes.ready();
  query.focus({ preventScroll: true });
}

export function keyChanged() {
  attributes.forget();
}

export function hide() {
  running?.abort();
}

async function introduce() {
  const list = el("ul", { class: "examples" });
  results.replaceChildren(el("div", { class: "panel intro" },
    el("p", {}, el("strong", {}, "Ask"), " quotes what was retrieved, cites it sentence by sentence, and refuses where the support is too weak."),
    el("p", {}, el("strong", {}, "Search"), " finds by meaning (vectors) and by words (full text), and shows what each arm says of a hit."),
    el("p", { class: "faint" }, "Both name times, wikis, users and pages in plain words: “bridge edits in the last hour on the German Wikipedia”."), list));
  try {
    const recent = await api("/events/recent?limit=30");
    list.replaceChildren(...examples(recent.events, 5).map((question) => el("li", {},
      el("a", { class: "example", href: `#/ask/ask/${encodeURIComponent(question)}` }, foreign(question)))));
  } catch { /* examples are a courtesy; the box works without them */ }
}

function setMode(next) {
  mode = next;
  modes.forEach((button, index) => button.setAttribute("aria-pressed", String((index === 0) === (mode === "ask"))));
  go.textContent = mode === "search" ? "Search" : "Ask";
  query.placeholder = mode === "search" ? "Search edits by meaning or by words" : "Ask about what was edited";
}

function asked(interpret) {
  const wanted = values(form);
  const found = { query: query.value, mode: wanted.mode ?? "hybrid", interpret, filters: {} };
  if (wanted.lang) found.filters.lang = words(wanted.lang);
  const tests = attributes.tests(wanted);
  if (tests.length) found.filters.must = tests;
  for (const end of ["from", "to"]) {
    if (wanted[end]) found.filters[end] = `${wanted[end].length === 16 ? `${wanted[end]}:00` : wanted[end]}Z`;
  }
  const set = Object.keys(found.filters).length + Math.max(0, tests.length - 1);
  more.firstElementChild.textContent = set ? `Filters (${set})` : "Filters";
  return found;
}

async function run(interpret = true) {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  await attributes.ready();
  if (mine.signal.aborted) return;
  const body = asked(interpret);
  lastRun = `${mode} ${body.query}`;
  history.replaceState(null, "", `#/ask/${mode}/${encodeURIComponent(body.query)}`);
  results.setAttribute("aria-busy", "true");
  results.classList.add("is-busy");
  try {
    if (mode === "search") await search(body, mine.signal);
    else await answer(body, mine.signal);
  } catch (error) {
    if (error.name === "AbortError") {
      // The visitor left before the answer was whole: what had come is no answer, and coming back asks again.
      if (running === mine) {
        lastRun = "";
        results.replaceChildren();
      }
      return;
    }
    lastRun = "";
    results.replaceChildren(failure(error));
  } finally {
    if (running === mine) {
      results.removeAttribute("aria-busy");
      results.classList.remove("is-busy");
    }
  }
}

/** The answer as it comes, word by word, then as a whole. */
async function answer(body, signal) {
  const coming = el("p", { class: "coming foreign", dir: "auto" });
  results.replaceChildren(el("div", { class: "answer" }, coming, el("p", { class: "faint", role: "status" }, "Looking for support…")));
  const reply = {};
  let fault = null;
  await readEvents("/answer", (name, data) => {
    if (name === "token") coming.append(data.text);
    else if (name === "citations" || name === "done") Object.assign(reply, data);
    else if (name === "error") fault = data.error ?? data;
  }, { body, signal });
  if (fault) throw new Error(fault.message ?? "the answer was cut off");
  results.replaceChildren(summary(reply, reply.refused ? "Refused" : `Answer ${reply.answer_id}`), ...understood(reply), ...showAnswer(reply));
}

function summary(reply, text) {
  const warnings = [
    (reply.missing_arms ?? []).length ? `without the ${reply.missing_arms.join(", ")} arm` : "",
    (reply.incomplete_arms ?? []).length ? `the ${reply.incomplete_arms.join(", ")} arm had no time to look at everything` : "",
    reply.freshness === "fresh" ? "" : `index ${reply.freshness}: ${reply.freshness_reason}`,
  ].filter(Boolean);
  const cached = reply.cached;
  return el("p", { class: "summary faint" },
    text, ` · ${quantity(reply.latency_ms, "ms")} · generation ${reply.generation} · index ${count(reply.index_version)}`,
    cached ? el("strong", { class: "cached" }, ` · kept ${quantity(cached.age_seconds * 1000, "ms")} ago, still what a search would find`,
      cached.question ? [", asked as “", foreign(cached.question), "”"] : "") : null,
    ...warnings.map((warning) => el("strong", { class: "warn" }, ` · ${warning}`)));
}

/** Which words of the query became filters, and the way to a search for all of its words. */
function understood(reply) {
  if (!reply.interpreted) return [];
  const parts = reply.interpreted.parts.map((part) => el("span", {}, `${part.kind} “`, foreign(part.text), "” "));
  return [el("p", { class: "understood faint" }, "Filtered by ", ...parts,
    el("button", { class: "small", type: "button", onclick: () => run(false) }, "Take all words as words"))];
}

async function search(body, signal) {
  const reply = await api("/search", { body: { ...body, top_k: 20, facets: ["lang", ...attributes.facets()], total: true }, signal });
  const hits = el("ol", { class: "hits" });
  const found = reply.hits.length;
  const total = reply.total ? ` of ${count(reply.total.value)}${reply.total.relation === "gte" ? " or more" : ""} with a word of it` : "";
  results.replaceChildren(
    summary(reply, found === 0 ? "No document matches" : `${found} ${found === 1 ? "document" : "documents"}${total}`),
    ...understood(reply), facets(reply.facets ?? {}), hits);
  if (found === 0) results.append(empty("Try fewer words, or another arm; filters may leave nothing."));
  append(hits, reply, { ...body, top_k: 20 });
}

/** What the matching documents are of; a click makes a filter of it. */
function facets(found) {
  return el("div", { class: "facets" }, Object.entries(found).filter(([, facet]) => facet.values.length).map(([name, facet]) =>
    el("div", { class: "facet" }, el("span", { class: "faint" }, name), facet.values.slice(0, 6).map((one) => el("button", {
      // A field holds several, by commas.
      class: "small", disabled: String(one.value).includes(","), type: "button", onclick: () => {
        const field = filters.querySelector(`[name="${name}"]`);
        field.value = field.tagName === "SELECT" && ![...field.options].some((option) => option.value === String(one.value)) ? "" : String(one.value);
        more.open = true;
        run();
      },
    }, foreign(one.value), " ", el("span", { class: "faint" }, count(one.count)))), facet.has_more ? el("span", { class: "faint" }, "…") : null)));
}

function append(hits, reply, body) {
  // A bar's full length: the cosine has an end (1), the others only a best one.
  const best = {
    vector: 1,
    lexical: Math.max(...reply.hits.map((hit) => hit.scores.lexical ?? 0), 0),
    fused: Math.max(...reply.hits.map((hit) => hit.scores.fused), 0),
  };
  for (const hit of reply.hits) hits.append(row(hit, best));
  if (!reply.next_cursor) return;
  const next = action("More", async () => {
    try {
      const page = await api("/search", { body: { ...body, cursor: reply.next_cursor } });
      next.remove();
      append(hits, page, body);
    } catch (error) {
      next.replaceWith(failure(error));
    }
  }, { class: "more" });
  hits.after(next);
}

function row(hit, best) {
  return el("li", { class: "hit" },
    el("div", { class: "hit-head" }, link(hit.url, hit.title || hit.doc_id), el("span", { class: "space" }),
      traceLink(hit.doc_id, hit.collection, "Trace", { "aria-label": `Trace ${plain(hit.title || hit.doc_id)}` })),
    foreign(hit.snippet, "p", "snippet"),
    el("div", { class: "hit-foot" }, el("span", { class: "faint" }, origin(hit), " · ", time(hit.event_time),
      hit.copies ? ` · ${count(hit.copies)} more of this text` : ""), el("span", { class: "space" }),
    score("vector", hit.scores.vector, best.vector), score("lexical", hit.scores.lexical, best.lexical), score("fused", hit.scores.fused, best.fused)));
}

function score(name, value, best) {
  if (value === null) return el("span", { class: "score none", title: `the ${name} arm did not find it` }, name, " –");
  const bar = el("span", { class: "score-bar" });
  bar.style.width = `${Math.max(0, Math.min(1, best > 0 ? value / best : 0)) * 36}px`;
  return el("span", { class: `score score-${name}`, title: `${name}: ${value}` },
    name, " ", value.toFixed(name === "fused" ? 4 : 3), el("span", { class: "score-box" }, bar));
}
