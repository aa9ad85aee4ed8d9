// Records that a rule rejected: by rule, what they are, and the ways out.
import { api, el, failure, foreign, plain } from "./dom.js";
import { pretty, viewer } from "./json.js";
import { action, command, count, empty, facts, labelled, loading, option, pill, quantity, table, time, values } from "./parts.js";

export const title = "Quarantine";

/** Redriven or discarded at once; the API takes no more. */
const recordsMax = 500;
const pageRecords = 200;
/** Listed at most: who looks for more narrows the list. */
const listedMax = 2000;
/** What the records in the list were selected by: the buttons below the form are about these, whatever its fields say by now. */
let shown = {};
let loads = 0;
/** What is listed, newest first, and where the list goes on. */
let listed = [];
let cursor = null;
let hasMore = false;
/** The record in the panel beside the list. */
let looked = null;
/** Bytes of a value that are no text, as many as are shown. */
const hexBytesMax = 512;
const rules = el("div", { class: "facets" });
const list = el("div", {});
const more = action("Older ones", loadMore, { class: "small" });
const moreSaid = el("div", { class: "faint" });
const moreLine = el("div", { class: "line", hidden: true }, more, moreSaid);
const sample = el("div", {});
const said = el("div", { role: "status" });
const form = el("form", { class: "filters", "aria-label": "Which records are shown" },
  labelled("rule", el("input", { name: "rule", size: 18, placeholder: "any" })),
  labelled("state", el("select", { name: "state" }, option("", "any"), option("open"), option("pending"), option("redriven"), option("discarded"))),
  labelled("topic", el("input", { name: "topic", size: 20, placeholder: "any" })),
  el("button", { class: "small", type: "submit" }, "Show"));
const reason = el("input", { type: "text", maxLength: 500, size: 24, placeholder: "why, for discarding" });
const redriveMany = action("", () => changeMany("redrive", false), { class: "accent" });
const discardMany = action("", () => changeMany("discard", false), { class: "danger" });
const ways = el("div", { class: "line", hidden: true }, labelled("reason", reason),
  action("What would be redriven", () => changeMany("redrive", true)), redriveMany, discardMany);

export function build(section) {
  section.append(el("h1", {}, "Quarantine"),
    el("p", { class: "faint lead" }, "What a rule rejected, with its reason and its raw bytes in the lake. Redriving publishes a record to its topic again, by the logic of now."),
    form, rules, ways, said, el("div", { class: "pair wide-left" }, el("div", { class: "panel" }, list, moreLine), sample));
  form.addEventListener("submit", (event) => { event.preventDefault(); load(); });
}

export function show() {
  load();
}

async function load() {
  if (!list.children.length) list.replaceChildren(loading("Reading the quarantine…"));
  const wanted = values(form);
  loads += 1;
  const mine = loads;
  try {
    const found = await page(wanted);
    if (mine !== loads) return;
    [shown, listed] = [wanted, []];
    take(found);
    if (listed.length && looked === null) look(listed[0], false);
  } catch (error) {
    if (mine !== loads) return;
    list.replaceChildren(failure(error));
    rules.replaceChildren();
    moreLine.hidden = true;
    ways.hidden = true;
  }
}

const page = (wanted, from = {}) => api(`/quarantine?${new URLSearchParams({ ...wanted, limit: String(pageRecords), ...from })}`);

async function loadMore() {
  const mine = loads;
  try {
    const found = await page(shown, { cursor });
    if (mine === loads) take(found);
  } catch (error) {
    if (mine === loads) moreSaid.replaceChildren(failure(error));
  }
}

/** Adds a page to what is listed, and shows it. */
function take(found) {
  listed = [...listed, ...found.records].slice(0, listedMax);
  [cursor, hasMore] = [found.next_cursor, found.has_more];
  const byRule = new Map();
  for (const record of listed) byRule.set(record.rule, (byRule.get(record.rule) ?? 0) + 1);
  rules.replaceChildren(...[...byRule].sort((a, b) => b[1] - a[1]).map(([rule, number]) => el("button", {
    class: "small", type: "button", "aria-pressed": String(shown.rule === rule), onclick: () => {
      form.elements.rule.value = shown.rule === rule ? "" : rule;
      load();
    },
  }, foreign(rule), " ", el("span", { class: "faint" }, count(number)))),
    hasMore ? el("span", { class: "faint" }, `of the newest ${count(listed.length)}`) : "");
  showWays();
  list.replaceChildren(listed.length
    ? table("Quarantined records, newest first", ["record", "time", "rule", "reason", "bytes", "state", ""], listed.map((record) => [
      foreign(`${record.partition}/${record.offset}`, "code"), time(record.time), foreign(record.rule), foreign(record.reason), quantity(record.value_bytes, "bytes"),
      pill(record.state === "open" ? "late" : "ok", record.state),
      el("button", { class: "small", type: "button", onclick: () => look(record) }, "Look")]))
    : empty(hasMore ? "None so far: the newest were looked through in the time that a request has."
      : Object.keys(shown).length ? "No quarantined record is like that." : "Nothing is in quarantine: every record passed the rules."));
  const isFull = listed.length >= listedMax;
  moreLine.hidden = !hasMore;
  more.hidden = isFull || cursor === null;
  moreSaid.replaceChildren(more.hidden ? "There are older ones: name a rule, a state or a topic to find them." : "");
}

/** Many at once are what is open of one rule, the oldest first. No more than the API takes at once: what is redriven and breaks the rule again comes back as new. */
function showWays() {
  ways.hidden = !shown.rule || !["", "open"].includes(shown.state ?? "");
  if (ways.hidden) return;
  const which = () => [`up to ${recordsMax} open of `, foreign(shown.rule), shown.topic ? [" in ", foreign(shown.topic)] : ""].flat();
  redriveMany.replaceChildren("Redrive ", ...which());
  discardMany.replaceChildren("Discard ", ...which());
}

function look(record, isWanted = true) {
  looked = record;
  const bytes = el("div", {}, loading("Reading its bytes…"));
  showBytes(record, bytes);
  const box = el("section", { class: "panel", tabIndex: -1, "aria-label": "The record" },
    el("h2", {}, foreign(record.rule)),
    el("p", {}, foreign(record.reason)), record.detail ? foreign(record.detail, "pre", "json") : null,
    facts([["record", foreign(`${record.topic}/${record.partition}/${record.offset}`, "code")], ["broker time", time(record.time, true)],
      ["event", record.event_id === null ? "not readable" : foreign(record.event_id, "code")], ["SHA-256", el("code", { class: "digest" }, record.bronze_sha256)],
      ["state", record.redriven_to === null ? record.state : `${record.state}, now at offset ${record.redriven_to}`]]),
    bytes,
    command(`medallion dlq show --topic ${record.topic} --partition ${record.partition} --offset ${record.offset} --raw`, "the record with its raw bytes"),
    el("div", { class: "line" },
      action("Redrive", () => changeOne("redrive", record), { class: "small accent" }),
      action("Discard", () => changeOne("discard", record), { class: "small danger" })));
  sample.replaceChildren(box);
  if (isWanted) box.focus();
}

/** The value as it came, up to what the API shows of one. */
async function showBytes(record, target) {
  try {
    const found = await api(`/quarantine/record?${new URLSearchParams(place(record))}`);
    if (found.value_base64 === null) {
      target.replaceChildren(el("p", {}, "A tombstone: it has no value."));
      return;
    }
    const value = Uint8Array.from(atob(found.value_base64), (character) => character.charCodeAt(0));
    const cut = found.value_is_cut ? `, the first ${quantity(value.length, "bytes")} of it` : "";
    let text = null;
    try {
      // A text that is cut may end within a character.
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value, { stream: found.value_is_cut });
    } catch { /* no text: shown in hexadecimal digits */ }
    const shown = text === null
      ? el("pre", { class: "json", tabIndex: 0, dir: "ltr", role: "region", "aria-label": "The value" }, digits(value))
      : viewer(pretty(text), text, found.value_bytes, "The value");
    target.replaceChildren(el("p", { class: "faint" }, `Its value as it came${cut}:`), ...[shown].flat());
  } catch (error) {
    target.replaceChildren(failure(error));
  }
}

/** Bytes in rows of sixteen. */
function digits(value) {
  const rows = [];
  for (let start = 0; start < Math.min(value.length, hexBytesMax); start += 16) {
    const row = [...value.subarray(start, Math.min(start + 16, hexBytesMax))].map((byte) => byte.toString(16).padStart(2, "0"));
    rows.push(`${start.toString(16).padStart(4, "0")}  ${row.join(" ")}`);
  }
  return rows.join("\n") + (value.length > hexBytesMax ? "\n…" : "");
}

const place = (record) => ({ topic: record.topic, partition: record.partition, offset: record.offset });

async function changeMany(way, isDry) {
  const { rule, topic } = shown;
  const body = { rule, ...(topic ? { topic } : {}), limit: recordsMax };
  if (way === "discard" && !isDry) {
    let number = 0;
    try {
      number = (await api("/quarantine/discard", { body: { ...body, dry_run: true } })).records.filter((one) => one.outcome === "planned").length;
    } catch (error) {
      said.replaceChildren(failure(error));
      return;
    }
    if (number > 0 && !confirm(`Discard ${count(number)} records that broke ${plain(rule)}? They stay in the lake, but nobody is asked about them again.`)) return;
  }
  await change(way, { ...body, dry_run: isDry });
}

/** One that was decided already is taken again only on purpose: redriving publishes it a second time. */
async function changeOne(way, record) {
  const isOpen = record.state === "open";
  if (!isOpen && !confirm(`This record is ${plain(record.state)} already. ${way === "redrive" ? "Publish it again" : "Discard it"} all the same?`)) return;
  await change(way, { ...place(record), ...(isOpen ? {} : { force: true }) }, true);
}

async function change(way, body, isOne = false) {
  if (way === "discard") body.reason = reason.value.trim() || "discarded on the page";
  try {
    const { records } = await api(`/quarantine/${way}`, { body });
    const outcomes = new Map();
    for (const one of records) outcomes.set(one.outcome, (outcomes.get(one.outcome) ?? 0) + 1);
    const trouble = records.find((one) => one.detail && (one.outcome === "refused" || one.outcome === "failed"));
    said.replaceChildren(el("p", { class: "notice" }, records.length ? [...outcomes].map(([name, number]) => `${count(number)} ${name}`).join(", ") : "no record is open there",
      records.length === body.limit ? ", as many as are taken at once: there may be more" : "", trouble ? [" · ", foreign(trouble.detail)] : ""));
    // A dry run changes nothing.
    if (body.dry_run) return;
    await load();
    if (looked !== null) await lookAgain(isOne);
  } catch (error) {
    said.replaceChildren(failure(error));
  }
}

/** The record in the panel as it is now, also where the list leaves it out. */
async function lookAgain(isWanted) {
  const before = looked;
  const { records } = await api(`/quarantine?${new URLSearchParams({ ...place(before), limit: "1" })}`);
  if (looked === before && records.length) look(records[0], isWanted);
}
