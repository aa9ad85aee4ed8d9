// What several views show in one way: numbers, states, tables, notices.
import { el, foreign, marked, plain } from "./dom.js";

/** A whole number with marks for thousands; a dash where it is not known. */
export const count = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en"));

/** A number with three digits that count. */
function short(value) {
  if (value >= 100) return String(Math.round(value));
  if (value >= 10) return value.toFixed(1);
  return value.toFixed(value === 0 ? 0 : 2);
}

/** A number as people read it beside its unit of the API. */
export function quantity(value, unit) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  switch (unit) {
    case "ms": return value >= 1000 ? `${short(value / 1000)} s` : `${short(value)} ms`;
    case "share": return `${(value * 100).toFixed(value >= 0.9995 || value === 0 ? 0 : 1)} %`;
    case "bytes": {
      const steps = ["B", "KiB", "MiB", "GiB", "TiB"];
      let step = 0;
      let rest = value;
      while (rest >= 1024 && step < steps.length - 1) { rest /= 1024; step += 1; }
      return `${step === 0 ? rest : short(rest)} ${steps[step]}`;
    }
    case "per_second": return `${value >= 1000 ? `${short(value / 1000)}k` : short(value)} /s`;
    case "cores": return `${short(value)} ${value === 1 ? "core" : "cores"}`;
    default: return value >= 100000 ? `${short(value / 1000)}k` : count(value);
  }
}

/** A time of the API, to the second or, with fractions, to the millisecond. */
export function clock(text, fractions = false) {
  if (!text) return "–";
  const shown = text.replace("T", " ").replace(/Z$/, "");
  return `${fractions ? shown : shown.replace(/\.\d+$/, "")} UTC`;
}

/** An element with a time. */
export const time = (text, fractions = false) => el("time", { dateTime: text ?? "" }, clock(text, fractions));

/** How states of the API look; the page judges nothing by itself. */
const levels = {
  fresh: "good", late: "slow", stale: "bad", unknown: "bad", ok: "good", degraded: "slow", failed: "bad",
  running: "slow", paused: "slow", interrupted: "bad", done: "good", active: "good", candidate: "slow",
  taken: "good", complete: "good", refused: "bad", given_up: "slow",
};
export const level = (state) => levels[state] ?? "plain";
export const pill = (state, text = state) => el("span", { class: `pill level-${level(state)}` }, text);

/** Names and values. */
export const facts = (rows) => el("dl", { class: "facts" },
  rows.filter(Boolean).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

/** A table that scrolls by itself where it is too wide. */
export function table(caption, head, rows) {
  return el("div", { class: "table", tabIndex: 0, role: "region", "aria-label": `${plain(caption)}: table` },
    el("table", {}, el("caption", { class: "unseen" }, caption),
      el("thead", {}, el("tr", {}, head.map((name) => el("th", { scope: "col" }, name || el("span", { class: "unseen" }, "what to do"))))),
      el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell)))))));
}

export const empty = (...text) => el("p", { class: "empty" }, text);
export const loading = (text) => el("p", { class: "empty loading", role: "status" }, text);

/** A button that says what it does, and cannot be pressed twice while it does that. */
export function action(text, run, properties = {}) {
  const button = el("button", {
    type: "button", ...properties, onclick: async () => {
      button.disabled = true;
      try {
        await run(button);
      } finally {
        button.disabled = false;
      }
    },
  }, text);
  return button;
}

/** A command for a shell, with a button that copies it. */
export function command(text, what) {
  const said = el("span", { class: "faint", role: "status" });
  return el("div", { class: "command" }, el("pre", { tabIndex: 0, dir: "ltr", "aria-label": what }, marked(text)),
    action("Copy", async () => {
      try {
        await navigator.clipboard.writeText(text);
        said.textContent = "copied";
      } catch {
        said.textContent = "the browser does not let this page copy";
      }
    }, { class: "small", "aria-label": `Copy the command: ${plain(what)}` }), said);
}

/** Members of a form by their names; empty ones are left out. */
export function values(form) {
  const found = {};
  for (const field of form.elements) {
    if (!field.name || field.disabled) continue;
    const value = field.type === "checkbox" ? field.checked : field.value.trim();
    if (value !== "") found[field.name] = value;
  }
  return found;
}

/** Words of a list. */
export const words = (text) => (text ?? "").split(/[\s,]+/).filter(Boolean);

/** A field with its label. */
export function labelled(text, field, properties = {}) {
  return el("label", properties, el("span", {}, text), field);
}

export const option = (value, text = value) => el("option", { value }, text);

/** Two texts, of which the words that differ stand out; alike ends are found from both sides. */
export function difference(before, after) {
  const split = (text) => text.split(/(\s+)/);
  const [old, now] = [split(before), split(after)];
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start += 1;
  let end = 0;
  while (end < old.length - start && end < now.length - start && old[old.length - 1 - end] === now[now.length - 1 - end]) end += 1;
  const side = (parts, tag) => {
    const own = parts.slice(start, parts.length - end).join("");
    return el("p", { class: "foreign", dir: "auto" }, marked(parts.slice(0, start).join("")), own === "" ? null : el(tag, {}, marked(own)),
      marked(parts.slice(parts.length - end).join("")));
  };
  return [side(old, "del"), side(now, "ins")];
}

/** What tells where a document is from: of a recent change its wiki and user, else its collection. */
export function origin(hit) {
  if (hit.wiki === undefined) return [el("span", { class: "tag" }, foreign(hit.collection))];
  return [el("span", { class: `tag tag-${hit.type === "new" ? "new" : "edit"}` }, foreign(hit.type)), " ", foreign(hit.wiki), " · ",
    foreign(hit.user), hit.is_bot ? " (bot)" : ""];
}

/** Most texts begin with the title, which is shown already. */
export function withoutTitle(event) {
  const text = event.text ?? "";
  return event.title && text.startsWith(event.title) ? text.slice(event.title.length).replace(/^[:.\s]+/, "") : text;
}

/** The way to a document's or an answer's trace. */
export const traceLink = (id, collection = "", text = "Trace", properties = {}) => el("a", {
  class: "button small", href: `#/trace/${encodeURIComponent(id)}${collection ? `/${encodeURIComponent(collection)}` : ""}`,
  title: "From here back to the raw event", ...properties,
}, text);
