// JSON as people read it, and the bytes as they came.
import { el, foreign, marked } from "./dom.js";

/** JSON with line ends; null where the text is none. */
export function pretty(text) {
  if (text === null || text === undefined) return null;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}

/** A JSON text, coloured; with a switch to the verbatim bytes where they differ from it. */
export function viewer(formatted, verbatim, byteCount = null, label = "JSON") {
  const shown = el("pre", { class: "json", tabIndex: 0, dir: "ltr", role: "region", "aria-label": label });
  const render = (isRaw) => {
    if (isRaw || formatted === null) shown.replaceChildren(...marked(verbatim ?? ""));
    else shown.replaceChildren(...coloured(formatted));
    shown.classList.toggle("is-raw", isRaw || formatted === null);
  };
  render(false);
  if (verbatim === null || formatted === null) return shown;
  const tabs = ["pretty", "verbatim"].map((name) => el("button", { class: "small", type: "button" }, name));
  tabs.forEach((tab, index) => tab.addEventListener("click", () => {
    tabs.forEach((other) => other.setAttribute("aria-pressed", String(other === tab)));
    render(index === 1);
  }));
  tabs[0].setAttribute("aria-pressed", "true");
  tabs[1].setAttribute("aria-pressed", "false");
  return [el("div", { class: "tabs" }, tabs, el("span", { class: "faint" }, `${byteCount.toLocaleString("en")} bytes`)), shown];
}

/** Splits formatted JSON into names, strings and the rest; every part stays a text node. */
function coloured(text) {
  const parts = [];
  const pattern = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*|true|false|null)/g;
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    parts.push(text.slice(end, match.index));
    if (match[1] && match[2]) parts.push(foreign(match[1], "span", "j-name"), match[2]);
    else if (match[1]) parts.push(foreign(match[1], "span", "j-string"));
    else parts.push(el("span", { class: "j-value" }, match[3]));
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  return parts;
}
