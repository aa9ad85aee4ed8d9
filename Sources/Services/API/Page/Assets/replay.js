// Other logic over the raw events: look at what would change, make it, compare, promote, roll back.
import { api, el, failure, foreign, plain, serverNow } from "./dom.js";
import { action, count, difference, empty, facts, labelled, loading, option, pill, quantity, table, time, traceLink, values } from "./parts.js";
import { readEvents, silenceMillisecondsMax } from "./sse.js";
import { compare } from "./golden.js";

export const title = "Replay";

/** Before the progress of a replay is asked for again, where that was refused or cut off; twice as long each time. */
const retryMilliseconds = 2000;
const retryMillisecondsMax = 30000;

let isShown = false;
/** What ends the stream of progress, while there is one. */
let following = null;
/** The replay that runs, by the list that was read last. */
let runningID = null;
/** Runs that are shown without being asked for. */
const runsShown = 6;
/** The logic of each declared source, as the server has it. */
let logics = [];
/** What was written in place of a source's declared logic, by the source; only that is sent. */
const drafts = new Map();
/** The source whose logic stands in the fields; null where it may be meant for several. */
let shownSource = null;
const source = el("select", { name: "source" }, option("", "all of them"));
const range = el("select", { name: "range" }, option("", "everything"), option("3600", "the last hour"), option("86400", "the last day"),
  option("times", "between two times"), option("offsets", "offsets"));
const bounds = el("div", { class: "line", hidden: true });
const template = el("textarea", { name: "template", rows: 3, spellcheck: false, "aria-describedby": "template-help" });
const logic = el("textarea", { name: "logic", rows: 10, spellcheck: false });
const logicState = el("p", { class: "faint", role: "status" });
const declaredAgain = el("button", { class: "small", type: "button", hidden: true, onclick: () => take(null) }, "Back to what is declared");
const takeServed = el("button", { class: "small", type: "button", hidden: true, onclick: () => take(entry()?.served) }, "Take the served logic");
const rate = el("input", { name: "rate", type: "number", min: 0, max: 10000000, placeholder: "no limit" });
const said = el("div", { role: "status" });
const runs = el("div", {});
const report = el("div", {});
const generations = el("div", {});
/** Outside of the list, which is read anew while an answer is awaited. */
const generationsSaid = el("div", { role: "status" });

export function build(section) {
  const dry = action("Dry run", () => start(true), { class: "accent" });
  const real = action("Replay into a new generation", () => start(false));
  section.append(
    el("h1", {}, "Replay"),
    el("p", { class: "faint lead" }, "Bronze, the raw events, through other logic, into a generation of its own. Nothing that is served changes until you promote."),
    el("div", { class: "pair" },
      el("section", { class: "panel", "aria-labelledby": "replay-new" }, el("h2", { id: "replay-new" }, "What would change?"),
        el("div", { class: "form" },
          el("div", { class: "line" }, labelled("source", source), labelled("range", range), labelled("events/s at most", rate)), bounds,
          labelled("text template", template, { class: "wide" }),
          el("p", { class: "faint", id: "template-help" }, "Fields in braces, what stands in brackets only with its fields. It is a member of the logic:"),
          el("details", {}, el("summary", {}, "The whole logic, as JSON"), labelled("logic", logic, { class: "wide" })),
          el("div", { class: "line" }, logicState, takeServed, declaredAgain),
          el("div", { class: "line" }, dry, real), said)),
      el("section", { class: "panel", "aria-labelledby": "replay-runs" }, el("h2", { id: "replay-runs" }, "Replays"), runs)),
    report,
    el("section", { class: "panel", "aria-labelledby": "replay-generations" }, el("h2", { id: "replay-generations" }, "Generations"), generations,
      generationsSaid));
  range.addEventListener("change", showBounds);
  source.addEventListener("change", showLogic);
  template.addEventListener("input", () => setMember("template", template.value));
  logic.addEventListener("input", () => { draft(logic.value); });
}

export async function show() {
  isShown = true;
  await Promise.all([listRuns(), listGenerations(), readLogics()]);
}

export function hide() {
  isShown = false;
  following?.abort();
  following = null;
}

function showBounds() {
  const wanted = range.value;
  bounds.hidden = wanted !== "times" && wanted !== "offsets";
  bounds.replaceChildren(...(wanted === "times"
    ? [labelled("since (UTC)", el("input", { name: "since", type: "datetime-local", step: 1 })),
      labelled("until (UTC)", el("input", { name: "until", type: "datetime-local", step: 1 }))]
    : wanted === "offsets" ? ["partition", "from", "to"].map((name) => labelled(name, el("input", { name, type: "number", min: 0, required: true }))) : []));
}

/** What is declared, and what is served: asked for again with each visit, as a generation may have been promoted since. */
async function readLogics() {
  try {
    ({ logics } = await api("/logics"));
  } catch (error) {
    logics = [];
    logicState.textContent = `The declared logic cannot be shown: ${error.message}. A replay takes it all the same.`;
    return;
  }
  const chosen = source.value;
  source.replaceChildren(...(logics.length > 1 ? [option("", "all of them")] : []), ...logics.map((one) => option(one.source)));
  if (logics.some((one) => one.source === chosen)) source.value = chosen;
  showLogic();
}

/** The source that is meant; null where all are, and there are several. */
const entry = () => logics.find((one) => one.source === source.value) ?? null;

const written = (value) => JSON.stringify(value, null, 2);

/** The chosen source's logic in the fields: as it was changed here, else as it is declared. */
function showLogic() {
  const one = entry();
  shownSource = one?.source ?? null;
  logic.disabled = one === null;
  logic.value = one === null ? "" : drafts.get(shownSource) ?? written(one.declared);
  readMembers();
}

/** Takes what the visitor writes; what is declared is no draft. */
function draft(text) {
  if (shownSource === null) return;
  if (text === written(entry()?.declared)) drafts.delete(shownSource);
  else drafts.set(shownSource, text);
  readMembers();
}

/** Another logic in place of what stands there; null for what is declared. */
function take(value) {
  draft(written(value ?? entry()?.declared));
  showLogic();
}

/** A status that is written again is read out again. */
function say(text) {
  if (logicState.textContent !== text) logicState.textContent = text;
}

/** Shows what follows from the text of the logic: its template, what is sent of it, and what it leaves out. */
function readMembers() {
  const one = entry();
  const isDraft = one !== null && drafts.has(one.source);
  declaredAgain.hidden = !isDraft;
  takeServed.hidden = isDraft || !one?.served || one.served_logic_version === one.logic_version;
  logic.setCustomValidity("");
  let parsed = null;
  try {
    if (one !== null) parsed = JSON.parse(logic.value);
  } catch (error) {
    logic.setCustomValidity(error.message);
    say(`This is no JSON: ${error.message}`);
    return;
  }
  template.disabled = typeof parsed?.template !== "string";
  // A field that is written in keeps its cursor.
  const text = template.disabled ? "" : parsed.template;
  if (template.value !== text) template.value = text;
  if (one === null) {
    say(logics.length ? "Each source's logic as it is declared. To change one, choose its source." : "");
    return;
  }
  const missing = Object.keys(one.declared).filter((name) => !Object.hasOwn(parsed ?? {}, name));
  say(!isDraft
    ? `As it is declared, logic version ${one.logic_version}`
      + (one.served_logic_version === one.logic_version || one.served_logic_version === null ? "." : `; what is served was made by ${one.served_logic_version}.`)
    : missing.length ? `Changed. Left out, so that the default counts: ${missing.join(", ")}.` : "Changed; every declared member is there.");
}

function setMember(name, value) {
  try {
    logic.value = written({ ...JSON.parse(logic.value), [name]: value });
    draft(logic.value);
  } catch { /* what is wrong with it is said below */ }
}

function wish(isDry) {
  const body = { dry_run: isDry, rate: Number(rate.value) || 0 };
  if (source.value) body.source = source.value;
  if (drafts.has(source.value)) body.logic = JSON.parse(drafts.get(source.value));
  const found = values({ elements: bounds.querySelectorAll("input") });
  if (range.value === "offsets") for (const name of ["partition", "from", "to"]) body[name] = Number(found[name]);
  else if (range.value === "times") {
    for (const name of ["since", "until"]) if (found[name]) body[name] = `${found[name].length === 16 ? `${found[name]}:00` : found[name]}Z`;
  } else if (range.value) body.since = new Date(serverNow() - Number(range.value) * 1000).toISOString();
  return body;
}

async function start(isDry) {
  said.replaceChildren();
  try {
    const replay = await api("/replays", { body: wish(isDry) });
    await listRuns();
    followRun(replay.id);
  } catch (error) {
    said.replaceChildren(failure(error));
  }
}

async function listRuns() {
  try {
    const { replays } = await api("/replays");
    const isOpen = runs.querySelector("details")?.open ?? false;
    keepingFocus(() => runs.replaceChildren(...(replays.length ? replays.slice(0, runsShown).map(run)
      : [empty("None yet. A dry run shows what would change, and writes nothing.")]),
    replays.length > runsShown ? el("details", { open: isOpen }, el("summary", {}, `${count(replays.length - runsShown)} older ones`),
      replays.slice(runsShown).map(run)) : ""));
    runningID = replays.find((one) => one.state === "running" || one.state === "paused")?.id ?? null;
    if (runningID !== null && !following) followRun(runningID);
    else if (!report.children.length && replays[0]?.report) report.replaceChildren(reportView(replays[0]));
  } catch (error) {
    runs.replaceChildren(failure(error));
  }
}

/** Draws again; a button that was in focus is so afterwards, where there is one of its name. */
function keepingFocus(draw) {
  const name = runs.contains(document.activeElement) ? document.activeElement.dataset.name : undefined;
  draw();
  focusOn(name);
}

function focusOn(name) {
  const button = name && [...runs.querySelectorAll("button")].find((one) => one.dataset.name === name);
  if (button && document.activeElement !== button) button.focus({ preventScroll: true });
}

/** A button of a run. It does something and lists the runs again, where the same button is another element: that one gets the focus. */
function runButton(replay, name, text, request, properties = {}) {
  const button = action(text, async () => {
    try {
      await api(`/replays/${encodeURIComponent(replay.id)}`, request);
    } catch (error) {
      said.replaceChildren(failure(error));
    }
    await listRuns();
    if (document.activeElement === document.body) focusOn(button.dataset.name);
  }, { class: "small", ...properties });
  button.dataset.name = `${name} ${replay.id}`;
  return button;
}

function run(replay) {
  const isOver = !["running", "paused"].includes(replay.state);
  const pausing = (isPaused) => ({ method: "PATCH", body: { paused: isPaused } });
  const differences = el("button", { class: "small", type: "button", onclick: () => report.replaceChildren(reportView(replay)) }, "Differences");
  differences.dataset.name = `differences ${replay.id}`;
  const progress = el("progress", { max: Math.max(1, replay.wanted_offsets), value: replay.done_offsets, "aria-label": `Progress of replay ${plain(replay.id)}` });
  return el("div", { class: "run", id: `run-${replay.id}` },
    el("div", { class: "bar" }, el("strong", {}, replay.dry_run ? `Dry run ${replay.id}` : `Generation ${replay.generation ?? replay.id}`), pill(replay.state),
      el("span", { class: "space" }),
      replay.report ? differences : null,
      !isOver ? runButton(replay, "pause", replay.paused ? "Resume" : "Pause", pausing(!replay.paused)) : null,
      replay.state === "interrupted" ? runButton(replay, "pause", "Resume", pausing(false)) : null,
      !isOver ? runButton(replay, "end", "End", { method: "DELETE" }, { class: "small danger" }) : null),
    isOver ? null : progress,
    el("p", { class: "faint" }, `${count(replay.done_offsets)} of ${count(replay.wanted_offsets)} events · ${replay.phase}`,
      !isOver && replay.offsets_per_second ? ` · ${quantity(replay.offsets_per_second, "per_second")}` : "",
      !isOver && replay.seconds_left ? ` · ${Math.ceil(replay.seconds_left)} s left` : "", " · begun ", time(replay.started_at)),
    el("p", { class: "faint" }, `+${count(replay.added)} added · ${count(replay.changed)} changed · ${count(replay.removed)} removed · ${count(replay.unchanged)} unchanged`),
    replay.error ? el("p", { class: "failure" }, foreign(replay.error)) : null);
}

/** Shows how far it is, twice a second, until it is over or the view is left. */
async function followRun(id) {
  if (!isShown) return;
  following?.abort();
  const mine = new AbortController();
  following = mine;
  let wait = retryMilliseconds;
  let isOver = false;
  while (!isOver) {
    try {
      await readEvents(`/replays/${encodeURIComponent(id)}/progress`, (name, replay) => {
        // A failure that was said has passed.
        if (wait > retryMilliseconds) said.replaceChildren();
        wait = retryMilliseconds;
        showProgress(id, replay);
        isOver = name === "end";
        if (isOver) report.replaceChildren(reportView(replay));
      }, { signal: mine.signal, silenceMilliseconds: silenceMillisecondsMax });
    } catch (error) {
      if (!mine.signal.aborted) said.replaceChildren(failure(error));
    }
    if (!isOver && !mine.signal.aborted) {
      await new Promise((resume) => { setTimeout(resume, wait); });
      wait = Math.min(retryMillisecondsMax, wait * 2);
      if (!mine.signal.aborted) await listRuns();
      isOver = runningID !== id;
    }
    if (mine.signal.aborted) return;
  }
  following = null;
  await Promise.all([listRuns(), listGenerations()]);
}

function showProgress(id, replay) {
  const old = document.getElementById(`run-${id}`);
  // While a button of it works, the list is drawn again by that.
  if (old && !old.querySelector("button:disabled")) keepingFocus(() => old.replaceWith(run(replay)));
}

/** What differs, in numbers and side by side. */
function reportView(replay) {
  const found = replay.report;
  if (!found) return el("section", { class: "panel" }, el("h2", {}, "Differences"), empty("The process that ran it keeps its report no longer."));
  const changes = Object.entries(found.logic_changes).flatMap(([topic, list]) => list.map((one) => [topic, one]));
  const numbers = [["added", found.added], ["changed", found.changed], ["removed", found.removed], ["unchanged", found.unchanged]];
  return el("section", { class: "panel", "aria-labelledby": "replay-report" },
    el("h2", { id: "replay-report" }, replay.dry_run ? "What would change" : `What differs in generation ${found.generation}`),
    el("dl", { class: "tiles" }, numbers.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, count(value)))),
      replay.dry_run ? el("div", {}, el("dt", {}, "texts to embed"), el("dd", {}, found.embeddings_needed === null ? "–"
        : `${found.embeddings_needed_is_least ? "at least " : ""}${count(found.embeddings_needed)}`)) : null),
    facts([["logic", [changes.length ? changes.map(([topic, one]) => el("p", {}, foreign(topic, "code"), " ", foreign(one.words))) : "the same"]],
      ["range", found.ranges.map((one) => el("span", { class: "tag" }, `${one.topic}/${one.partition} ${count(one.start_offset)}–${count(one.next_offset)}`))]]),
    Object.entries(found.samples).filter(([, list]) => list.length).map(([kind, list]) => [el("h3", {}, `${kind}: ${list.length} examples`), list.map(sample)]));
}

function sample(one) {
  const text = (side) => (side ? `${side.title}\n${side.text}` : "");
  const [before, after] = difference(text(one.before), text(one.after));
  return el("div", { class: "sides" },
    el("div", {}, el("p", { class: "faint" }, "served now"), one.before ? before : el("p", { class: "faint" }, "not there")),
    el("div", {}, el("p", { class: "faint" }, "by the other logic ", el("span", { class: "tag" }, `${one.topic}/${one.partition}/${one.offset}`), " ",
      one.before ? traceLink(one.doc_id, logics.find((other) => other.topic === one.topic)?.collection ?? "") : ""), one.after ? after : el("p", { class: "faint" }, "not there")));
}

async function listGenerations() {
  if (!generations.children.length) generations.replaceChildren(loading("Reading the generations…"));
  try {
    const list = (await api("/generations")).generations;
    const active = list.find((one) => one.is_active)?.generation ?? 0;
    const change = (number, path, done) => async () => {
      try {
        await api(`/generations/${number}/${path}`, { method: "POST", body: undefined });
        generationsSaid.replaceChildren(el("p", { class: "notice" }, done));
        await listGenerations();
      } catch (error) {
        generationsSaid.replaceChildren(failure(error));
      }
    };
    generations.replaceChildren(
      table("Generations", ["generation", "state", "documents", "logic version", "parent", ""], [...list].reverse().map((one) => {
        const isPruned = one.lake_state === "pruned" || one.index_state === "pruned";
        const isOlder = one.generation < active;
        return [String(one.generation), one.is_active ? pill("active", "served") : foreign(one.lake_state ?? one.index_state ?? "–"), count(one.documents),
          foreign(one.logic_version, "code"), one.parent === null ? "–" : String(one.parent),
          one.is_active || isPruned ? "" : el("span", { class: "line" },
            action("Compare golden queries", () => compare(one.generation, generationsSaid), { class: "small" }),
            action(isOlder ? "Roll back to it" : "Promote", change(one.generation, "promote?wait_seconds=10", `Generation ${one.generation} is served now. The one before is the way back.`),
              { class: "small accent" }),
            action("Give up", async () => {
              // What was made in hours would be gone by a click, beside the one that serves it.
              if (!confirm(`Give up generation ${plain(one.generation)}, with ${count(one.documents)} documents? Only another replay brings it back.`)) return;
              await change(one.generation, "prune", `Generation ${one.generation} is given up.`)();
            }, { class: "small danger" }))];
      })));
  } catch (error) {
    generations.replaceChildren(failure(error));
  }
}
