// Building the page out of untrusted text: everything goes through textContent, nothing through markup.

/** An element with properties, a class, listeners and children; strings become text nodes. */
export function el(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** The same in SVG, where every property is an attribute. */
export function svg(tag, properties = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) node.setAttribute(name, value);
  return filled(node, {}, children);
}

function filled(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "dir" || name === "for") node.setAttribute(name, value);
    else node[name] = value;
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Text from outside: isolated, so that its direction cannot reorder what stands around it. */
export function foreign(text, tag = "bdi", className = null) {
  const shown = typeof text === "string" ? text : String(text ?? "");
  return el(tag, { class: className ? `foreign ${className}` : "foreign", dir: "auto" }, marked(shown));
}

/**
 * Characters that steer instead of show: bidi marks, overrides and isolates, C0 and C1 controls, those without width, fillers that are
 * blank, tags, and selectors of variants, by which a text can be hidden behind another. Joiners are left alone where they belong: inside
 * emoji, and between letters of scripts that are written with them; so are selectors behind what has variants.
 */
const hidden = new RegExp("[\\u0000-\\u0008\\u000B-\\u001F\\u007F-\\u009F\\u00AD\\u034F\\u061C\\u115F\\u1160\\u180E\\u200B\\u200E\\u200F\\u202A-\\u202E"
  + "\\u2028\\u2029\\u2060-\\u206F\\u2800\\u3164\\uFEFF\\uFFA0\\uFFF9-\\uFFFB\\u{E0000}-\\u{E007F}]"
  + "|(?<!\\p{Script=Mongolian})[\\u180B-\\u180D\\u180F]"
  + "|(?<![\\p{S}\\p{P}\\p{Emoji}\\p{Script=Han}\\p{Script=Myanmar}\\p{Script=Phags_Pa}\\p{Script=Mongolian}])[\\uFE00-\\uFE0F]"
  + "|(?<!\\p{Script=Han})[\\u{E0100}-\\u{E01EF}]"
  + "|(?<![\\p{Extended_Pictographic}\\uFE0F\\p{Emoji_Modifier}\\p{M}\\p{Script=Arabic}])\\u200D"
  + "|(?<![\\p{M}\\p{Script=Arabic}\\p{Script=Syriac}\\p{Script=Mongolian}\\p{Script=Devanagari}\\p{Script=Bengali}])\\u200C", "gu");

/** What stands for a character that would not be seen. */
const codeOf = (character) => character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");

/** Text from outside where no elements can be: in titles, labels and questions of the browser's. */
export const plain = (text) => String(text ?? "").replace(hidden, (character) => `<U+${codeOf(character)}>`);

/** Splits text at what would not be seen; each of those becomes a visible mark. */
export function marked(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(hidden)) {
    const code = codeOf(match[0]);
    parts.push(text.slice(end, match.index), el("span", { class: "control", title: `U+${code}` }, code));
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  return parts;
}

/** A link to an address from outside; only http and https become links. */
export function link(address, text) {
  let target = null;
  try {
    const parsed = new URL(address);
    if (parsed.protocol === "https:" || parsed.protocol === "http:") target = parsed.href;
  } catch { /* not an address: shown as text */ }
  const label = foreign(text);
  if (!target) return label;
  return el("a", { href: target, target: "_blank", rel: "noopener noreferrer nofollow" }, label);
}

/** What the API refused, with its list of faults. */
export class APIFailure extends Error {
  constructor(status, error) {
    super(error?.message ?? `the server answered ${status}`);
    this.status = status;
    this.type = error?.type ?? "";
    this.detail = Array.isArray(error?.detail) ? error.detail : [];
  }
}

/** The API key of this tab, for both pages; gone when the tab is closed. */
const keyName = "medallion-api-key";
export const savedKey = () => sessionStorage.getItem(keyName) ?? "";
export function saveKey(key) {
  if (key) sessionStorage.setItem(keyName, key);
  else sessionStorage.removeItem(keyName);
}

/** What shows the request to be ours, if there is a key. */
export const credentials = () => (savedKey() ? { Authorization: `Bearer ${savedKey()}` } : {});

/**
 * Sends a request. The cache of the browser is left as it is, since replies say themselves that they are not to be stored: `no-store`
 * here would be sent as `Cache-Control: no-cache`, which asks the server for an answer that it has not kept.
 * Throws APIFailure, or a plain Error with words for people. Replies of other statuses than 2xx are failures.
 */
export async function request(path, { method, body, signal, headers = {} } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: { ...credentials(), ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ?? AbortSignal.timeout(35000),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(error.name === "TimeoutError" ? "the server did not answer in 35 s" : "the server cannot be reached");
  }
  if (response.ok) return response;
  let reply = null;
  try {
    reply = await response.json();
  } catch {
    throw new Error(`the server answered ${response.status} with something that is not JSON`);
  }
  if (response.status === 401) dispatchEvent(new CustomEvent("key-needed", { detail: reply.error?.message ?? "" }));
  // A failed dependency is what /health is there to tell.
  if (path === "/health" && reply.status) return { json: async () => reply };
  throw new APIFailure(response.status, reply.error);
}

/** Asks for JSON. */
export async function api(path, options = {}) {
  const response = await request(path, options);
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the server answered with something that is not JSON");
  }
}

/** A failure as an element. */
export function failure(error) {
  const items = (error.detail ?? []).map((fault) =>
    el("li", {}, el("code", {}, (fault.loc ?? []).join(".")), " ", fault.msg ?? ""));
  const needsKey = error.status === 401 || error.status === 403;
  return el("div", { class: needsKey ? "notice" : "failure", role: "alert" },
    el("strong", {}, error.status && !needsKey ? `${error.status} ` : "", marked(error.message)),
    items.length ? el("ul", {}, items) : null,
    needsKey ? el("button", { class: "small accent", type: "button", onclick: () => dispatchEvent(new CustomEvent("key-wanted")) },
      savedKey() ? "Use another key" : "Use a key") : null);
}

/** The server's clock: ages are right even where the visitor's clock is not. */
let clockOffset = 0;
export function setServerTime(text) {
  const time = Date.parse(text);
  if (!Number.isNaN(time)) clockOffset = time - Date.now();
}
export const serverNow = () => Date.now() + clockOffset;

/** Milliseconds as a short length of time. */
export function span(milliseconds) {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}
