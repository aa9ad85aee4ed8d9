// Records that a rule rejected: by rule, what they are, and the ways out.
import { api, el, failure, foreign } from "./dom.js";
import { action, command, count, empty, facts, labelled, loading, option, pill, quantity, table, time, values } from "./parts.js";

export const title = "Quarantine";

const recordsMax = 500;
const rules = el("div", { class: "facets" });
const list = el("div", {});
const sample = el("div", {});
const said = el("div", { role: "status" });
const form = el("form", { class: "filters", "aria-label": "Which records are shown" },
  labelled("rule", el("input", { name: "rule", size: 18, placeholder: "any" })),
  labelled("state", el("select", { name: "state" }, option("", "any"), option("open"), option("pending"), option("redriven"), option("discarded"))),
  labelled("topic", el("input", { name: "topic", size: 20, placeholder: "any" })),
  el("button", { class: "small", type: "submit" }, "Show"));
const reason = el("input", { type: "text", maxLength: 500, size: 24, placeholder: "why, for discarding" });
const ways = el("div", { class: "line", hidden: true }, labelled("reason", reason),
  action("What would be redriven", () => change("redrive", true)), action("Redrive all of the rule", () => change("redrive", false), { class: "accent" }),
  action("Discard all of the rule", () => change("discard", false), { class: "danger" }));

export function build(section) {
  section.append(el("h1", {}, "Quarantine"),
    el("p", { class: "faint lead" }, "What a rule rejected, with its reason and its raw bytes in the lake. Redriving publishes a record to its topic again, by the logic of now."),
    form, rules, ways, said, el("div", { class: "pair wide-left" }, el("div", { class: "panel" }, list), sample));
  form.addEventListener("submit", (event) => { event.preventDefault(); load(); });
}

export function show() {
  load();
}

async function load() {
  if (!list.children.length) list.replaceChildren(loading("Reading the quarantine…"));
  const wanted = values(form);
  try {
    const found = await api(`/quarantine?${new URLSearchParams({ ...wanted, limit: String(recordsMax) })}`);
    const byRule = new Map();
    for (const record of found.records) byRule.set(record.rule, (byRule.get(record.rule) ?? 0) + 1);
    rules.replaceChildren(...[...byRule].sort((a, b) => b[1] - a[1]).map(([rule, number]) => el("button", {
      class: "small", type: "button", "aria-pressed": String(wanted.rule === rule), onclick: () => {
        form.elements.rule.value = wanted.rule === rule ? "" : rule;
        load();
      },
    }, foreign(rule), " ", el("span", { class: "faint" }, count(number)))), found.has_more ? el("span", { class: "faint" }, `the newest ${count(recordsMax)} are counted`) : "");
    ways.hidden = !wanted.rule;
    list.replaceChildren(found.records.length
      ? table("Quarantined records", ["record", "time", "rule", "reason", "bytes", "state", ""], found.records.slice(0, 100).map((record) => [
        foreign(`${record.partition}/${record.offset}`, "code"), time(record.time), foreign(record.rule), foreign(record.reason), quantity(record.value_bytes, "bytes"),
        pill(record.state === "open" ? "late" : "ok", record.state),
        el("button", { class: "small", type: "button", onclick: () => look(record) }, "Look")]))
      : empty(Object.keys(wanted).length ? "No quarantined record is like that." : "Nothing is in quarantine: every record passed the rules."));
    if (found.records.length && !sample.children.length) look(found.records[0], false);
  } catch (error) {
    list.replaceChildren(failure(error));
    rules.replaceChildren();
    ways.hidden = true;
  }
}

function look(record, isWanted = true) {
  const place = { topic: record.topic, partition: record.partition, offset: record.offset };
  const box = el("section", { class: "panel", tabIndex: -1, "aria-label": "The record" },
    el("h2", {}, foreign(record.rule)),
    el("p", {}, foreign(record.reason)), record.detail ? foreign(record.detail, "pre", "json") : null,
    facts([["record", foreign(`${record.topic}/${record.partition}/${record.offset}`, "code")], ["broker time", time(record.time, true)],
      ["event", record.event_id === null ? "not readable" : foreign(record.event_id, "code")], ["SHA-256", el("code", { class: "digest" }, record.bronze_sha256)],
      ["state", record.redriven_to === null ? record.state : `${record.state}, now at offset ${record.redriven_to}`]]),
    el("p", { class: "faint" }, "Its bytes, as they came:"),
    command(`medallion dlq show --topic ${record.topic} --partition ${record.partition} --offset ${record.offset} --raw`, "the record with its raw bytes"),
    el("div", { class: "line" },
      action("Redrive", () => change("redrive", false, place), { class: "small accent" }),
      action("Discard", () => change("discard", false, place), { class: "small danger" })));
  sample.replaceChildren(box);
  if (isWanted) box.focus();
}

/** Of one record, or of all open ones of the chosen rule. */
async function change(way, isDry, place = null) {
  const body = { ...(place ? { ...place, force: true } : { rule: values(form).rule, limit: recordsMax }), dry_run: isDry };
  if (way === "discard") {
    body.reason = reason.value.trim() || "discarded on the page";
  }
  try {
    const { records } = await api(`/quarantine/${way}`, { body });
    const outcomes = new Map();
    for (const one of records) outcomes.set(one.outcome, (outcomes.get(one.outcome) ?? 0) + 1);
    const trouble = records.find((one) => one.detail && (one.outcome === "refused" || one.outcome === "failed"));
    said.replaceChildren(el("p", { class: "notice" }, records.length ? [...outcomes].map(([name, number]) => `${count(number)} ${name}`).join(", ") : "no record is open there",
      trouble ? [" · ", foreign(trouble.detail)] : ""));
    await load();
  } catch (error) {
    said.replaceChildren(failure(error));
  }
}
