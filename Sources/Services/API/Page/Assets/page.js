import { api, byId, el, saveKey, savedKey } from "./dom.js";
import { startFeed } from "./feed.js";
import { ask, startQuery } from "./query.js";
import { openTrace, startTrace } from "./trace.js";

const healthMilliseconds = 5000;

async function pollHealth() {
  const box = byId("dependencies");
  const banner = byId("banner");
  try {
    const health = await api("/health");
    // Without a key the state may be all that is told.
    const entries = Object.entries(health.dependencies
      ?? { platform: { state: health.status, message: "a key shows what it is", detail: {} } });
    box.replaceChildren(...entries.map(([name, entry]) => {
      const figures = Object.entries(entry.detail).map(([key, value]) => `${key}: ${value}`).join("\n");
      return el("span", {
        class: `dependency state-${entry.state}`,
        title: [`${name}: ${entry.state}`, entry.message, figures, `last ok: ${entry.last_ok ?? "never"}`].filter(Boolean).join("\n"),
      }, name);
    }));
    const broken = entries.filter(([, entry]) => entry.state === "failed");
    banner.hidden = broken.length === 0;
    banner.textContent = broken.map(([name, entry]) => `${name} has failed: ${entry.message}`).join(" · ");
  } catch (error) {
    box.replaceChildren(el("span", { class: "dependency state-failed" }, "API"));
    banner.hidden = false;
    banner.textContent = `The API does not answer: ${error.message}. The page tries again every few seconds.`;
  }
  setTimeout(pollHealth, healthMilliseconds);
}

/** `#search=…`, `#ask=…` and `#trace=…` can be linked to. */
function followHash() {
  const match = /^#(search|ask|trace)=(.*)$/s.exec(location.hash);
  if (!match) return;
  let text = "";
  try {
    text = decodeURIComponent(match[2]);
  } catch {
    return;
  }
  if (match[1] === "trace") openTrace(text);
  else ask(match[1], text);
}

/** Where anonymous requests are not let in, the visitor is asked for a key, and what failed is tried again. */
function startKey() {
  addEventListener("key-needed", (event) => {
    byId("key-form").hidden = false;
    byId("key-why").textContent = savedKey() ? event.detail : "";
  });
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    saveKey(byId("key").value.trim());
    byId("key").value = "";
    byId("key-form").hidden = true;
    followHash();
  });
}

startKey();
startTrace();
startQuery();
startFeed();
pollHealth();
followHash();
addEventListener("hashchange", followHash);
