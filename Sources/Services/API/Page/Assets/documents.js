// Collections, and the documents of one: listed, written, deleted, and watched until they can be found.
import { api, el, failure, foreign, plain, serverNow } from "./dom.js";
import { action, count, empty, facts, labelled, loading, option, pill, table, time, traceLink } from "./parts.js";

export const title = "Documents";

const pageDocuments = 50;
/** Listed at most: who looks for more asks the API. */
const listedMax = 1000;
const waitMilliseconds = 20000;

/** By their names. */
let collections = new Map();
let loads = 0;
let counting;
let listed = [];
let cursor = null;
/** The id in the editor as the index has it; null for a new document. */
let edited = null;
/** The editor's text and the collection as they were given: what differs was typed. */
let given = "";
let chosen = "";

const overview = el("div", {});
const choice = el("select", { name: "collection" });
const list = el("div", {});
const more = action("More", loadMore, { class: "small" });
const moreLine = el("div", { class: "line", hidden: true }, more);
const identity = el("input", { name: "doc_id", size: 28, maxLength: 255, required: true, autocomplete: "off", spellcheck: false });
const text = el("textarea", { name: "document", rows: 14, spellcheck: false, required: true });
const about = el("div", {});
const said = el("div", { role: "status" });
const save = el("button", { class: "small accent", type: "submit" }, "Save");
const remove = action("Delete", deleteEdited, { class: "small danger" });
const form = el("form", { class: "form", autocomplete: "off", "aria-label": "A document" },
  labelled("id", identity), labelled("as JSON", text, { class: "wide" }), el("div", { class: "line" }, save, remove));
const editor = el("section", { class: "panel", tabIndex: -1, "aria-labelledby": "documents-editor" }, el("h2", { id: "documents-editor" }, "Document"), about, form, said);

export function build(section) {
  section.append(el("h1", {}, "Documents"),
    el("p", { class: "faint lead" }, "What the index shows, by its ids. Collections whose source has the connector documents are written here."),
    el("section", { class: "panel", "aria-labelledby": "documents-collections" }, el("h2", { id: "documents-collections" }, "Collections"), overview),
    el("div", { class: "line" }, labelled("collection", choice), action("New document", () => mayLeave() && edit(null), { class: "small" })),
    el("div", { class: "pair wide-left" }, el("div", { class: "panel" }, list, moreLine), editor));
  choice.addEventListener("change", () => {
    if (!mayLeave()) {
      choice.value = chosen;
      return;
    }
    edit(null, false);
    load();
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); write(); });
  edit(null, false);
}

/** `#/documents/COLLECTION` can be linked to. */
export async function show(name = "") {
  await readCollections(name);
  // What was typed is kept.
  if (edited === null && ["", "{}"].includes(text.value)) edit(null, false);
  await load();
}

/** Whether what was typed into the editor may be given up. */
function mayLeave() {
  const isTyped = text.value !== given || (edited === null && identity.value !== "");
  return form.hidden || !isTyped || confirm("Discard what was typed into the document?");
}

const isWritable = () => collections.get(choice.value)?.connector === "documents";
const query = (more = {}) => new URLSearchParams({ collection: choice.value, ...more });
const place = (id) => `/documents/${encodeURIComponent(id)}`;

async function readCollections(wanted) {
  try {
    const found = (await api("/collections")).collections;
    collections = new Map(found.map((one) => [one.name, one]));
    const before = wanted || choice.value || found.find((one) => one.connector === "documents")?.name;
    choice.replaceChildren(...found.map((one) => option(one.name)));
    if (collections.has(before)) choice.value = before;
    overview.replaceChildren(found.length
      ? table("Collections", ["collection", "source", "connector", "documents", "passages", "attributes"], found.map((one) => [
        foreign(one.name), foreign(one.source), one.connector, `${one.documents_complete ? "" : "more than "}${count(one.documents)}`, count(one.passages),
        one.attributes.length ? one.attributes.map((attribute) => el("span", { class: "tag" }, foreign(attribute.name), `: ${attribute.type}`)) : "–"]))
      : empty("No collection is declared for you."));
  } catch (error) {
    overview.replaceChildren(failure(error));
  }
}

/** The server keeps its counts for two seconds. */
function countSoon() {
  clearTimeout(counting);
  counting = setTimeout(() => readCollections(""), 2_500);
}

async function load() {
  loads += 1;
  const mine = loads;
  showWays();
  if (!choice.value) {
    list.replaceChildren(empty("There is no collection to list."));
    moreLine.hidden = true;
    return;
  }
  if (!list.children.length) list.replaceChildren(loading("Reading the documents…"));
  try {
    const found = await api(`/documents?${query({ limit: String(pageDocuments) })}`);
    if (mine !== loads) return;
    listed = [];
    take(found);
  } catch (error) {
    if (mine !== loads) return;
    list.replaceChildren(failure(error));
    moreLine.hidden = true;
  }
}

async function loadMore() {
  const mine = loads;
  try {
    const found = await api(`/documents?${query({ limit: String(pageDocuments), cursor })}`);
    if (mine === loads) take(found);
  } catch (error) {
    if (mine === loads) said.replaceChildren(failure(error));
  }
}

function take(found) {
  listed = [...listed, ...found.documents].slice(0, listedMax);
  cursor = found.next_cursor;
  moreLine.hidden = cursor === null || listed.length >= listedMax;
  list.replaceChildren(listed.length
    ? table("Documents, by their ids", ["id", "title", "version", "time", ""], listed.map((one) => [
      foreign(one.doc_id, "code"), foreign(one.title), foreign(one.version), time(one.event_time),
      el("button", { class: "small", type: "button", "aria-label": `Open ${plain(one.doc_id)}`, onclick: () => mayLeave() && edit(one.doc_id) }, "Open")]))
    : empty("The index shows no document of this collection yet."));
}

function showWays() {
  form.hidden = !isWritable();
  remove.hidden = edited === null;
  identity.readOnly = edited !== null;
  if (edited !== null) return;
  about.replaceChildren(form.hidden && collections.size ? empty("Open a document to look at it. Its collection is written by its source, not here.") : "");
}

/** Sets a value at a place such as `about.body`, unless something else stands on the way to it. */
export function put(object, path, value) {
  const names = path.split(".");
  const last = names.pop();
  let inner = object;
  for (const name of names) {
    inner = inner[name] ??= Object.create(null);
    if (typeof inner !== "object" || Array.isArray(inner)) return;
  }
  if (!Array.isArray(object)) inner[last] = value;
}

function at(object, path) {
  return path.split(".").reduce((inner, name) => inner?.[name], object);
}

/** What a new document may look like, by the collection's mapping. */
function template() {
  const fields = collections.get(choice.value)?.fields ?? null;
  if (fields === null) return "{}";
  const object = Object.create(null);
  if (fields.version !== null) put(object, fields.version, 1);
  if (fields.title !== null) put(object, fields.title, "");
  for (const path of fields.text) put(object, path, "");
  return JSON.stringify(object, null, 2);
}

/** Opens a document, or an empty form. */
async function edit(id, isWanted = true) {
  edited = id;
  said.replaceChildren();
  about.replaceChildren();
  identity.value = id ?? "";
  text.value = id === null ? template() : "";
  given = text.value;
  chosen = choice.value;
  showWays();
  if (id === null) {
    if (isWanted) (form.hidden ? editor : identity).focus();
    return;
  }
  try {
    const [found, trace] = await Promise.all([api(`${place(id)}?${query()}`), api(`/trace/${encodeURIComponent(id)}?${query()}`).catch(() => null)]);
    if (edited !== id) return;
    about.replaceChildren(facts([["title", foreign(found.title)], ["version", foreign(found.version)], ["index version", count(found.index_version)],
      ["attributes", Object.entries(found.attributes).map(([name, value]) => el("span", { class: "tag" }, foreign(name), ": ", foreign(JSON.stringify(value))))]]),
    ...found.passages.map((passage) => el("div", { class: "passage" }, foreign(passage, "p"))), traceLink(id, choice.value));
    // As it was sent: the index has what became of it.
    // What was typed meanwhile stays.
    if (text.value === given) text.value = given = renewed(trace?.bronze?.[0]?.value ?? "");
    if (isWanted) editor.focus();
  } catch (error) {
    if (edited === id) said.replaceChildren(failure(error));
  }
}

/** What was sent, as people read it, with a version that is newer: an older one, or the same, would change nothing. */
function renewed(value) {
  try {
    const object = JSON.parse(value);
    const path = collections.get(choice.value)?.fields?.version ?? null;
    const version = path === null ? null : at(object, path);
    if (Number.isSafeInteger(version)) put(object, path, version + 1);
    else if (typeof version === "string") put(object, path, new Date(serverNow()).toISOString());
    return JSON.stringify(object, null, 2);
  } catch {
    return value;
  }
}

/** Hands a write over, and says when it can be found. */
async function send(id, options, words) {
  const began = performance.now();
  save.disabled = true;
  remove.disabled = true;
  said.replaceChildren(el("p", { class: "notice" }, pill("running", "on its way"), " ", foreign(id)));
  try {
    const reply = await api(`${place(id)}?${query({ wait: "searchable", wait_ms: String(waitMilliseconds), ...options.query })}`, options);
    const took = `${((performance.now() - began) / 1000).toFixed(2)} s`;
    const lies = reply.partitions[0];
    const offset = lies ? ` · ${lies.partition}/${lies.last_offset ?? "?"} of ` : "";
    // A refused document is in quarantine: it comes to nothing in the index.
    const isLost = reply.state === "searchable" && options.method === "PUT" && reply.indexed === 0;
    said.replaceChildren(el("p", { class: "notice" }, foreign(id), " ", reply.state !== "searchable" ? "is taken, and not in the index yet"
      : isLost ? "is taken, and the index does not show it: it may be a copy, older than what is there, or in quarantine"
        : [`${words} after ${took}, as of index version ${count(reply.index_version)}`], offset, offset ? foreign(reply.topic, "code") : ""));
    return reply.state === "searchable" && !isLost;
  } catch (error) {
    said.replaceChildren(failure(error));
    return false;
  } finally {
    save.disabled = false;
    remove.disabled = false;
  }
}

async function write() {
  const id = identity.value.trim();
  let document;
  try {
    document = JSON.parse(text.value);
  } catch (error) {
    said.replaceChildren(failure(new Error(`this is no JSON: ${error.message}`)));
    return;
  }
  const fields = collections.get(choice.value)?.fields ?? null;
  // A new one need not say twice what it is called.
  if (fields !== null && document !== null && typeof document === "object" && at(document, fields.id) === undefined) put(document, fields.id, id);
  const [sent, opened, collection] = [text.value, edited, choice.value];
  // What is opened or typed meanwhile stays.
  const isLeft = () => identity.value.trim() !== id || text.value !== sent || edited !== opened || choice.value !== collection;
  const isFound = await send(id, { method: "PUT", body: document }, "can be found");
  if (!isFound || isLeft()) return;
  const notice = [...said.childNodes];
  countSoon();
  await Promise.all([load(), readCollections("")]);
  if (isLeft()) return;
  await edit(id, false);
  said.replaceChildren(...notice);
}

/** It leaves searches for everybody, so it takes a second word. */
async function deleteEdited() {
  const id = edited;
  if (id === null || !confirm(`Delete the document ${plain(id)}?`)) return;
  const fields = collections.get(choice.value)?.fields ?? null;
  let version = null;
  if (fields !== null && fields.version !== null) {
    try {
      version = at(JSON.parse(text.value), fields.version) ?? null;
    } catch { /* the API says what it lacks */ }
  }
  const collection = choice.value;
  const isLeft = () => edited !== id || choice.value !== collection;
  const isGone = await send(id, { method: "DELETE", query: version === null ? {} : { version: String(version) } }, "is gone");
  if (!isGone || isLeft()) return;
  const notice = [...said.childNodes];
  countSoon();
  await Promise.all([load(), readCollections("")]);
  if (isLeft()) return;
  await edit(null, false);
  said.replaceChildren(...notice);
}
