// Line charts in SVG, small and many: one scale, the last value of each line in words, and the values under the pointer.
import { el, svg } from "./dom.js";
import { quantity } from "./parts.js";

const [width, height] = [300, 76];

/** A scale's end: the next of 1, 2, 5 by powers of ten; of bytes, by powers of two. */
function ceiling(value, unit) {
  if (!(value > 0)) return 1;
  if (unit === "bytes") return 2 ** Math.ceil(Math.log2(value));
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 5, 10].find((step) => step * power >= value) ?? 10);
}

/** Paths over the points that have a value: gaps stay gaps, and a point that stands alone is a dot. */
function paths(values, x, y) {
  let line = "";
  let dots = "";
  values.forEach((value, index) => {
    if (value === null) return;
    const [before, after] = [values[index - 1] ?? null, values[index + 1] ?? null];
    const place = `${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
    if (before === null && after === null) dots += `M${place}h.01`;
    else line += `${before === null ? "M" : "L"}${place}`;
  });
  return [line, dots];
}

/** The last value that was measured. */
const lastOf = (values) => values.findLastIndex((value) => value !== null);

/**
 * A chart of some series.
 *
 * lines: [{name, label, className}]; `objective`: a value that should not be passed, drawn as a dashed line;
 * `unless`: what to say where nothing was measured; `bottom` and `top`: the scale's ends where they are fixed.
 */
export function chart({ title, unit, lines, objective = null, objectiveText = "", unless, bottom = 0, top = null }) {
  const words = lines.map((line) => el("span", { class: `key ${lines.length > 1 ? line.className : "is-only"}` }));
  const scale = el("span", { class: "chart-top faint", title: objectiveText });
  const foot = el("span", { class: "chart-low faint" });
  const [start, end] = [el("span", { class: "faint" }), el("span", { class: "faint" }, "now")];
  const nothing = el("p", { class: "chart-none faint" }, unless);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": title });
  const node = el("figure", { class: "chart" },
    el("figcaption", {}, el("span", { class: "chart-title" }, title), el("span", { class: "legend" }, words)),
    el("div", { class: "chart-plot" }, drawing, nothing, scale, foot),
    el("div", { class: "chart-foot" }, start, el("span", { class: "faint" }, objectiveText), end));
  let shown = null;
  drawing.addEventListener("pointermove", (event) => {
    if (!shown?.at.length) return;
    const box = drawing.getBoundingClientRect();
    point(Math.max(0, Math.min(shown.length - 1, Math.round((event.clientX - box.left) / box.width * (shown.length - 1)))));
  });
  drawing.addEventListener("pointerleave", () => { if (shown) draw(); });

  /** A value beside its line's name; where there are many lines, the scale alone has the unit. */
  function say(line, value) {
    const text = lines.length > 2 ? quantity(value, unit).replace(/ .*/, "") : quantity(value, unit);
    return lines.length > 1 ? `${line.label} ${text}` : text;
  }

  function point(slot) {
    const index = slot - (shown.length - shown.at.length);
    if (index < 0) return;
    lines.forEach((line, number) => { words[number].textContent = say(line, shown.values[line.name]?.[index]); });
    end.textContent = `${shown.at[index].slice(11, 19)} UTC`;
    drawing.querySelector(".cursor")?.remove();
    const x = slot / (shown.length - 1) * width;
    drawing.append(svg("line", { class: "cursor", x1: x, x2: x, y1: 0, y2: height }));
  }

  function draw() {
    const all = lines.flatMap((line) => shown.values[line.name] ?? []).filter((value) => value !== null);
    nothing.hidden = all.length > 0;
    const highest = Math.max(0, ...all);
    const limit = top ?? ceiling(Math.max(highest, objective !== null && highest > objective / 4 ? objective : 0), unit);
    const low = Math.min(bottom, ...all);
    const offset = shown.length - shown.at.length;
    const x = (index) => (index + offset) / Math.max(1, shown.length - 1) * width;
    const y = (value) => height - 3 - Math.min(1, (value - low) / (limit - low)) * (height - 8);
    const marks = lines.flatMap((line) => {
      const [drawn, dots] = paths(shown.values[line.name] ?? [], x, y);
      return [svg("path", { class: `line ${line.className}`, d: drawn }), svg("path", { class: `line dots ${line.className}`, d: dots })];
    });
    if (objective !== null && objective <= limit && all.length) {
      marks.unshift(svg("line", { class: "objective", x1: 0, x2: width, y1: y(objective), y2: y(objective) }));
    }
    drawing.replaceChildren(svg("line", { class: "axis", x1: 0, x2: width, y1: height - 1, y2: height - 1 }), ...marks);
    scale.textContent = all.length ? quantity(limit, unit).replace(/\.0+(?=\D)/, "") : "";
    // A scale that does not begin at nothing says where it begins.
    foot.textContent = all.length && low !== 0 ? quantity(low, unit).replace(/\.0+(?=\D)/, "") : "";
    end.textContent = "now";
    lines.forEach((line, number) => {
      const values = shown.values[line.name] ?? [];
      words[number].textContent = all.length ? say(line, values[lastOf(values)]) : "";
    });
    const label = `${title}: ${all.length ? `${words.map((word) => word.textContent).join(", ")}; highest ${quantity(highest, unit)}` : unless}`;
    drawing.setAttribute("aria-label", label);
  }

  return {
    node,
    /** `history`: the reply of /history; `length`: slots of the time axis. */
    show(history, length) {
      const values = Object.fromEntries(history.series.map((series) => [series.name, series.values]));
      shown = { at: history.at, values, length };
      start.textContent = `${Math.round(length * history.step_seconds / 60)} min ago`;
      draw();
    },
  };
}

/** A strip of states, a cell for each run of equal ones. */
export function strip(states, length, label) {
  const drawing = svg("svg", { class: "strip", viewBox: `0 0 ${length} 1`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  const offset = length - states.length;
  let from = 0;
  states.forEach((state, index) => {
    if (index + 1 < states.length && states[index + 1] === state) return;
    drawing.append(svg("rect", { class: `state-${state}`, x: from + offset, y: 0, width: index + 1 - from, height: 1 }));
    from = index + 1;
  });
  return drawing;
}
