// Shows /openapi.json: every endpoint with its schemas and examples, a form that sends a real request, its curl.
import { byId, el, saveKey, savedKey } from "./dom.js";

const shown = (value) => JSON.stringify(value, null, 2);

function resolve(schema, doc, depth = 0) {
  if (!schema || depth > 8) return schema;
  if (schema.$ref) return resolve(doc.components.schemas[schema.$ref.split("/").pop()], doc, depth + 1);
  return schema;
}

/** An example of a schema: its own, else its default, else one made up from its type. */
function example(schema, doc, depth = 0) {
  const s = resolve(schema, doc) ?? {};
  if (s.examples?.length) return s.examples[0];
  if (s.default !== undefined) return s.default;
  if (s.enum) return s.enum[0];
  if (s.anyOf) return example(s.anyOf[0], doc, depth + 1);
  const type = Array.isArray(s.type) ? s.type[0] : s.type;
  if (depth > 6) return null;
  switch (type) {
    case "object":
      return Object.fromEntries((s.required ?? []).map((name) => [name, example(s.properties?.[name], doc, depth + 1)]));
    case "array": return s.items ? [example(s.items, doc, depth + 1)] : [];
    case "integer": case "number": return s.minimum ?? 0;
    case "boolean": return false;
    case "string": return s.format === "date-time" ? "2026-11-21T06:00:00Z" : "text";
    default: return null;
  }
}

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function request(method, path, inputs, body, accept) {
  let target = path;
  const query = new URLSearchParams();
  const headers = {};
  for (const { parameter, field } of inputs) {
    if (field.value === "") continue;
    if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(field.value));
    else if (parameter.in === "query") query.append(parameter.name, field.value);
    else headers[parameter.name] = field.value;
  }
  if (body) headers["Content-Type"] = "application/json";
  if (accept.value) headers.Accept = accept.value;
  if (byId("key").value) headers.Authorization = `Bearer ${byId("key").value}`;
  const text = query.toString();
  return { method: method.toUpperCase(), url: target + (text ? `?${text}` : ""), headers, body: body?.value };
}

function curl(made) {
  const parts = [`curl -N ${quote(location.origin + made.url)}`];
  if (made.method !== "GET") parts.push(`-X ${made.method}`);
  for (const [name, value] of Object.entries(made.headers)) {
    parts.push(`-H ${quote(`${name}: ${name === "Authorization" ? "Bearer $MEDALLION_API_KEY" : value}`)}`
      .replace("'Authorization: Bearer $MEDALLION_API_KEY'", '"Authorization: Bearer $MEDALLION_API_KEY"'));
  }
  if (made.body) parts.push(`-d ${quote(made.body)}`);
  return parts.join(" \\\n  ");
}

/** Sends it and shows what comes as it comes, so that streams show too. */
async function send(made, output, signal) {
  output.textContent = "…";
  try {
    const reply = await fetch(made.url, { method: made.method, headers: made.headers, body: made.body, signal });
    const head = `${reply.status} ${reply.statusText}\n${[...reply.headers].map(([n, v]) => `${n}: ${v}`).join("\n")}\n\n`;
    output.textContent = head;
    const reader = reply.body?.getReader();
    const decoder = new TextDecoder();
    let text = "";
    while (reader) {
      const { done, value } = await reader.read();
      if (done) break;
      text = (text + decoder.decode(value, { stream: true })).slice(-200000);
      output.textContent = head + text;
    }
    try { output.textContent = head + shown(JSON.parse(text)); } catch { /* not JSON: shown as it came */ }
  } catch (error) {
    if (!signal.aborted) output.textContent = String(error);
  }
}

function operation(path, method, op, doc) {
  const inputs = (op.parameters ?? []).map((parameter) => ({
    parameter,
    field: el("input", {
      placeholder: parameter.schema.default !== undefined ? String(parameter.schema.default) : "",
      value: parameter.required ? String(example(parameter.schema, doc) ?? "") : "", "aria-label": parameter.name,
    }),
  }));
  const content = op.requestBody?.content?.["application/json"];
  const examples = Object.values(content?.examples ?? {}).map((one) => one.value);
  const body = content ? el("textarea", { value: shown(examples[0] ?? example(content.schema, doc)), "aria-label": "body" }) : null;
  const success = Object.entries(op.responses).find(([status]) => status < "300")?.[1];
  const types = Object.keys(success?.content ?? {});
  const accept = el("select", { "aria-label": "Accept" }, types.map((type) => el("option", { value: type }, type)));
  const output = el("pre", { hidden: true });
  const command = el("pre");
  const made = () => request(method, path, inputs, body, accept);
  const refresh = () => { command.textContent = curl(made()); };
  for (const node of [...inputs.map((one) => one.field), body, accept]) node?.addEventListener("input", refresh);
  const role = (op.security ?? []).flatMap(Object.values).flat()[0];
  let running = null;
  const details = el("details", {},
    el("summary", {}, el("span", { class: "method" }, method.toUpperCase()), el("span", { class: "path" }, path),
      el("span", { class: "faint" }, op.summary), role ? el("span", { class: "faint" }, ` · role ${role}`) : null),
    op.description ? el("p", {}, op.description) : null,
    inputs.length ? el("h3", {}, "Parameters") : null,
    inputs.length ? el("table", {}, inputs.map(({ parameter, field }) => el("tr", {},
      el("td", {}, el("code", {}, parameter.name), parameter.required ? " *" : ""),
      el("td", { class: "faint" }, parameter.in), el("td", {}, field),
      el("td", { class: "faint" }, parameter.description ?? "", " ", el("code", {}, JSON.stringify(parameter.schema)))))) : null,
    body ? el("h3", {}, "Body") : null,
    examples.length > 1 ? el("div", { class: "row" }, examples.map((value, number) => el("button", {
      onclick: () => { body.value = shown(value); refresh(); } }, `Example ${number + 1}`))) : null,
    body,
    el("div", { class: "row" }, accept,
      el("button", { class: "send", onclick: () => {
        running?.abort();
        running = new AbortController();
        output.hidden = false;
        refresh();
        send(made(), output, running.signal);
      } }, "Send"),
      el("button", { onclick: () => running?.abort() }, "Stop"),
      el("button", { onclick: () => navigator.clipboard?.writeText(command.textContent) }, "Copy curl")),
    command, output,
    el("h3", {}, "Replies"),
    Object.entries(op.responses).map(([status, reply]) => el("details", {},
      el("summary", {}, el("code", {}, status), reply.description),
      Object.entries(reply.content ?? {}).map(([type, media]) => [el("code", {}, type), el("pre", {}, shown(media.schema))]))));
  details.id = op.operationId;
  details.addEventListener("toggle", refresh, { once: true });
  return details;
}

async function load() {
  const doc = await (await fetch("/openapi.json")).json();
  byId("title").textContent = doc.info.title;
  byId("version").textContent = doc.info.version;
  byId("description").textContent = doc.info.description;
  const tags = new Map();
  for (const [path, methods] of Object.entries(doc.paths)) {
    for (const [method, op] of Object.entries(methods)) {
      const tag = op.tags?.[0] ?? "";
      tags.set(tag, [...(tags.get(tag) ?? []), operation(path, method, op, doc)]);
    }
  }
  byId("operations").replaceChildren(...[...tags].flatMap(([tag, list]) => [el("h2", {}, tag), ...list]));
  byId("schemas").replaceChildren(...Object.entries(doc.components.schemas).map(([name, schema]) =>
    el("details", {}, el("summary", {}, el("code", {}, name)), el("pre", {}, shown(schema)))));
}

byId("key").value = savedKey();
byId("key").addEventListener("input", () => saveKey(byId("key").value));
load().catch((error) => { byId("operations").textContent = String(error); });
