// Queries whose hits and answers are compared between what is served and another generation.
import { api, el, failure, foreign } from "./dom.js";
import { action, count, difference, empty, labelled, loading, option, table } from "./parts.js";

/** Asks each golden query in both, and shows what differs in `target`. */
export async function compare(generation, target) {
  target.replaceChildren(loading(`Asking in both generations…`));
  try {
    const found = await api(`/generations/${generation}/golden`, { method: "POST" });
    target.replaceChildren(el("section", { class: "panel", "aria-label": "Golden queries before and after" },
      el("h3", {}, found.queries.length ? `${found.changed} of ${found.queries.length} golden queries change in generation ${generation}` : "Golden queries"),
      found.left_out ? el("p", { class: "notice" }, `${found.left_out} were left out for want of time.`) : null,
      found.queries.map(query), found.queries.length ? null : empty("There are none yet."), adding(generation, target)));
  } catch (error) {
    target.replaceChildren(failure(error));
  }
}

function query(one) {
  const hits = [
    ...one.entered.map((hit) => [String(hit.place), "entered", foreign(hit.title || hit.doc_id)]),
    ...one.left.map((hit) => [String(hit.place), "left", foreign(hit.title || hit.doc_id)]),
    ...one.moved.map((hit) => [`${hit.from} → ${hit.to}`, "moved", foreign(hit.title || hit.doc_id)]),
  ];
  const text = (answer) => (answer?.refused ? "(refused)" : (answer?.sentences ?? []).join(" "));
  const sides = (before, after) => el("div", { class: "sides" }, difference(before, after).map((side) => el("div", {}, side)));
  return el("details", { class: "panel", open: one.changed }, el("summary", {}, el("strong", {}, foreign(one.name)), " ", foreign(one.query), " ",
    el("span", { class: one.changed ? "pill level-slow" : "pill level-good" }, one.error ? "not asked" : one.changed ? "changes" : `same ${count(one.unchanged)}`)),
  one.error ? el("p", { class: "failure" }, foreign(one.error)) : null,
  hits.length ? table(`Hits of ${one.name}`, ["place", "what", "document"], hits) : null,
  one.rewritten.map((hit) => sides(hit.before, hit.after)),
  one.answer_before || one.answer_after ? [el("p", { class: "faint" }, "answers, now and by the other logic"), sides(text(one.answer_before), text(one.answer_after))] : null);
}

/** A form for one more. */
function adding(generation, target) {
  const [name, text] = [el("input", { name: "golden-name", required: true, maxLength: 60, size: 12 }),
    el("input", { name: "golden-query", required: true, maxLength: 2000, dir: "auto" })];
  const kind = el("select", {}, option("search"), option("answer"));
  const said = el("span", { role: "status" });
  return el("form", {
    class: "line", onsubmit: async (event) => {
      event.preventDefault();
      try {
        await api("/golden", { body: { name: name.value, kind: kind.value, query: text.value } });
        await compare(generation, target);
      } catch (error) {
        said.replaceChildren(failure(error));
      }
    },
  }, labelled("name", name), labelled("kind", kind), labelled("query", text), el("button", { class: "small", type: "submit" }, "Add a golden query"), said);
}
