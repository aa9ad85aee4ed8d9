import { api, byId, el, failure, foreign, marked, savedKey } from "./dom.js";

const panel = byId("trace");
const body = byId("trace-body");
let openedFrom = null;
let wanted = null;

export function startTrace() {
  byId("trace-close").addEventListener("click", closeTrace);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !panel.hidden) closeTrace(); });
}

function closeTrace() {
  panel.hidden = true;
  wanted = null;
  if (location.hash.startsWith("#trace=")) history.replaceState(null, "", location.pathname);
  openedFrom?.focus?.();
}

/** Opens the panel with everything between a document and its raw event. */
export async function openTrace(docID, collection = "") {
  if (panel.hidden) openedFrom = document.activeElement;
  const scope = collection ? `?collection=${encodeURIComponent(collection)}` : "";
  const path = `/trace/${encodeURIComponent(docID)}${scope}`;
  wanted = path;
  panel.hidden = false;
  byId("trace-json").href = path;
  // A link sends no key.
  byId("trace-json").hidden = savedKey() !== "";
  byId("trace-verdict").replaceChildren();
  body.replaceChildren(el("p", { class: "empty" }, "Reading the lake…"));
  byId("trace-close").focus();
  try {
    const trace = await api(path);
    if (wanted !== path) return;
    history.replaceState(null, "", `#trace=${encodeURIComponent(docID)}`);
    show(trace);
  } catch (error) {
    if (wanted === path) body.replaceChildren(failure(error));
  }
}

function show(trace) {
  const verdict = byId("trace-verdict");
  verdict.replaceChildren(trace.complete ? "complete, hash verified" : "incomplete");
  verdict.className = trace.complete ? "pill level-good" : "pill level-bad";
  body.replaceChildren(
    trace.problems.length
      ? el("div", { class: "failure", role: "alert" }, el("ul", {}, trace.problems.map((problem) => el("li", {}, problem))))
      : "",
    step("Passage", "what was embedded and searched", passages(trace)),
    step("Gold", "the retrieval document", line(trace.gold)),
    step("Silver", "the trusted change", [rules(trace), line(trace.silver)]),
    ...trace.bronze.map((bronze) => step("Bronze", "the raw event, untouched", raw(bronze))));
  body.scrollTop = 0;
}

function step(name, explanation, content) {
  return el("section", { class: `step step-${name.toLowerCase()}` },
    el("h3", {}, name, " ", el("span", { class: "faint" }, explanation)), content);
}

function facts(rows) {
  return el("dl", { class: "facts" }, rows.filter(Boolean).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function passages(trace) {
  return [
    facts([
      ["document", foreign(trace.doc_id, "code")], ["version", String(trace.version)],
      ["generation", `${trace.generation}, read at index version ${trace.index_version}`],
      ["logic version", foreign(trace.logic_version, "code")],
    ]),
    ...trace.passages.map((passage) => el("div", { class: "passage" },
      foreign(passage.text, "p"),
      el("p", { class: "faint" }, `passage ${passage.passage} · visible since index version ${passage.from_version} · `
        + `${passage.model ? `vector by ${passage.model}` : "no vector"} · text `, el("code", {}, passage.text_hash.slice(0, 16), "…")))),
  ];
}

function rules(trace) {
  return facts([
    ["quality flags", trace.quality_flags.length ? foreign(trace.quality_flags.join(", ")) : "none"],
    trace.rules.length ? ["rules", foreign(trace.rules.join(", "))] : null,
  ]);
}

function place(where) {
  if (where.file === null) {
    return [["read from", where.read_from === "broker" ? "the broker" : "nowhere: derived anew from the event by its logic"]];
  }
  return [
    ["file", foreign(where.file, "code")],
    ["frame", `${where.frame_length.toLocaleString("en")} bytes at ${where.frame_offset.toLocaleString("en")}`
      + (where.line_offset === null ? "" : `, line at ${where.line_offset.toLocaleString("en")} of the decompressed frame`)],
  ];
}

function line(found) {
  if (!found) return el("p", { class: "failure" }, "not found");
  return [facts(place(found)), viewer(JSON.stringify(found.record, null, 2), null)];
}

function raw(bronze) {
  const here = el("span", { class: "faint" });
  const check = el("span", { class: bronze.hash_ok ? "hash ok" : "hash wrong" },
    bronze.hash_ok ? "✓ equals the hash in the lineage" : "✗ differs from the lineage's");
  recompute(bronze, here);
  return [
    facts([
      ["topic", foreign(bronze.topic, "code")], ["partition", String(bronze.partition)],
      ["offset", el("strong", {}, String(bronze.offset))], ["broker time", bronze.timestamp],
      ["SHA-256", [el("code", { class: "digest" }, bronze.sha256), el("br"), check, " ", here]],
      bronze.hash_ok ? null : ["in the lineage", el("code", { class: "digest" }, bronze.lineage_sha256)],
      bronze.key_base64 === null ? null : ["key", foreign(bronze.key ?? `base64 ${bronze.key_base64}`, "code")],
      ...place(bronze),
      ...bronze.headers.map((header) => [`header ${header.name}`, foreign(header.value ?? header.value_base64 ?? "null", "code")]),
    ]),
    bronze.value_base64 === null ? el("p", {}, "a tombstone: no payload")
      : viewer(pretty(bronze.value), bronze.value ?? bronze.value_base64, bronze.value_bytes),
  ];
}

/** Computes the hash of the bytes that arrived here; only where the browser offers it (https or localhost). */
async function recompute(bronze, target) {
  if (!globalThis.crypto?.subtle || bronze.value_base64 === null) return;
  try {
    const bytes = Uint8Array.from(atob(bronze.value_base64), (character) => character.charCodeAt(0));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const text = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    target.textContent = text === bronze.lineage_sha256 ? "✓ and computed again in this browser" : "✗ this browser computes another one";
  } catch { /* an extra check; without it the server's stands */ }
}

function pretty(text) {
  if (text === null) return null;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}

/** A JSON text, coloured; with a switch to the verbatim bytes where they differ from it. */
function viewer(formatted, verbatim, byteCount = null) {
  const shown = el("pre", { class: "json", tabIndex: 0, dir: "ltr" });
  const render = (isRaw) => {
    if (isRaw || formatted === null) shown.replaceChildren(...marked(verbatim ?? ""));
    else shown.replaceChildren(...coloured(formatted));
    shown.classList.toggle("is-raw", isRaw || formatted === null);
  };
  render(false);
  if (verbatim === null || formatted === null) return shown;
  const tabs = ["pretty", "verbatim"].map((name) => el("button", { class: "small", type: "button" }, name));
  tabs.forEach((tab, index) => tab.addEventListener("click", () => {
    tabs.forEach((other) => other.setAttribute("aria-pressed", String(other === tab)));
    render(index === 1);
  }));
  tabs[0].setAttribute("aria-pressed", "true");
  return [el("div", { class: "tabs" }, tabs, el("span", { class: "faint" }, `${byteCount.toLocaleString("en")} bytes`)), shown];
}

/** Splits formatted JSON into names, strings and the rest; every part stays a text node. */
function coloured(text) {
  const parts = [];
  const pattern = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*|true|false|null)/g;
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    parts.push(text.slice(end, match.index));
    if (match[1] && match[2]) parts.push(foreign(match[1], "span", "j-name"), match[2]);
    else if (match[1]) parts.push(foreign(match[1], "span", "j-string"));
    else parts.push(el("span", { class: "j-value" }, match[3]));
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  return parts;
}
