// An answer: its sentences with numbered citations that open the passage, why it was refused, and what the visitor says of it.
import { api, el, failure, foreign, link, plain } from "./dom.js";
import { action, facts, origin, time, traceLink } from "./parts.js";

/** `debug` of a refused one says what was missing; it is null where another server made the answer. */
export function showAnswer(reply) {
  const passages = new Map(reply.citations.map((citation) => [citation.n, passage(citation)]));
  const text = el("div", { class: reply.refused ? "answer refused" : "answer" },
    reply.sentences.map((sentence) => el("p", {}, foreign(sentence.text), " ",
      sentence.citations.map((number) => mark(number, passages)))));
  const list = el("ol", { class: "hits citations" }, [...passages.values()].map((one) => one.node));
  return [text, reply.refused ? refusal(reply) : null, foot(reply), list].filter(Boolean);
}

function mark(number, passages) {
  const found = passages.get(number);
  return el("button", {
    class: "cite", type: "button", title: plain(found?.citation.title), "aria-label": `Citation ${number}: open its passage`,
    onclick: () => {
      if (!found) return;
      for (const one of passages.values()) one.node.classList.toggle("is-open", one === found);
      found.details.open = true;
      found.node.scrollIntoView({ block: "nearest" });
      found.summary.focus({ preventScroll: true });
    },
  }, String(number));
}

function passage(citation) {
  const summary = el("summary", {}, "Where it stands, and how near it is");
  const details = el("details", {}, summary,
    facts([["document", foreign(citation.doc_id, "code")], ["passage", String(citation.passage)], ["event", time(citation.event_time)],
      ["cosine", citation.scores.vector === null ? "–" : citation.scores.vector.toFixed(3)],
      ["words", citation.scores.lexical === null ? "–" : citation.scores.lexical.toFixed(3)]]));
  const node = el("li", { class: "hit" },
    el("div", { class: "hit-head" }, el("span", { class: "cite" }, String(citation.n)), link(citation.url, citation.title || citation.doc_id),
      el("span", { class: "space" }), traceLink(citation.doc_id, citation.collection, "Trace", { "aria-label": `Trace of citation ${plain(citation.n)}` })),
    foreign(citation.snippet, "blockquote", "passage"), el("p", { class: "faint" }, origin(citation)), details);
  return { citation, node, details, summary };
}

/** What was missing. */
function refusal(reply) {
  const why = reply.debug;
  const support = why?.support;
  const check = why?.citation_check;
  if (check?.passages && reply.answerer?.name !== "extractive") {
    // A language model was asked: what it says is checked afterwards.
    const dropped = Object.values(check.dropped ?? {}).reduce((sum, number) => sum + number, 0);
    return el("p", { class: "notice" }, `A language model read ${check.passages} passages and found no answer in them that it could cite`,
      dropped ? `; of what it wrote, ${dropped} ${dropped === 1 ? "sentence was" : "sentences were"} not in what it cited.` : ".");
  }
  if (!support) return el("p", { class: "notice" }, "No retrieved sentence supports an answer well enough.");
  const limits = why.thresholds ?? {};
  const figure = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));
  return el("div", { class: "notice" },
    el("p", {}, `Of ${support.sentences_considered} retrieved sentences ${support.sentences_supported} support an answer well enough.`),
    facts([
      ["nearest in meaning", `${figure(support.best_cosine)}; ${figure(limits.cosine_alone)} would do alone`],
      ["words in common", `${figure(support.best_coverage)} of the question's; ${figure(limits.coverage_alone)} would do alone`],
      support.question_words?.length ? ["words looked for", foreign(support.question_words.join(", "))] : null,
      why.arms ? ["found", `${why.arms.vector} by meaning, ${why.arms.lexical} by words`] : null,
    ]));
}

/** Who answered, the way to its trace, and the visitor's verdict. */
function foot(reply) {
  const answerer = reply.answerer ?? {};
  const said = el("span", { class: "faint", role: "status" });
  const note = el("input", { type: "text", maxLength: 2000, placeholder: "a note, if you like", "aria-label": "Note on the answer" });
  const verdict = (word, text) => action(text, async () => {
    try {
      await api(`/answers/${encodeURIComponent(reply.answer_id)}/feedback`, { body: { verdict: word, note: note.value } });
      said.textContent = "kept with the answer";
    } catch (error) {
      said.replaceChildren(failure(error));
    }
  }, { class: "small" });
  return el("div", { class: "answer-foot" },
    el("span", { class: "faint" }, answerer.name === "extractive" ? "quoted" : foreign(answerer.model ?? answerer.name ?? ""),
      answerer.fallback_from ? ` in place of ${answerer.fallback_from} (${answerer.reason})` : ""),
    traceLink(reply.answer_id, "", "Trace the answer"), el("span", { class: "space" }),
    verdict("up", "Good answer"), verdict("down", "Bad answer"), note, said);
}
