// Parts with their state, and keys: listed without their secrets, made and revoked.
import { api, el, failure, foreign, plain, serverNow } from "./dom.js";
import { action, command, empty, labelled, option, pill, quantity, table, time, values } from "./parts.js";
import { onStatus, platform } from "./status.js";

export const title = "Parts and keys";

const parts = el("div", {});
const keys = el("div", {});
const said = el("div", { role: "status" });
const form = el("form", { class: "filters", autocomplete: "off", "aria-label": "A new key", hidden: true },
  labelled("who gets it", el("input", { name: "name", size: 18, maxLength: 100, required: true, placeholder: "grafana" })),
  labelled("role", el("select", { name: "role" }, option("read"), option("write"), option("admin"))),
  labelled("tenant", el("input", { name: "tenant", size: 14, maxLength: 249, placeholder: "default" })),
  labelled("days", el("input", { name: "days", type: "number", min: 1, max: 36500, placeholder: "until revoked" })),
  el("button", { class: "small accent", type: "submit" }, "Make a key"));
let isShown = false;
let drawn = "";

export function build(section) {
  section.append(el("h1", {}, "Parts and keys"),
    el("section", { class: "panel", "aria-labelledby": "admin-parts" }, el("h2", { id: "admin-parts" }, "Parts of the platform"), parts),
    el("section", { class: "panel", "aria-labelledby": "admin-keys" }, el("h2", { id: "admin-keys" }, "API keys"), form, said, keys,
      el("p", { class: "faint" }, "The same where the database can be reached: ", el("code", {}, "medallion keys create NAME --role read"), ", ",
        el("code", {}, "medallion keys revoke ID"), ". A change reaches every server within about a second.")));
  form.addEventListener("submit", (event) => { event.preventDefault(); make(); });
  onStatus(draw);
}

export function show() {
  isShown = true;
  drawn = "";
  draw();
  listKeys();
}

/** A key that was just made is on the screen no longer than need be. */
export function hide() {
  isShown = false;
  said.replaceChildren();
}

/** What `/health` says of each part. */
function draw() {
  if (!isShown) return;
  const { health, failure: why } = platform;
  const key = JSON.stringify([health?.dependencies, why]);
  if (key === drawn) return;
  drawn = key;
  const entries = Object.entries(health?.dependencies ?? {});
  parts.replaceChildren(entries.length
    ? table("Parts", ["part", "state", "what it says", "answered in", "last well"], entries.map(([name, entry]) => [
      name, pill(entry.state), [foreign(entry.message), Object.entries(entry.detail).map(([member, value]) => el("span", { class: "faint" }, ` ${member}: `, foreign(value)))],
      quantity(entry.latency_ms, "ms"), time(entry.last_ok)]))
    : empty(health ? "Details take a key." : why || "Looking…"));
}

async function make() {
  const submit = form.querySelector("button");
  const wanted = values(form);
  submit.disabled = true;
  try {
    const made = await api("/keys", { body: { ...wanted, ...(wanted.days ? { days: Number(wanted.days) } : {}) } });
    form.reset();
    said.replaceChildren(el("div", { class: "notice" }, el("p", {}, "The key of ", foreign(made.name), ", role ", made.role,
      ". It is kept nowhere and shown only now: hand it over, or put it where it belongs."), command(made.key, "the new key")));
    await listKeys();
  } catch (error) {
    said.replaceChildren(failure(error));
  } finally {
    submit.disabled = false;
  }
}

/** Whoever uses a revoked key is refused at once, so it takes a second word. */
async function revoke(key) {
  if (!confirm(`Revoke the key of ${plain(key.name)} (${plain(key.id)})? Whoever uses it is refused from then on, for good.`)) return;
  try {
    await api(`/keys/${encodeURIComponent(key.id)}`, { method: "DELETE" });
    said.replaceChildren(el("p", { class: "notice" }, "The key of ", foreign(key.name), " is revoked."));
    await listKeys();
  } catch (error) {
    said.replaceChildren(failure(error));
  }
}

async function listKeys() {
  try {
    const list = (await api("/keys")).keys;
    form.hidden = false;
    const isOver = (key) => Boolean(key.revoked_at || (key.expires_at && Date.parse(key.expires_at) < serverNow()));
    const state = (key) => (isOver(key) ? pill("failed", key.revoked_at ? "revoked" : "expired") : pill("ok", "valid"));
    keys.replaceChildren(list.length
      ? table("API keys", ["name", "id", "role", "tenant", "state", "made", "expires", ""], list.map((key) => [
        foreign(key.name), el("code", {}, key.id), key.role, key.tenant === null ? "the platform" : foreign(key.tenant), state(key), time(key.created_at),
        key.expires_at ? time(key.expires_at) : "never",
        isOver(key) ? null : action("Revoke", () => revoke(key), { class: "small danger", "aria-label": `Revoke the key of ${plain(key.name)}` })]))
      : empty("There are none yet."));
  } catch (error) {
    form.hidden = true;
    keys.replaceChildren(failure(error));
  }
}
