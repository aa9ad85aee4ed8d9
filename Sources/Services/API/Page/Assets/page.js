// The frame around the views: which one is shown, whether the platform is well, and the key.
import { byId, el, foreign, saveKey, savedKey, serverNow, span } from "./dom.js";
import { faults } from "./faults.js";
import { count, level } from "./parts.js";
import { lookAgain, onStatus, platform, startStatus } from "./status.js";
import * as admin from "./admin.js";
import * as ask from "./ask.js";
import * as documents from "./documents.js";
import * as overview from "./overview.js";
import * as quarantine from "./quarantine.js";
import * as replay from "./replay.js";
import * as sources from "./sources.js";
import * as trace from "./trace.js";
import * as watch from "./watch.js";

/** Each view has `title`, `build(section)`, `show(...rest of the address)` and perhaps `hide()`. */
const views = { "": overview, watch, ask, documents, trace, sources, replay, quarantine, admin };
const sections = new Map();
let current = null;

function start() {
  for (const [name, view] of Object.entries(views)) {
    const section = el("section", { class: `view view-${name || "overview"}`, "aria-label": view.title, hidden: true });
    sections.set(name, section);
    byId("main").append(section);
    byId("nav").append(el("li", {}, el("a", { href: `#/${name}`, id: `nav-${name || "overview"}` }, view.title)));
    view.build(section);
  }
  startKey();
  byId("parts").addEventListener("click", () => {
    const box = byId("dependencies");
    box.hidden = !box.hidden;
    byId("parts").setAttribute("aria-expanded", String(!box.hidden));
  });
  onStatus(showHeader);
  onStatus(showHealth);
  startStatus();
  setInterval(showHeader, 1000);
  addEventListener("hashchange", follow);
  follow();
}

/** `#/ask/…` and the like, and the short forms `#search=…`, `#ask=…` and `#trace=…`, can be linked to. */
function follow() {
  const short = /^#(search|ask|trace)=(.*)$/s.exec(location.hash);
  const parts = short ? [short[1] === "trace" ? "trace" : "ask", ...(short[1] === "trace" ? [] : [short[1]]), short[2]]
    : location.hash.replace(/^#\/?/, "").split("/");
  let name = parts[0];
  let rest;
  try {
    rest = parts.slice(1).map(decodeURIComponent);
  } catch {
    rest = [];
  }
  // The address of the link to the content.
  if (location.hash === "#main" && current !== null) return;
  if (!Object.hasOwn(views, name)) [name, rest] = ["", []];
  if (current !== name) {
    if (current !== null) {
      views[current].hide?.();
      sections.get(current).hidden = true;
    }
    current = name;
    sections.get(name).hidden = false;
    for (const link of byId("nav").querySelectorAll("a")) {
      if (link.id === `nav-${name || "overview"}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = name === "" ? "Medallion" : `${views[name].title} · Medallion`;
    scrollTo(0, 0);
  }
  views[name].show(...rest);
}

function showHeader() {
  const { status, awaySince, troubledSince } = platform;
  const pipeline = status?.pipeline;
  // Which address another process reads is not known here; what is declared is.
  const words = { live: "live stream", local: "local stream", recording: "recording", generated: "generated events",
    unknown: status?.sources.length > 1 ? "sources" : "source" };
  const isLocal = pipeline?.source === "live" && /^(https?:\/\/)?(127\.|localhost\b|\[::1\])/.test(pipeline.name);
  const kind = isLocal ? "local" : pipeline?.source ?? "unknown";
  const source = byId("source");
  source.className = `pill source-${Object.hasOwn(words, kind) ? kind : "unknown"}`;
  source.replaceChildren(Object.hasOwn(words, kind) ? words[kind] : kind);
  const name = pipeline?.name ?? status?.sources.map((one) => one.name).join(", ");
  if (name) source.append(" · ", foreign(name));
  const pill = byId("freshness");
  const { text, state } = freshness(platform);
  pill.textContent = text;
  pill.className = `pill level-${state}`;
  document.body.dataset.level = state;
  const behind = byId("behind");
  behind.hidden = awaySince !== null || troubledSince !== null || !(status?.events_behind > 0 && status.freshness !== "fresh");
  behind.textContent = `${count(status?.events_behind)} behind`;
  behind.className = `pill level-${state}`;
}

/** One sentence on whether what the page shows is what the world does. */
function freshness({ status, awaySince, troubledSince, failure }) {
  if (awaySince !== null) return { text: `not connected for ${span(Date.now() - awaySince)}`, state: "bad" };
  if (troubledSince !== null) return { text: `no figures for ${span(Date.now() - troubledSince)}`, state: "slow" };
  if (!status) return { text: failure || "…", state: "slow" };
  const indexed = Date.parse(status.indexed_at ?? "");
  const newest = Number.isNaN(indexed) ? "nothing indexed yet" : `newest ${span(serverNow() - indexed)} ago`;
  return { text: `${status.freshness} · ${newest}`, state: level(status.freshness) };
}

function showHealth({ health, awaySince, troubledSince, failure }) {
  const button = byId("parts");
  const box = byId("dependencies");
  if (awaySince !== null) {
    button.textContent = "not connected";
    banner([["The API", `does not answer (${failure})`, new Date(awaySince).toISOString(),
      "What is shown is what was known then. The page asks again every second."]]);
    return;
  }
  const troubles = troubledSince === null ? [] : [["The API", `answers, but not how it is with the pipeline (${failure})`,
    new Date(troubledSince).toISOString(), "The pipeline's figures are those known then. The page asks again every second."]];
  if (!health) {
    banner(troubles);
    return;
  }
  // Without a key the state may be all that is told.
  const entries = Object.entries(health.dependencies
    ?? { platform: { state: health.status, message: "a key shows what it is", detail: {}, last_ok: null } });
  const well = entries.filter(([, entry]) => entry.state === "ok").length;
  button.textContent = `${well} of ${entries.length} parts well`;
  button.className = `small level-${level(health.status)}`;
  box.replaceChildren(...entries.map(([name, entry]) => el("div", { class: `dependency state-${entry.state}` },
    el("strong", {}, name), " ", el("span", {}, entry.state), el("p", { class: "faint" }, foreign(entry.message || "no complaint"),
      Object.entries(entry.detail).map(([key, value]) => [" · ", key, ": ", foreign(value)])))));
  const known = faults(entries);
  // Whatever else is away: figures that are not those of now are said to be so.
  banner([...known, ...troubles]);
}

/** What is away, since when, and what still works; gone by itself when all is well. */
function banner(lines) {
  const box = byId("banner");
  box.hidden = lines.length === 0;
  // An alert that is written again is read out again: a count that goes on is no news.
  const key = JSON.stringify(lines.map(([name, what, ...rest]) => [name, what.replace(/\d+/g, "0"), ...rest]));
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  box.replaceChildren(...lines.map(([name, what, since, effect]) => el("p", {}, el("strong", {}, name), " ", foreign(what, "span"),
    since ? ` · since ${since.slice(11, 19)} UTC` : "", effect ? [" · ", effect] : "")));
}

/** Where no anonymous request is let in, the visitor is asked for a key, and what failed is tried again. */
function startKey() {
  const form = byId("key-form");
  /** Whether the visitor has closed the form, and wants no key: then it opens when asked for alone. */
  let isDismissed = false;
  const open = (why, label) => {
    form.hidden = false;
    byId("key-why").textContent = why;
    byId("key-label").textContent = label;
    byId("key-forget").hidden = savedKey() === "";
  };
  const used = () => {
    form.hidden = true;
    isDismissed = false;
    byId("key-open").textContent = savedKey() ? "Key in use" : "Key";
    lookAgain();
    for (const view of Object.values(views)) view.keyChanged?.();
    follow();
  };
  addEventListener("key-needed", (event) => {
    if (form.hidden && !isDismissed) open(savedKey() ? event.detail : "", "This server asks for an API key.");
  });
  addEventListener("key-wanted", () => {
    open("It is kept until this tab is closed.", "An API key (medallion keys create):");
    byId("key").focus();
  });
  byId("key-open").addEventListener("click", () => dispatchEvent(new CustomEvent("key-wanted")));
  byId("key-close").addEventListener("click", () => {
    form.hidden = true;
    isDismissed = true;
    byId("key-open").focus();
  });
  byId("key-forget").addEventListener("click", () => { saveKey(""); used(); });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    saveKey(byId("key").value.trim());
    byId("key").value = "";
    used();
  });
  byId("key-open").textContent = savedKey() ? "Key in use" : "Key";
}

start();
