// From an answer or a document back to the raw event, and from an event to all that came of it.
import { api, el, failure, foreign, plain } from "./dom.js";
import { action, count, empty, facts, labelled, loading, option, pill, table, time, traceLink } from "./parts.js";
import { chain, commands } from "./chain.js";

export const title = "Trace";

let wanted = null;
/** Reads so far: an answer to an earlier one is not shown. */
let reads = 0;
const box = el("input", { type: "search", dir: "auto", maxLength: 1100, "aria-label": "What to trace", spellcheck: false,
  placeholder: "an answer's or a document's id, an event's id, or topic/partition/offset" });
const form = el("form", { class: "line trace-form", autocomplete: "off" }, box, el("button", { class: "accent", type: "submit" }, "Trace"));
const body = el("div", { class: "trace-body", id: "trace-body" });

export function build(section) {
  section.append(el("h1", { class: "unseen" }, "Trace"), form, body);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (box.value.trim()) location.hash = `#/trace/${encodeURIComponent(box.value.trim())}`;
  });
}

/** `#/trace/ID` and `#/trace/ID/COLLECTION`; without an id, what there is to trace. */
export function show(id, collection = "") {
  const address = `${id ?? ""}\n${collection}`;
  if (id === undefined || id === "") {
    wanted = null;
    landing();
    return;
  }
  // What was read before may have changed since: it is shown until it is read again.
  const isAgain = wanted === address;
  wanted = address;
  reads += 1;
  const mine = reads;
  box.value = id;
  open(id, collection, isAgain, () => wanted === address && mine === reads);
}

async function open(id, collection, isAgain, isWanted) {
  if (!isAgain) body.replaceChildren(loading("Reading the lake…"));
  try {
    const record = /^([\w.-]+)\/(\d+)\/(\d+)$/.exec(id);
    const shown = record ? await impactView({ topic: record[1], partition: record[2], offset: record[3] })
      : id.startsWith("ans_") ? await answerView(id) : await documentView(id, collection);
    if (!isWanted()) return;
    body.replaceChildren(...shown);
    if (!isAgain) scrollTo(0, 0);
  } catch (error) {
    if (!isWanted()) return;
    wanted = null;
    body.replaceChildren(failure(error));
  }
}

const verdict = (trace) => (trace.complete ? pill("ok", "complete, hash verified") : pill("failed", "incomplete"));

async function documentView(id, collection) {
  const scope = collection ? `?collection=${encodeURIComponent(collection)}` : "";
  let trace;
  try {
    trace = await api(`/trace/${encodeURIComponent(id)}${scope}`);
  } catch (error) {
    // An event's id may have come to nothing that is shown, and yet to something.
    if (error.status !== 404) throw error;
    try {
      return await impactView({ event_id: id });
    } catch {
      throw error;
    }
  }
  const impact = el("div", {});
  return [
    el("div", { class: "bar" }, el("h2", {}, foreign(trace.title || trace.doc_id)), verdict(trace)),
    ...chain(trace),
    el("section", { class: "panel" }, el("h2", {}, "What it touched"),
      trace.answers.length ? el("ul", { class: "plain" }, trace.answers.map((one) => el("li", {}, traceLink(one.answer_id, "", one.answer_id), " ",
        time(one.created_at), one.cited ? " · cites it" : " · read it"))) : empty("No kept answer was made of it."),
      trace.bronze[0] ? action("Everything that came of the event", async () => {
        const { topic, partition, offset } = trace.bronze[0];
        try {
          impact.replaceChildren(...await impactView({ topic, partition, offset }));
        } catch (error) {
          impact.replaceChildren(failure(error));
        }
      }) : null, impact),
    suppression(trace),
  ];
}

async function answerView(id) {
  const path = `/answers/${encodeURIComponent(id)}`;
  // What was said of it is no part of the chain, and without it the chain is shown all the same.
  const [trace, given] = await Promise.all([api(`${path}/trace`), api(path).catch(() => null)]);
  const citations = new Map(trace.citations.map((citation) => [citation.n, el("details", { class: "panel" },
    el("summary", {}, el("span", { class: "cite" }, String(citation.n)), " ", foreign(citation.title || citation.doc_id), " ", verdict(citation)),
    chain(citation))]));
  const first = citations.values().next().value;
  if (first) first.open = true;
  return [
    el("div", { class: "bar" }, el("h2", {}, foreign(trace.question)), verdict(trace)),
    facts([["answer", foreign(trace.answer_id, "code")], ["given", time(trace.created_at)],
      ["read from", `generation ${trace.generation}, index version ${count(trace.index_version)}`],
      trace.hits ? ["given again from the cache", `${count(trace.hits)} times`] : null,
      trace.withheld ? ["withheld", `${count(trace.withheld)} suppressed documents`] : null]),
    trace.problems.length ? el("div", { class: "failure" }, el("ul", {}, trace.problems.map((problem) => el("li", {}, foreign(problem))))) : "",
    el("div", { class: trace.refused ? "answer refused" : "answer" }, trace.sentences.map((sentence) => el("p", {}, foreign(sentence.text), " ",
      sentence.citations.map((number) => el("button", {
        class: "cite", type: "button", "aria-label": `Chain of citation ${number}`, onclick: () => {
          const found = citations.get(number);
          if (!found) return;
          found.open = true;
          found.scrollIntoView({ block: "start" });
          found.firstElementChild.focus({ preventScroll: true });
        },
      }, String(number)))))),
    feedback(given),
    ...citations.values(),
    commands(trace.commands) ?? "",
  ];
}

/** What people said of an answer. */
function feedback(given) {
  if (!given?.feedback.length) return "";
  return el("section", { class: "panel", "aria-label": "What was said of it" }, el("h2", {}, "What was said of it"),
    el("ul", { class: "plain" }, given.feedback.map((one) => el("li", {}, pill(one.verdict === "up" ? "ok" : "failed", one.verdict === "up" ? "good" : "bad"), " ",
      foreign(one.note), " ", el("span", { class: "faint" }, time(one.given_at), one.key === null ? "" : [" · by the key ", foreign(one.key, "code")])))));
}

/** What came of a record or an event: documents of all generations, answers, kept replies. */
async function impactView(query) {
  const found = await api(`/impact?${new URLSearchParams(query)}`);
  return [
    el("h2", {}, "What came of ", foreign(query.event_id ?? `${query.topic}/${query.partition}/${query.offset}`, "code")),
    table("Documents", ["document", "generation", "version", "shown", "passages", "record"], found.documents.map((one) => [
      traceLink(one.doc_id, one.collection, one.title || one.doc_id, { class: "" }), String(one.generation), String(one.version),
      one.to_version === null ? `since ${count(one.from_version)}` : `${count(one.from_version)} to ${count(one.to_version)}`,
      String(one.passages), foreign(`${one.topic}/${one.partition}/${one.offset}`, "code")])),
    found.answers.length ? table("Answers", ["answer", "question", "given", "cites it", "given again"], found.answers.map((one) => [
      traceLink(one.answer_id, "", one.answer_id), foreign(one.question), time(one.created_at), one.cited ? "yes" : "no", count(one.hits)])) : "",
    el("p", { class: "faint" }, `Kept replies that show it: ${found.cached.searches} searches, ${found.cached.answers} answers.`
      + (found.truncated ? " There may be more than is listed." : "")),
  ];
}

/** Takes what came of the event out of all replies, or only this document. */
function suppression(trace) {
  const said = el("div", { role: "status" });
  const bronze = trace.bronze[0];
  const user = trace.silver?.record?.user;
  const targets = [
    bronze ? ["event", "the event", { topic: bronze.topic, partition: bronze.partition, offset: bronze.offset }] : null,
    ["document", "the document", { collection: trace.collection, doc_id: trace.doc_id }],
    trace.title ? ["page", "the page", { collection: trace.collection, title: trace.title }] : null,
    user ? ["user", "all of the user", { collection: trace.collection, user }] : null,
  ].filter(Boolean);
  const target = el("select", {}, targets.map(([name, text]) => option(name, text)));
  const reason = el("input", { type: "text", maxLength: 1000, required: true, placeholder: "why" });
  return el("details", { class: "panel" }, el("summary", {}, "Suppress it"),
    el("form", {
      class: "line", onsubmit: async (event) => {
        event.preventDefault();
        const [name, , needs] = targets.find(([one]) => one === target.value);
        try {
          const done = await api("/suppressions", { body: { target: name, reason: reason.value, ...needs } });
          said.replaceChildren(el("p", {}, done.applied ? `Suppressed from index version ${count(done.index_version)} on.`
            : "Taken; the index has not come to it yet.", " ", el("a", { href: "#/trace" }, "See and lift suppressions")));
        } catch (error) {
          said.replaceChildren(failure(error));
        }
      },
    }, labelled("what", target), labelled("reason", reason), el("button", { class: "danger", type: "submit" }, "Suppress")), said);
}

/** What there is to trace: the answers given last, and what is suppressed. */
async function landing() {
  const answers = el("div", {}, loading("Reading the answers given last…"));
  const suppressed = el("div", {}, el("p", { class: "faint" }, "Takes a key with the role write."),
    action("Show suppressions", () => listSuppressions(suppressed)));
  body.replaceChildren(
    el("section", { class: "panel" }, el("h2", {}, "Answers given last"), answers),
    el("section", { class: "panel" }, el("h2", {}, "Suppressed"), suppressed));
  box.focus({ preventScroll: true });
  try {
    const given = await api("/answers?limit=20");
    answers.replaceChildren(given.answers.length
      ? table("Answers given last", ["", "question", "given", "refused", "said of it", "given again"], given.answers.map((one) => [
        traceLink(one.answer_id, "", "Trace", { "aria-label": `Trace the answer to ${plain(one.question)}` }), foreign(one.question), time(one.created_at),
        one.refused ? "yes" : "", `${one.up ? `${one.up} good ` : ""}${one.down ? `${one.down} bad` : ""}`, count(one.hits)]))
      : empty("No answer is kept yet. ", el("a", { href: "#/ask" }, "Ask one"), "."));
  } catch (error) {
    answers.replaceChildren(failure(error));
  }
}

async function listSuppressions(target) {
  try {
    const list = (await api("/suppressions?limit=50")).suppressions;
    target.replaceChildren(list.length
      ? table("Suppressions", ["what", "reason", "by", "since", "state", ""], list.map((one) => [
        [`${one.target ?? "?"} `, foreign(one.name ?? `${one.partition}/${one.offset}`)], foreign(one.reason ?? ""), foreign(one.by ?? ""), time(one.at),
        one.lifted ? "lifted" : one.applied ? pill("ok", "applied") : pill("late", "on its way"),
        one.lifted ? "" : action("Restore", async () => {
          try {
            await api(`/suppressions/${encodeURIComponent(one.id)}?reason=${encodeURIComponent("restored on the page")}`, { method: "DELETE" });
          } catch (error) {
            target.append(failure(error));
            return;
          }
          await listSuppressions(target);
        }, { class: "small" })]))
      : empty("Nothing is or was suppressed."));
  } catch (error) {
    target.replaceChildren(failure(error));
  }
}
