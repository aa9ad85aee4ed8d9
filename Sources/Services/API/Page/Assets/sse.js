// Server-sent events over fetch: EventSource can send neither a key nor a body.
import { APIFailure, request } from "./dom.js";

/** Takes the frames of a stream apart (WHATWG HTML, section 9.2.6); what is cut anywhere is put together again. */
export class EventParser {
  constructor(take) {
    this.take = take;
    this.rest = "";
    this.fields = { event: "", data: [], id: undefined };
    /** The last id, also of frames that have no data. */
    this.lastID = "";
  }

  push(text) {
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop();
    for (const line of lines) this.line(line);
  }

  line(line) {
    if (line === "") {
      if (this.fields.id !== undefined) this.lastID = this.fields.id;
      if (this.fields.data.length) this.take(this.fields.event || "message", this.fields.data.join("\n"), this.lastID);
      this.fields = { event: "", data: [], id: undefined };
      return;
    }
    if (line.startsWith(":")) return;
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.fields.data.push(value);
    else if (name === "event" || name === "id") this.fields[name] = value;
  }
}

/** The server sends at least a comment every 15 s on a stream that is followed: three of them missing mean a dead connection. */
export const silenceMillisecondsMax = 45000;

/**
 * Reads one stream to its end. `take` gets each event's name and its data as JSON. A stream has no limit in time as a whole; with
 * `silenceMilliseconds` it fails once nothing has come for so long.
 */
export async function readEvents(path, take, { body, signal, headers = {}, parser, opened = () => {}, silenceMilliseconds = null } = {}) {
  const frames = parser ?? new EventParser((name, data, id) => take(name, JSON.parse(data), id));
  const own = new AbortController();
  const pass = () => own.abort(signal.reason);
  if (signal?.aborted) pass();
  signal?.addEventListener("abort", pass);
  let timer = null;
  const heard = () => {
    clearTimeout(timer);
    if (silenceMilliseconds === null) return;
    timer = setTimeout(() => own.abort(new Error(`nothing came for ${silenceMilliseconds / 1000} s`)), silenceMilliseconds);
  };
  try {
    heard();
    const response = await request(path, { body, signal: own.signal, headers: { Accept: "text/event-stream", ...headers } });
    opened();
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      heard();
      const { done, value } = await reader.read();
      if (done) return frames;
      frames.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", pass);
  }
}

/** Follows a stream; when it ends, reconnects and resumes from the last id. Returns a function that stops it. */
export function follow(path, { take, state, waitMilliseconds = 1000, waitMillisecondsMax = 15000, silenceMilliseconds = silenceMillisecondsMax }) {
  const stop = new AbortController();
  const parser = new EventParser((name, data, id) => take(name, JSON.parse(data), id));
  (async () => {
    let wait = waitMilliseconds;
    while (!stop.signal.aborted) {
      let reason = "the stream ended";
      try {
        const headers = parser.lastID ? { "Last-Event-ID": parser.lastID } : {};
        await readEvents(path, take, {
          signal: stop.signal, headers, parser, silenceMilliseconds, opened: () => { wait = waitMilliseconds; state(null); },
        });
      } catch (error) {
        if (stop.signal.aborted) return;
        reason = error.message;
        // What is refused for good is not asked for again by itself.
        if (error instanceof APIFailure && [401, 403, 404, 422].includes(error.status)) {
          state(error);
          return;
        }
      }
      if (stop.signal.aborted) return;
      state(new Error(reason));
      parser.rest = "";
      parser.fields = { event: "", data: [], id: undefined };
      await new Promise((resume) => { setTimeout(resume, wait * (0.5 + Math.random())); });
      wait = Math.min(waitMillisecondsMax, wait * 2);
    }
  })();
  return () => stop.abort();
}
