// The chain from a passage to its raw event, as a picture with times, and each link with what it holds.
import { el, foreign, link, plain } from "./dom.js";
import { clock, command, count, facts, quantity, time } from "./parts.js";
import { pretty, viewer } from "./json.js";

/** The chain of one document, or of one citation of an answer: both have the same members. */
export function chain(trace) {
  return [
    trace.problems.length
      ? el("div", { class: "failure", role: "alert" }, el("ul", {}, trace.problems.map((problem) => el("li", {}, foreign(problem))))) : null,
    picture(trace), way(trace.times),
    el("div", { class: "links" },
      step("Passage", "what was embedded and searched", passages(trace)),
      step("Gold", "the retrieval document", line(trace.gold, "Gold")),
      step("Silver", "the trusted change", [rules(trace), line(trace.silver, "Silver")]),
      ...trace.bronze.map((bronze) => step("Bronze", "the raw event, untouched", raw(bronze)))),
    commands(trace.commands),
  ].filter(Boolean);
}

/** What of the chain is there, in one row. */
function picture(trace) {
  const bronze = trace.bronze[0];
  const cells = [
    ["passage", "Passage", trace.passages ? `${trace.passages.length} of them` : `number ${trace.passage}`, true],
    ["gold", "Gold", trace.gold ? `version ${trace.version}` : "not found", trace.gold !== null],
    ["silver", "Silver", trace.silver ? (trace.quality_flags.length ? `flags: ${trace.quality_flags.join(", ")}` : "no flags") : "not found",
      trace.silver !== null],
    ["bronze", "Bronze", bronze ? `${bronze.topic} · ${bronze.partition} · ${bronze.offset}` : "not found", bronze !== undefined],
    ["hash", "SHA-256", bronze ? (trace.bronze.every((one) => one.hash_ok) ? "equals the lineage's" : "differs from the lineage's") : "not computed",
      bronze !== undefined && trace.bronze.every((one) => one.hash_ok)],
  ];
  return el("ol", { class: "chain", "aria-label": "From the passage to the raw event" }, cells.map(([name, head, text, isWell]) =>
    el("li", { class: `link-${name} ${isWell ? "is-well" : "is-missing"}` }, el("strong", {}, head), el("span", { class: "faint" }, foreign(text)))));
}

/** How long each part of the way took, drawn to scale. */
function way(times) {
  if (!times?.steps.length) return null;
  const total = times.total_ms ?? times.steps.reduce((sum, one) => sum + one.ms, 0);
  const bar = el("div", { class: "way-bar", "aria-hidden": "true" }, times.steps.map((one, index) => {
    const part = el("span", { class: `w-${index % 6}`, title: `${plain(one.from)} to ${plain(one.to)}: ${quantity(one.ms, "ms")}` });
    part.style.flexGrow = String(Math.max(one.ms, total / 200, 0.01));
    return part;
  }));
  return el("div", { class: "way-box" }, bar, el("ol", { class: "way-list" }, times.steps.map((one, index) => el("li", {},
    el("span", { class: `dot w-${index % 6}` }), `${one.from} → ${one.to} `, el("strong", {}, quantity(one.ms, "ms"))))),
  el("p", { class: "faint" }, `event ${clock(times.event, true)}`, times.searchable ? ` · searchable ${clock(times.searchable, true)}` : "",
    times.total_ms === null ? "" : ` · in all ${quantity(times.total_ms, "ms")}`));
}

function step(name, explanation, content) {
  return el("section", { class: `step step-${name.toLowerCase()}` },
    el("h3", {}, name, " ", el("span", { class: "faint" }, explanation)), content);
}

function passages(trace) {
  return [
    facts([
      ["document", foreign(trace.doc_id, "code")], ["title", link(trace.url, trace.title || trace.doc_id)], ["version", String(trace.version)],
      ["generation", `${trace.generation}, read at index version ${count(trace.index_version)}`],
      ["logic version", foreign(trace.logic_version, "code")],
    ]),
    trace.passages
      ? trace.passages.map((passage) => el("div", { class: "passage" }, foreign(passage.text, "p"),
        el("p", { class: "faint" }, `passage ${passage.passage} · visible since index version ${count(passage.from_version)} · `
          + `${passage.model ? `vector by ${passage.model}` : "no vector"} · text `, el("code", {}, passage.text_hash.slice(0, 16), "…"))))
      : el("div", { class: "passage" }, foreign(trace.text ?? trace.snippet, "p")),
  ];
}

function rules(trace) {
  const logic = trace.logic;
  return [
    facts([
      ["quality flags", trace.quality_flags.length ? foreign(trace.quality_flags.join(", ")) : "none"],
      trace.rules.length ? ["rules", foreign(trace.rules.join(", "))] : null,
    ]),
    logic ? el("details", {}, el("summary", {}, "The logic, and what it saw of the event"),
      viewer(JSON.stringify(logic, null, 2), null, null, "The logic")) : null,
  ];
}

function place(where) {
  if (!where.file) {
    return [["read from", where.read_from === "broker" ? "the broker"
      : where.derived_again ? "derived again from Bronze by the stored logic" : "not known"]];
  }
  return [
    ["file", foreign(where.file, "code")],
    ["frame", `${count(where.frame_length)} bytes at ${count(where.frame_offset)}`
      + (where.line_offset === null ? "" : `, line at ${count(where.line_offset)} of the decompressed frame`)],
  ];
}

function line(found, name) {
  if (!found) return el("p", { class: "failure" }, "not found");
  return [facts(place(found)), viewer(JSON.stringify(found.record, null, 2), null, null, `The ${name} record`)];
}

function raw(bronze) {
  const here = el("span", { class: "faint" });
  const check = el("span", { class: bronze.hash_ok ? "hash ok" : "hash wrong" },
    bronze.hash_ok ? "✓ equals the hash in the lineage" : "✗ differs from the lineage's");
  recompute(bronze, here);
  return [
    facts([
      ["topic", foreign(bronze.topic, "code")], ["partition", String(bronze.partition)],
      ["offset", el("strong", {}, String(bronze.offset))], ["broker time", time(bronze.timestamp, true)],
      ["SHA-256", [el("code", { class: "digest" }, bronze.sha256), el("br"), check, " ", here]],
      bronze.hash_ok ? null : ["in the lineage", el("code", { class: "digest" }, bronze.lineage_sha256)],
      bronze.key_base64 === null ? null : ["key", foreign(bronze.key ?? `base64 ${bronze.key_base64}`, "code")],
      ...place(bronze),
      ...bronze.headers.map((header) => [foreign(`header ${header.name}`), foreign(header.value ?? header.value_base64 ?? "null", "code")]),
    ]),
    bronze.value_base64 === null ? el("p", {}, "a tombstone: no payload")
      : viewer(pretty(bronze.value), bronze.value ?? bronze.value_base64, bronze.value_bytes, "The raw event"),
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

export function commands(list) {
  if (!list?.length) return null;
  return el("details", { class: "commands" }, el("summary", {}, "The same by other means: commands to copy"),
    list.map((one) => [el("p", { class: "faint" }, `${one.tool}: ${one.shows}`), command(one.command, one.shows)]));
}
