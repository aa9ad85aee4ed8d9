// The declared sources: what each does, and what people ask of it: to stand still, to continue, to read its table again.
import { api, el, failure, foreign, plain, serverNow, span } from "./dom.js";
import { action, count, empty, facts, labelled, pill, quantity, time, values } from "./parts.js";
import { platform } from "./status.js";

export const title = "Sources";

const lookMilliseconds = 2000;
/** How long the next look at what was asked of a source waits, at most, after looks that failed. */
const requestsWaitMilliseconds = 60000;
/** Of what was asked of a source, so many are on its card. */
const requestsShown = 3;
/** As many as the API takes of a key, in bytes. */
const keyCharactersMax = 1024;

let isShown = false;
let timer = null;
let looks = 0;
/** By the source's name: what changes with each look, so that buttons and fields keep the focus. */
const cards = new Map();
/** Whether what is said is that a look failed. */
let hasFailed = false;
const list = el("div", { class: "trace-body" });
const said = el("div", { role: "status" });
const reason = el("input", { type: "text", maxLength: 250, size: 32, placeholder: "why, for those who look later" });

export function build(section) {
  section.append(el("h1", {}, "Sources"),
    el("p", { class: "faint lead" }, "What fills the topics. A source that is paused keeps its place, over restarts too, and takes no documents until it is resumed."),
    el("div", { class: "line" }, labelled("reason", reason)), said, list);
}

export function show() {
  isShown = true;
  look();
}

export function hide() {
  isShown = false;
  clearTimeout(timer);
  said.replaceChildren();
}

/** What another key showed is not shown with this one, and what was refused is asked for again. */
export function keyChanged() {
  looks += 1;
  cards.clear();
  list.replaceChildren();
  said.replaceChildren();
  hasFailed = false;
}

async function look() {
  clearTimeout(timer);
  looks += 1;
  const mine = looks;
  try {
    const { sources } = await api("/sources");
    if (mine === looks) {
      if (hasFailed) said.replaceChildren();
      hasFailed = false;
      draw(sources);
    }
  } catch (error) {
    if (mine === looks) {
      hasFailed = cards.size > 0;
      // What is typed into a card outlives a look that failed.
      if (cards.size === 0) list.replaceChildren(failure(error));
      else said.replaceChildren(failure(error));
    }
  }
  if (isShown && mine === looks) timer = setTimeout(look, document.hidden ? 5 * lookMilliseconds : lookMilliseconds);
}

function draw(sources) {
  const names = sources.map((one) => one.name);
  if (JSON.stringify(names) !== JSON.stringify([...cards.keys()])) {
    cards.clear();
    for (const one of sources) cards.set(one.name, card(one));
    list.replaceChildren(...(sources.length ? [...cards.values()].map((one) => one.box) : [empty("No source is declared for you.")]));
  }
  for (const one of sources) cards.get(one.name).draw(one);
}

/** What is wrong with a source's components now (those of several bear its name), else what was wrong last. */
function trouble(source) {
  const isOnly = cards.size === 1;
  const entries = Object.entries(platform.health?.dependencies ?? {}).filter(([name, entry]) => {
    const [role, ...of] = name.split(" ");
    return ["source", "delivery", "stream", "indexer"].includes(role) && (of.join(" ") === source.name || (of.length === 0 && isOnly)) && entry.state !== "ok";
  });
  if (entries.length) return entries.map(([name, entry]) => el("p", {}, pill(entry.state, name), " ", foreign(entry.message)));
  return source.last_error ? [foreign(source.last_error), " · ", time(source.last_error_at)] : "none";
}

function snapshotWords(snapshot) {
  const range = snapshot.from !== null || snapshot.to !== null ? [" from ", foreign(snapshot.from ?? "the first"), " to ", foreign(snapshot.to ?? "the last")] : [];
  return [`${snapshot.id === null ? "as declared" : "as asked for"}: ${snapshot.state}, ${count(snapshot.rows)} rows`,
    snapshot.rows_expected === null ? "" : ` of about ${count(snapshot.rows_expected)}`, range, snapshot.reason ? [" · ", foreign(snapshot.reason)] : "",
    snapshot.requests_waiting ? ` · ${count(snapshot.requests_waiting)} more wait` : ""];
}

/** What was asked of a source: when, by whom and why, and what became of it. */
function requestWords(request) {
  const range = request.from !== null || request.to !== null ? [" from ", foreign(request.from ?? "the first"), " to ", foreign(request.to ?? "the last")] : "";
  return el("div", { class: "line" }, time(request.at), ` ${request.action.replace("_", " ")}`, range, request.by ? [" by ", foreign(request.by)] : "",
    request.reason ? [": ", foreign(request.reason)] : "", " ", pill(request.outcome, request.outcome.replace("_", " ")),
    request.outcome_reason ? [" ", foreign(request.outcome_reason)] : "");
}

/** One source. The kind of its connector does not change while it is listed under its name. */
function card(source) {
  const state = el("span", {});
  const shown = el("div", {});
  const asked = el("div", {});
  let isPaused = source.paused !== null;
  /** What was there at the last look at the requests; null where another look is wanted. */
  let lookedAt = null;
  /** After a look that failed: how long the next one waits, and the time of this browser's clock before which there is none. */
  let [wait, waitsUntil] = [0, 0];
  const showRequests = async (state) => {
    lookedAt = state;
    try {
      const { requests } = await api(`/sources/${encodeURIComponent(source.name)}/requests?limit=${requestsShown}`);
      asked.replaceChildren(requests.length ? facts([["last asked", requests.map(requestWords)]]) : "");
      [wait, waitsUntil] = [0, 0];
      // What is on its way has another word soon.
      if (requests.some((one) => one.outcome === "asked")) lookedAt = null;
    } catch (error) {
      lookedAt = null;
      wait = Math.min(requestsWaitMilliseconds, Math.max(2 * wait, 2 * lookMilliseconds));
      waitsUntil = Date.now() + wait;
      asked.replaceChildren(empty("What was asked of it cannot be read: ", foreign(error.message)));
    }
  };
  const ask = async (what, body) => {
    try {
      const why = reason.value.trim();
      const path = `/sources/${encodeURIComponent(source.name)}/${what}`;
      const reply = body ? await api(path, { body: why ? { ...body, reason: why } : body })
        : await api(`${path}${why ? `?${new URLSearchParams({ reason: why })}` : ""}`, { method: "POST" });
      const words = { pause: "is to stand still", resume: "is to continue", snapshot: "is to be read again", give_up: "is not to be read again" };
      said.replaceChildren(el("p", { class: "notice" }, foreign(source.name), ` ${words[reply.action]}`,
        reply.applied ? "" : ": it is taken, and heeded once the topic is read", reply.note ? [" · ", foreign(reply.note)] : ""));
      reason.value = "";
    } catch (error) {
      said.replaceChildren(failure(error));
    }
    lookedAt = null;
    waitsUntil = 0;
    await look();
  };
  const pause = action("", () => ask(isPaused ? "resume" : "pause"), { class: "small" });
  const isOurs = source.connector !== "none";
  const part = el("form", { class: "filters", "aria-label": `What is read again of ${plain(source.name)}` },
    labelled("keys from", el("input", { name: "from", size: 12, maxLength: keyCharactersMax, placeholder: "the first" })),
    labelled("to", el("input", { name: "to", size: 12, maxLength: keyCharactersMax, placeholder: "the last" })),
    el("button", { class: "small", type: "submit" }, "Read the table again"));
  const giveUp = action("Give up", () => ask("give-up"), { class: "small", hidden: true, "aria-label": `Give up what is read again of ${plain(source.name)}` });
  part.append(giveUp);
  part.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = part.querySelector("button");
    button.disabled = true;
    await ask("snapshot", values(part));
    button.disabled = false;
  });
  const box = el("section", { class: "panel", "aria-label": plain(source.name) },
    el("div", { class: "bar" }, el("strong", {}, foreign(source.name)), el("span", { class: "tag" }, source.connector), state, el("span", { class: "space" }),
      isOurs ? pause : null),
    shown, asked, source.connector === "postgres" ? part : null);
  return {
    box,
    draw(one) {
      isPaused = one.paused !== null;
      // What is declared is not given up here.
      giveUp.hidden = !(one.snapshot && ((one.snapshot.id !== null && ["waiting", "running"].includes(one.snapshot.state)) || one.snapshot.requests_waiting > 0));
      // Until its process says so it is only asked to.
      const isAsked = isPaused && one.phase !== null && one.phase !== "paused";
      state.replaceChildren(isPaused ? pill("paused", isAsked ? "is to stand still" : "paused") : pill(one.phase ?? "", one.phase ?? "runs elsewhere"), " ", pill(one.freshness));
      pause.textContent = isPaused ? "Resume" : "Pause";
      pause.setAttribute("aria-label", `${isPaused ? "Resume" : "Pause"} ${plain(one.name)}`);
      shown.replaceChildren(facts([
        isPaused ? ["paused", [time(one.paused.at), one.paused.by ? [" by ", foreign(one.paused.by)] : "", one.paused.reason ? [": ", foreign(one.paused.reason)] : ""]] : null,
        ["position", [count(one.position), one.rate_per_sec === null ? "" : ` · ${quantity(one.rate_per_sec, "per_second")}`]],
        ["waits", [`${count(one.events_behind)} events for the index`, one.lag_bytes === null ? "" : ` · ${quantity(one.lag_bytes, "bytes")} in the source`]],
        ["last event", one.last_event ? [span(serverNow() - Date.parse(one.last_event)), " ago"] : "–"],
        one.snapshot === null ? null : ["snapshot", snapshotWords(one.snapshot)],
        ["last error", trouble(one)]]));
      const now = JSON.stringify([one.paused, one.phase, one.snapshot?.id ?? null, one.snapshot?.state ?? null]);
      if (now !== lookedAt && Date.now() >= waitsUntil) showRequests(now);
    },
  };
}
