// Which attributes filters may test: those that the caller's collections declare.
import { api, el } from "./dom.js";
import { labelled, option, words } from "./parts.js";

const preferred = ["wiki", "type", "is_bot"];
const fieldsMax = 4;

/** Fields for attributes within a form, made anew when the collections are read. */
export function attributeFields() {
  const node = el("div", { class: "attribute-fields" });
  let known = [];
  let reading = null;

  async function read() {
    const found = new Map();
    for (const collection of (await api("/collections")).collections) {
      for (const one of collection.attributes) {
        if (one.filter !== false && ["string", "bool"].includes(one.type) && !found.has(one.name)) found.set(one.name, one.type);
      }
    }
    const names = [...preferred.filter((name) => found.has(name)), ...[...found.keys()].filter((name) => !preferred.includes(name))];
    known = names.slice(0, fieldsMax).map((name) => ({ name, type: found.get(name) }));
    node.replaceChildren(...known.map((one) => field(one, found)));
  }

  return {
    node,
    /** Those that facets are asked of. */
    facets: () => known.filter((one) => one.name !== "is_bot").map((one) => one.name),
    /** Waits for the collections; what cannot be read is no attribute. */
    ready() {
      reading ??= read().catch(() => { reading = null; });
      return reading;
    },
    /** With another key there may be others. */
    forget() { reading = null; },
    /** The tests of a filter that the values of the form stand for. */
    tests(values) {
      return known.filter(({ name }) => values[name]).map(({ name, type }) => {
        if (type === "bool") return { attribute: name, equals: values[name] === "true" };
        const wanted = name === "wiki" ? words(values[name]) : values[name].split(",").map((one) => one.trim()).filter(Boolean);
        return { attribute: name, one_of: wanted };
      });
    },
  };
}

function field({ name, type }, found) {
  if (name === "is_bot") return labelled("by", el("select", { name }, option("", "anyone"), option("false", "people"), option("true", "bots")));
  if (type === "bool") return labelled(name, el("select", { name }, option("", "any"), option("true", "yes"), option("false", "no")));
  // Of recent changes; another collection's types are its own.
  if (name === "type" && found.has("wiki")) return labelled(name, el("select", { name }, option("", "any"), option("edit"), option("new")));
  return labelled(name, el("input", { name, size: 12, maxLength: 200, placeholder: name === "wiki" ? "enwiki, dewiki" : "any" }));
}
