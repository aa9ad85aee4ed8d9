// Sources with their state, and keys without their secrets.
import { api, el, failure, foreign, serverNow, span } from "./dom.js";
import { count, empty, pill, quantity, table, time } from "./parts.js";
import { onStatus, platform } from "./status.js";

export const title = "Sources and keys";

const sources = el("div", {});
const parts = el("div", {});
const keys = el("div", {});
let isShown = false;
let drawn = "";

export function build(section) {
  section.append(el("h1", {}, "Sources and keys"),
    el("section", { class: "panel", "aria-labelledby": "admin-sources" }, el("h2", { id: "admin-sources" }, "Sources"), sources),
    el("section", { class: "panel", "aria-labelledby": "admin-parts" }, el("h2", { id: "admin-parts" }, "Parts of the platform"), parts),
    el("section", { class: "panel", "aria-labelledby": "admin-keys" }, el("h2", { id: "admin-keys" }, "API keys"), keys,
      el("p", { class: "faint" }, "Keys are made and revoked where the database can be reached: ", el("code", {}, "medallion keys create NAME --role read"), ", ",
        el("code", {}, "medallion keys revoke ID"), ".")));
  onStatus(draw);
}

export function show() {
  isShown = true;
  drawn = "";
  draw();
  listKeys();
}

export function hide() {
  isShown = false;
}

/** What is wrong with a source's components now (those of several bear its name), else what was wrong last. */
function trouble(health, source, isOnly) {
  const entries = Object.entries(health?.dependencies ?? {}).filter(([name, entry]) => {
    const [role, ...of] = name.split(" ");
    return ["source", "delivery", "stream", "indexer"].includes(role) && (of.join(" ") === source.name || (of.length === 0 && isOnly)) && entry.state !== "ok";
  });
  if (entries.length) return entries.map(([name, entry]) => el("p", {}, pill(entry.state, name), " ", foreign(entry.message)));
  return el("span", { class: "faint" }, source.last_error ? [foreign(source.last_error), " · ", time(source.last_error_at)] : "none");
}

/** How far a source's topic is searchable. */
function draw() {
  if (!isShown) return;
  const { status, health } = platform;
  if (!status) {
    sources.replaceChildren(empty(platform.failure || "Looking…"));
    return;
  }
  const key = JSON.stringify([status.sources, health?.dependencies, Math.floor(Date.now() / 2000)]);
  if (key === drawn) return;
  drawn = key;
  const isOnly = status.sources.length === 1;
  sources.replaceChildren(status.sources.length
    ? table("Sources", ["source", "connector", "state", "position", "index", "behind", "last event", "last error"], status.sources.map((one) => [
      foreign(one.name), one.connector, one.phase ?? "runs elsewhere", count(one.position), pill(one.freshness), count(one.events_behind),
      one.last_event ? [span(serverNow() - Date.parse(one.last_event)), " ago"] : "–", trouble(health, one, isOnly)]))
    : empty("No source is declared for you."));
  const entries = Object.entries(health?.dependencies ?? {});
  parts.replaceChildren(entries.length
    ? table("Parts", ["part", "state", "what it says", "answered in", "last well"], entries.map(([name, entry]) => [
      name, pill(entry.state), [foreign(entry.message), Object.entries(entry.detail).map(([member, value]) => el("span", { class: "faint" }, ` ${member}: `, foreign(value)))],
      quantity(entry.latency_ms, "ms"), time(entry.last_ok)]))
    : empty(health ? "Details take a key." : "Looking…"));
}

async function listKeys() {
  try {
    const list = (await api("/keys")).keys;
    const state = (key) => (key.revoked_at ? pill("failed", "revoked")
      : key.expires_at && Date.parse(key.expires_at) < serverNow() ? pill("failed", "expired") : pill("ok", "valid"));
    keys.replaceChildren(list.length
      ? table("API keys", ["name", "id", "role", "tenant", "state", "made", "expires"], list.map((key) => [
        foreign(key.name), el("code", {}, key.id), key.role, key.tenant === null ? "the platform" : foreign(key.tenant), state(key), time(key.created_at),
        key.expires_at ? time(key.expires_at) : "never"]))
      : empty("There are none yet."));
  } catch (error) {
    keys.replaceChildren(failure(error));
  }
}
