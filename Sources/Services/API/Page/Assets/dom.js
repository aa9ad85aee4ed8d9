// Building the page out of untrusted text: everything goes through textContent, nothing through markup.

/** An element with properties, a class, listeners and children; strings become text nodes. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "dir") node.setAttribute(name, value);
    else node[name] = value;
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) node.append(child);
  }
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Text from outside: isolated, so that its direction cannot reorder what stands around it. */
export function foreign(text, tag = "bdi", className = null) {
  const shown = typeof text === "string" ? text : String(text ?? "");
  return el(tag, { class: className ? `foreign ${className}` : "foreign", dir: "auto" }, marked(shown));
}

/** Splits text at characters that control instead of show (bidi overrides, C0, C1); each becomes a visible mark. */
export function marked(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(/[\u202A-\u202E\u2066-\u2069\u0000-\u0008\u000B-\u001F\u007F-\u009F]/g)) {
    const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
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

/** A span of time in words short enough for a clock. */
export function span(milliseconds) {
  const seconds = Math.max(0, milliseconds / 1000);
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  const days = Math.floor(seconds / 86400);
  return days < 365 ? `${days} d` : `${(days / 365.25).toFixed(1)} years`;
}

/** What an error reply says, with every field that is wrong. */
export class APIFailure extends Error {
  constructor(status, error) {
    super(error?.message ?? `the server answered ${status}`);
    this.status = status;
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

/** Asks the API; throws APIFailure or a plain Error with words for people. */
export async function api(path, body = undefined, signal = undefined) {
  let response;
  try {
    response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: { ...credentials(), ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ?? AbortSignal.timeout(35000),
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(error.name === "TimeoutError" ? "the server did not answer in 35 s" : "the server cannot be reached");
  }
  let reply = null;
  try {
    reply = await response.json();
  } catch {
    throw new Error(`the server answered ${response.status} with something that is not JSON`);
  }
  if (response.status === 401) dispatchEvent(new CustomEvent("key-needed", { detail: reply.error?.message ?? "" }));
  if (!response.ok && !(path === "/health" && reply.status)) throw new APIFailure(response.status, reply.error);
  return reply;
}

/** A failure as an element. */
export function failure(error) {
  const items = (error.detail ?? []).map((fault) =>
    el("li", {}, el("code", {}, (fault.loc ?? []).join(".")), " ", fault.msg ?? ""));
  return el("div", { class: "failure", role: "alert" },
    el("strong", {}, error.status ? `${error.status} ` : "", error.message),
    items.length ? el("ul", {}, items) : null);
}

/** The server's clock: ages are right even where the visitor's clock is not. */
let clockOffset = 0;
export function setServerTime(text) {
  const time = Date.parse(text);
  if (!Number.isNaN(time)) clockOffset = time - Date.now();
}
export const serverNow = () => Date.now() + clockOffset;
