// Other logic over the raw events: look at what would change, make it, compare, promote, roll back.
import { api, el, failure, foreign, serverNow } from "./dom.js";
import { action, count, difference, empty, facts, labelled, loading, option, pill, quantity, table, time, traceLink, values } from "./parts.js";
import { readEvents, silenceMillisecondsMax } from "./sse.js";
import { platform } from "./status.js";
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
const source = el("select", { name: "source" }, option("", "the only one, or all"));
const range = el("select", { name: "range" }, option("", "everything"), option("3600", "the last hour"), option("86400", "the last day"),
  option("times", "between two times"), option("offsets", "offsets"));
const bounds = el("div", { class: "line", hidden: true });
const template = el("textarea", { name: "template", rows: 3, spellcheck: false, "aria-describedby": "template-help" });
const logic = el("textarea", { name: "logic", rows: 10, spellcheck: false });
const logicState = el("p", { class: "faint" });
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
          el("details", {}, el("summary", {}, "The whole logic, as JSON"), labelled("logic", logic, { class: "wide" }), logicState),
          el("div", { class: "line" }, dry, real), said)),
      el("section", { class: "panel", "aria-labelledby": "replay-runs" }, el("h2", { id: "replay-runs" }, "Replays"), runs)),
    report,
    el("section", { class: "panel", "aria-labelledby": "replay-generations" }, el("h2", { id: "replay-generations" }, "Generations"), generations,
      generationsSaid));
  range.addEventListener("change", showBounds);
  template.addEventListener("input", () => setMember("template", template.value));
  logic.addEventListener("change", readMembers);
}

export async function show() {
  isShown = true;
  fillSources();
  await Promise.all([listRuns(), listGenerations(), proposeLogic()]);
}

export function hide() {
  isShown = false;
  following?.abort();
  following = null;
}

function fillSources() {
  const names = (platform.status?.sources ?? []).map((one) => one.name);
  if (source.options.length > names.length) return;
  source.replaceChildren(option("", "the only one, or all"), ...names.map((name) => option(name)));
}

function showBounds() {
  const wanted = range.value;
  bounds.hidden = wanted !== "times" && wanted !== "offsets";
  bounds.replaceChildren(...(wanted === "times"
    ? [labelled("since (UTC)", el("input", { name: "since", type: "datetime-local", step: 1 })),
      labelled("until (UTC)", el("input", { name: "until", type: "datetime-local", step: 1 }))]
    : wanted === "offsets" ? ["partition", "from", "to"].map((name) => labelled(name, el("input", { name, type: "number", min: 0, required: true }))) : []));
}

/** The logic that runs now, as the newest document's trace tells it; the visitor changes what is to change. */
async function proposeLogic() {
  if (logic.value) return;
  try {
    const recent = await api("/events/recent?limit=1");
    const event = recent.events[0];
    if (!event) throw new Error("no document is indexed yet");
    const trace = await api(`/trace/${encodeURIComponent(event.doc_id)}?collection=${encodeURIComponent(event.collection)}`);
    if (!trace.logic) throw new Error("the newest document's logic is not known");
    logic.value = JSON.stringify({ type: trace.logic.type, ...declared(trace.logic) }, null, 2);
    logicState.textContent = `Of the newest document; logic version ${trace.logic_version}.`;
  } catch (error) {
    logic.value = JSON.stringify({ type: "recent_change", template: "" }, null, 2);
    logicState.textContent = `The running logic cannot be shown: ${error.message}. Members that are left out have the declared values.`;
  }
  readMembers();
}

/** The settings as a declaration writes them; where they are in another form, only what is sure. */
function declared({ type, settings }) {
  const names = type === "recent_change"
    ? ["code_version", "template", "wikis", "namespaces", "drops_bots", "types", "content_characters_max", "duplicates_offsets",
      "duplicates_milliseconds", "passage_weight_max", "passage_overlap"] : Object.keys(settings);
  return Object.fromEntries(names.filter((name) => settings[name] !== undefined && settings[name] !== null).map((name) => [name, settings[name]]));
}

function readMembers() {
  try {
    const parsed = JSON.parse(logic.value);
    template.disabled = typeof parsed.template !== "string";
    template.value = template.disabled ? "" : parsed.template;
    logic.setCustomValidity("");
  } catch (error) {
    logic.setCustomValidity(error.message);
    logicState.textContent = `This is no JSON: ${error.message}`;
  }
}

function setMember(name, value) {
  try {
    logic.value = JSON.stringify({ ...JSON.parse(logic.value), [name]: value }, null, 2);
  } catch { /* the field below says what is wrong with it */ }
}

function wish(isDry) {
  const body = { dry_run: isDry, rate: Number(rate.value) || 0, logic: JSON.parse(logic.value) };
  if (source.value) body.source = source.value;
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
    runs.replaceChildren(...(replays.length ? replays.slice(0, 6).map(run) : [empty("None yet. A dry run shows what would change, and writes nothing.")]));
    runningID = replays.find((one) => one.state === "running" || one.state === "paused")?.id ?? null;
    if (runningID !== null && !following) followRun(runningID);
    else if (!report.children.length && replays[0]?.report) report.replaceChildren(reportView(replays[0]));
  } catch (error) {
    runs.replaceChildren(failure(error));
  }
}

function run(replay) {
  const isOver = !["running", "paused"].includes(replay.state);
  const change = (body) => async () => {
    try {
      await api(`/replays/${encodeURIComponent(replay.id)}`, { method: "PATCH", body });
    } catch (error) {
      said.replaceChildren(failure(error));
    }
    await listRuns();
  };
  const progress = el("progress", { max: Math.max(1, replay.wanted_offsets), value: replay.done_offsets, "aria-label": `Progress of replay ${replay.id}` });
  return el("div", { class: "run", id: `run-${replay.id}` },
    el("div", { class: "bar" }, el("strong", {}, replay.dry_run ? `Dry run ${replay.id}` : `Generation ${replay.generation ?? replay.id}`), pill(replay.state),
      el("span", { class: "space" }),
      replay.report ? el("button", { class: "small", type: "button", onclick: () => report.replaceChildren(reportView(replay)) }, "Differences") : null,
      !isOver && !replay.dry_run ? action(replay.paused ? "Resume" : "Pause", change({ paused: !replay.paused }), { class: "small" }) : null,
      replay.state === "interrupted" ? action("Resume", change({ paused: false }), { class: "small" }) : null,
      !isOver ? action("End", async () => {
        try {
          await api(`/replays/${encodeURIComponent(replay.id)}`, { method: "DELETE" });
        } catch (error) {
          said.replaceChildren(failure(error));
        }
        await listRuns();
      }, { class: "small danger" }) : null),
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
  if (old && !old.matches(":focus-within")) old.replaceWith(run(replay));
  else if (old) old.querySelector("progress")?.setAttribute("value", replay.done_offsets);
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
      one.before ? traceLink(one.doc_id) : ""), one.after ? after : el("p", { class: "faint" }, "not there")));
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
            action("Give up", change(one.generation, "prune", `Generation ${one.generation} is given up.`), { class: "small danger" }))];
      })));
  } catch (error) {
    generations.replaceChildren(failure(error));
  }
}
